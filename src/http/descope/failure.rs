//! What Descope's clients are told when something does not work: the one match from our errors.
//!
//! ```text
//! {"errorCode": "E…" or "S…", "errorDescription": what kind, "errorMessage": what exactly}
//! ```
//! A code that begins with `E` is Descope's own, for what its clients look at. One that begins with
//! `S` is ours, for what it has no code of: an `S`, and the status in the last three digits.
//!
//! It promises: every error of the crate has a status, a code and a text here, by an exhaustive
//! match; a code is never empty; who has to wait is told so by 429 and whole seconds.
//! It never: answers 503, upon which such clients keep their callers waiting for ten seconds, or
//! quotes what a request said.

use std::time::Duration;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;

use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::guard::Refusal;
use crate::http::wire;
use crate::limits;
use crate::model::token::ReconnectReason;
use crate::refresh::Outcome;

/// Status, code and kind of a failure.
type Kind = (StatusCode, &'static str, &'static str);

const BAD_REQUEST: Kind = (StatusCode::BAD_REQUEST, "E011001", "Bad request");
const MISSING: Kind = (StatusCode::BAD_REQUEST, "E011002", "Missing arguments");
const INVALID: Kind = (StatusCode::BAD_REQUEST, "E011003", "Invalid request");
const ARGUMENT: Kind = (StatusCode::BAD_REQUEST, "E011004", "Invalid argument");
const NOT_STORED: Kind = (StatusCode::BAD_REQUEST, "E151001", "Application not stored");
const UNAUTHENTICATED: Kind = (StatusCode::UNAUTHORIZED, "S000401", "Not authenticated");
const DENIED: Kind = (StatusCode::FORBIDDEN, "S000403", "Not allowed");
const NO_TOKEN: Kind = (StatusCode::NOT_FOUND, "E152102", "Token not found");
const NOT_FOUND: Kind = (StatusCode::NOT_FOUND, "S000404", "Not found");
const NO_METHOD: Kind = (
    StatusCode::METHOD_NOT_ALLOWED,
    "S000405",
    "Method not allowed",
);
const TOO_LARGE: Kind = (StatusCode::PAYLOAD_TOO_LARGE, "S000413", "Too large");
const LATER: Kind = (
    StatusCode::TOO_MANY_REQUESTS,
    "E130429",
    "Too many requests",
);
const INTERNAL: Kind = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "S000500",
    "Internal error",
);
const PROVIDER: Kind = (StatusCode::BAD_GATEWAY, "S000502", "Provider trouble");
const TOO_SLOW: Kind = (StatusCode::GATEWAY_TIMEOUT, "S000504", "Took too long");

/// The code of an item of a batch that is at fault.
pub const BAD_ITEM: &str = "E152110";

/// Names of fields in messages of ours, and what these clients call them.
const NAMES: [(&str, &str); 19] = [
    ("`access_token`", "`accessToken`"),
    ("`api_key`", "`apiKey`"),
    ("`app`", "`appId`"),
    ("`authorization_params`", "`authorizationUrlParams`"),
    ("`authorization_url`", "`authorizationUrl`"),
    ("`client_id`", "`clientId`"),
    ("`client_secret`", "`clientSecret`"),
    ("`granted_by`", "`grantedBy`"),
    ("`issuer`", "`discoveryUrl`"),
    ("`login_hint`", "`loginHint`"),
    ("`refresh_token`", "`refreshToken`"),
    ("`return_url`", "`redirectUrl`"),
    ("`return_urls`", "return URLs"),
    ("`tenant`", "`tenantId`"),
    ("`token_params`", "`tokenUrlParams`"),
    ("`token_type`", "`accessTokenType`"),
    ("`token_url`", "`tokenUrl`"),
    ("`user`", "`userId`"),
    ("`verify_refresh`", "`verifyRefresh`"),
];

