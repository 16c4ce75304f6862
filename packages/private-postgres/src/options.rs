//! How a cluster is to be run: where, for whom to reach, how safely, and for how long.

use std::fmt;
use std::path::PathBuf;

use crate::Binaries;

/// What [`Cluster::start`](crate::Cluster::start) needs to know.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The server to run.
    pub binaries: Binaries,
    /// The folder of the cluster; made where it does not exist. Its log is kept beside it, as `<folder>.log`.
    pub data_dir: PathBuf,
    /// Whether and where it listens on 127.0.0.1.
    pub tcp: Tcp,
    /// A folder for the Unix socket, short enough for the 107 bytes of a socket path; none: no socket.
    pub socket_dir: Option<PathBuf>,
    /// Who may connect.
    pub auth: Auth,
    /// Whether data survives a power cut.
    pub durability: Durability,
    /// What to do with a server that still runs on this folder.
    pub lingering: Lingering,
    /// How long it runs.
    pub lifetime: Lifetime,
    /// Further settings, as `postgres -c name=value`.
    pub settings: Vec<(String, String)>,
}

impl ClusterOptions {
    /// A durable cluster in `data_dir` on a free TCP port with a password, that lives as long as its owner.
    pub fn durable(binaries: Binaries, data_dir: impl Into<PathBuf>, password: impl Into<String>) -> Self {
        Self {
            binaries,
            data_dir: data_dir.into(),
            tcp: Tcp::Free,
            socket_dir: None,
            auth: Auth::Password(password.into()),
            durability: Durability::Full,
            lingering: Lingering::Refuse,
            lifetime: Lifetime::Owned,
            settings: Vec::new(),
        }
    }

    /// A cluster for a test: no fsync, no password, a free TCP port.
    pub fn for_tests(binaries: Binaries, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            binaries,
            data_dir: data_dir.into(),
            tcp: Tcp::Free,
            socket_dir: None,
            auth: Auth::Trust,
            durability: Durability::None,
            lingering: Lingering::Refuse,
            lifetime: Lifetime::Owned,
            settings: Vec::new(),
        }
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Whether the server listens on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tcp {
    /// Not at all: only the socket.
    Off,
    /// On this port.
    Port(u16),
    /// On a port that is free at the first start; a later start keeps it.
    Free,
}

/// Who may connect to the cluster. Decided when the folder is made, and kept in its `pg_hba.conf`.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// Every local user, as any role: for tests.
    Trust,
    /// SCRAM, with this password of the superuser `postgres`. Letters and digits only: it goes into URLs as it is.
    Password(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trust => "Trust",
            Self::Password(_) => "Password(…)",
        })
    }
}

/// Whether what was committed survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Everything is flushed before it is acknowledged, and pages carry checksums.
    Full,
    /// Nothing is flushed. A killed *server* still loses nothing that was acknowledged (`synchronous_commit` stays
    /// on, so that tests of that are honest); a killed *machine* does.
    None,
}

/// What to do when a server still runs on the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lingering {
    /// Say so and leave it alone.
    Refuse,
    /// Stop it: the caller knows (by a lock of its own) that its owner is gone.
    Stop,
}

/// How long the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its [`Cluster`](crate::Cluster) is stopped or dropped, or this process ends.
    Owned,
    /// Until the file was not touched for so many minutes, whoever started it: for a cluster that several
    /// processes share, none of which outlives the others for sure.
    Touched {
        /// The file whose age counts.
        file: PathBuf,
        /// The age at which the server stops.
        minutes: u32,
    },
}
