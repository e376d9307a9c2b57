//! Reads the answer of a token endpoint, tolerantly: to a [`Grant`] or a [`Failure`]. Pure.
//!
//! It promises: whatever a provider sends ends in one documented outcome, in bounded memory; an
//! answer that says success and holds no token that can be used is [`FailureKind::AnswerLost`],
//! since a refresh token may have been rotated by it; bad extras (scopes, id token, lifetime) never
//! cost the token beside them.
//! It never: repairs a credential, or puts text of the body into a message unfiltered.

mod manner;

use std::time::Duration;

use serde_json::{Map, Value};

pub use self::manner::Manner;
pub(super) use self::manner::kept;
use super::classify::{self, Failure, FailureKind, Refusal};
use crate::clock::Timestamp;
use crate::limits;
use crate::model::dialect::Unit;
use crate::model::token::Grant;
use crate::model::{Scopes, is_command};
use crate::secret::{Secret, from_base64url};

/// An answer, read from the wire as far as its bound.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The `Content-Type` field; empty where there is none.
    pub content_type: String,
    /// The `Retry-After` field; empty where there is none.
    pub retry_after: String,
    /// How long it may be kept, where its fields say so (RFC 9111).
    pub kept_for: Option<Duration>,
    /// The `WWW-Authenticate` fields, one a line; empty where there is none.
    pub www_authenticate: String,
    /// The body, or why it cannot be read.
    pub body: Result<Secret<Vec<u8>>, Unread>,
}

impl Answer {
    /// The same answer, with a space in the place of each of these secrets.
    #[must_use]
    pub fn without<'a>(&self, secrets: impl Iterator<Item = &'a Secret<String>>) -> Self {
        let body = match &self.body {
            Err(unread) => Err(*unread),
            Ok(body) => {
                let mut clean = body.clone();
                for secret in secrets.filter(|secret| secret.expose().len() >= SECRET_BYTES_MIN) {
                    clean = Secret::new(cut_out(clean.expose(), secret.expose().as_bytes()));
                }
                Ok(clean)
            }
        };
        Self {
            status: self.status,
            content_type: self.content_type.clone(),
            retry_after: self.retry_after.clone(),
            kept_for: self.kept_for,
            www_authenticate: self.www_authenticate.clone(),
            body,
        }
    }
}

/// Shortest secret that is struck from an answer: a shorter one may be a part of any word.
const SECRET_BYTES_MIN: usize = 4;

fn cut_out(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(secret) {
            kept.push(b' ');
            rest = after;
        } else {
            kept.push(*first);
            rest = after;
        }
    }
    kept
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unread {
    /// It is longer than its bound.
    TooLong,
    /// The connection ended or the time ran out before it did.
    Broken,
}

type Fields = Map<String, Value>;

/// Reads the answer to a token request, in the manner of its provider: what stands between scopes,
/// or an app.
///
/// # Errors
/// The failure that the answer says or is.
pub fn read_grant<'a>(
    answer: &Answer,
    manner: impl Into<Manner<'a>>,
    now: Timestamp,
) -> Result<Grant, Failure> {
    let manner = manner.into();
    let mut fields = read_success(answer, &manner, now)?;
    let lost = |code: &str, what: &str| {
        Failure::ours(FailureKind::AnswerLost, code, what).with_status(answer.status)
    };
    let mut second = manner.second(&mut fields, now);
    let Some(mut grant) = manner.first(&mut fields, now) else {
        // Somebody consented to what only the further token is for: then that is the first.
        if second.is_empty() {
            return Err(lost("no_access_token", "the answer holds no access token"));
        }
        let mut grant = second.remove(0).grant;
        manner.keep(&fields, &mut grant, now);
        grant.brought.second = second;
        return checked(grant).ok_or_else(|| lost(UNUSABLE.0, UNUSABLE.1));
    };
    manner.keep(&fields, &mut grant, now);
    grant.brought.second = second;
    checked(grant).ok_or_else(|| lost(UNUSABLE.0, UNUSABLE.1))
}

const UNUSABLE: (&str, &str) = (
    "credential_unusable",
    "the answer holds a token that is too long or is no plain text",
);

/// A grant whose tokens can be used. Of the further ones those that cannot are not taken: they cost
/// nothing of the first.
fn checked(mut grant: Grant) -> Option<Grant> {
    let is_good = |grant: &Grant| {
        let credentials = [Some(&grant.access_token), grant.refresh_token.as_ref()];
        credentials.into_iter().flatten().all(is_usable)
    };
    grant.id_token = grant.id_token.filter(is_usable);
    grant.brought.second.retain(|second| is_good(&second.grant));
    is_good(&grant).then_some(grant)
}

/// Reads the answer to a revocation request (RFC 7009 2.2): what matters is that it is no error.
///
/// # Errors
/// The failure that the answer says or is.
pub fn read_revocation<'a>(
    answer: &Answer,
    manner: impl Into<Manner<'a>>,
    now: Timestamp,
) -> Result<(), Failure> {
    match read_revocation_of_part(answer, manner, now) {
        // Gone already is gone. RFC 7009 2.2 answers 200 to it; Google and others an error.
        Err(failure) if failure.kind == FailureKind::Refused => Ok(()),
        other => other,
    }
}