/// Shorthand for results of this room.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why there is no answer, as it is told.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    retry_after: Option<Duration>,
    allowed: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    error_code: &'a str,
    error_description: &'a str,
    error_message: &'a str,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            allowed: None,
        }
    }

    /// A field that must be there is not.
    pub fn missing(field: &str) -> Self {
        Self::new(MISSING, format!("`{field}` is missing"))
    }

    /// A field says what cannot be honoured.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ARGUMENT, message)
    }

    /// The key of the caller names no way to prove who opens a link.
    pub fn no_proof() -> Self {
        let what = "this access key has no `connect_verify` for this, so that nobody could tell \
                    who opens its connect links: make one with `--connect-verify`; `page` is for \
                    people who ask from their own browser, by a JWT";
        Self::new(DENIED, what)
    }

    /// A body that cannot be read.
    pub fn unreadable(error: &Error) -> Self {
        Self::new(BAD_REQUEST, error.to_string())
    }

    /// An app could not be stored.
    pub fn of_app(error: Error) -> Self {
        match error {
            Error::Conflict(what) => Self::new(NOT_STORED, in_their_words(&what)),
            other => Self::from(other),
        }
    }

    /// No token was handed out.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok(_) => Self::new(INTERNAL, "a token was there and was not handed out"),
            Outcome::Missing => Self::new(NO_TOKEN, "nothing is connected yet"),
            Outcome::Reconnect(reason) => {
                // A scope that is missing is a token that is not there, to these clients.
                let state = match reason {
                    ReconnectReason::ScopeMissing => "scopes do not match",
                    _ => "reconnect required",
                };
                let words = wire::tokens::in_words(*reason);
                Self::new(NO_TOKEN, format!("{state}: {words}"))
            }
            Outcome::Unavailable {
                retry_after,
                message,
                at_provider,
            } => Self {
                retry_after: Some(*retry_after),
                ..Self::new(if *at_provider { PROVIDER } else { LATER }, message)
            },
        }
    }

    /// A handler that failed in its own code.
    pub fn internal() -> Self {
        Self::new(
            INTERNAL,
            "the server failed at this request; its log has the place",
        )
    }

    /// A request that was given up.
    pub fn too_slow() -> Self {
        let what = "the request took too long and was given up; read before you repeat a change";
        Self::new(TOO_SLOW, what)
    }

    /// A request that a browser says another site made, or for another host.
    pub fn not_let_in(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::ForeignOrigin => DENIED,
            Refusal::BadHost | Refusal::ForeignHost => BAD_REQUEST,
        };
        Self::new(kind, refusal.words().0)
    }

    /// The path is there, the method is not.
    pub fn wrong_method(allowed: &[&'static Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
        let list = names.join(", ");
        Self {
            allowed: Some(list.clone()),
            ..Self::new(NO_METHOD, format!("this path takes {list}"))
        }
    }

    /// There is no such path here.
    pub fn unknown_route() -> Self {
        let what = "there is no such route here: of Descope's API, Strongroom has what concerns \
                    connections (outbound apps)";
        Self::new(NOT_FOUND, what)
    }

    /// What exactly is wrong.
    pub fn into_message(self) -> String {
        self.message
    }

    /// The whole answer.
    pub fn answer(self) -> Answer {
        let (status, code, description) = self.kind;
        let shape = Shape {
            error_code: code,
            error_description: description,
            error_message: &self.message,
        };
        let mut answer = wire::json(status, &shape);
        let headers = answer.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, wire::whole_seconds(wait).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"strongroom\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(Ok(allowed)) = self.allowed.as_deref().map(HeaderValue::from_str) {
            headers.insert(ALLOW, allowed);
        }
        answer
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Invalid(_) | Error::Conflict(_) => INVALID,
            Error::Unauthenticated | Error::UnlockFailed => UNAUTHENTICATED,
            Error::Denied => DENIED,
            Error::NotFound("token") => NO_TOKEN,
            Error::NotFound(_) => NOT_FOUND,
            Error::TooLarge(_) => TOO_LARGE,
            // A destination that may not be reached, or credentials that a provider will not have:
            // asking again mends neither.
            Error::Forbidden(_) | Error::ProviderRefused { .. } => ARGUMENT,
            Error::ProviderUnavailable { .. } | Error::IssuerUnavailable { .. } => PROVIDER,
            Error::Busy(_)
            | Error::Locked
            | Error::Checking { .. }
            | Error::AuditUnavailable(_)
            | Error::ShuttingDown => LATER,
            Error::InUse
            | Error::AlreadyUnlocked
            | Error::AlreadyThere
            | Error::RolledBack(_)
            | Error::Storage(_)
            | Error::OutcomeUnknown(_)
            | Error::Damaged(_)
            | Error::TooNew(_)
            | Error::Settings(_) => INTERNAL,
        };
        let wait = wire::wait_of(&error);
        Self {
            retry_after: wait.or((kind == LATER).then_some(limits::BACKOFF_FIRST)),
            ..Self::new(kind, in_their_words(&wire::message_of(&error)))
        }
    }
}

