//! Makes a new cluster, whole or not at all: it is made beside its place and then renamed into it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::account::{Account, Orphaned};
use crate::{Auth, ClusterOptions, Durability, Error};

/// Runs `initdb` for a folder that is empty or not there.
pub(crate) fn run(options: &ClusterOptions, account: &Account) -> Result<(), Error> {
    let target = &options.data_dir;
    let fresh = beside(target, "new");
    // What an interrupted start left behind.
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(Error::io("cannot remove", &fresh))?;
    }
    fs::create_dir_all(&fresh).map_err(Error::io("cannot make", &fresh))?;
    let made = fill(options, account, &fresh).and_then(|()| {
        if target.exists() {
            fs::remove_dir(target).map_err(Error::io("cannot replace", target))?;
        }
        fs::rename(&fresh, target).map_err(Error::io("cannot put in place", target))
    });
    if made.is_err() {
        // Best effort: the next start removes it too.
        let _ = fs::remove_dir_all(&fresh);
    }
    made
}

fn fill(options: &ClusterOptions, account: &Account, fresh: &Path) -> Result<(), Error> {
    fs::set_permissions(fresh, fs::Permissions::from_mode(0o700))
        .map_err(Error::io("cannot close to others", fresh))?;
    account.own(fresh)?;
    let password = match &options.auth {
        Auth::Trust => None,
        Auth::Password(password) => Some(password_file(password, account, fresh)?),
    };
    // C.UTF-8 knows upper and lower case beyond ASCII; macOS and some small systems do not have it.
    let locales: &[&str] = if cfg!(target_os = "linux") { &["C.UTF-8", "C"] } else { &["C"] };
    let mut said = String::new();
    for locale in locales {
        let mut command = account.command(&options.binaries.program("initdb"), fresh, Orphaned::Stops)?;
        command.arg("-D").arg(fresh).args(["-U", "postgres", "--encoding=UTF8", "--no-instructions"]);
        command.arg(format!("--locale={locale}"));
        match &password {
            None => command.arg("--auth=trust"),
            Some(file) => {
                let mut arg = std::ffi::OsString::from("--pwfile=");
                arg.push(file.path());
                command.arg("--auth=scram-sha-256").arg(arg)
            }
        };
        match options.durability {
            Durability::Full => command.arg("--data-checksums"),
            Durability::None => command.arg("--no-sync"),
        };
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io("cannot run", &options.binaries.program("initdb")))?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !said.contains("invalid locale") {
            break;
        }
    }
    Err(Error::from_output(&said, &options.data_dir, None))
}

/// The superuser's password where `initdb` can read it and nobody else; removed when it is dropped.
fn password_file(password: &str, account: &Account, fresh: &Path) -> Result<tempfile::NamedTempFile, Error> {
    let folder = fresh.parent().unwrap_or(fresh);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("cannot write into", folder))?;
    file.write_all(password.as_bytes()).map_err(Error::io("cannot write into", folder))?;
    account.own(file.path())?;
    Ok(file)
}

/// `<path>.<suffix>`, beside `path`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