/// The same, where only a part of the grant was shown: that this is gone says nothing of the rest.
pub(super) fn read_revocation_of_part<'a>(
    answer: &Answer,
    manner: impl Into<Manner<'a>>,
    now: Timestamp,
) -> Result<(), Failure> {
    let success = (200..300).contains(&answer.status);
    match read_success(answer, &manner.into(), now) {
        Ok(_) => Ok(()),
        // An empty or unreadable success is one: there is nothing to learn from its body.
        Err(failure) if success && failure.kind == FailureKind::AnswerLost => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// The fields of an answer that says success; else the failure.
pub(super) fn read_success(
    answer: &Answer,
    manner: &Manner<'_>,
    now: Timestamp,
) -> Result<Value, Failure> {
    let success = (200..300).contains(&answer.status);
    let fields = match &answer.body {
        Ok(body) => read_fields(&answer.content_type, body.expose()),
        Err(unread) if success => {
            let (code, what) = match unread {
                Unread::TooLong => ("answer_too_long", "the answer is longer than we read"),
                Unread::Broken => ("answer_lost", "the answer broke off"),
            };
            let failure = Failure::ours(FailureKind::AnswerLost, code, what);
            return Err(failure.with_status(answer.status));
        }
        Err(_) => None,
    };
    let fields = fields.map(|fields| manner.unpacked(Value::Object(fields)));
    let is_good = |fields: &Value| {
        manner.has_token(fields)
            || !(fields.as_object().is_some_and(is_error) || manner.is_refusal(fields))
    };
    match fields {
        Some(fields) if success && is_good(&fields) => Ok(fields),
        None if success => Err(Failure::ours(
            FailureKind::AnswerLost,
            "answer_unreadable",
            "the answer is neither JSON nor a form",
        )
        .with_status(answer.status)),
        fields => {
            let object = fields.as_ref().and_then(Value::as_object);
            let mut said = object.map(said).unwrap_or_default();
            if let Some(code) = fields.as_ref().and_then(|fields| manner.error_code(fields)) {
                said.code = code;
            }
            let failure = classify::refusal(
                answer.status,
                Refusal {
                    code: &said.code,
                    description: &said.description,
                    retry_after: classify::read_retry_after(&answer.retry_after, now),
                },
            );
            Err(manner.sorted(failure))
        }
    }
}

/// The top level of a body: JSON or form, by look first, since content types lie.
fn read_fields(content_type: &str, body: &[u8]) -> Option<Fields> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = body.trim_ascii();
    match body.first()? {
        // The first value counts; gateways have been seen to append text. Of duplicate keys the
        // last one counts. Text that is not UTF-8 (Latin-1 descriptions) is read as far as it is.
        b'{' => {
            let text = String::from_utf8_lossy(body);
            let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
            match values.next()? {
                Ok(Value::Object(fields)) => Some(fields),
                _ => None,
            }
        }
        b'<' | b'[' => None,
        _ => {
            let fields: Fields = form_urlencoded::parse(body)
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect();
            let looks = fields.contains_key("access_token") || fields.contains_key("error");
            let said = content_type
                .to_ascii_lowercase()
                .contains("form-urlencoded");
            (looks || said).then_some(fields)
        }
    }
}

/// True where an answer with a good status is an error all the same: `error` (GitHub), `ok: false`
/// (Slack), `success: false` (Fitbit).
fn is_error(fields: &Fields) -> bool {
    let present = |name: &str| match fields.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty() && text != "0",
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Bool(true) | Value::Object(_)) => true,
    };
    let denied = |name: &str| fields.get(name) == Some(&Value::Bool(false));
    present("error") || present("errors") || denied("ok") || denied("success")
}

#[derive(Default)]
struct Said {
    code: String,
    description: String,
}

/// The code and description of an error, from the places where providers put them.
fn said(fields: &Fields) -> Said {
    // Google and Meta nest the error; Fitbit and Strava list several, of which the first counts.
    let nested = match (fields.get("error"), fields.get("errors")) {
        (Some(Value::Object(nested)), _) => Some(nested),
        (None, Some(Value::Array(list))) => list.first().and_then(Value::as_object),
        _ => None,
    };
    let code = match (text_of(fields, &["error"]), nested) {
        (Some(code), _) => code,
        (None, Some(nested)) => nested_code(nested),
        (None, None) => {
            text_of(fields, &["error_code", "errorCode", "code", "status"]).unwrap_or_default()
        }
    };
    const DESCRIPTIONS: [&str; 6] = [
        "error_description",
        "error_message",
        "message",
        "msg",
        "detail",
        "reason",
    ];
    let description = text_of(fields, &DESCRIPTIONS[..2])
        .or_else(|| nested.and_then(|nested| text_of(nested, &DESCRIPTIONS)))
        .or_else(|| text_of(fields, &DESCRIPTIONS))
        .unwrap_or_default();
    Said { code, description }
}

