//! The one algorithm that decides which old copies stay: rotated logs and archived models alike.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::time::Duration;

use super::reason::{Duration32, Exceeds, Older, Rank, Reason};
use super::time::{Clock, Time};

/// One copy: a rotated file, or a version in an archive.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Index into [`Retention::groups`]: the log or the model of which it is a copy.
    pub group: usize,
    /// When it was made.
    pub time: Time,
    /// The later one of the same time.
    pub serial: u32,
    /// Decides where time and serial are equal.
    pub name: &'a OsStr,
    /// What it takes of a total.
    pub bytes: u64,
    /// What the filesystem gets back when it goes; 0 for a file with another name elsewhere.
    pub frees: u64,
    /// Must stay whatever the limits say (in use, pinned).
    pub protected: bool,
    /// Made in this run: the newest of its group, whatever its time says.
    pub made_now: bool,
}

/// The limits of one log or model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Group {
    /// Copies kept; `None` keeps all.
    pub count: Option<usize>,
    /// Copies older than this go.
    pub max_age: Option<Duration>,
    /// The newest copy never goes.
    pub keep_last: bool,
    /// Index into [`Retention::totals`]: with which other groups it shares a limit of bytes.
    pub total: Option<usize>,
    /// Its filesystem and how much is to be free there.
    pub space: Option<Space>,
}

/// Free space wanted.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Index into [`Retention::free`].
    pub filesystem: usize,
    /// Bytes that are to be free; 0 where the group has no such limit.
    pub target: u64,
}

/// What stays and what goes. The rules, in their order; a copy that an earlier rule expires does
/// not count for a later one, and a copy that stays is counted by all of them:
///
/// 1. A protected copy stays.
/// 2. A copy made in this run stays, and is the newest of its group.
/// 3. With `keep_last`, the newest copy of a group stays.
/// 4. Copies beyond `count` go, counted from the newest.
/// 5. Copies older than `max_age` go, unless the clock jumped.
/// 6. While the copies of all groups of a total are over it, the oldest of them goes.
/// 7. While a filesystem has less free than a group wants, the oldest copy of such groups goes.
///
/// Newest first is by time, then serial, then name, then the number of the group. What is equal in
/// all of these stays in the order of the items: give groups and items in the order of paths.
///
/// Raising a limit never expires more, with one exception that follows from 4 before 6: a copy that
/// a larger `count` lets stay can push an older copy of another group over the total.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Limits by group.
    pub groups: Vec<Group>,
    /// Limits in bytes that groups share.
    pub totals: Vec<u64>,
    /// Bytes free now, by filesystem.
    pub free: Vec<u64>,
}

/// What becomes of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep(Stay),
    /// It goes.
    Expire(Cause),
}

/// Why a copy stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Within all limits.
    Within,
    /// Rule 1.
    Protected,
    /// Rule 2.
    MadeNow,
    /// Rule 3: a limit would have it go.
    Last,
    /// Rule 5, suspended.
    ClockJumped,
}

/// Why a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Rule 4: its place, newest is 1, and how many are kept.
    Count(usize, usize),
    /// Rule 5: its age and the limit.
    Age(Duration, Duration),
    /// Rule 6: what all took while it was the oldest, and the limit.
    Total(u64, u64),
    /// Rule 7: its age.
    Space(Duration),
}

impl Cause {
    /// In the words of a plan; `noun` is what is counted.
    #[must_use]
    pub fn reason(self, noun: &'static str) -> Reason {
        match self {
            Self::Count(rank, limit) => Reason::Count(Box::new(Rank { rank, limit, noun })),
            Self::Age(age, limit) => Reason::Expired(Box::new(Older { age, limit })),
            Self::Total(bytes, limit) => Reason::TotalSize(Box::new(Exceeds { bytes, limit })),
            Self::Space(age) => Reason::OldestLowSpace(Duration32::from(age)),
        }
    }
}

impl Retention {
    /// A verdict for each item, in the order of the items, which matters only between equals.
    #[must_use]
    pub fn verdicts(&self, items: &[Item], clock: Clock) -> Vec<Verdict> {
        let mut newest_first: Vec<usize> = (0..items.len()).collect();
        newest_first.sort_by_key(|index| {
            let item = &items[*index];
            (
                Reverse((item.made_now, item.time, item.serial)),
                item.name,
                item.group,
            )
        });
        let mut verdicts = vec![Verdict::Keep(Stay::Within); items.len()];
        self.by_group(items, &newest_first, clock, &mut verdicts);
        let oldest_first: Vec<usize> = newest_first.into_iter().rev().collect();
        self.by_total(items, &oldest_first, &mut verdicts);
        self.by_space(items, &oldest_first, clock, &mut verdicts);
        verdicts
    }

