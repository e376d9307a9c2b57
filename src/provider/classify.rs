//! What a provider's refusal means: one table, from status, code and text to a [`FailureKind`].
//! Pure.
//!
//! It promises: a grant is called dead only for `invalid_grant` and the codes listed here, each
//! with the place it was seen, and never by a server in trouble (429, 5xx); text of a provider is
//! filtered before anybody sees it, for it has been seen to hold tokens and SQL.
//! It never: decides what becomes of a token (that is `refresh`).

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::limits;

/// What the caller can do about a failed call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// The provider says that the code, token or grant is dead: only its owner can mend it.
    Refused,
    /// The provider refuses the client or the request: the operator's to mend. Kills no token.
    ClientRefused,
    /// The provider wants other scopes, consent, or the person present.
    ScopeRefused,
    /// The provider is in trouble or busy, and did not process the request.
    Transient {
        /// How long it asked us to wait, at most [`limits::RETRY_AFTER_MAX`].
        retry_after: Option<Duration>,
    },
    /// The request certainly never reached the provider.
    NotSent,
    /// The request may have been processed, but its answer is lost or cannot be read.
    AnswerLost,
}

/// A failed call to a provider, without secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// The provider's code, filtered, or ours: at most [`limits::PROVIDER_CODE_CHARS_MAX`] long.
    pub code: String,
    /// The provider's description, filtered and cut, or ours; may be empty.
    pub description: String,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
}

impl Failure {
    /// A failure that we, not the provider, put into words.
    pub fn ours(kind: FailureKind, code: &str, description: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            description: description.into(),
            status: None,
        }
    }

    /// The same failure, of an answer with this status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }
}

/// The code of a destination that the rules of the way out refuse.
pub const FORBIDDEN: &str = "destination_forbidden";

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let Failure {
            kind,
            code,
            description,
            ..
        } = failure;
        let retry_after = match kind {
            FailureKind::NotSent if code == FORBIDDEN => return Self::Forbidden(description),
            FailureKind::Refused | FailureKind::ClientRefused | FailureKind::ScopeRefused => {
                return Self::ProviderRefused { code, description };
            }
            FailureKind::Transient { retry_after } => retry_after,
            FailureKind::NotSent | FailureKind::AnswerLost => None,
        };
        let what = if description.is_empty() {
            code
        } else {
            format!("{code}: {description}")
        };
        Self::ProviderUnavailable { what, retry_after }
    }
}

/// What an answer that is no grant says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusal<'a> {
    /// The error code, as it came; empty where there is none.
    pub code: &'a str,
    /// The description, as it came; empty where there is none.
    pub description: &'a str,
    /// The `Retry-After` field, read.
    pub retry_after: Option<Duration>,
}

/// Makes a failure of an answer that is no grant.
pub fn refusal(status: u16, refusal: Refusal<'_>) -> Failure {
    let code = match refusal.code {
        // A token endpoint that redirects is mis-set, or is not the token endpoint: following it
        // would hand the secret to whoever is named there (RFC 9700 4.12).
        _ if (300..400).contains(&status) => String::from("redirect_refused"),
        "" => format!("http_{status}"),
        code => filter_code(code),
    };
    Failure {
        kind: kind_of(status, &refusal),
        code,
        description: filter_text(refusal.description),
        status: Some(status),
    }
}

fn kind_of(status: u16, refusal: &Refusal<'_>) -> FailureKind {
    let transient = FailureKind::Transient {
        retry_after: refusal.retry_after,
    };
    match status {
        300..400 => return FailureKind::ClientRefused,
        408 | 425 | 429 => return transient,
        // A gateway that had sent the request on and got no answer, or half of one: the server
        // behind it may have rotated the token.
        502 | 504 | 520 | 524 if refusal.code.is_empty() => return FailureKind::AnswerLost,
        500.. => return transient,
        _ => {}
    }
    match meaning(refusal) {
        Some(Meaning::Dead) => FailureKind::Refused,
        Some(Meaning::Scope) => FailureKind::ScopeRefused,
        Some(Meaning::Later) => transient,
        // An unknown code, or none at all (401, 403, 404 of a firewall or a mistyped URL), kills
        // nothing: whoever looks at the code decides.
        Some(Meaning::Client) | None => FailureKind::ClientRefused,
    }
}

