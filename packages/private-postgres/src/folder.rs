//! The data folder before a server is started on it: what is in it, and who holds its lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{Error, Lingering};

/// How long a lingering server may take to write its checkpoint.
const LINGERING_STOPS_WITHIN: Duration = Duration::from_secs(20);

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing, or it is not there.
    Nothing,
    /// A cluster that this major version made.
    Cluster(u32),
}

/// The major version that made the cluster in `data_dir`, if it is one.
pub(crate) fn made_by(data_dir: &Path) -> Option<u32> {
    fs::read_to_string(data_dir.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Looks into the folder.
pub(crate) fn look(data_dir: &Path) -> Result<Holds, Error> {
    if let Some(major) = made_by(data_dir) {
        return Ok(Holds::Cluster(major));
    }
    match data_dir.read_dir().map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(Holds::Nothing),
        Ok(false) => Err(Error::NotACluster(data_dir.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Holds::Nothing),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(Error::NotACluster(data_dir.to_owned()))
        }
        Err(error) => Err(Error::io("cannot list", data_dir)(error)),
    }
}

/// Sees to it that no server holds the folder: removes the lock of a dead one, and treats a living one as asked.
///
/// Postgres itself refuses a lock whose process id lives, even where another program has that id by now (after a
/// reboot, or in a new container on an old volume); so the id is looked at more closely here.
pub(crate) fn unlock(data_dir: &Path, lingering: Lingering) -> Result<(), Error> {
    let lock = data_dir.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && is_postgres_of(pid, data_dir)
    {
        match lingering {
            Lingering::Refuse => {
                return Err(Error::InUse { path: data_dir.to_owned(), pid: pid.as_raw_nonzero().get() });
            }
            Lingering::Stop => stop(pid, data_dir)?,
        }
    }
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove the stale lock", &lock)(error))
        }
        _ => Ok(()),
    }
}

/// Whether the process is a server that works in this folder.
fn is_postgres_of(pid: Pid, data_dir: &Path) -> bool {
    if let Err(error) = test_kill_process(pid)
        && error != rustix::io::Errno::PERM
    {
        return false;
    }
    let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    if proc.is_dir() {
        if fs::read_to_string(proc.join("stat")).is_ok_and(|stat| stat.contains(") Z ")) {
            return false;
        }
        // A postmaster's working directory is its data folder.
        if let Ok(cwd) = fs::read_link(proc.join("cwd")) {
            return data_dir.canonicalize().is_ok_and(|data_dir| data_dir == cwd);
        }
        return fs::read_to_string(proc.join("comm"))
            .is_ok_and(|comm| comm.trim() == "postgres" || comm.trim() == "postmaster");
    }
    std::process::Command::new("ps")
        .args(["-o", "command=", "-p", &pid.as_raw_nonzero().to_string()])
        .output()
        .is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("postgres"))
}

/// Fast shutdown of a server that is not our child, then an immediate one.
fn stop(pid: Pid, data_dir: &Path) -> Result<(), Error> {
    let refused = || Error::InUse { path: data_dir.to_owned(), pid: pid.as_raw_nonzero().get() };
    for (signal, within) in [(Signal::INT, LINGERING_STOPS_WITHIN), (Signal::QUIT, Duration::from_secs(5))] {
        if kill_process(pid, signal).is_err() && is_postgres_of(pid, data_dir) {
            return Err(refused());
        }
        let since = Instant::now();
        while since.elapsed() < within {
            if !is_postgres_of(pid, data_dir) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Err(refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_process_that_is_no_postgres_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("postmaster.pid");
        // This test's own id lives and is no server.
        fs::write(&lock, format!("{}\n/somewhere\n", std::process::id())).unwrap();
        unlock(folder.path(), Lingering::Refuse).unwrap();
        assert!(!lock.exists());
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(folder.path()).unwrap(), Holds::Nothing);
        assert_eq!(look(&folder.path().join("new")).unwrap(), Holds::Nothing);
        fs::write(folder.path().join("holiday.jpg"), "x").unwrap();
        assert!(matches!(look(folder.path()), Err(Error::NotACluster(_))));
    }
}