fn nested_code(nested: &Fields) -> String {
    let code = text_of(nested, &["errorType", "code", "status", "type"]).unwrap_or_default();
    // Strava's codes mean nothing without the thing they are about.
    match text_of(nested, &["resource"]) {
        Some(resource) => format!("{resource}_{code}"),
        None => code,
    }
}

fn text_of(fields: &Fields, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.get(*name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

/// Longer tokens cannot be stored, and a control character would break every header it is put in.
fn is_usable(credential: &Secret<String>) -> bool {
    let text = credential.expose();
    // U+FFFD stands where the answer was not UTF-8: what was meant is not known, and the token kept
    // in its place would never work.
    let is_text = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    text.len() <= limits::CREDENTIAL_BYTES_MAX && text.chars().all(is_text)
}

fn token_type(fields: &Value) -> String {
    let fits = |text: &&str| {
        (1..=limits::PROVIDER_CODE_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let given = fields.get("token_type").and_then(Value::as_str);
    given.filter(fits).unwrap_or("Bearer").to_owned()
}

/// A number of seconds beyond this is a moment since the epoch (September 2001), not a lifetime.
const EPOCH_FROM_S: f64 = 1e9;
/// A moment beyond this is in milliseconds (in seconds: the year 5138).
const EPOCH_MS_FROM: f64 = 1e11;

/// The fields that have been seen to name a lifetime or an end.
const LIFETIMES: [&str; 4] = ["expires_in", "expires_at", "expires_on", "expires"];

fn read_lifetime(value: &Value, unit: Unit, now: Timestamp) -> Option<u64> {
    let now_s = now.unix_ms() as f64 / 1000.0;
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let text = text.trim();
            match text.parse::<f64>() {
                Ok(number) => number,
                Err(_) => Timestamp::parse(text)?.unix_ms() as f64 / 1000.0,
            }
        }
        _ => return None,
    };
    let seconds = match number {
        n if !n.is_finite() => return None,
        // What is counted in something else is a lifetime, however large.
        n if unit == Unit::Milliseconds => n / 1000.0,
        n if unit == Unit::Minutes => n * 60.0,
        n if n >= EPOCH_MS_FROM => n / 1000.0 - now_s,
        n if n >= EPOCH_FROM_S => n - now_s,
        n => n,
    };
    // Zero, negative, past: as if it were not there. A cast from f64 saturates.
    (seconds >= 1.0).then(|| (seconds as u64).min(limits::REFRESH_TOKEN_LIFE_MAX.as_secs()))
}

/// The scopes granted; `None` where none are named, or they are past reading: then they are as
/// asked (RFC 6749 5.1), which is better than losing the token.
fn read_scopes(value: &Value, separator: &str) -> Option<Scopes> {
    let own = separator.trim();
    let names: Vec<String> = match value {
        // Where the app's own separator is seen, scopes may have spaces inside.
        Value::String(text) if !own.is_empty() && text.contains(own) => {
            text.split(own).map(|name| name.trim().to_owned()).collect()
        }
        Value::String(text) => text
            .split(|c: char| c.is_whitespace() || c == ',')
            .map(str::to_owned)
            .collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|name| name.trim().to_owned())
            .collect(),
        _ => return None,
    };
    let scopes = Scopes::parse(names.into_iter().filter(|name| !name.is_empty())).ok()?;
    (!scopes.is_empty()).then_some(scopes)
}

/// Whom an id token names, unverified: it came from the token endpoint itself over a connection
/// that we checked (OIDC Core 3.1.3.7, 6), and it names people, it opens nothing. `sub`, and what
/// people know it by.
fn named_by(id_token: &Secret<String>) -> Option<(String, Option<String>)> {
    let mut parts = id_token.expose().split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = from_base64url(payload.trim_end_matches('='))?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let claim = |name: &&str| account_text(claims.get(name)?.as_str()?);
    let subject = claim(&"sub")?;
    let label = ["email", "preferred_username", "upn", "name"];
    Some((subject, label.iter().find_map(claim)))
}

/// A name of an account, if it is one that can be kept.
pub(super) fn account_text(text: &str) -> Option<String> {
    let fits =
        (1..=limits::OWNER_ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(is_command);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_struck_from_what_comes_back() {
        let answer = Answer {
            status: 400,
            content_type: String::new(),
            retry_after: String::new(),
            kept_for: None,
            www_authenticate: String::new(),
            body: Ok(Secret::new(b"no: abcd, abcdabcd, abc".to_vec())),
        };
        let secrets = [Secret::new("abcd".to_owned()), Secret::new("no".to_owned())];
        let clean = answer.without(secrets.iter());
        let body = clean.body.map(|body| body.expose().clone());
        assert_eq!(body, Ok(b"no:  ,   , abc".to_vec()));
    }
}