#[derive(Clone, Copy)]
enum Meaning {
    Dead,
    Client,
    Scope,
    Later,
}

fn meaning(refusal: &Refusal<'_>) -> Option<Meaning> {
    let code = refusal.code.to_ascii_lowercase();
    let description = refusal.description.to_ascii_lowercase();
    let by_description = BY_DESCRIPTION
        .iter()
        .find(|(listed, text, _)| *listed == code && description.contains(text))
        .map(|(_, _, meaning)| *meaning);
    let by_code = CODES.iter().find(|(listed, _)| *listed == code);
    by_description.or(by_code.map(|(_, meaning)| *meaning))
}

/// Codes by meaning, in lower case, each with who says so.
const CODES: &[(&str, Meaning)] = &[
    ("invalid_grant", Meaning::Dead),                  // RFC 6749 5.2
    ("invalid_token", Meaning::Dead), // RFC 6750 3.1; Cloud Foundry UAA, of refresh tokens
    ("bad_refresh_token", Meaning::Dead), // GitHub Apps; HubSpot (airbytehq/airbyte#79592)
    ("bad_verification_code", Meaning::Dead), // GitHub, of a code
    ("bad_auth_code", Meaning::Dead), // HubSpot, of a code
    ("invalid_refresh_token", Meaning::Dead), // Slack oauth.v2.access
    ("refresh_token_expired", Meaning::Dead), // says it by name
    ("refresh_token_revoked", Meaning::Dead), // says it by name
    ("token_revoked", Meaning::Dead), // Slack
    ("token_expired", Meaning::Dead), // Slack; here of the refresh token, the one token we sent
    ("account_inactive", Meaning::Dead), // Slack: the user or workspace is deleted
    ("invalid_code", Meaning::Dead),  // Zoho, of codes and refresh tokens; Slack
    ("code_already_used", Meaning::Dead), // says it by name
    ("code_expired", Meaning::Dead),  // says it by name
    ("refreshtoken_invalid", Meaning::Dead), // Strava (dreeveapp/dreeve#1449), joined by `answer`
    ("authorizationcode_invalid", Meaning::Dead), // Strava (yihong0618/running_page#523)
    ("invalid_client", Meaning::Client), // RFC 6749 5.2
    ("unauthorized_client", Meaning::Client), // RFC 6749 5.2
    ("unsupported_grant_type", Meaning::Client), // RFC 6749 5.2
    ("invalid_request", Meaning::Client), // RFC 6749 5.2
    ("unsupported_token_type", Meaning::Client), // RFC 7009 2.2.1
    ("invalid_target", Meaning::Client), // RFC 8707 2
    ("use_dpop_nonce", Meaning::Client), // RFC 9449 8
    ("invalid_dpop_proof", Meaning::Client), // RFC 9449 5
    ("incorrect_client_credentials", Meaning::Client), // GitHub
    ("redirect_uri_mismatch", Meaning::Client), // GitHub, Google
    ("bad_client_secret", Meaning::Client), // Slack
    ("invalid_client_id", Meaning::Client), // Slack, Salesforce
    ("bad_redirect_uri", Meaning::Client), // Slack
    ("invalid_grant_type", Meaning::Client), // Slack
    ("invalid_client_secret", Meaning::Client), // Zoho
    ("access_denied", Meaning::Client), // Auth0, of a wrong secret
    ("deleted_client", Meaning::Client), // Google
    ("invalid_scope", Meaning::Scope), // RFC 6749 5.2
    ("insufficient_scope", Meaning::Scope), // RFC 6750 3.1
    ("interaction_required", Meaning::Scope), // OIDC Core 3.1.2.6; Entra
    ("login_required", Meaning::Scope), // OIDC Core 3.1.2.6
    ("consent_required", Meaning::Scope), // OIDC Core 3.1.2.6
    ("account_selection_required", Meaning::Scope), // OIDC Core 3.1.2.6
    ("mfa_required", Meaning::Scope), // Auth0
    ("missing_scope", Meaning::Scope), // Slack
    ("admin_policy_enforced", Meaning::Scope), // Google Workspace
    ("temporarily_unavailable", Meaning::Later), // RFC 6749 4.1.2.1
    ("server_error", Meaning::Later), // RFC 6749 4.1.2.1
    ("slow_down", Meaning::Later),    // RFC 8628 3.5
    ("authorization_pending", Meaning::Later), // RFC 8628 3.5
    ("rate_limit_exceeded", Meaning::Later), // Google, Salesforce
    ("rate_limited", Meaning::Later), // says it by name
    ("ratelimited", Meaning::Later),  // Slack
    ("too_many_requests", Meaning::Later), // Auth0
    ("too_many_attempts", Meaning::Later), // Auth0
    ("request_timeout", Meaning::Later), // Slack
    ("service_unavailable", Meaning::Later), // Slack
    ("team_added_to_org", Meaning::Later), // Slack, while a workspace moves
    ("fatal_error", Meaning::Later),  // Slack
    ("internal_error", Meaning::Later), // Slack
    ("internal_server_error", Meaning::Later), // says it by name
    ("internal_failure", Meaning::Later), // Google
    ("backend_error", Meaning::Later), // Google
];

