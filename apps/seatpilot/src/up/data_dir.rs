//! The data directory: made, locked against a second `up`, and what lies where in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{failure::Failure, state::STATE_FILE};

/// A data directory that is ours as long as this value lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes it where it is new, locks it, and removes a stale `state.json`.
    ///
    /// # Errors
    /// Where another `up` has it, or it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path)?;
        let named = |error: io::Error| {
            Failure::new(format!(
                "the data directory {} cannot be used ({error}): name another one with --data-dir",
                path.display()
            ))
        };
        if !path.is_dir() {
            fs::create_dir_all(&path).map_err(named)?;
            // Root's server runs as another account and must get through; each secret in here has mode 0600.
            let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(named)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(named)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Failure::new(format!(
                    "another `seatpilot up` runs on {}: stop it, or name another --data-dir",
                    path.display()
                )));
            }
            Err(error) => return Err(named(error.into())),
        }
        fs::create_dir_all(path.join("logs")).map_err(named)?;
        let opened = Self { path, _lock: lock };
        opened.remove(STATE_FILE)?;
        Ok(opened)
    }

    /// The private cluster's folder.
    pub(super) fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }

    /// Where a service's output is kept.
    pub(super) fn log(&self, service: &str) -> PathBuf {
        self.path.join("logs").join(format!("{service}.log"))
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file's bytes; none where there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::from(error).while_doing(self.path.join(name).display())),
        }
    }

    /// Writes a file of mode 0600, whole or not at all.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, 0o600)
    }

    /// The same with another mode.
    pub(super) fn write_as(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let path = self.path.join(name);
        let written = tempfile::NamedTempFile::new_in(&self.path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|error| Failure::from(error).while_doing(path.display()))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::from(error).while_doing(self.path.join(name).display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_and_a_stale_state_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("data");
        let first = DataDir::open(&at).expect("opened");
        first.write(STATE_FILE, b"{}").expect("written");
        let mode = fs::metadata(at.join(STATE_FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let why = DataDir::open(&at).expect_err("in use").to_string();
        assert!(why.contains("another `seatpilot up`"), "{why}");
        drop(first);
        let second = DataDir::open(&at).expect("free again");
        assert!(second.read(STATE_FILE).expect("read").is_none());
    }
}
