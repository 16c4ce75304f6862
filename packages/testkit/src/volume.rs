//! A small disk of a test's own, in memory, that can be filled and made larger: only where root may mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mounted tmpfs, unmounted with the value. Drop what uses it first.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// Mounts one of so many bytes at `path`, which is made. Where this machine lets nobody mount, says why.
    ///
    /// # Errors
    /// What `mount` said.
    pub fn mount(path: &Path, bytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount a small disk".to_owned());
        }
        fs::create_dir_all(path).map_err(|error| error.to_string())?;
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes},mode=0711"), "seatpilot-volume"], path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it of another size, with all that is on it.
    pub fn resize(&self, bytes: u64) {
        run("mount", &["-o", &format!("remount,size={bytes}")], &self.path).expect("it can be remounted");
    }

    /// Bytes that are used.
    pub fn used_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).expect("it is mounted");
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process that dies a moment later must not leave it mounted.
        let _ = run("umount", &["-l"], &self.path);
    }
}

fn run(program: &str, args: &[&str], path: &Path) -> Result<(), String> {
    let ran = Command::new(program).args(args).arg(path).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned())
}
