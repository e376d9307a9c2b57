//! Requests made ahead, and answers taken apart, as cheaply as can be while each is still checked.
//!
//! Measures nothing.

use crate::Outcome;

/// How long the digits of a user's name are.
pub const DIGITS: usize = 8;
/// What stands for a user's number in a request that is made ahead.
pub const PLACE: &str = "########";

/// The digits of a user.
pub fn digits(user: usize) -> String {
    format!("{user:0DIGITS$}")
}

/// A request in which only the user's number changes.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// A request with a JSON body; [`PLACE`] in it is where the number goes. No key: no bearer.
    pub fn new(method: &str, path: &str, host: &str, key: &str, body: &str) -> Self {
        let length = body.len();
        let bearer = match key.is_empty() {
            true => String::new(),
            false => format!("authorization: Bearer {key}\r\n"),
        };
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{bearer}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let places = text.match_indices(PLACE).map(|(at, _)| at).collect();
        Self {
            bytes: text.into_bytes(),
            places,
        }
    }

    /// Writes a user's number into it.
    pub fn aim(&mut self, user: usize) {
        let mut rest = user;
        let mut digits = [0; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        for at in &self.places {
            self.bytes[*at..*at + DIGITS].copy_from_slice(&digits);
        }
    }

    /// The request.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the parts of an answer lie in what was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Where the body begins.
    pub head: usize,
    /// How long it is.
    pub body: usize,
}

/// Takes answers of one connection apart. Most have the shape of the one before, which is seen by
/// a few comparisons.
#[derive(Default)]
pub struct Reader {
    last: Option<(Shape, std::ops::Range<usize>, Vec<u8>)>,
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const LENGTH: &[u8] = b"\r\ncontent-length: ";
const GOOD: &[u8] = b"HTTP/1.1 200 ";

impl Reader {
    /// The shape of the answer at the start of `read`, once it is whole.
    ///
    /// # Errors
    /// An answer that is no 200, or says no length.
    pub fn shape(&mut self, read: &[u8]) -> Outcome<Option<Shape>> {
        if let Some((shape, place, words)) = &self.last
            && read.get(shape.head - END_OF_HEAD.len()..shape.head) == Some(END_OF_HEAD)
            && read.get(place.clone()) == Some(words)
            && read.starts_with(GOOD)
        {
            return Ok((read.len() >= shape.head + shape.body).then_some(*shape));
        }
        let Some(end) = find(read, END_OF_HEAD) else {
            return Ok(None);
        };
        let head = end + END_OF_HEAD.len();
        let at = find(&read[..head], LENGTH).ok_or("an answer without a length")?;
        let from = at + LENGTH.len();
        let to = from + find(&read[from..head], b"\r\n").ok_or("a length without an end")?;
        let body = std::str::from_utf8(&read[from..to])?.parse()?;
        if read.len() < head + body {
            return Ok(None);
        }
        if !read.starts_with(GOOD) {
            let text = String::from_utf8_lossy(&read[..head + body]);
            return Err(format!("an answer that is no 200: {text}").into());
        }
        let shape = Shape { head, body };
        self.last = Some((shape, at..to + 2, read[at..to + 2].to_vec()));
        Ok(Some(shape))
    }
}

/// Where `what` first stands in `text`.
pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}
