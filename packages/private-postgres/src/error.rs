//! What can go wrong with a server of our own, each in one sentence that ends with the way out.

use std::path::PathBuf;

/// Why a private Postgres could not be found, made, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No folder with `postgres` and `initdb` was found.
    #[error(
        "no Postgres server was found: install one (apt-get install postgresql, brew install postgresql@17), \
         or set SEATPILOT_PG_BIN to the folder that holds `postgres` and `initdb`"
    )]
    NoServer,
    /// The folder that was named does not hold a server.
    #[error("{0} does not hold `postgres` and `initdb`: give the bin folder of a Postgres server")]
    NotABinFolder(PathBuf),
    /// A server older than the floor of the contract.
    #[error("{path} is Postgres {major}: version {min} or newer is needed")]
    TooOld {
        /// The bin folder.
        path: PathBuf,
        /// Its major version.
        major: u32,
        /// The oldest that does.
        min: u32,
    },
    /// The data folder was made by another major version.
    #[error(
        "{path} was made by Postgres {made_by}, and the server here is {have}: install version {made_by} \
         (or name its bin folder in SEATPILOT_PG_BIN), or use another data folder"
    )]
    OtherMajor {
        /// The data folder.
        path: PathBuf,
        /// The major version in its `PG_VERSION`.
        made_by: u32,
        /// The major version of the binaries.
        have: u32,
    },
    /// The folder holds something, and it is no cluster.
    #[error(
        "{0} is not empty and no Postgres data folder (it has no PG_VERSION): move it away or name another data folder"
    )]
    NotACluster(PathBuf),
    /// A server runs on this folder already.
    #[error("{path} is in use by Postgres process {pid}: stop that one first, or use another data folder")]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// The process id of its postmaster.
        pid: i32,
    },
    /// The TCP port is taken.
    #[error("port {0} on 127.0.0.1 is in use: stop what listens there, or use another port")]
    PortInUse(u16),
    /// The volume is full.
    #[error(
        "no space is left on the volume of {0}: free some and start again, what was acknowledged is kept"
    )]
    DiskFull(PathBuf),
    /// A file could not be read or written for want of rights.
    #[error("no permission on {path} ({detail}): change its owner or use another data folder")]
    Permission {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Root, and the account that the server would run as cannot get there.
    #[error(
        "Postgres does not run as root, and the account {account} that it would run as cannot enter {path}: \
         use a data folder that everyone may enter, such as one under /var/lib, or run as another user"
    )]
    OutOfReach {
        /// The account.
        account: String,
        /// The folder that is closed to it.
        path: PathBuf,
    },
    /// Root, and no other account is known.
    #[error("Postgres does not run as root, and there is neither a user `postgres` nor `nobody`: add one")]
    NoAccount,
    /// The password is not the one that the folder was made with.
    #[error(
        "the password kept for {0} is not the one that it was made with: restore the secrets file, or use another data folder"
    )]
    WrongPassword(PathBuf),
    /// The server ended at start, for a reason of its own.
    #[error(
        "Postgres could not start on {path}: {said}: restore the folder from a backup, or move it away to begin empty"
    )]
    Broken {
        /// The data folder.
        path: PathBuf,
        /// The last complaint of the server.
        said: String,
    },
    /// Neither ready nor dead within the bound.
    #[error("Postgres on {path} was not ready within {seconds} s: look into {log}, then start again")]
    Slow {
        /// The data folder.
        path: PathBuf,
        /// The bound.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
    },
    /// A program could not be run, or a file could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system answered.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: names what was tried, and recognises a full disk and a want of rights.
    pub(crate) fn io(what: impl Into<String>, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let (what, path) = (what.into(), path.to_owned());
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            std::io::ErrorKind::PermissionDenied => {
                Self::Permission { path, detail: format!("{what}: {source}") }
            }
            _ => Self::Io { what: format!("{what} {}", path.display()), source },
        }
    }

    /// Reads the reason out of what `initdb` or `postgres` said. Both speak English: the cluster's messages
    /// and the environment of the child are in locale C.
    pub(crate) fn from_output(said: &str, path: &std::path::Path, port: Option<u16>) -> Self {
        let path = path.to_owned();
        if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
            return Self::DiskFull(path);
        }
        if said.contains("Address already in use") {
            return Self::PortInUse(port.unwrap_or(0));
        }
        let marks = ["FATAL:", "PANIC:", "error:", "postgres: "];
        let complaint = said
            .lines()
            .rev()
            .find(|line| marks.iter().any(|mark| line.contains(mark)))
            .or_else(|| said.lines().rev().find(|line| !line.trim().is_empty()))
            .unwrap_or("it said nothing");
        let complaint = marks
            .iter()
            .find_map(|mark| complaint.split_once(mark).map(|(_, rest)| rest))
            .unwrap_or(complaint)
            .trim();
        if complaint.contains("Permission denied") {
            return Self::Permission { path, detail: complaint.to_owned() };
        }
        Self::Broken { path, said: complaint.to_owned() }
    }
}
