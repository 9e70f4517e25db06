//! Load and room of the machine. Nothing sleeps for a figure: processor use is the difference to
//! an earlier reading.

use std::path::Path;

use rustix::time::ClockId;
use sysinfo::System;

use crate::plan::entry::Filesystem;
use crate::plan::host::{Deltas, Disk, Metrics, Pressure, Stall, Stalls, Ticks, percent};
#[cfg(all(target_os = "linux", not(sysopt_portable)))]
use linux as platform;
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
use portable as platform;

/// Reads the figures; processor use is since `earlier`, where that is of the same boot.
#[must_use]
pub fn read(disks: Vec<Disk>, earlier: Option<&Ticks>) -> (Metrics, Ticks) {
    let (mut ticks, cpus) = platform::ticks();
    let stalls = platform::count(&mut ticks.counters);
    let mut metrics = Metrics {
        cpu_percent: earlier.and_then(|earlier| ticks.busy_percent_since(earlier)),
        cpus,
        load_average: load_average(),
        pressure: short(&stalls),
        pressure_averages: stalls,
        deltas: earlier.map_or_else(Deltas::default, |earlier| ticks.deltas_since(earlier)),
        uptime_seconds: System::uptime().ok(),
        disks,
        ..Metrics::default()
    };
    if let Ok(mut system) = System::new() {
        system.refresh_memory();
        memory(&system, &mut metrics);
    }
    (metrics, ticks)
}

/// Processor time now, to be kept for the next reading; `None` where the platform has no such
/// count.
#[must_use]
pub fn ticks() -> Option<Ticks> {
    let (mut ticks, _) = platform::ticks();
    platform::count(&mut ticks.counters);
    Some(ticks).filter(|ticks| ticks.total > 0)
}

/// Bytes that new programs could use (`MemAvailable`), of the machine as a whole.
#[must_use]
pub fn memory_available() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

/// The share of the last ten seconds, in the report's first words on pressure.
fn short(stalls: &Stalls) -> Pressure {
    let of = |stall: Option<Stall>| stall.map(|stall| stall.some.avg10);
    Pressure {
        cpu: of(stalls.cpu),
        memory: of(stalls.memory),
        io: of(stalls.io),
    }
}

/// What a report says of a filesystem, by a path on it.
#[must_use]
pub fn disk(path: &Path, filesystem: &Filesystem) -> Disk {
    Disk::of(path.to_string_lossy().into_owned(), filesystem)
}

fn memory(system: &System, metrics: &mut Metrics) {
    let (mut total, mut available) = (system.total_memory(), system.available_memory());
    if let Some(limits) = system.cgroup_limits()
        && limits.total_memory < total
    {
        // The group is charged for pages that it read and would give back at once.
        let free = limits.free_memory.saturating_add(platform::reclaimable());
        total = limits.total_memory;
        available = available.min(free).min(total);
    }
    if total == 0 {
        return;
    }
    metrics.memory_total_bytes = Some(total);
    metrics.memory_available_bytes = Some(available);
    metrics.memory_percent = percent(total.saturating_sub(available), total);
    metrics.swap_percent = percent(system.used_swap(), system.total_swap());
}

fn load_average() -> Option<[f64; 3]> {
    let load = System::load_average().ok()?;
    Some([load.one, load.five, load.fifteen])
}

/// The boot id of the kernel, or, where there is none, what stands for it: the instant of the boot.
pub(super) fn boot_id() -> String {
    platform::boot_id().unwrap_or_else(|| {
        System::boot_time()
            .map(|at| format!("booted-{at}"))
            .unwrap_or_default()
    })
}

/// Nanosecond clocks, apart by the time from the epoch to the boot.
pub(super) fn booted() -> Option<crate::plan::time::Time> {
    let since_boot = since_boot()?;
    Some(super::clock(ClockId::Realtime).before(since_boot))
}

