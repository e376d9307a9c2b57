//! What commands print: tables for people, tab-separated lines for pipes, JSON for programs.
//!
//! It promises: a reader that went away (a closed pipe) ends the command without a word; text from
//! elsewhere has no control characters left where a person reads it.
//! It never: decides what is printed.

use std::io::{IsTerminal, Write};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

use super::failure::{Exit, Failure, printable};

/// Writes text to standard output as it is.
///
/// # Errors
/// Silent where the reader has gone, else what the system says.
pub fn raw(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::silent(Exit::Failed),
            _ => Failure::new(
                Exit::Failed,
                format!("standard output cannot be written: {error}"),
                "look at where it leads: a full disk, a closed file",
            ),
        })
}

/// Writes a line for people to standard output.
///
/// # Errors
/// As [`raw`].
pub fn line(text: &str) -> Result<(), Failure> {
    raw(&format!("{}\n", printable(text)))
}

/// Writes a note for people to standard error, beside the answer on standard output.
pub fn note(text: &str) {
    eprintln!("{}", printable(text));
}

/// Writes a value that is the whole answer: with a line break for people, bare for programs.
///
/// # Errors
/// As [`raw`].
pub fn value(text: &str) -> Result<(), Failure> {
    raw(text)?;
    if is_terminal() { raw("\n") } else { Ok(()) }
}

/// Writes JSON: indented for people, one line for programs.
///
/// # Errors
/// As [`raw`].
pub fn json(value: &Value) -> Result<(), Failure> {
    if is_terminal() {
        raw(&format!("{value:#}\n"))
    } else {
        json_line(value)
    }
}

/// Writes JSON in one line, whoever reads.
///
/// # Errors
/// As [`raw`].
pub fn json_line(value: &Value) -> Result<(), Failure> {
    raw(&format!("{value}\n"))
}

fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Rows under a header.
pub struct Grid {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// An empty table.
    pub fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of the `fields` of a JSON object, in the order of the header.
    pub fn add(&mut self, object: &Value, fields: &[&str]) {
        self.push(fields.iter().map(|field| cell(&object[*field])).collect());
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row.iter().map(|text| flat(text)).collect());
    }

    /// Prints it: framed on a terminal, tab-separated elsewhere.
    ///
    /// # Errors
    /// As [`raw`].
    pub fn print(&self) -> Result<(), Failure> {
        if is_terminal() {
            let mut table = Table::new();
            table.load_style(UTF8_FULL_CONDENSED);
            table.set_header(self.header.clone());
            table.add_rows(self.rows.clone());
            raw(&format!("{table}\n"))
        } else {
            raw(&self.tabbed())
        }
    }

    fn tabbed(&self) -> String {
        let header = self.header.join("\t");
        let rows = self.rows.iter().map(|row| row.join("\t"));
        let lines: Vec<String> = std::iter::once(header).chain(rows).collect();
        lines.join("\n") + "\n"
    }
}

/// Prints the `fields` of one object, a line each; those that are not there are left out.
///
/// # Errors
/// As [`raw`].
pub fn facts(object: &Value, fields: &[&str]) -> Result<(), Failure> {
    let shown: Vec<_> = fields
        .iter()
        .filter(|field| !object[**field].is_null())
        .collect();
    let width = shown.iter().map(|field| field.len()).max().unwrap_or(0);
    let mut text = String::new();
    for field in shown {
        let label = field.replace('_', " ");
        text.push_str(&format!(
            "{label:width$}  {}\n",
            flat(&cell(&object[*field]))
        ));
    }
    raw(&text)
}

/// Whose a record is, as ` (app a, tenant t, user u)`: what is known of the three, or nothing.
pub fn whose(names: [&Option<String>; 3]) -> String {
    let kinds = ["app", "tenant", "user"].into_iter().zip(names);
    let known = kinds.filter_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
    match known.collect::<Vec<_>>() {
        known if known.is_empty() => String::new(),
        known => format!(" ({})", known.join(", ")),
    }
}

/// A JSON value as people read it in a table.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(fields) if fields.is_empty() => "-".into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={}", cell(value)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Text of one line, so that a value cannot pretend to be two rows or two columns.
fn flat(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn whose_a_record_is_is_said_as_far_as_it_is_known() {
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(super::whose([&None, &None, &None]), "");
        let known = super::whose([&name("github"), &None, &name("alice")]);
        assert_eq!(known, " (app github, user alice)");
    }

    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_stays_in_its_row_and_column() {
        let mut grid = Grid::new(&["USER", "SCOPES"]);
        grid.add(
            &json!({"user": "a\tb\nc", "scopes": ["x", "y"]}),
            &["user", "scopes"],
        );
        assert_eq!(grid.tabbed(), "USER\tSCOPES\na\u{fffd}b c\tx y\n");
    }

    #[test]
    fn what_is_not_there_shows_as_a_dash() {
        for nothing in [json!(null), json!(""), json!([]), json!({})] {
            assert_eq!(cell(&nothing), "-");
        }
        assert_eq!(cell(&json!({"a": true, "b": 1})), "a=yes b=1");
    }
}
