//! What a client knows: what it sent and what it heard, on disk before it does anything else.
//!
//! The verdict over a fault is read from these logs and from the database, never from what a service counted.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// What a client heard of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A 2xx: it is stored.
    Stored,
    /// A 4xx with this status: nothing of it is stored, but dead letters.
    Rejected(u16),
    /// A 5xx with this status, or 0 where no answer came: stored or not, and to be sent again.
    InDoubt(u16),
}

impl Heard {
    /// Of the status of an answer; 0 where there was none. A limit (408, 425, 429) is no verdict on the request.
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Stored,
            408 | 425 | 429 => Self::InDoubt(status),
            400..=499 => Self::Rejected(status),
            _ => Self::InDoubt(status),
        }
    }

    fn words(self) -> (&'static str, u16) {
        match self {
            Self::Stored => ("stored", 200),
            Self::Rejected(status) => ("rejected", status),
            Self::InDoubt(status) => ("in-doubt", status),
        }
    }
}

/// What a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cargo {
    /// Events to be stored, and items that must become dead letters, by their ids.
    Events {
        /// To be stored.
        good: Vec<Uuid>,
        /// To be rejected.
        bad: Vec<Uuid>,
    },
    /// One scan, by its id.
    Scan(Uuid),
}

impl Cargo {
    fn line(&self) -> String {
        let words = |ids: &[Uuid]| ids.iter().map(|id| format!(" {}", id.simple())).collect::<String>();
        match self {
            Self::Events { good, bad } => format!("events{} !{}", words(good), words(bad)),
            Self::Scan(id) => format!("scan {}", id.simple()),
        }
    }

    fn parse(words: &str) -> Option<Self> {
        let ids = |text: &str| text.split_whitespace().map(|id| id.parse().ok()).collect::<Option<Vec<_>>>();
        let (kind, rest) = words.split_once(' ')?;
        match kind {
            "events" => {
                let (good, bad) = rest.split_once('!')?;
                Some(Self::Events { good: ids(good)?, bad: ids(bad)? })
            }
            "scan" => Some(Self::Scan(rest.trim().parse().ok()?)),
            _ => None,
        }
    }
}

/// The log of one client: append only, synced to disk around each send.
#[derive(Debug)]
pub struct ClientLog {
    file: File,
}

impl ClientLog {
    /// A new log of that name in `folder`.
    pub fn create(folder: &Path, name: &str) -> Self {
        let path = folder.join(format!("{name}.clientlog"));
        let file = OpenOptions::new().create_new(true).append(true).open(path).expect("a log of its own");
        Self { file }
    }

    /// Before a request is sent, each time.
    pub fn sends(&mut self, request: Uuid, cargo: &Cargo) {
        self.write(&format!("sends {} {}\n", request.simple(), cargo.line()));
    }

    /// After it was answered, or was not.
    pub fn heard(&mut self, request: Uuid, heard: Heard) {
        let (word, status) = heard.words();
        self.write(&format!("heard {} {word} {status}\n", request.simple()));
    }

    fn write(&mut self, line: &str) {
        self.file.write_all(line.as_bytes()).expect("the log can be written");
        self.file.sync_data().expect("the log can be synced");
    }
}

/// A request as the logs tell of it.
#[derive(Debug, Clone)]
pub struct Logged {
    /// What it brought.
    pub cargo: Cargo,
    /// The last word on it: once stored or rejected it stays so.
    pub heard: Heard,
    /// How often it was sent.
    pub sent: usize,
}

/// Every request of every log in `folder`. A send without an answer is in doubt.
pub fn read_client_logs(folder: &Path) -> HashMap<Uuid, Logged> {
    let logs = fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    let logs: Vec<PathBuf> =
        logs.filter(|path| path.extension().is_some_and(|ext| ext == "clientlog")).collect();
    let mut requests = HashMap::new();
    for path in logs {
        let text = fs::read_to_string(&path).expect("a log is text");
        // The last line may be half written by a client that still runs.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            note(&mut requests, line).unwrap_or_else(|| panic!("{}: {line:?}", path.display()));
        }
    }
    requests
}

fn note(requests: &mut HashMap<Uuid, Logged>, line: &str) -> Option<()> {
    let mut words = line.splitn(3, ' ');
    let (what, request, rest) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    match what {
        "sends" => {
            let cargo = Cargo::parse(rest)?;
            let known =
                requests.entry(request).or_insert(Logged { cargo, heard: Heard::InDoubt(0), sent: 0 });
            known.sent += 1;
        }
        "heard" => {
            let (word, status) = rest.split_once(' ')?;
            let status = status.parse().ok()?;
            let known = requests.get_mut(&request)?;
            let heard = match word {
                "stored" => Heard::Stored,
                "rejected" => Heard::Rejected(status),
                "in-doubt" => Heard::InDoubt(status),
                _ => return None,
            };
            if matches!(known.heard, Heard::InDoubt(_)) {
                known.heard = heard;
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_the_last_word_on_each_request_and_forgets_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, scan] = [1, 2, 3].map(Uuid::from_u128);
        let events = Cargo::Events { good: vec![one, two], bad: vec![scan] };
        let mut log = ClientLog::create(folder.path(), "a");
        log.sends(one, &events);
        log.heard(one, Heard::of(503));
        log.sends(one, &events);
        log.heard(one, Heard::of(202));
        log.sends(two, &Cargo::Scan(scan));
        let mut other = ClientLog::create(folder.path(), "b");
        other.sends(scan, &Cargo::Scan(two));
        other.heard(scan, Heard::of(404));
        other.file.write_all(b"heard 0000").unwrap();
        let read = read_client_logs(folder.path());
        assert_eq!((read[&one].heard, read[&one].sent, &read[&one].cargo), (Heard::Stored, 2, &events));
        assert_eq!((read[&two].heard, &read[&two].cargo), (Heard::InDoubt(0), &Cargo::Scan(scan)));
        assert_eq!(read[&scan].heard, Heard::Rejected(404));
        assert_eq!(read.len(), 3);
    }
}
