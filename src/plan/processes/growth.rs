//! Memory that only ever grows: a leak, told from the readings of several runs.

use serde::Serialize;

/// Readings in a row, of which each is above the one before, that are worth a word.
pub const RUNS: usize = 5;
/// And so much growth in all, in percent …
const PERCENT: u64 = 5;
/// … and in bytes: less is what a heap does.
const BYTES: u64 = 16 << 20;

/// Readings of resident memory that grew from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// The readings, oldest first.
    pub rss_bytes: Vec<u64>,
    /// From the first to the last.
    pub grown_bytes: u64,
}

/// The growth at the end of a series of readings, oldest first: at least five of them, each above
/// the one before, and by a twentieth and 16 MiB in all.
#[must_use]
pub fn growth(series: &[u64]) -> Option<Growth> {
    let rising = series.windows(2).rev().take_while(|pair| pair[1] > pair[0]);
    let from = series.len().checked_sub(rising.count() + 1)?;
    let readings = &series[from..];
    let (first, last) = (*readings.first()?, *readings.last()?);
    let grown = last - first;
    let enough =
        grown >= BYTES && u128::from(grown) * 100 >= u128::from(first) * u128::from(PERCENT);
    (readings.len() >= RUNS && enough).then(|| Growth {
        rss_bytes: readings.to_vec(),
        grown_bytes: grown,
    })
}

/// What has to be reached for [`growth`] to tell of it, for the report.
#[must_use]
pub fn threshold() -> serde_json::Value {
    serde_json::json!({ "runs": RUNS, "grown_bytes": BYTES, "grown_percent": PERCENT })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grows(mebibytes: &[u64]) -> Option<usize> {
        let series: Vec<u64> = mebibytes.iter().map(|count| count << 20).collect();
        growth(&series).map(|growth| growth.rss_bytes.len())
    }

    #[test]
    fn a_leak_grows_in_five_runs_in_a_row() {
        for (series, readings) in [
            (&[100, 110, 120, 130, 140][..], Some(5)),
            (&[90, 80, 100, 110, 120, 130, 140], Some(6)),
            (&[100, 110, 120, 130], None),
            (&[100, 110, 120, 130, 130], None),
            (&[100, 110, 105, 130, 140], None),
            (&[100, 110, 120, 130, 140, 139], None),
            // 15 MiB in all are a heap that settles, and 16 of 1000 too little to tell.
            (&[100, 104, 108, 112, 115], None),
            (&[1000, 1004, 1008, 1012, 1016], None),
            (&[1000, 1004, 1008, 1012, 1050], Some(5)),
            (&[], None),
            (&[7], None),
        ] {
            assert_eq!(grows(series), readings, "{series:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_fell_in_the_last_four_steps_does_not_grow(
            mut series in proptest::collection::vec(0u64..1 << 40, 5..9),
            at in 1usize..5,
        ) {
            let last = series.len();
            series[last - at] = series[last - at - 1].saturating_sub(1);
            proptest::prop_assert_eq!(growth(&series), None);
        }

        #[test]
        fn growth_is_the_difference_of_its_ends(
            series in proptest::collection::vec(0u64..1 << 40, 0..9),
        ) {
            if let Some(growth) = growth(&series) {
                let first = growth.rss_bytes[0];
                proptest::prop_assert!(growth.rss_bytes.len() >= RUNS);
                proptest::prop_assert_eq!(series.last(), growth.rss_bytes.last());
                proptest::prop_assert_eq!(first + growth.grown_bytes, series[series.len() - 1]);
            }
        }
    }
}
