//! The shapes of Descope's wire: liberal in what is read, strict in what is written.
//!
//! It promises: `null`, an empty text, `undefined` and a field that is not there are one thing; an
//! unknown field is overlooked; a time leaves as a text of digits.
//! It never: answers with an empty body.

pub mod apps;
#[cfg(feature = "cli")]
pub mod imports;
pub mod links;
pub mod templates;
pub mod tokens;
pub mod uploads;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::failure::{Failure, Result};
use crate::http::answer::Answer;
use crate::http::wire;

/// Reads a JSON body.
///
/// # Errors
/// A failure that says what is wrong, in words that hold nothing of the body's values.
pub fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    wire::read(body).map_err(|error| Failure::unreadable(&error))
}

/// The answer where there is nothing to tell.
pub fn done() -> Answer {
    wire::ok(&serde_json::json!({}))
}

/// True for what stands for "nothing" in a text.
pub fn is_absent(text: &str) -> bool {
    matches!(text, "" | "null" | "undefined")
}

/// Reads a text field.
pub fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !is_absent(text)))
}

/// Writes a field that may be unset as its type has it then: an empty text, an empty list, `false`.
pub fn plain<T: Serialize + Default, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(serializer),
        None => T::default().serialize(serializer),
    }
}

/// What must be there.
///
/// # Errors
/// A failure that names the field.
pub fn needed<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Failure::missing(field))
}
