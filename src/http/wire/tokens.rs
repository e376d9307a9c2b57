//! The shapes of tokens on the wire.
//!
//! It promises: a secret leaves in the shapes named here, and in no other.
//! It never: answers with an empty body.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{json, ok, secret, text, whole_seconds};
use crate::clock::Timestamp;
use crate::connect::Offer;
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::wire::links::StartedShape;
use crate::limits;
use crate::model::beside::Beside;
use crate::model::blanks::Known;
use crate::model::token::{
    Cold, HistoryEntry, ReconnectReason, Record, RefreshError, Summary, TokenKind, TokenState,
};
use crate::model::{Account, AppId, Owner, Scopes, TenantId, TokenId, UserId};
use crate::refresh::{Landing, Revoked, Tally, TokenAsk};
use crate::secret::Secret;
use crate::vault::{Ask, Handed};

/// `POST /v1/token`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    app: AppId,
    #[serde(default, deserialize_with = "text")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text")]
    tenant: Option<TenantId>,
    #[serde(default, deserialize_with = "text")]
    account: Option<Account>,
    #[serde(default)]
    scopes: Option<Scopes>,
    #[serde(default)]
    min_ttl_s: Option<u64>,
    #[serde(default)]
    force_refresh: bool,
    #[serde(default, deserialize_with = "secret")]
    rejected: Option<Secret<String>>,
    #[serde(default)]
    with_refresh_token: bool,
    /// Goes to the audit trail.
    #[serde(default)]
    pub reason: Option<String>,
    /// Make a connect link where there is no token.
    #[serde(default)]
    pub connect: Option<ConnectWish>,
}

/// What a caller wants of a link that is made when there is no token.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectWish {
    /// Where the person is sent at the end.
    #[serde(default)]
    pub return_url: Option<String>,
    /// The origin of the page that opens the link as a pop-up.
    #[serde(default)]
    pub opener_origin: Option<String>,
    /// The way of proof.
    #[serde(default)]
    pub verify: Option<crate::model::link::Proof>,
}

impl TokenRequest {
    /// Reads it as what the flows take.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn into_ask(self) -> Result<TokenAsk> {
        let min_ttl = self
            .min_ttl_s
            .map_or(limits::MIN_TTL_DEFAULT, Duration::from_secs);
        if min_ttl > limits::MIN_TTL_MAX {
            return Err(Error::invalid("`min_ttl_s` is at most 86400"));
        }
        Ok(TokenAsk {
            ask: Ask {
                app: self.app,
                owner: Owner::new(self.tenant, self.user)?,
                account: self.account,
                scopes: self.scopes.filter(|scopes| !scopes.is_empty()),
                min_ttl,
                with_refresh_token: self.with_refresh_token,
            },
            force: self.force_refresh || self.rejected.is_some(),
            rejected: self.rejected,
        })
    }
}

#[derive(Serialize)]
struct HandedShape<'a> {
    outcome: &'static str,
    access_token: &'a str,
    token_type: &'a str,
    expires_at: Option<Timestamp>,
    scopes: &'a Scopes,
    missing_scopes: &'a Scopes,
    token_id: TokenId,
    account: &'a Option<Account>,
    subject: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a Known,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_by: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// The further fields of a key, and secrets that came along with a token.
fn secrets(beside: &Beside) -> BTreeMap<&str, &str> {
    let mut shown = BTreeMap::new();
    for (name, secret) in &beside.secrets {
        shown.insert(name.as_str(), secret.expose().as_str());
    }
    shown
}

/// The answer that hands a credential out.
pub fn handed(handed: &Handed) -> Answer {
    ok(&HandedShape {
        outcome: "ok",
        access_token: handed.value.expose(),
        token_type: &handed.token_type,
        expires_at: handed.expires_at,
        scopes: &handed.scopes,
        missing_scopes: &handed.missing_scopes,
        token_id: handed.id,
        account: &handed.account,
        subject: &handed.subject,
        label: handed.beside.label.as_deref(),
        metadata: &handed.beside.metadata,
        secrets: secrets(&handed.beside),
        reconnect_by: handed.reconnect_by,
        refresh_token: handed
            .refresh_token
            .as_ref()
            .map(|token| token.expose().as_str()),
    })
}

