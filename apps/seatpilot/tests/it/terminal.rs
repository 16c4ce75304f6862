//! A terminal to run a program in, and what a person would see on it.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

/// A program in a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    /// The program's side, kept open so that its modes can be read after its end.
    line: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Runs it in so many columns and rows.
    pub(crate) fn run(program: &Path, args: &[&str], here: &Path, (columns, rows): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let line = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let mut command = Command::new(program);
        command.args(args).current_dir(here).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        // What a panic says fits on the screen.
        command.env("RUST_BACKTRACE", "0");
        for name in ["DATABASE_URL", "SUPABASE_DB_URL"] {
            command.env_remove(name);
        }
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(master);
        let mut said = keys.try_clone().unwrap();
        let screen = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        let screen = Arc::new(Mutex::new(screen));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The last reader of a line that nobody writes to any more is told so by an error.
            while let Ok(count @ 1..) = said.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, keys, line, screen }
    }

    /// The program's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types.
    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// What stands on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Whether the program has the second screen.
    pub(crate) fn is_taken(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Whether it is as a shell wants it: first screen, a cursor, lines that echo.
    pub(crate) fn is_given_back(&self) -> bool {
        let cursor = !self.screen.lock().unwrap().screen().hide_cursor();
        let modes = tcgetattr(&self.line).unwrap().local_modes;
        !self.is_taken() && cursor && modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits until the screen is so.
    pub(crate) async fn until(&mut self, what: &str, within: Duration, mut is: impl FnMut(&str) -> bool) {
        let since = Instant::now();
        while !is(&self.text()) {
            assert!(since.elapsed() < within, "{what} not within {within:?}:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it said last is on its way.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return status;
            }
            assert!(since.elapsed() < within, "it runs still:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