/// A message of ours, with the fields in it by the names that these clients know.
pub fn in_their_words(message: &str) -> String {
    let mut message = message.to_owned();
    for (ours, theirs) in NAMES {
        message = message.replace(ours, theirs);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<Error> {
        let what = || "what".to_owned();
        let wait = Duration::from_millis(2500);
        let refused = Error::ProviderRefused {
            code: what(),
            description: String::new(),
        };
        let unavailable = Error::ProviderUnavailable {
            what: what(),
            retry_after: Some(wait),
        };
        let checking = Error::Checking {
            percent: 1,
            retry_after: wait,
        };
        vec![
            Error::Invalid(what()),
            Error::Unauthenticated,
            Error::Denied,
            Error::NotFound("token"),
            Error::NotFound("app"),
            Error::Conflict(what()),
            Error::InUse,
            Error::Locked,
            checking,
            Error::AlreadyUnlocked,
            Error::AlreadyThere,
            Error::UnlockFailed,
            Error::Busy(wait),
            Error::TooLarge(what()),
            Error::Damaged(what()),
            Error::RolledBack(what()),
            Error::TooNew(what()),
            Error::Storage(what()),
            Error::OutcomeUnknown(what()),
            Error::AuditUnavailable(what()),
            refused,
            unavailable,
            Error::IssuerUnavailable { retry_after: wait },
            Error::Forbidden(what()),
            Error::Settings(what()),
            Error::ShuttingDown,
        ]
    }

    /// Goal: no error makes a client keep its caller waiting by itself, and each has a code that
    /// fits its status. Method: all of them.
    #[test]
    fn every_error_has_a_code_and_a_status_that_no_client_retries_by_itself() {
        for error in every_error() {
            let failure = Failure::from(error.clone());
            let (status, code, description) = failure.kind;
            assert!(!failure.message.is_empty() && !description.is_empty());
            assert!(!matches!(status.as_u16(), 503 | 520..), "{error:?}");
            if let Some(digits) = code.strip_prefix("S000") {
                assert_eq!(digits, status.as_str(), "{error:?}");
            }
            let answer = failure.answer();
            let wait = answer.headers().get(RETRY_AFTER);
            let seconds = wait.map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap());
            assert!(seconds.is_some() || status != 429, "{error:?}");
        }
        let busy = Failure::from(Error::Busy(Duration::from_millis(2500))).answer();
        assert_eq!(busy.headers()[RETRY_AFTER], "3");
    }

    #[test]
    fn fields_are_named_as_the_clients_know_them() {
        let ours = "give `user`, `tenant`, or both; `client_id` of `the_app` is missing";
        let theirs = "give `userId`, `tenantId`, or both; `clientId` of `the_app` is missing";
        assert_eq!(in_their_words(ours), theirs);
    }
}