#[derive(Serialize)]
struct NotHandedShape<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Option<StartedShape<'a>>>,
}

const NOT_HANDED: NotHandedShape<'static> = NotHandedShape {
    outcome: "",
    reason: None,
    message: "",
    connect_id: None,
    retry_after_s: None,
    connect: None,
};

/// The answer where there is no token, or its owner must connect again.
pub fn not_handed(reason: Option<ReconnectReason>, offer: &Offer) -> Answer {
    match offer {
        Offer::Pending(id) => json(
            StatusCode::ACCEPTED,
            &NotHandedShape {
                outcome: "pending",
                message: "a person is connecting it",
                connect_id: Some(id.to_string()),
                retry_after_s: Some(2),
                ..NOT_HANDED
            },
        ),
        Offer::Declined => json(
            StatusCode::CONFLICT,
            &NotHandedShape {
                outcome: "declined",
                message: "the person declined to connect it; ask with `connect` to offer it anew",
                ..NOT_HANDED
            },
        ),
        Offer::Link(_) | Offer::Nothing => {
            let link = match offer {
                Offer::Link(started) => Some(StartedShape::of(started)),
                _ => None,
            };
            let (status, outcome, message) = match reason {
                None => (
                    StatusCode::NOT_FOUND,
                    "connect_required",
                    "nothing is connected yet",
                ),
                Some(reason) => (StatusCode::CONFLICT, "reconnect_required", in_words(reason)),
            };
            let reason = reason.map(ReconnectReason::as_str);
            let connect = Some(link);
            json(
                status,
                &NotHandedShape {
                    outcome,
                    reason,
                    message,
                    connect,
                    ..NOT_HANDED
                },
            )
        }
    }
}

/// What a reason means, for a person.
pub fn in_words(reason: ReconnectReason) -> &'static str {
    match reason {
        ReconnectReason::Revoked => "the provider says that the grant is gone; connect again",
        ReconnectReason::Expired => "the access token ended and cannot be renewed; connect again",
        ReconnectReason::InterruptedRefresh => {
            "a refresh was cut short and the provider takes the old refresh token no more; \
             connect again"
        }
        ReconnectReason::ScopeMissing => {
            "what is connected lacks scopes that are asked for; connect with these"
        }
        ReconnectReason::KeyRejected => "the service refused the key; enter another",
    }
}

/// The answer where the provider does not answer and nothing valid is left.
pub fn unavailable(retry_after: Duration, message: &str) -> Answer {
    let seconds = whole_seconds(retry_after);
    let mut answer = json(
        StatusCode::SERVICE_UNAVAILABLE,
        &NotHandedShape {
            outcome: "unavailable",
            message,
            retry_after_s: Some(seconds),
            ..NOT_HANDED
        },
    );
    answer
        .headers_mut()
        .insert(http::header::RETRY_AFTER, http::HeaderValue::from(seconds));
    answer
}

/// The answer where the caller may not be handed this. The same for what exists and what does not.
pub fn denied() -> Answer {
    let shape = NotHandedShape {
        outcome: "denied",
        message: "this access key may not be handed this",
        ..NOT_HANDED
    };
    json(StatusCode::FORBIDDEN, &shape)
}

/// A token without its secrets.
#[derive(Serialize)]
pub struct SummaryShape<'a> {
    id: TokenId,
    app: &'a AppId,
    user: &'a Option<UserId>,
    tenant: &'a Option<TenantId>,
    account: &'a Option<Account>,
    scopes: &'a Scopes,
    requested_scopes: &'a Scopes,
    kind: TokenKind,
    r#type: &'a str,
    subject: &'a Option<String>,
    expires_at: Option<Timestamp>,
    has_refresh_token: bool,
    last_refreshed_at: Option<Timestamp>,
    last_refresh_error: &'a Option<RefreshError>,
    state: &'static str,
    reason: Option<&'static str>,
    created_at: Timestamp,
    granted_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a Known,
    /// Asked for and not granted.
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    missing_scopes: Scopes,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_ends_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switched_from: Option<&'a str>,
}