    /// Rules 1 to 5.
    fn by_group(
        &self,
        items: &[Item],
        newest_first: &[usize],
        clock: Clock,
        verdicts: &mut [Verdict],
    ) {
        let mut seen = vec![0_usize; self.groups.len()];
        for index in newest_first {
            let item = &items[*index];
            let Some(group) = self.groups.get(item.group) else {
                continue;
            };
            seen[item.group] += 1;
            let rank = seen[item.group];
            let over = over_group(group, rank, clock.now.since(item.time));
            verdicts[*index] = match over {
                _ if item.protected => Verdict::Keep(Stay::Protected),
                _ if item.made_now => Verdict::Keep(Stay::MadeNow),
                _ if group.keep_last && rank == 1 => Verdict::Keep(Stay::Last),
                Some(Cause::Age(..)) if clock.jumped => Verdict::Keep(Stay::ClockJumped),
                Some(cause) => Verdict::Expire(cause),
                None => Verdict::Keep(Stay::Within),
            };
        }
    }

    /// Rule 6.
    fn by_total(&self, items: &[Item], oldest_first: &[usize], verdicts: &mut [Verdict]) {
        let total_of = |item: &Item| self.groups.get(item.group).and_then(|group| group.total);
        let mut taken = vec![0_u64; self.totals.len()];
        for (item, verdict) in items.iter().zip(verdicts.iter()) {
            if let (Some(total), Verdict::Keep(_)) = (total_of(item), verdict)
                && let Some(taken) = taken.get_mut(total)
            {
                *taken = taken.saturating_add(item.bytes);
            }
        }
        for index in oldest_first {
            let item = &items[*index];
            let Some(total) = total_of(item) else {
                continue;
            };
            let (Some(taken), Some(limit)) = (taken.get_mut(total), self.totals.get(total)) else {
                continue;
            };
            if *taken > *limit && may_go(verdicts[*index]) && item.bytes > 0 {
                verdicts[*index] = Verdict::Expire(Cause::Total(*taken, *limit));
                *taken -= item.bytes;
            }
        }
    }

    /// Rule 7.
    fn by_space(
        &self,
        items: &[Item],
        oldest_first: &[usize],
        clock: Clock,
        verdicts: &mut [Verdict],
    ) {
        let space_of = |item: &Item| self.groups.get(item.group).and_then(|group| group.space);
        let mut free = self.free.clone();
        for (item, verdict) in items.iter().zip(verdicts.iter()) {
            if let (Some(space), Verdict::Expire(_)) = (space_of(item), verdict)
                && let Some(free) = free.get_mut(space.filesystem)
            {
                *free = free.saturating_add(item.frees);
            }
        }
        for index in oldest_first {
            let item = &items[*index];
            let Some(space) = space_of(item) else {
                continue;
            };
            let Some(free) = free.get_mut(space.filesystem) else {
                continue;
            };
            if *free < space.target && may_go(verdicts[*index]) && item.frees > 0 {
                let age = clock.now.since(item.time);
                verdicts[*index] = Verdict::Expire(Cause::Space(age));
                *free = free.saturating_add(item.frees);
            }
        }
    }
}

fn over_group(group: &Group, rank: usize, age: Duration) -> Option<Cause> {
    if let Some(count) = group.count
        && rank > count
    {
        return Some(Cause::Count(rank, count));
    }
    let limit = group.max_age?;
    (age > limit).then_some(Cause::Age(age, limit))
}

