//! As whom the server runs. Postgres refuses root, so root hands it to another account.
//!
//! On Linux `setpriv` (util-linux) does the handing over, since it can also tell the kernel to stop the child when
//! its parent dies. Where the data folder or the binaries lie below a folder that the account may not enter (a
//! checkout in root's home), the child keeps the one capability to look into folders, if root has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::Error;

/// An account that Postgres agrees to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user that we are.
    Own,
    /// We are root: this one instead.
    Other { name: String, uid: u32, gid: u32 },
}

/// What becomes of the child when this process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphaned {
    /// It is told to stop (on Linux).
    Stops,
    /// It goes on.
    Stays,
}

impl Account {
    /// The account for a data folder: ourselves, or for root the folder's owner, `postgres`, or `nobody`.
    pub(crate) fn for_folder(data_dir: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let accounts = || known.lines().filter_map(passwd_line);
        if let Ok(meta) = fs::metadata(data_dir)
            && meta.uid() != 0
        {
            let name = accounts().find(|(_, uid, _)| *uid == meta.uid()).map(|(name, ..)| name);
            let name = name.map_or_else(|| meta.uid().to_string(), str::to_owned);
            return Ok(Self::Other { name, uid: meta.uid(), gid: meta.gid() });
        }
        ["postgres", "_postgres", "nobody"]
            .iter()
            .find_map(|wanted| accounts().find(|(name, ..)| name == wanted))
            .map(|(name, uid, gid)| Self::Other { name: name.to_owned(), uid, gid })
            .ok_or(Error::NoAccount)
    }

    /// Gives a file or folder, and all below it, to the account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        let Self::Other { uid, gid, .. } = self else { return Ok(()) };
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            let meta = path.symlink_metadata().map_err(Error::io("cannot look at", &path))?;
            if meta.uid() != *uid {
                std::os::unix::fs::lchown(&path, Some(*uid), Some(*gid))
                    .map_err(Error::io("cannot hand over", &path))?;
            }
            if meta.is_dir() {
                let entries = path.read_dir().map_err(Error::io("cannot list", &path))?;
                waiting.extend(entries.flatten().map(|entry| entry.path()));
            }
        }
        Ok(())
    }

    /// A command that runs `program` as this account. `data_dir` must be within its reach.
    pub(crate) fn command(
        &self,
        program: &Path,
        data_dir: &Path,
        orphaned: Orphaned,
    ) -> Result<Command, Error> {
        let mut wrap: Vec<String> = Vec::new();
        if orphaned == Orphaned::Stops && setpriv_works() {
            // SIGINT is Postgres' fast shutdown: clients are cut, the checkpoint is written.
            wrap.extend(["--pdeathsig", "INT"].map(str::to_owned));
        }
        let mut command = Command::new(program);
        if let Self::Other { name, uid, gid } = self {
            let closed = [data_dir, program]
                .into_iter()
                .find_map(|path| closed_to(path, *uid, *gid).map(|at| (path, at)));
            if setpriv_works() {
                wrap.extend([
                    format!("--reuid={uid}"),
                    format!("--regid={gid}"),
                    "--clear-groups".to_owned(),
                ]);
                if let Some((_, at)) = closed {
                    let capability = looking_capability()
                        .ok_or_else(|| Error::OutOfReach { account: name.clone(), path: at })?;
                    wrap.extend([
                        format!("--inh-caps=+{capability}"),
                        format!("--ambient-caps=+{capability}"),
                    ]);
                }
            } else if let Some((_, at)) = closed {
                return Err(Error::OutOfReach { account: name.clone(), path: at });
            } else {
                use std::os::unix::process::CommandExt;
                command.uid(*uid).gid(*gid);
            }
        }
        if !wrap.is_empty() {
            command = Command::new("setpriv");
            command.args(wrap).arg("--").arg(program);
        }
        // Nothing of the caller's PG* settings, locale or secrets reaches the server. With LC_ALL set macOS does not
        // start threads inside the postmaster, which then refuses to run.
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        // A folder that every account may stand in: initdb and postgres look up where they are.
        command.current_dir("/");
        Ok(command)
    }
}

/// Name, uid and gid of a line of `/etc/passwd`. macOS writes `nobody` as -2.
fn passwd_line(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let mut number = |skip: usize| -> Option<u32> {
        let value: i64 = fields.nth(skip)?.parse().ok()?;
        u32::try_from(value).ok().or_else(|| i32::try_from(value).ok().map(i32::cast_unsigned))
    };
    Some((name, number(1)?, number(0)?))
}

/// The first folder on the way to `path` that the account may not enter.
fn closed_to(path: &Path, uid: u32, gid: u32) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
    ancestors.reverse();
    ancestors
        .into_iter()
        .find(|folder| {
            fs::metadata(folder).is_ok_and(|meta| {
                let mode = meta.permissions().mode();
                let execute = if meta.uid() == uid {
                    0o100
                } else if meta.gid() == gid {
                    0o010
                } else {
                    0o001
                };
                mode & execute == 0
            })
        })
        .map(Path::to_owned)
}

/// The capability to enter any folder that this process may hand on: the lesser one, else the one that containers
/// usually leave to root.
fn looking_capability() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let held = u64::from_str_radix(held.trim(), 16).ok()?;
    // Bit numbers of include/uapi/linux/capability.h.
    [(2, "dac_read_search"), (1, "dac_override")]
        .into_iter()
        .find_map(|(bit, name)| (held >> bit & 1 == 1).then_some(name))
}

/// Whether util-linux's `setpriv` is here; busybox has one that knows less.
fn setpriv_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        cfg!(target_os = "linux")
            && Command::new("setpriv")
                .args(["--pdeathsig", "INT", "--", "true"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_linux_and_from_macos() {
        assert_eq!(passwd_line("nobody:x:65534:65533:n:/:/bin/false"), Some(("nobody", 65534, 65533)));
        assert_eq!(
            passwd_line("nobody:*:-2:-2:n:/var/empty:/usr/bin/false"),
            Some(("nobody", u32::MAX - 1, u32::MAX - 1))
        );
        assert_eq!(passwd_line("# comment"), None);
    }

    #[test]
    fn a_folder_closed_to_others_is_found() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_to(&data, 54_321, 54_321).as_deref(), Some(home.path()));
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed_to(&data, 54_321, 54_321), None);
    }
}
