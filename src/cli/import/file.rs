//! A file of tokens, read as a stream, whatever its length.
//!
//! ```text
//! {"tokens": [{…}, {…}]}       the shape of a batch upload, or
//! [{…}, {…}]                   the list alone, or
//! {…}                          JSON lines: an upload each, or the answer to a fetch
//! {…}
//! ```
//! It promises: one token at a time is in memory; a line that is no JSON is told and the next one
//! read; where a list breaks, what came before it counts.
//! It never: repeats what stands in the file.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Cursor, Read};
use std::rc::Rc;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::cli::failure::{Exit, Failure};
use crate::limits;

/// Where a token stands: its line, or its place in a list; from 1 on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// A line of JSON lines.
    Line(u64),
    /// An item of a list.
    Item(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Item(number) => write!(f, "item {number}"),
        }
    }
}

/// What was found in the file.
#[derive(Debug)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// As it is written; why it cannot be read otherwise.
    pub written: Result<Bytes, &'static str>,
    /// How much of the file was read so far, in bytes.
    pub read_bytes: u64,
}

/// Whether more is wanted.
pub type IsWanted = bool;

/// Reads a file to its end, and gives what it finds.
///
/// # Errors
/// Wrong use, where it holds nothing, or something else than tokens; failed, where it cannot be
/// read, or breaks off.
pub fn read_all(
    mut file: impl BufRead,
    mut give: impl FnMut(Found) -> IsWanted,
) -> Result<(), Failure> {
    let (head, shape) = recognise(&mut file)?;
    let left = Rc::new(Cell::new(limits::IMPORT_TOKEN_BYTES_MAX));
    let read_bytes = Rc::new(Cell::new(0));
    let file = Metered {
        inner: Cursor::new(head).chain(file),
        read_bytes: Rc::clone(&read_bytes),
        left: Rc::clone(&left),
    };
    match shape {
        Shape::Lines => read_lines(file, &read_bytes, &mut give),
        Shape::List | Shape::Batch => {
            let mut items = Items {
                count: 0,
                is_ended: false,
                left,
                read_bytes,
                give: &mut give,
            };
            let mut json = serde_json::Deserializer::from_reader(io::BufReader::new(file));
            let done = match shape {
                Shape::Batch => json.deserialize_map(Batch(&mut items)),
                _ => items.deserialize_list(&mut json),
            };
            let done = done.and_then(|()| json.end());
            match done {
                // Who takes them wants no more, and knows why.
                _ if items.is_ended => Ok(()),
                done => done.map_err(|error| broken(&error, items.count)),
            }
        }
    }
}

enum Shape {
    /// `{"tokens": […]}`.
    Batch,
    /// `[…]`.
    List,
    /// A value a line.
    Lines,
}

/// Looks at how the file begins; what it read for that comes back.
fn recognise(file: &mut impl BufRead) -> Result<(Vec<u8>, Shape), Failure> {
    let mut head = Vec::new();
    loop {
        match shape_of(&head) {
            Beginning::Known(shape) => {
                // What stands before the text says that it is text.
                let mark = head.starts_with(b"\xef\xbb\xbf");
                return Ok((head.split_off(if mark { 3 } else { 0 }), shape));
            }
            Beginning::Foreign => return Err(foreign()),
            Beginning::Unknown if head.len() >= limits::IMPORT_HEAD_BYTES_MAX => {
                return Err(foreign());
            }
            Beginning::Unknown => {}
        }
        let mut byte = [0];
        match file.read(&mut byte).map_err(|error| unreadable(&error))? {
            0 if head.iter().all(u8::is_ascii_whitespace) => return Err(empty()),
            0 => return Err(foreign()),
            _ => head.extend_from_slice(&byte),
        }
    }
}

enum Beginning {
    Known(Shape),
    Foreign,
    /// More has to be read.
    Unknown,
}

fn shape_of(head: &[u8]) -> Beginning {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    match text.trim_ascii_start() {
        [] => Beginning::Unknown,
        [0xef] | [0xef, 0xbb] => Beginning::Unknown,
        [b'[', ..] => Beginning::Known(Shape::List),
        [b'{', rest @ ..] => match rest.trim_ascii_start() {
            [] => Beginning::Unknown,
            // A line of nothing is a line.
            [b'}', ..] => Beginning::Known(Shape::Lines),
            [b'"', name @ ..] => match name.iter().position(|byte| *byte == b'"') {
                None => Beginning::Unknown,
                Some(end) if &name[..end] == b"tokens" => Beginning::Known(Shape::Batch),
                Some(_) => Beginning::Known(Shape::Lines),
            },
            _ => Beginning::Foreign,
        },
        _ => Beginning::Foreign,
    }
}

