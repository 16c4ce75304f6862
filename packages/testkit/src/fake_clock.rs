//! Another time of day for whole processes, by libfaketime (`want_faketime` of `scripts/lib/faketime.sh`): the server and
//! the services read one file, and the test writes into it. Durations stay real.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use seatpilot_private_postgres::Binaries;

use crate::server;

/// The clock of the processes that were started with it.
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
    folder: PathBuf,
}

impl FakeClock {
    /// A clock that goes right so far, its files in `folder`, which the server's account may enter. Where libfaketime is
    /// missing, says why.
    ///
    /// # Errors
    /// What kept `scripts/test.sh` from having it. Panics where nobody tried.
    pub fn in_folder(folder: &Path) -> Result<Self, String> {
        let tools = server::tools_folder();
        let library = tools.join("faketime/libfaketime.so.1");
        if !library.exists() {
            return Err(fs::read_to_string(tools.join("faketime.missing")).unwrap_or_else(|_| {
                panic!("{} has no libfaketime: scripts/test.sh fetches it", tools.display())
            }));
        }
        // The server's account may not enter the checkout.
        let copy = folder.join("libfaketime.so.1");
        fs::copy(library, &copy).expect("the folder is writable");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let clock = Self { library: copy, file: folder.join("faketime.rc"), folder: folder.to_owned() };
        clock.shift(SignedDuration::ZERO);
        Ok(clock)
    }

    /// From now on every process with this clock is so far from the real time.
    pub fn shift(&self, by: SignedDuration) {
        let file = self.file.with_extension("new");
        fs::write(&file, format!("{:+}\n", by.as_secs())).expect("the folder is writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
        // Whole or not at all: somebody reads it all the time.
        fs::rename(&file, &self.file).expect("the folder is writable");
    }

    /// What a process needs in its environment.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            // Read each time: a backend is forked from a server that looked long ago.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // Waits and deadlines last as long as ever.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// The server's programs, so that they run with this clock.
    pub fn postgres(&self) -> Binaries {
        let programs = self.folder.join("bin");
        fs::create_dir_all(&programs).expect("the folder is writable");
        let real = server::binaries();
        let variables: Vec<String> =
            self.variables().iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        // `initdb` asks the `postgres` beside it for its version and has no need of another time.
        let initdb = format!("#!/bin/sh\nexec '{}' \"$@\"\n", real.bin_dir().join("initdb").display());
        let postgres = format!(
            "#!/bin/sh\nexec env {} '{}' \"$@\"\n",
            variables.join(" "),
            real.bin_dir().join("postgres").display()
        );
        for (name, script) in [("initdb", initdb), ("postgres", postgres)] {
            let path = programs.join(name);
            fs::write(&path, script).expect("the folder is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        Binaries::find(Some(&programs), None).expect("the same server")
    }
}
