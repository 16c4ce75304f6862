//! What the server says: kept in a file of bounded size, its last words in memory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::initdb::beside;

/// At this size the file becomes `<file>.old`, and a new one is begun: twice this is the most on disk.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Enough for the complaint that ended a start, with its hint.
const TAIL_BYTES_MAX: usize = 16 * 1024;

/// The last words of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(TAIL_BYTES_MAX);
        kept.drain(..surplus);
    }

    /// What was said last, at most 16 KiB.
    pub(crate) fn text(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

/// Copies everything from `source` into the file and the tail until its end. A disk that is full loses lines of the
/// log, never the server: the pipe is always emptied.
pub(crate) fn keep(mut source: impl Read, path: &Path, tail: &Tail) {
    let mut log = LogFile::open(path);
    let mut chunk = [0_u8; 8 * 1024];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                tail.push(&chunk[..n]);
                log.write(&chunk[..n]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

struct LogFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl LogFile {
    fn open(path: &Path) -> Self {
        // A statement that failed stands in it, and may hold a password.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok();
        let bytes = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        Self { path: path.to_owned(), file, bytes }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.bytes > FILE_BYTES_MAX {
            let _ = std::fs::rename(&self.path, beside(&self.path, "old"));
            *self = Self::open(&self.path);
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.bytes += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_talkative_server_fills_neither_disk_nor_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pg.log");
        let tail = Tail::default();
        let said = std::io::repeat(b'x').take(40 * 1024 * 1024);
        keep(said, &path, &tail);
        let on_disk: u64 =
            folder.path().read_dir().unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(on_disk <= 2 * FILE_BYTES_MAX + 64 * 1024, "{on_disk}");
        assert_eq!(tail.text().len(), TAIL_BYTES_MAX);
    }
}
