//! The records of a CSV text, each with the number of its line.

use csv::ByteRecord;

/// One record with the lines that it covers.
pub(super) struct Row {
    /// Its cells.
    pub(super) cells: ByteRecord,
    /// Where it begins, counted from 1.
    pub(super) line: u64,
    last_line: u64,
}

impl Row {
    /// Whether the record is one line.
    ///
    /// # Errors
    /// No cell of a guest list holds a line end; a record over several lines is a quote that was not closed,
    /// and has swallowed its neighbours.
    pub(super) fn whole(&self) -> Result<(), String> {
        match self.last_line - self.line {
            0 => Ok(()),
            _ => Err(format!("a quoted cell runs on to line {}: a closing quote is missing", self.last_line)),
        }
    }
}

/// The records of a text in memory, with line numbers of our own: the reader's are off by the blank lines and
/// the LF of a CRLF before a record.
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    counted_to: usize,
    line: u64,
}

impl<'a> Rows<'a> {
    /// The records of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        Self { bytes, reader, counted_to: 0, line: 1 }
    }

    /// Counts the line ends up to `to`.
    fn advance(&mut self, to: usize) {
        while self.counted_to < to {
            let at = self.counted_to;
            let next = self.bytes.get(at + 1);
            self.line += match self.bytes[at] {
                b'\n' => 1,
                b'\r' if next != Some(&b'\n') => 1,
                _ => 0,
            };
            self.counted_to += 1;
        }
    }

    fn is_line_end(&self, at: usize) -> bool {
        matches!(self.bytes.get(at), Some(b'\n' | b'\r'))
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let mut cells = ByteRecord::new();
        let mut begin = usize::try_from(self.reader.position().byte()).ok()?;
        // Reading from memory cannot fail, and uneven records are allowed: an error would be the end.
        if !self.reader.read_byte_record(&mut cells).unwrap_or(false) {
            return None;
        }
        let mut end = usize::try_from(self.reader.position().byte()).ok()?.min(self.bytes.len());
        while begin < end && self.is_line_end(begin) {
            begin += 1;
        }
        while begin < end && self.is_line_end(end - 1) {
            end -= 1;
        }
        self.advance(begin);
        let line = self.line;
        self.advance(end);
        Some(Row { cells, line, last_line: self.line })
    }
}
