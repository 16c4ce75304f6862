//! What a command prints: a table on a terminal, tab-separated lines in a pipe, JSON with `--json`.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A person looks at it.
    Terminal,
    /// A pipe or file: tab-separated, no colour, no boxes.
    Plain,
    /// `--json`.
    Json,
}

/// Standard output, in one style.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    style: Style,
}

impl Output {
    /// The style that standard output calls for; `json` asks for JSON.
    pub fn of_stdout(json: bool) -> Self {
        let style = match (json, io::stdout().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        Self { style }
    }

    /// The style.
    pub fn style(self) -> Style {
        self.style
    }

    /// Prints a list: a table, lines, or a JSON array of `rows`. `cells` says each row in the columns' order.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn list<T: Serialize>(
        self,
        columns: &[&str],
        rows: &[T],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        let text = match self.style {
            Style::Json => json(&rows)?,
            Style::Plain => plain(columns, rows.iter().map(cells)),
            Style::Terminal => table(columns, rows.iter().map(cells)),
        };
        self.line(text)
    }

    /// Prints one result: `sentence` for a person, `value` as one line of JSON with `--json`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn result<T: Serialize>(self, sentence: &str, value: &T) -> Result<(), Failure> {
        match self.style {
            Style::Json => self.line(json(value)?),
            Style::Plain | Style::Terminal => self.line(sentence),
        }
    }

    /// Prints a line for a person; with `--json` it goes to standard error, which scripts do not parse.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn note(self, line: impl AsRef<str>) -> Result<(), Failure> {
        match self.style {
            Style::Json => Ok(writeln!(io::stderr().lock(), "{}", line.as_ref())?),
            Style::Plain | Style::Terminal => self.line(line),
        }
    }

    /// Prints a line as it is.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(self, line: impl AsRef<str>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", line.as_ref())?;
        Ok(out.flush()?)
    }
}

/// The cells of a JSON object, in the order of `names`: a list as words, nothing as `-`.
pub fn columns<'a>(names: &'a [&'a str]) -> impl Fn(&Value) -> Vec<String> + 'a {
    fn cell(value: &Value) -> String {
        match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        }
    }
    move |row| names.iter().map(|name| cell(&row[*name])).collect()
}

/// Says why a command stopped, on standard error.
pub fn complain(failure: &Failure) {
    if !matches!(failure, Failure::ReaderGone) {
        // Where standard error is closed there is nobody left to tell; the exit code still says it.
        let _ = writeln!(io::stderr().lock(), "{failure}");
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(Failure::new)
}

fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    table.to_string()
}

fn plain(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = columns.join("\t");
    for row in rows {
        text.push('\n');
        text.push_str(&row.iter().map(|cell| printable(cell)).collect::<Vec<_>>().join("\t"));
    }
    text
}

/// Names come from outside: a control character must neither move a terminal's cursor nor break a line.
fn printable(cell: &str) -> String {
    cell.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_one_line_a_row_whatever_a_cell_holds() {
        let text =
            plain(&["id", "name"], [vec!["1".to_owned(), "gate\t\n\u{1b}[31mred".to_owned()]].into_iter());
        assert_eq!(text, "id\tname\n1\tgate\u{fffd}\u{fffd}\u{fffd}[31mred");
    }
}
