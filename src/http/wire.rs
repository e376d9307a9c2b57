//! Words on the wire: JSON in, JSON out, and the one match from errors to statuses.
//!
//! It promises: what a request says wrongly is answered with what is wrong and never with what it
//! said; every error of the crate has a status here, by an exhaustive match.
//! It never: decides anything.

pub mod apps;
pub mod keys;
pub mod links;
pub mod remote;
pub mod slots;
pub mod status;
pub mod store;
pub mod templates;
pub mod tokens;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::http::answer::{self, Answer};
use crate::limits;
use crate::secret::Secret;

/// Reads a JSON body.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong, in words that hold nothing of the body's values.
pub fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    if body.is_empty() {
        return Err(Error::invalid("a JSON body is needed"));
    }
    // serde would take a list as well, as the fields in their order: names are what is checked.
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|byte| *byte != b'{') {
        return Err(Error::invalid("the body is a JSON object, `{…}`"));
    }
    serde_json::from_slice(body).map_err(|error| Error::Invalid(in_safe_words(&error)))
}

/// Reads a JSON body that may be absent.
///
/// # Errors
/// As [`read`].
pub fn read_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T> {
    if body.is_empty() {
        Ok(T::default())
    } else {
        read(body)
    }
}

/// serde's messages may quote values, and a value may be a secret. Only those that quote none, and
/// our own, are passed on.
fn in_safe_words(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    if !error.is_data() {
        return format!("the body is not valid JSON at {place}");
    }
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if text.starts_with("unknown field `") {
        // The unknown name is the sender's text, and may be a secret in the wrong place; behind it
        // stand those that are known.
        let known = text.rsplit_once(", expected ").map(|(_, known)| known);
        return match known {
            Some(known) => format!("a field at {place} does not belong here; known: {known}"),
            None => format!("a field at {place} does not belong here"),
        };
    }
    let quotes_a_value = ["invalid ", "unknown variant", "data did not match"];
    if quotes_a_value.iter().any(|start| text.starts_with(start)) {
        return format!("a field has a value of the wrong kind at {place}");
    }
    text.to_owned()
}

/// Room taken at first, in bytes: a token of a usual size is not copied while its answer grows.
const ANSWER_CAPACITY: usize = 2048;

/// Makes an answer of a value.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut body = Vec::with_capacity(ANSWER_CAPACITY);
    serde_json::to_writer(&mut body, value).expect("plain data, written to memory");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Makes a 200 of a value.
