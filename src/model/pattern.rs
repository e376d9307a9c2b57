//! Patterns that a whole value must match, and the names of values.
//!
//! It promises: a pattern matches the whole value or not at all, in time linear in it.
//! It never: takes a part of a value.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits;

/// A regular expression for a whole value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    whole: regex::Regex,
}

impl Pattern {
    /// Reads a regular expression. Anchors of its own are as good as none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none, or a large one.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.len() > limits::PATTERN_BYTES_MAX {
            return Err(Error::invalid("a pattern is too long"));
        }
        let compile = |text: &str| {
            regex::RegexBuilder::new(text)
                .size_limit(limits::PATTERN_COMPILED_BYTES_MAX)
                .build()
        };
        // By itself first: `a)|(b` would close our group, and leave the anchors outside.
        let whole = compile(&text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
        let whole =
            whole.map_err(|_| Error::invalid(format!("`{text}` is not a regular expression")))?;
        Ok(Self { text, whole })
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of it matches.
    pub fn fits(&self, value: &str) -> bool {
        self.whole.is_match(value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl TryFrom<String> for Pattern {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_value_or_not_at_all() {
        let pattern = Pattern::parse("com|eu").unwrap();
        assert!(pattern.fits("com") && pattern.fits("eu"));
        for bad in ["come", "xeu", "com\n", "", "eu\neu"] {
            assert!(!pattern.fits(bad), "{bad:?}");
        }
        assert!(Pattern::parse("^(a|b)$").unwrap().fits("b"));
        assert!(Pattern::parse("(").is_err());
        assert!(Pattern::parse("((a{100}){100}){100}").is_err());
        // What closes the group early is no way out of the anchors.
        for early in ["a)|(b", "a)|(?:b", "a)|b|(c"] {
            let fits = |value: &str| Pattern::parse(early).is_ok_and(|pattern| pattern.fits(value));
            assert!(!fits("a.evil") && !fits("xb"), "{early} leaves the anchors");
            assert!(Pattern::parse(early).is_err(), "{early}");
        }
    }
}