fn read_lines(
    mut file: impl BufRead,
    read_bytes: &Cell<u64>,
    give: &mut impl FnMut(Found) -> IsWanted,
) -> Result<(), Failure> {
    for number in 1.. {
        let mut line = Vec::new();
        let most = limits::IMPORT_TOKEN_BYTES_MAX;
        let read = (&mut file).take(most).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(&error))? == 0 {
            break;
        }
        let is_cut = line.len() as u64 == most && line.last() != Some(&b'\n');
        if is_cut {
            file.skip_until(b'\n').map_err(|error| unreadable(&error))?;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        // A value that goes on in the next line: the file is not what it looks like.
        if number == 1 && serde_json::from_slice::<IgnoredAny>(text).is_err_and(|e| e.is_eof()) {
            return Err(not_lines());
        }
        let written = match is_cut {
            true => Err("it is longer than any token"),
            false => Ok(Bytes::copy_from_slice(text)),
        };
        let wanted = give(Found {
            place: Place::Line(number),
            written,
            read_bytes: read_bytes.get(),
        });
        if !wanted {
            break;
        }
    }
    Ok(())
}

/// Counts what is read, and refuses to read on within one value for ever.
struct Metered<R> {
    inner: R,
    read_bytes: Rc<Cell<u64>>,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count(read)?;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.read_bytes.set(self.read_bytes.get() + amount as u64);
    }
}

impl<R> Metered<R> {
    fn count(&self, read: usize) -> io::Result<()> {
        self.read_bytes.set(self.read_bytes.get() + read as u64);
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(
            left.ok_or_else(|| {
                io::Error::other("one token of the list is longer than any may be")
            })?,
        );
        Ok(())
    }
}

/// The items of a list.
struct Items<'a, G> {
    count: u64,
    is_ended: bool,
    left: Rc<Cell<u64>>,
    read_bytes: Rc<Cell<u64>>,
    give: &'a mut G,
}

impl<G: FnMut(Found) -> IsWanted> Items<'_, G> {
    fn deserialize_list<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(List(self))
    }
}

struct List<'a, 'b, G>(&'a mut Items<'b, G>);

impl<'de, G: FnMut(Found) -> IsWanted> Visitor<'de> for List<'_, '_, G> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tokens")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element::<Value>()? {
            let items = &mut *self.0;
            items.count += 1;
            items.left.set(limits::IMPORT_TOKEN_BYTES_MAX);
            let found = Found {
                place: Place::Item(items.count),
                written: Ok(Bytes::from(item.to_string())),
                read_bytes: items.read_bytes.get(),
            };
            if !(items.give)(found) {
                items.is_ended = true;
                return Err(serde::de::Error::custom("no more is wanted"));
            }
        }
        Ok(())
    }
}

impl<'de, G: FnMut(Found) -> IsWanted> DeserializeSeed<'de> for List<'_, '_, G> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

struct Batch<'a, 'b, G>(&'a mut Items<'b, G>);

impl<'de, G: FnMut(Found) -> IsWanted> Visitor<'de> for Batch<'_, '_, G> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `tokens`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "tokens" => map.next_value_seed(List(&mut *self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn empty() -> Failure {
    Failure::usage("there is nothing in the file", FORMS)
}

fn foreign() -> Failure {
    Failure::usage("this is not a file of tokens", FORMS)
}

fn not_lines() -> Failure {
    Failure::usage(
        "the first line of the file is not a whole JSON object",
        "write one token a line, for example with `jq -c .`",
    )
}

const FORMS: &str = "it is JSON: {\"tokens\": [...]} as in a batch upload, or a list of such \
                     tokens, or one JSON object a line";

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the file cannot be read: {error}"),
        "what came before it counts; run the same again once it can be read",
    )
}

/// What serde says may hold a value: its place is told alone.
fn broken(error: &serde_json::Error, before: u64) -> Failure {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Io => {
            format!("the file cannot be read on behind item {before}: {error}")
        }
        serde_json::error::Category::Eof => format!("the file breaks off behind item {before}"),
        _ => format!("the file is not JSON at line {line}, column {column}, behind item {before}"),
    };
    Failure::new(
        Exit::Failed,
        what,
        "what came before it counts; mend the file and run the same again",
    )
}

#[cfg(test)]
mod tests;