impl<'a> SummaryShape<'a> {
    /// The shape of a summary.
    pub fn of(token: &'a Summary) -> Self {
        let (state, reason) = match token.state {
            TokenState::Active => ("active", None),
            TokenState::ReconnectRequired(reason) => ("reconnect_required", Some(reason.as_str())),
        };
        Self {
            id: token.id,
            app: &token.app,
            user: &token.user,
            tenant: &token.tenant,
            account: &token.account,
            scopes: &token.scopes,
            requested_scopes: &token.requested_scopes,
            kind: token.kind,
            r#type: &token.token_type,
            subject: &token.subject,
            expires_at: token.expires_at,
            has_refresh_token: token.has_refresh_token,
            last_refreshed_at: token.last_refreshed_at,
            last_refresh_error: &token.last_refresh_error,
            state,
            reason,
            created_at: token.created_at,
            granted_by: &token.granted_by,
            label: token.label.as_deref(),
            metadata: &token.metadata,
            missing_scopes: token.missing_scopes(),
            refresh_token_ends_at: token.refresh_token_ends_at,
            switched_from: token.switched_from.as_deref(),
        }
    }
}

/// The answer to a refresh by hand.
pub fn refreshed(landing: &Landing, token: &Summary) -> Result<Answer> {
    let (outcome, message, retry_after_s) = match landing {
        Landing::Renewed | Landing::Unstored => ("ok", None, None),
        Landing::Dead(reason) => (
            "reconnect_required",
            Some(in_words(*reason).to_owned()),
            None,
        ),
        Landing::Hopeless => {
            let why = "there is no refresh token, or its owner must connect again";
            ("reconnect_required", Some(why.to_owned()), None)
        }
        Landing::Later(wait, why) => ("unavailable", Some(why.clone()), Some(whole_seconds(*wait))),
        Landing::Failed(error) => return Err(error.clone()),
    };
    Ok(ok(&serde_json::json!({
        "outcome": outcome,
        "token": SummaryShape::of(token),
        "message": message,
        "retry_after_s": retry_after_s,
    })))
}

#[derive(Serialize)]
struct RevealedShape<'a> {
    id: TokenId,
    kind: TokenKind,
    access_token: Option<&'a str>,
    token_type: &'a str,
    refresh_token: Option<&'a str>,
    id_token: Option<&'a str>,
    expires_at: Option<Timestamp>,
    scopes: &'a Scopes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<&'a str, &'a str>,
    history: &'a [HistoryEntry],
}

/// The answer that shows a token in plain text.
pub fn revealed(record: &Record, cold: &Cold) -> Answer {
    ok(&RevealedShape {
        id: record.id,
        kind: record.kind,
        access_token: record.value.as_ref().map(|value| value.expose().as_str()),
        token_type: &record.token_type,
        refresh_token: cold
            .refresh_token
            .as_ref()
            .map(|token| token.expose().as_str()),
        id_token: cold.id_token.as_ref().map(|token| token.expose().as_str()),
        expires_at: record.expires_at,
        scopes: &record.granted,
        secrets: secrets(&record.beside),
        history: &cold.history,
    })
}

/// The answer to the removal of one token.
pub fn removed(outcome: &Revoked) -> Answer {
    let message = match outcome {
        Revoked::Failed(why) => Some(why),
        _ => None,
    };
    ok(&serde_json::json!({
        "deleted": true,
        "revocation": { "result": outcome.as_str(), "message": message },
    }))
}

/// How several revocations went.
pub fn revocations(tally: &Tally) -> serde_json::Value {
    serde_json::json!({
        "revoked": tally.revoked,
        "not_supported": tally.not_supported,
        "failed": tally.failed,
        "nothing_to_revoke": tally.nothing,
    })
}