pub(super) use platform::since_boot;

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod linux {
    use std::time::Duration;

    use rustix::time::ClockId;

    use super::super::{clock, parse, proc::Dir};
    use super::boot_id as any_boot_id;
    use crate::plan::host::{Counters, Stall, Stalls, Ticks};
    use crate::plan::time::Time;

    pub(super) fn ticks() -> (Ticks, Option<u32>) {
        let Some(processors) = read("stat", parse::processors) else {
            return (Ticks::default(), None);
        };
        let ticks = Ticks {
            boot_id: any_boot_id(),
            busy: processors.busy,
            total: processors.total,
            ..Ticks::default()
        };
        (ticks, Some(processors.count))
    }

    /// Reads the counters, and with those of pressure its averages.
    pub(super) fn count(counters: &mut Counters) -> Stalls {
        *counters = read("vmstat", parse::vmstat).unwrap_or_default();
        let since_boot = since_boot().unwrap_or_default().as_millis();
        counters.milliseconds = u64::try_from(since_boot).unwrap_or(0);
        let of = |name: &str, total: &mut Option<u64>| -> Option<Stall> {
            let (stall, microseconds) = read(&format!("pressure/{name}"), parse::pressure)?;
            *total = Some(microseconds);
            Some(stall)
        };
        Stalls {
            cpu: of("cpu", &mut counters.cpu_stalled),
            memory: of("memory", &mut counters.memory_stalled),
            io: of("io", &mut counters.io_stalled),
        }
    }

    pub(super) fn boot_id() -> Option<String> {
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).trim().to_owned());
        read("sys/kernel/random/boot_id", text).filter(|id| !id.is_empty())
    }

    #[allow(
        clippy::unnecessary_wraps,
        reason = "the portable one can fail to know"
    )]
    pub(in crate::system) fn since_boot() -> Option<Duration> {
        Some(clock(ClockId::Boottime).since(Time(0)))
    }

    /// Bytes of cached files that the control group of this machine or container could give back
    /// (`memory.stat` of version 2, then 1).
    pub(super) fn reclaimable() -> u64 {
        let read = |path: &str, key| {
            let text = Dir::root().ok()?.read(path, &mut Vec::new()).ok()?.to_vec();
            parse::memory_stat(&text, key)
        };
        read("/sys/fs/cgroup/memory.stat", "inactive_file")
            .or_else(|| read("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"))
            .unwrap_or(0)
    }

    fn read<T>(name: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        parse(Dir::root().ok()?.read(name, &mut Vec::new()).ok()?)
    }
}

#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
mod portable {
    use std::time::Duration;

    use crate::plan::host::{Counters, Stalls, Ticks};

    pub(super) fn ticks() -> (Ticks, Option<u32>) {
        let cpus = std::thread::available_parallelism().ok();
        let cpus = cpus.and_then(|count| u32::try_from(count.get()).ok());
        (Ticks::default(), cpus)
    }

    pub(super) fn count(_counters: &mut Counters) -> Stalls {
        Stalls::default()
    }

    pub(super) fn boot_id() -> Option<String> {
        None
    }

    pub(in crate::system) fn since_boot() -> Option<Duration> {
        sysinfo::System::uptime().ok().map(Duration::from_secs)
    }

    pub(super) fn reclaimable() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_machine_has_plausible_figures() {
        let (metrics, ticks) = read(Vec::new(), None);
        assert_eq!(metrics.cpu_percent, None, "nothing to compare with");
        assert!(metrics.cpus.is_some_and(|count| count > 0));
        let total = metrics.memory_total_bytes.unwrap_or(0);
        assert!(
            metrics
                .memory_available_bytes
                .is_some_and(|free| free > 0 && free <= total)
        );
        assert!(
            metrics
                .memory_percent
                .is_some_and(|used| used > 0.0 && used <= 100.0)
        );
        assert!(metrics.load_average.is_some() && metrics.uptime_seconds.is_some());
        let other = Ticks {
            boot_id: "another boot".to_owned(),
            ..ticks
        };
        assert_eq!(read(Vec::new(), Some(&other)).0.cpu_percent, None);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(sysopt_portable)))]
    fn a_busy_moment_shows() {
        let (_, before) = read(Vec::new(), None);
        assert_eq!(before.boot_id, boot_id());
        assert!(before.total > before.busy && before.busy > 0);
        let until = std::time::Instant::now() + std::time::Duration::from_millis(150);
        while std::time::Instant::now() < until {}
        let used = read(Vec::new(), Some(&before)).0.cpu_percent;
        assert!(
            used.is_some_and(|used| used > 0.0 && used <= 100.0),
            "{used:?}"
        );
    }
}