fn may_go(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Keep(Stay::Within | Stay::ClockJumped))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{DAY, NOW, ago};
    use super::*;

    const CLOCK: Clock = Clock::at(NOW);

    fn copy(group: usize, days: i64, bytes: u64) -> Item<'static> {
        Item {
            group,
            time: ago(days * DAY),
            serial: 1,
            name: OsStr::new("x"),
            bytes,
            frees: bytes,
            protected: false,
            made_now: false,
        }
    }

    fn days(days: u64) -> Duration {
        Duration::from_hours(24 * days)
    }

    fn one(group: Group) -> Retention {
        Retention {
            groups: vec![group],
            ..Retention::default()
        }
    }

    fn expired(retention: &Retention, items: &[Item]) -> Vec<usize> {
        gone(&retention.verdicts(items, CLOCK))
    }

    fn gone(verdicts: &[Verdict]) -> Vec<usize> {
        (0..verdicts.len())
            .filter(|index| matches!(verdicts[*index], Verdict::Expire(_)))
            .collect()
    }

    #[test]
    fn rule_1_a_protected_copy_stays_and_counts() {
        let mut items = [copy(0, 1, 1), copy(0, 2, 1), copy(0, 3, 1)];
        items[2].protected = true;
        let mut group = Group {
            count: Some(1),
            max_age: Some(days(0)),
            ..Group::default()
        };
        assert_eq!(expired(&one(group), &items), [0, 1]);
        items[0].protected = true;
        group.max_age = None;
        assert_eq!(expired(&one(group), &items), [1]);
    }

    #[test]
    fn rule_2_a_copy_made_now_is_the_newest_and_stays() {
        let mut items = [copy(0, -5, 1), copy(0, 0, 1)];
        items[1].made_now = true;
        let retention = one(Group {
            count: Some(1),
            ..Group::default()
        });
        assert_eq!(
            retention.verdicts(&items, CLOCK),
            [
                Verdict::Expire(Cause::Count(2, 1)),
                Verdict::Keep(Stay::MadeNow)
            ]
        );
    }

    #[test]
    fn rule_3_the_last_copy_stays() {
        let items = [copy(0, 400, 9), copy(0, 399, 9)];
        let mut retention = one(Group {
            count: Some(0),
            max_age: Some(days(1)),
            keep_last: true,
            total: Some(0),
            space: Some(Space {
                filesystem: 0,
                target: 100,
            }),
        });
        retention.totals = vec![0];
        retention.free = vec![0];
        assert_eq!(expired(&retention, &items), [0]);
        retention.groups[0].keep_last = false;
        assert_eq!(expired(&retention, &items), [0, 1]);
    }

    #[test]
    fn rule_4_copies_beyond_the_count_go_by_time_serial_and_name() {
        let mut items = [copy(0, 1, 1), copy(0, 1, 1), copy(0, 1, 1), copy(0, 2, 1)];
        items[1].serial = 10;
        items[2].serial = 9;
        let retention = one(Group {
            count: Some(2),
            ..Group::default()
        });
        assert_eq!(expired(&retention, &items), [0, 3]);
    }

    #[test]
    fn rule_5_copies_older_than_max_age_go_unless_the_clock_jumped() {
        let items = [copy(0, 5, 1), copy(0, 6, 1)];
        let retention = one(Group {
            max_age: Some(days(5)),
            ..Group::default()
        });
        assert_eq!(expired(&retention, &items), [1]);
        let jumped = Clock {
            now: NOW,
            jumped: true,
        };
        assert_eq!(
            retention.verdicts(&items, jumped)[1],
            Verdict::Keep(Stay::ClockJumped)
        );
    }

    #[test]
    fn rule_6_the_oldest_of_all_groups_go_until_the_total_is_met() {
        let shared = Group {
            total: Some(0),
            ..Group::default()
        };
        let retention = Retention {
            groups: vec![shared, shared, Group::default()],
            totals: vec![25],
            free: Vec::new(),
        };
        let items = [
            copy(0, 4, 10),
            copy(1, 3, 10),
            copy(1, 5, 10),
            copy(2, 9, 99),
        ];
        assert_eq!(
            retention.verdicts(&items, CLOCK)[2],
            Verdict::Expire(Cause::Total(30, 25))
        );
        assert_eq!(expired(&retention, &items), [2]);
    }

    #[test]
    fn rule_7_the_oldest_go_until_enough_is_free_and_what_went_before_counts() {
        let wants = |target| Group {
            count: Some(2),
            space: Some(Space {
                filesystem: 0,
                target,
            }),
            ..Group::default()
        };
        let retention = |target| Retention {
            groups: vec![wants(target), wants(0)],
            totals: Vec::new(),
            free: vec![100],
        };
        let items = [
            copy(0, 1, 9),
            copy(0, 2, 9),
            copy(1, 3, 15),
            copy(1, 2, 15),
            copy(1, 9, 15),
        ];
        assert_eq!(expired(&retention(130), &items), [0, 1, 4]);
        // The fifth gives back 15, so that one of the first two is enough.
        assert_eq!(expired(&retention(120), &items), [1, 4]);
        assert_eq!(expired(&retention(115), &items), [4]);
    }

    #[test]
    fn a_limit_that_is_just_met_expires_nothing_and_what_frees_nothing_stays() {
        let of = |total, free| Retention {
            groups: vec![Group {
                keep_last: true,
                total: Some(0),
                space: Some(Space {
                    filesystem: 0,
                    target: 100,
                }),
                ..Group::default()
            }],
            totals: vec![total],
            free: vec![free],
        };
        let two = [copy(0, 1, 10), copy(0, 2, 10)];
        assert_eq!(expired(&of(20, 100), &two), [] as [usize; 0]);
        assert_eq!(expired(&of(19, 100), &two), [1]);
        assert_eq!(expired(&of(20, 99), &two), [1]);
        let empty = [copy(0, 1, 10), copy(0, 2, 0)];
        assert_eq!(expired(&of(9, 0), &empty), [] as [usize; 0]);
    }

    fn items() -> impl Strategy<Value = Vec<Item<'static>>> {
        let item = (0_usize..3, -2_i64..40, 0_u64..20, 0_u32..12, any::<u8>());
        proptest::collection::vec(item, 0..20).prop_map(|rows| {
            rows.into_iter()
                .enumerate()
                .map(|(index, (group, days, bytes, serial, bits))| Item {
                    serial: serial * 32 + u32::try_from(index).unwrap_or(0),
                    protected: bits.is_multiple_of(16),
                    made_now: bits % 16 == 1,
                    ..copy(group, days, bytes)
                })
                .collect()
        })
    }

    fn limits() -> impl Strategy<Value = Retention> {
        let group = (
            proptest::option::of(0_usize..6),
            proptest::option::of(0_u64..40),
        );
        (proptest::collection::vec(group, 3), 0_u64..200, 0_u64..100).prop_map(
            |(groups, total, free)| Retention {
                groups: groups
                    .into_iter()
                    .map(|(count, age)| Group {
                        count,
                        max_age: age.map(days),
                        keep_last: true,
                        total: Some(0),
                        space: Some(Space {
                            filesystem: 0,
                            target: 100,
                        }),
                    })
                    .collect(),
                totals: vec![total],
                free: vec![free],
            },
        )
    }

    /// Which limit is raised, and by how much.
    fn raised(retention: &Retention, which: u8, by: u64) -> Retention {
        let mut more = retention.clone();
        match which {
            0 => more.totals[0] += by,
            1 => more.free[0] += by,
            2 => {
                for group in &mut more.groups {
                    group.max_age = group.max_age.map(|age| age + days(by));
                }
            }
            _ => {
                for group in &mut more.groups {
                    group.count = group.count.map(|count| count + 1);
                }
            }
        }
        more
    }

    proptest! {
        #[test]
        fn the_newest_of_each_group_is_never_expired(items in items(), retention in limits()) {
            let verdicts = retention.verdicts(&items, CLOCK);
            for group in 0..3 {
                let newest = (0..items.len())
                    .filter(|index| items[*index].group == group)
                    .max_by_key(|index| (items[*index].made_now, items[*index].time, items[*index].serial));
                if let Some(newest) = newest {
                    prop_assert!(matches!(verdicts[newest], Verdict::Keep(_)));
                }
            }
        }

        #[test]
        fn the_order_of_items_does_not_matter(items in items(), retention in limits(), turn in 0_usize..20) {
            let verdicts = retention.verdicts(&items, CLOCK);
            let mut turned: Vec<(Item, Verdict)> = items.iter().copied().zip(verdicts).collect();
            turned.reverse();
            let len = turned.len().max(1);
            turned.rotate_left((turn % len).min(items.len()));
            let items: Vec<Item> = turned.iter().map(|(item, _)| *item).collect();
            let expected: Vec<Verdict> = turned.iter().map(|(_, verdict)| *verdict).collect();
            prop_assert_eq!(retention.verdicts(&items, CLOCK), expected);
        }

        #[test]
        fn raising_one_limit_never_expires_more(items in items(), mut retention in limits(), which in 0_u8..4, by in 0_u64..50) {
            if which == 2 {
                let age = retention.groups[0].max_age;
                retention.groups.iter_mut().for_each(|group| group.max_age = age);
            }
            if which != 1 && which != 0 {
                retention.groups.iter_mut().for_each(|group| {
                    (group.total, group.space) = (None, None);
                });
            }
            let less = expired(&raised(&retention, which, by), &items);
            let more = expired(&retention, &items);
            prop_assert!(less.iter().all(|index| more.contains(index)), "{less:?} {more:?}");
        }

        #[test]
        fn what_stays_is_within_the_limits_and_a_second_look_expires_nothing(items in items(), mut retention in limits()) {
            let verdicts = retention.verdicts(&items, CLOCK);
            let freed: u64 = gone(&verdicts).iter().map(|index| items[*index].frees).sum();
            retention.free[0] += freed;
            let stay: Vec<Item> = items.iter().zip(&verdicts)
                .filter(|(_, verdict)| matches!(verdict, Verdict::Keep(_)))
                .map(|(item, _)| *item).collect();
            prop_assert_eq!(expired(&retention, &stay), Vec::<usize>::new());
            let movable: u64 = stay.iter().zip(verdicts.iter().filter(|v| matches!(v, Verdict::Keep(_))))
                .filter(|(_, verdict)| may_go(**verdict)).map(|(item, _)| item.bytes).sum();
            let taken: u64 = stay.iter().map(|item| item.bytes).sum();
            prop_assert!(movable == 0 || (taken <= retention.totals[0] && retention.free[0] >= 100));
        }
    }
}
