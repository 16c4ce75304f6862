//! A guest list from a stranger's hands: every line is a guest or refused by its number, and what was read is read again
//! from what is written of it.

use super::reader::list;

pub fn hold(bytes: &[u8]) {
    let Ok(read) = list::read(bytes) else { return };
    for refused in &read.refused {
        assert!(refused.line >= 2, "the header is line 1");
        assert!(
            !refused.reason.is_empty() && refused.reason.len() < 1_200,
            "a reason for each column: {refused}"
        );
    }
    let mut written = Vec::new();
    assert!(list::write(&mut written, &read.lines).is_ok(), "memory takes it");
    let again = list::read(&written[..]);
    assert!(
        again.is_ok_and(|again| again.lines == read.lines && again.refused.is_empty()),
        "what is written is read"
    );
}