pub fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// Makes an answer of an error.
pub fn error(error: &Error) -> Answer {
    let mut answer = answer::error(
        status_of(error),
        error.code(),
        &message_of(error),
        error.hint(),
    );
    say_when(error, &mut answer);
    if matches!(error, Error::Unauthenticated) {
        // RFC 9110 15.5.2: a 401 says what would be accepted.
        let challenge = HeaderValue::from_static("Bearer realm=\"strongroom\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

/// Tells when to come back, where an error knows.
pub fn say_when(error: &Error, answer: &mut Answer) {
    if let Some(wait) = wait_of(error) {
        let seconds = HeaderValue::from(whole_seconds(wait));
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
}

/// When to come back, where an error knows.
pub fn wait_of(error: &Error) -> Option<Duration> {
    match error {
        Error::Busy(wait) => Some(*wait),
        Error::ProviderUnavailable { retry_after, .. } => *retry_after,
        Error::Checking { retry_after, .. } | Error::IssuerUnavailable { retry_after } => {
            Some(*retry_after)
        }
        Error::Locked | Error::ShuttingDown => Some(limits::BACKOFF_FIRST),
        Error::Storage(_) | Error::AuditUnavailable(_) => Some(limits::STORE_HEAL_EVERY_MAX),
        _ => None,
    }
}

/// A wait in whole seconds, rounded up: who comes back when told is not too early.
pub fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000))
        .unwrap_or(u64::MAX)
        .max(1)
}

/// The status of an error (RFC 9110 15).
pub fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::Unauthenticated | Error::UnlockFailed => StatusCode::UNAUTHORIZED,
        Error::Denied => StatusCode::FORBIDDEN,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::Conflict(_)
        | Error::InUse
        | Error::AlreadyUnlocked
        | Error::AlreadyThere
        | Error::RolledBack(_) => StatusCode::CONFLICT,
        Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Forbidden(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::ProviderRefused { .. } | Error::ProviderUnavailable { .. } => {
            StatusCode::BAD_GATEWAY
        }
        Error::Locked
        | Error::Checking { .. }
        | Error::IssuerUnavailable { .. }
        | Error::AuditUnavailable(_)
        | Error::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        Error::Storage(_) | Error::OutcomeUnknown(_) => StatusCode::INSUFFICIENT_STORAGE,
        Error::Damaged(_) | Error::TooNew(_) | Error::Settings(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// What a caller is told of a request that failed; the log has the whole of it.
pub fn message_of(error: &Error) -> String {
    match error {
        Error::Storage(what)
        | Error::OutcomeUnknown(what)
        | Error::AuditUnavailable(what)
        | Error::Damaged(what)
        | Error::TooNew(what)
        | Error::Settings(what) => {
            tracing::error!(code = error.code(), what, "a request failed");
        }
        _ => {}
    }
    words_of(error)
}

/// An error in words for whoever asks. The operating system's own words stay in the log: they name
/// paths.
fn words_of(error: &Error) -> String {
    match error {
        Error::Storage(_) => "the store could not do it".into(),
        Error::OutcomeUnknown(_) => "it is not known whether this was stored".into(),
        Error::AuditUnavailable(_) => "refused, since it could not be put on record".into(),
        other => other.to_string(),
    }
}

/// The path is there, the method is not.
pub fn wrong_method(allowed: Vec<&'static Method>) -> Answer {
    let names: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
    let list = names.join(", ");
    let mut answer = answer::error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        &format!("this path takes {list}"),
        "use one of these methods",
    );
    if let Ok(value) = HeaderValue::from_str(&list) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}

/// There is no such path.
pub fn unknown_route() -> Answer {
    answer::error(
        StatusCode::NOT_FOUND,
        "unknown_route",
        "there is no such route",
        "the README lists them; a path has no slash at its end",
    )
}

/// Reads a secret off the wire; empty counts as absent.
pub fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Secret<String>>, D::Error> {
    let secret = typed(deserializer)?;
    let controls = |secret: &Secret<String>| secret.expose().chars().any(char::is_control);
    if secret.as_ref().is_some_and(controls) {
        return Err(serde::de::Error::custom(
            "a credential has no control characters",
        ));
    }
    Ok(secret)
}

/// Reads a passphrase, which may hold any characters; empty counts as absent.
pub fn typed<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Secret<String>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let secret = text
        .map(Secret::new)
        .filter(|secret| !secret.expose().is_empty());
    let too_long = |secret: &Secret<String>| secret.expose().len() > limits::CREDENTIAL_BYTES_MAX;
    if secret.as_ref().is_some_and(too_long) {
        return Err(serde::de::Error::custom(
            "a credential has at most 65536 bytes",
        ));
    }
    Ok(secret)
}

/// Reads a text field; empty counts as absent.
pub fn text<'de, T, D>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    T: TryFrom<String, Error = Error>,
    D: Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    text.map(T::try_from)
        .transpose()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AppId;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default, deserialize_with = "text")]
        app: Option<AppId>,
        #[serde(default)]
        count: u32,
    }

    #[test]
    fn who_has_to_wait_for_a_check_is_told_when_to_come_back() {
        let answer = error(&Error::Checking {
            percent: 41,
            retry_after: Duration::from_millis(2_500),
        });
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[RETRY_AFTER], "3");
    }

    #[test]
    fn what_was_sent_wrongly_is_not_sent_back() {
        let canary = "sbx_canary_value";
        for body in [
            format!("{{\"count\":\"{canary}\"}}"),
            format!("{{\"app\":[\"{canary}\"]}}"),
            format!("{{\"{}\":1}}", canary.repeat(9)),
            format!("{{\"app\":\"a b {canary}\"}}"),
            canary.to_owned(),
            format!("\"{canary}\""),
        ] {
            let error = read::<Sample>(&Bytes::from(body.clone())).unwrap_err();
            assert!(!error.to_string().contains(canary), "{body}: {error}");
        }
        let error = read::<Sample>(&Bytes::from_static(b"{\"scope\":1}")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("a field at line 1, column 8 does not belong here; known: `"));
        assert!(text.contains("`app`") && !text.contains("scope"), "{text}");
        let sample = read::<Sample>(&Bytes::from_static(b"{\"app\":\"\"}")).unwrap();
        assert!(sample.app.is_none() && sample.count == 0);
    }
}
