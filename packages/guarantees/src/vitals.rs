//! What a process takes of the machine, as the kernel counts it. Linux only.

use std::fs;
use std::time::Duration;

/// Ticks a second in `/proc/<pid>/stat`; fixed for user space on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// The vitals of a process.
#[derive(Debug, Clone, Copy)]
pub struct Vitals {
    pid: u32,
}

impl Vitals {
    /// Of that process.
    pub fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Time on a core since its start, in user and kernel mode.
    pub fn core_time(&self) -> Duration {
        let stat = self.read("stat");
        // The name may have spaces: what counts stands behind its bracket.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).expect("a number");
        Duration::from_millis((ticks(11) + ticks(12)) * 1_000 / TICKS_PER_SECOND)
    }

    /// Most memory that it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kib * 1_024
    }

    /// Files and sockets that it holds open.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("the process runs").count()
    }

    fn read(&self, what: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{what}", self.pid)).expect("the process runs")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_vitals_of_this_process_are_read() {
        let vitals = Vitals::of(std::process::id());
        let (before, files) = (vitals.core_time(), vitals.open_files());
        let held = fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(vitals.open_files(), files + 1);
        drop(held);
        let mut sum = 0_u64;
        while vitals.core_time() < before + Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(vitals.peak_memory() > 1 << 20);
    }
}
