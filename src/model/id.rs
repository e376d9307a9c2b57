//! Ids: 128 random bits, shown as a prefix and hexadecimal digits.
//!
//! It promises: an id is read as it is shown, and nothing else is read as one.
//! It never: says anything of what it names.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of an id as it is shown: its prefix, then two digits a byte.
const SHOWN_ID_BYTES: usize = 4 + 2 * 16;

/// An id as it is shown. Each answer and each entry of the trail holds one: so they are written
/// without the formatter.
pub struct ShownId([u8; SHOWN_ID_BYTES]);

impl ShownId {
    fn new(prefix: &str, id: &[u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut shown = [0; SHOWN_ID_BYTES];
        let (front, digits) = shown.split_at_mut(4);
        front.copy_from_slice(prefix.as_bytes());
        for (pair, byte) in digits.chunks_exact_mut(2).zip(id) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(shown)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("a prefix and digits")
    }
}

/// Makes an id type of 128 random bits, shown as a prefix and hexadecimal digits.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id of 16 random bytes.
            pub fn new(random: [u8; 16]) -> Self {
                Self(random)
            }

            /// Reads an id as shown; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix($prefix)?;
                let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                if digits.len() != 32 || !digits.bytes().all(is_digit) {
                    return None;
                }
                u128::from_str_radix(digits, 16).ok().map(|id| Self(id.to_be_bytes()))
            }

            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The id as text, without an allocation.
            pub fn shown(&self) -> ShownId {
                ShownId::new($prefix, &self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.shown().as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.shown().as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                /// Reads the text where it stands.
                struct Reading;

                impl Visitor<'_> for Reading {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an id, `", $prefix, "…`"))
                    }

                    fn visit_str<E: de::Error>(
                        self,
                        text: &str,
                    ) -> std::result::Result<Self::Value, E> {
                        let not_an_id = || E::custom(concat!("not an id: ", $prefix));
                        $name::parse(text).ok_or_else(not_an_id)
                    }
                }
                deserializer.deserialize_str(Reading)
            }
        }
    };
}

id_type!(
    /// Names a token record; stays the same when its owner connects again.
    TokenId,
    "tok_"
);
id_type!(
    /// Names a connect link. Knowing it opens nothing: the link's URL holds a secret beside it.
    LinkId,
    "con_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = TokenId::new([7; 16]);
        assert_eq!(TokenId::parse(&id.to_string()), Some(id));
        assert_eq!(TokenId::parse("tok_07"), None);
        assert_eq!(LinkId::parse(&id.to_string()), None);
        assert_eq!(TokenId::parse(&format!("tok_{}", "+".repeat(32))), None);
    }
}
