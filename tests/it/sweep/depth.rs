//! How many of all trials are made.

/// How far a sweep goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// With `cargo test`: a few seconds.
    Short,
    /// With `.ci/run`: about ten seconds a scenario.
    Medium,
    /// With `.ci/nightly`: every call, every fault.
    Whole,
}

impl Depth {
    /// From `SYSOPT_SWEEP`; medium where that is not set.
    pub fn chosen() -> Self {
        match std::env::var("SYSOPT_SWEEP").as_deref() {
            Err(_) | Ok("medium") => Self::Medium,
            Ok("short") => Self::Short,
            Ok("whole") => Self::Whole,
            Ok(other) => panic!("SYSOPT_SWEEP={other}: it is short, medium or whole"),
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Medium => "medium",
            Self::Whole => "whole",
        }
    }

    /// At most this many trials of a kind.
    const fn most(self) -> usize {
        match self {
            Self::Short => 14,
            Self::Medium => 40,
            Self::Whole => usize::MAX,
        }
    }

    /// So many of them as this depth has, spread evenly, the first and the last among them.
    pub fn some<T: Clone>(self, all: Vec<T>) -> Vec<T> {
        let (count, most) = (all.len(), self.most());
        if count <= most {
            return all;
        }
        let spread = (0..most).map(|index| index * (count - 1) / (most - 1));
        spread.map(|index| all[index].clone()).collect()
    }
}

#[test]
fn some_are_spread_from_the_first_to_the_last() {
    let some = Depth::Short.some((0..100).collect());
    assert_eq!((some[0], some[13], some.len()), (0, 99, 14));
    assert!(
        some.windows(2)
            .all(|pair| (7..9).contains(&(pair[1] - pair[0])))
    );
    assert_eq!(Depth::Short.some(vec![1, 2, 3]), [1, 2, 3]);
    assert_eq!(Depth::Whole.some(vec![0; 999]).len(), 999);
}
