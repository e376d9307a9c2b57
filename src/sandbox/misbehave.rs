//! The ways in which a server can go wrong, on request: each is one that real providers have shown.
//!
//! It promises: a misbehaviour says whether it comes instead of processing the request or after it,
//! so a test knows whether the refresh token was spent.
//! It never: makes anything up by itself; a sandbox that was told nothing behaves.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use serde_json::{Map, Value, json};

use super::reply::{Content, Reply};
use super::rules::{Refusal, Shaping};
use crate::limits;

/// Where a misbehaviour strikes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `POST /token`.
    Token,
    /// `POST /revoke`.
    Revoke,
    /// Both metadata documents.
    Metadata,
    /// Everything under `/api/`.
    Api,
}

impl Endpoint {
    /// The endpoint that a path belongs to.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/token" => Some(Self::Token),
            "/revoke" => Some(Self::Revoke),
            _ if path.starts_with("/.well-known/") => Some(Self::Metadata),
            _ if path.starts_with("/api/") => Some(Self::Api),
            _ => None,
        }
    }
}

/// A way to go wrong. *Instead* means that the request is read, counted and remembered, but nothing
/// is processed: no code or refresh token is spent. *After* means that it is processed as usual.
/// What changes fields of a token answer leaves errors and other answers as they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Misbehaviour {
    /// Instead: close the connection without an answer.
    CloseBefore,
    /// After: be this late with the answer, by the sandbox's clock.
    Delay(Duration),
    /// Instead: an answer of 400 without a body.
    Empty400,
    /// After: `"refresh_token": ""`. Nothing is rotated: the old one stays.
    EmptyRefreshToken,
    /// Instead: an answer of 200 whose body is an OAuth error with this code.
    ErrorInside200(String),
    /// After: `expires_in` is a string of digits.
    ExpiresInString,
    /// After: more fields than the RFC knows, of every JSON type.
    ExtraFields,
    /// After: the answer is a form, not JSON.
    FormEncoded,
    /// After: half of the body, and then nothing more, until the client gives up.
    HalfAnswer,
    /// Neither, until [`behave`](super::Sandbox::behave) is called: then the request is processed
    /// and answered as usual, if the client still waits.
    Hang,
    /// Instead: an answer of 500 with an HTML page.
    Html500,
    /// Instead: a JSON answer of this many bytes, of unannounced length.
    Huge(u64),
    /// After: close the connection without an answer. What was spent is spent.
    LoseAnswer,
    /// After: `token_type` is `bearer`.
    LowerCaseTokenType,
    /// After: no `expires_in`.
    NoExpiresIn,
    /// After: no `refresh_token`. Nothing is rotated: the old one stays.
    NoRefreshToken,
    /// After: no `token_type`.
    NoTokenType,
    /// Instead: this very answer.
    Raw {
        /// The status, 200 to 999.
        status: u16,
        /// Headers; `content-type` has no default.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Instead: a redirect with this status to this address.
    Redirect(u16, String),
    /// Instead: an answer of this status with this `Retry-After`.
    RetryAfter {
        /// The status, such as 429 or 503.
        status: u16,
        /// Seconds, a date, or nonsense.
        value: String,
    },
    /// After: `scope` has commas in place of spaces.
    ScopesCommaSeparated,
    /// After: grant, and name, only those of the scopes that are listed here. The grant itself
    /// keeps all of them.
    ShrinkScopes(Vec<String>),
    /// Instead: nothing at all, until the client gives up.
    Silence,
    /// After: send the body one byte at a time, with this pause before each, by the sandbox's
    /// clock.
    SlowDrip(Duration),
}

impl Misbehaviour {
    /// The answer that comes instead of processing, where this is such a misbehaviour.
    ///
    /// # Panics
    /// Where status, header or address of the misbehaviour cannot be sent over HTTP.
    pub(super) fn instead(&self) -> Option<Reply> {
        let reply = match self {
            Self::Empty400 => Reply::empty(StatusCode::BAD_REQUEST),
            Self::ErrorInside200(code) => Reply::json(
                StatusCode::OK,
                json!({"error": code, "error_description": "an error that calls itself a success"}),
            ),
            Self::Html500 => Reply::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/html",
                "<!doctype html><title>Oops</title><h1>Internal server error</h1>",
            ),
            Self::Raw {
                status,
                headers,
                body,
            } => raw(*status, headers, body),
            Self::Redirect(code, to) => {
                let mut reply = Reply::empty(status(*code));
                reply.headers.insert(LOCATION, value(to));
                reply
            }
            Self::RetryAfter {
                status: code,
                value: after,
            } => {
                let refusal = Refusal::new("temporarily_unavailable", "come back later");
                let mut reply = Reply::refusal(status(*code), &refusal);
                reply.headers.insert(RETRY_AFTER, value(after));
                reply
            }
            _ => return None,
        };
        Some(reply)
    }

    /// How tokens are issued under this misbehaviour.
    pub(super) fn shaping(&self) -> Shaping {
        Shaping {
            no_refresh_token: matches!(self, Self::NoRefreshToken | Self::EmptyRefreshToken),
            scopes_at_most: match self {
                Self::ShrinkScopes(scopes) => Some(scopes.clone()),
                _ => None,
            },
        }
    }

    /// Changes the answer to a request that was processed.
    pub(super) fn reshape(&self, reply: &mut Reply) {
        let Content::Json(Value::Object(fields)) = &mut reply.content else {
            return;
        };
        if !fields.contains_key("access_token") {
            return;
        }
        match self {
            Self::EmptyRefreshToken => {
                fields.insert(String::from("refresh_token"), json!(""));
            }
            Self::ExpiresInString => {
                if let Some(seconds) = fields.get_mut("expires_in") {
                    *seconds = json!(seconds.to_string());
                }
            }
            Self::ExtraFields => fields.extend(extra_fields()),
            Self::FormEncoded => {
                let form = form(fields);
                reply.content = Content::Raw(form.into());
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                reply.headers.insert(CONTENT_TYPE, kind);
            }
            Self::LowerCaseTokenType => {
                fields.insert(String::from("token_type"), json!("bearer"));
            }
            Self::NoExpiresIn => {
                fields.remove("expires_in");
            }
            Self::NoTokenType => {
                fields.remove("token_type");
            }
            Self::ScopesCommaSeparated => {
                if let Some(Value::String(scopes)) = fields.get_mut("scope") {
                    *scopes = scopes.replace(' ', ",");
                }
            }
            _ => {}
        }
    }
}

