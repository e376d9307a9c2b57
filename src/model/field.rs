//! Where a field stands in a JSON answer: `authed_user.access_token`, `data[0].id`, `[].id`.
//!
//! It promises: what is taken is a short text without control characters, or nothing.
//! It never: fails on an answer of another shape.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::limits;
use crate::model::is_command;

/// A path to a field.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Key(String),
    /// Of a list; `[]` is the first.
    At(usize),
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty step, a bracket without its other, or a long one.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let wrong = || Error::invalid(format!("`{text}` is no path such as `data[0].id`"));
        let is_text = |c: char| c.is_ascii_graphic();
        if text.is_empty()
            || text.len() > limits::FIELD_PATH_BYTES_MAX
            || !text.chars().all(is_text)
        {
            return Err(wrong());
        }
        let mut steps = Vec::new();
        for (nth, part) in text.split('.').enumerate() {
            let (key, mut indexes) = match part.split_once('[') {
                Some((key, _)) => (key, &part[key.len()..]),
                None => (part, ""),
            };
            match key.is_empty() {
                // A list at the top has no key before its bracket.
                true if nth > 0 || indexes.is_empty() => return Err(wrong()),
                true => {}
                false if key.contains(']') => return Err(wrong()),
                false => steps.push(Step::Key(key.to_owned())),
            }
            while !indexes.is_empty() {
                let inner = indexes.strip_prefix('[').ok_or_else(wrong)?;
                let (at, behind) = inner.split_once(']').ok_or_else(wrong)?;
                let at = match at {
                    "" => 0,
                    at => at.parse::<u16>().map_err(|_| wrong())?.into(),
                };
                steps.push(Step::At(at));
                indexes = behind;
            }
        }
        Ok(Self { text, steps })
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The field, where the answer has it.
    pub fn of<'v>(&self, answer: &'v Value) -> Option<&'v Value> {
        self.steps
            .iter()
            .try_fold(answer, |value, step| match step {
                Step::Key(key) => value.get(key.as_str()),
                Step::At(at) => value.get(at),
            })
    }

    /// Moves the field out of the answer.
    pub fn take(&self, answer: &mut Value) -> Option<Value> {
        let field = self
            .steps
            .iter()
            .try_fold(answer, |value, step| match step {
                Step::Key(key) => value.get_mut(key.as_str()),
                Step::At(at) => value.get_mut(at),
            });
        field.map(Value::take)
    }

    /// The field as a text: a text, a number or a yes and no; what is empty is not there.
    pub fn text_of(&self, answer: &Value) -> Option<String> {
        let text = match self.of(answer)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(said) => said.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        let fits = (1..=limits::METADATA_VALUE_BYTES_MAX).contains(&text.len())
            && !text.chars().any(is_command);
        fits.then_some(text)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for FieldPath {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_keys_and_places() {
        let answer = serde_json::json!({
            "a": {"b": [{"c": "deep"}, {"c": 7}]}, "n": 1.5, "yes": true, "no": null,
            "empty": "", "line": "a\nb", "list": ["x"],
        });
        let found = |path: &str| FieldPath::parse(path).unwrap().text_of(&answer);
        assert_eq!(found("a.b[0].c").as_deref(), Some("deep"));
        assert_eq!(found("a.b[].c").as_deref(), Some("deep"));
        assert_eq!(found("a.b[1].c").as_deref(), Some("7"));
        assert_eq!(found("n").as_deref(), Some("1.5"));
        assert_eq!(found("yes").as_deref(), Some("true"));
        for none in [
            "a.b[2].c", "a.b", "no", "empty", "line", "x.y", "n.z", "list", "list.x",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
        let top = serde_json::json!([{"id": "first"}]);
        assert_eq!(
            FieldPath::parse("[].id").unwrap().text_of(&top).as_deref(),
            Some("first")
        );
        for bad in [
            "", ".", "a.", "a..b", "a[", "a]", "a[x]", "a[0]b", "a b", "a.[0]", "a[99999]",
        ] {
            assert!(FieldPath::parse(bad).is_err(), "{bad} was taken");
        }
    }
}