/// Common codes that some providers use for something else, told apart by their text: code and
/// text in lower case.
const BY_DESCRIPTION: &[(&str, &str, Meaning)] = &[
    // Atlassian: raycast/extensions#11836, ParabolInc/parabol#11849.
    (
        "unauthorized_client",
        "refresh_token is invalid",
        Meaning::Dead,
    ),
    // X: plhery/node-twitter-api-v2#496.
    (
        "invalid_request",
        "value passed for the token was invalid",
        Meaning::Dead,
    ),
    (
        "invalid_request",
        "value passed for the authorization code was invalid",
        Meaning::Dead,
    ),
    // Zoho, with status 400, after too many refreshes in ten minutes.
    (
        "access denied",
        "you have made too many requests continuously",
        Meaning::Later,
    ),
];

/// Reads `Retry-After` fields, one a line: seconds, or a date. Of several the longest counts, since
/// a proxy may have added its own. At most [`limits::RETRY_AFTER_MAX`]; `None` for what is neither,
/// negative or past.
pub fn read_retry_after(fields: &str, now: Timestamp) -> Option<Duration> {
    fields
        .lines()
        .filter_map(|field| read_wait(field, now))
        .max()
}

fn read_wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        since_epoch.checked_sub(Duration::from_millis(now.unix_ms()))?
    };
    (!wait.is_zero()).then(|| wait.min(limits::RETRY_AFTER_MAX))
}

/// Makes a provider's error code safe to keep and show.
pub fn filter_code(code: &str) -> String {
    let listed = code.to_ascii_lowercase();
    if CODES.iter().any(|(known, _)| *known == listed) {
        return listed;
    }
    // Codes are words; what is neither words nor short may be a token in the wrong field.
    let is_short = code.len() < limits::PROVIDER_TEXT_RUN_CHARS;
    let is_word = |part: &str| {
        part.len() < limits::PROVIDER_TEXT_RUN_CHARS
            && (is_short || part.bytes().all(|byte| byte.is_ascii_alphabetic()))
    };
    if !code.split(['_', '-', '.', ' ']).all(is_word) {
        return String::from("unlisted_code");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    code.chars()
        .take(limits::PROVIDER_CODE_CHARS_MAX)
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

/// Makes a provider's text safe to keep and show: plain characters, no run that may be a token,
/// not long.
pub fn filter_text(text: &str) -> String {
    // What separates words in a sentence cannot be part of a token; all else may be.
    let separates = |c: char| c.is_whitespace() || ",;'\"()<>[]{}".contains(c);
    let mut kept = String::new();
    for word in text.split_inclusive(separates) {
        let run = word.trim_end_matches(separates);
        if run.chars().count() < limits::PROVIDER_TEXT_RUN_CHARS {
            kept.push_str(word);
        } else {
            kept.push(' ');
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || ".,:;'()/_-".contains(c);
    let spaced: String = kept
        .chars()
        .map(|c| if plain(c) { c } else { ' ' })
        .collect();
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .chars()
        .take(limits::PROVIDER_TEXT_CHARS_MAX)
        .collect()
}