/// The misbehaviours that wait for their requests.
#[derive(Default)]
pub(super) struct Troubles(VecDeque<Trouble>);

struct Trouble {
    endpoint: Endpoint,
    how: Misbehaviour,
    /// Requests it is still meant for. `None`: all of them.
    left: Option<u32>,
}

impl Troubles {
    /// Puts a misbehaviour behind those that were given a count, in place of one that was not.
    ///
    /// # Panics
    /// Where it cannot be sent over HTTP, or too many wait.
    pub(super) fn add(&mut self, endpoint: Endpoint, how: Misbehaviour, times: Option<u32>) {
        // Built here once for its panics: they belong to the caller, not to a request.
        drop(how.instead());
        self.0
            .retain(|trouble| trouble.endpoint != endpoint || trouble.left.is_some());
        assert!(
            self.0.len() < limits::SANDBOX_TROUBLES_MAX,
            "too many misbehaviours wait"
        );
        if times != Some(0) {
            self.0.push_back(Trouble {
                endpoint,
                how,
                left: times,
            });
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The misbehaviour that is due at an endpoint now.
    pub(super) fn take(&mut self, endpoint: Endpoint) -> Option<Misbehaviour> {
        let place = self.0.iter().position(|it| it.endpoint == endpoint)?;
        let trouble = self.0.get_mut(place)?;
        let how = trouble.how.clone();
        if let Some(left) = &mut trouble.left {
            *left -= 1;
            if *left == 0 {
                self.0.remove(place);
            }
        }
        Some(how)
    }
}

fn raw(code: u16, headers: &[(String, String)], body: &[u8]) -> Reply {
    let mut reply = Reply::empty(status(code));
    reply.headers.clear();
    for (name, text) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a test names a real header");
        reply.headers.append(name, value(text));
    }
    reply.content = Content::Raw(Bytes::copy_from_slice(body));
    reply
}

fn status(code: u16) -> StatusCode {
    assert!(code >= 200, "an answer's status is final: {code}");
    StatusCode::from_u16(code).expect("a test gives a status of three digits")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a test gives a header value that HTTP can carry")
}

fn extra_fields() -> Map<String, Value> {
    let extra = json!({
        "ok": true,
        "instance_url": "https://eu7.example.com",
        "refresh_token_expires_in": 15_811_200,
        "ratio": 0.5,
        "nothing": null,
        "team": {"id": "T1", "name": "a \"team\"", "members": [1, 2, {"deep": []}]},
        "list": ["x", 1, null],
    });
    match extra {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn form(fields: &Map<String, Value>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            Value::String(text) => form.append_pair(name, text),
            other => form.append_pair(name, &other.to_string()),
        };
    }
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_token_answers_are_reshaped() {
        let mut error = Reply::refusal(StatusCode::BAD_REQUEST, &Refusal::new("x", "y"));
        Misbehaviour::ExtraFields.reshape(&mut error);
        assert_eq!(error.bytes(), r#"{"error":"x","error_description":"y"}"#);
    }

    #[test]
    fn troubles_come_in_turn_and_the_last_one_without_a_count_stays() {
        let mut troubles = Troubles::default();
        troubles.add(Endpoint::Token, Misbehaviour::Hang, None);
        troubles.add(Endpoint::Token, Misbehaviour::Empty400, Some(1));
        troubles.add(Endpoint::Token, Misbehaviour::Html500, None);
        troubles.add(Endpoint::Api, Misbehaviour::LoseAnswer, Some(0));
        assert_eq!(troubles.take(Endpoint::Api), None);
        assert_eq!(troubles.take(Endpoint::Token), Some(Misbehaviour::Empty400));
        assert_eq!(troubles.take(Endpoint::Token), Some(Misbehaviour::Html500));
        assert_eq!(troubles.take(Endpoint::Token), Some(Misbehaviour::Html500));
        troubles.clear();
        assert_eq!(troubles.take(Endpoint::Token), None);
    }

    #[test]
    fn a_form_answer_holds_the_same_fields() {
        let fields = json!({"access_token": "a b", "expires_in": 60, "scope": "r w"});
        let mut reply = Reply::json(StatusCode::OK, fields);
        Misbehaviour::FormEncoded.reshape(&mut reply);
        assert_eq!(reply.bytes(), "access_token=a+b&expires_in=60&scope=r+w");
    }
}
