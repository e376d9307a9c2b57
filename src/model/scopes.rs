//! Scopes: what a token may be used for.
//!
//! It promises: each scope once, in the order of their bytes, printable and bounded.
//! It never: knows what a scope means, or how a provider separates them.

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::limits;

/// A set of OAuth scopes, in no order (RFC 6749 3.3).
// A sorted list: a handful of texts, read with every record, for which a tree is a large thing.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads a list of scopes; the same one twice counts once.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty, overlong or unprintable scope, or too many.
    pub fn parse<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::try_from(scopes.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// True where `other` holds nothing that this set lacks.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.holds(scope))
    }

    /// What `self` holds and `other` lacks.
    pub fn without(&self, other: &Self) -> Self {
        let lacks = |scope: &&String| !other.holds(scope);
        Self(self.0.iter().filter(lacks).cloned().collect())
    }

    /// What either holds.
    pub fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.0.extend(other.without(self).0);
        both.0.sort_unstable();
        both
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The scopes in order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The scopes in one text, as providers want them.
    pub fn joined(&self, separator: &str) -> String {
        self.0.join(separator)
    }

    fn holds(&self, scope: &String) -> bool {
        self.0.binary_search(scope).is_ok()
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = Error;
    fn try_from(mut scopes: Vec<String>) -> Result<Self> {
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.len() > limits::SCOPES_MAX {
            return Err(Error::invalid(format!(
                "at most {} scopes",
                limits::SCOPES_MAX
            )));
        }
        let fits = |scope: &String| {
            (1..=limits::SCOPE_BYTES_MAX).contains(&scope.len())
                && !scope.chars().any(char::is_control)
                && scope.trim() == scope
        };
        if !scopes.iter().all(fits) {
            return Err(Error::invalid(format!(
                "a scope has 1 to {} printable bytes",
                limits::SCOPE_BYTES_MAX
            )));
        }
        Ok(Self(scopes))
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Scopes {
        Scopes::parse(text.split_whitespace()).unwrap()
    }

    #[test]
    fn scopes_outside_the_rules_are_refused() {
        assert!(Scopes::parse(["a", " "]).is_err());
        assert!(Scopes::parse((0..200).map(|i| i.to_string())).is_err());
    }

    #[test]
    fn scopes_are_a_set() {
        assert_eq!(set("b a b"), set("a b"));
        assert_eq!(set("b a b").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(set("a b c").covers(&set("c a")) && !set("a b").covers(&set("a c")));
        assert!(set("a").covers(&set("")) && !set("").covers(&set("a")));
        assert_eq!(set("a b c").without(&set("d b")), set("a c"));
        assert_eq!(set("c a").union(&set("b a")), set("a b c"));
    }

    #[test]
    fn scopes_are_read_in_any_order_and_written_in_one() {
        let read: Scopes = serde_json::from_str(r#"["b","a","b"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["a","b"]"#);
    }
}
