//! The shapes of connect links on the wire.
//!
//! It promises: a link's URL leaves once, in the answer to whoever made it.
//! It never: shows a hash, a state or a cookie.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{secret, text};
use crate::clock::Timestamp;
use crate::connect::{Started, Wish, WishedApp};
use crate::error::{Error, Result};
use crate::model::blanks::Known;
use crate::model::link::{Hints, Link, LinkAppState, LinkEnd, LinkStatus, Proof};
use crate::model::url::WebUrl;
use crate::model::{Account, AppId, LinkId, Owner, Scopes, TenantId, TokenId, UserId};
use crate::secret::Secret;

/// `POST /v1/connect`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    apps: Vec<WishedAppShape>,
    #[serde(default, deserialize_with = "text")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text")]
    tenant: Option<TenantId>,
    #[serde(default)]
    return_url: Option<String>,
    #[serde(default)]
    opener_origin: Option<String>,
    #[serde(default)]
    verify: Option<Proof>,
    #[serde(default)]
    expires_in_s: Option<u64>,
    /// Shown on the page, and in the audit trail.
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WishedAppShape {
    app: AppId,
    #[serde(default)]
    scopes: Option<Scopes>,
    #[serde(default, deserialize_with = "text")]
    account: Option<Account>,
    #[serde(default)]
    variables: Known,
}

impl StartRequest {
    /// Reads it as what the flow takes.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn into_wish(self) -> Result<Wish> {
        let apps = self.apps.into_iter().map(|app| WishedApp {
            app: app.app,
            scopes: app.scopes.filter(|scopes| !scopes.is_empty()),
            account: app.account,
            hints: Hints::default(),
            variables: app.variables,
        });
        Ok(Wish {
            apps: apps.collect(),
            owner: Owner::new(self.tenant, self.user)?,
            return_url: return_url(self.return_url)?,
            opener_origin: self.opener_origin.filter(|origin| !origin.is_empty()),
            proof: self.verify,
            browser: false,
            life: self.expires_in_s.map(Duration::from_secs),
        })
    }
}

/// Reads a return URL; empty counts as absent.
///
/// # Errors
/// [`Error::Invalid`].
pub fn return_url(text: Option<String>) -> Result<Option<WebUrl>> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| WebUrl::parse("return_url", &text))
        .transpose()
}

/// A link that was made.
#[derive(Serialize)]
pub struct StartedShape<'a> {
    id: LinkId,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    expires_at: Timestamp,
}

impl<'a> StartedShape<'a> {
    /// The shape of a link that was made, with its URL.
    pub fn of(started: &'a Started) -> Self {
        Self {
            id: started.id,
            url: started.url.expose(),
            code: started.code.as_ref().map(|code| code.expose().as_str()),
            expires_at: started.expires_at,
        }
    }
}

/// `POST /v1/connect/{id}/vouch`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VouchRequest {
    #[serde(deserialize_with = "secret")]
    ticket: Option<Secret<String>>,
    #[serde(default, deserialize_with = "text")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text")]
    tenant: Option<TenantId>,
}

impl VouchRequest {
    /// The ticket and who is signed in.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn into_parts(self) -> Result<(Secret<String>, Owner)> {
        let ticket = self
            .ticket
            .ok_or_else(|| Error::invalid("`ticket` is missing"))?;
        Ok((ticket, Owner::new(self.tenant, self.user)?))
    }
}

/// Where a link stands.
#[derive(Serialize)]
pub struct LinkShape<'a> {
    id: LinkId,
    status: &'static str,
    user: Option<&'a UserId>,
    tenant: Option<&'a TenantId>,
    expires_at: Timestamp,
    apps: Vec<LinkAppShape<'a>>,
    /// Where to send the browser of the person who was vouched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    return_to: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct LinkAppShape<'a> {
    app: Option<&'a AppId>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<TokenId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scopes: Option<&'a Scopes>,
    /// What people know the account by.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    /// Whose account was connected before, where it was another.
    #[serde(skip_serializing_if = "Option::is_none")]
    switched_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl<'a> LinkShape<'a> {
    /// The shape, with where a vouched person's browser goes.
    #[must_use]
    pub fn returning(self, place: Option<&'a Secret<String>>) -> Self {
        let return_to = place.map(|place| place.expose().as_str());
        Self { return_to, ..self }
    }

    /// The shape of a link at `now`.
    pub fn of(link: &'a Link, now: Timestamp) -> Self {
        let apps = link.apps.iter().map(|entry| {
            let shape = LinkAppShape {
                app: Some(&entry.app),
                state: state_word(&entry.state),
                ..LinkAppShape::default()
            };
            match &entry.state {
                LinkAppState::Waiting | LinkAppState::Declined => shape,
                LinkAppState::Connected {
                    token_id,
                    missing_scopes,
                    label,
                    switched_from,
                    last_four: _,
                } => LinkAppShape {
                    token_id: Some(*token_id),
                    missing_scopes: Some(missing_scopes),
                    label: label.as_deref(),
                    switched_from: switched_from.as_deref(),
                    ..shape
                },
                LinkAppState::Failed { code, message } => LinkAppShape {
                    code: Some(code),
                    message: Some(message),
                    ..shape
                },
            }
        });
        Self {
            id: link.id,
            status: status_word(link.status(now)),
            user: link.owner.user(),
            tenant: link.owner.tenant(),
            expires_at: link.expires_at,
            apps: apps.collect(),
            return_to: None,
        }
    }
}

/// The word for how far one app of a link has come.
pub fn state_word(state: &LinkAppState) -> &'static str {
    match state {
        LinkAppState::Waiting => "waiting",
        LinkAppState::Connected { .. } => "connected",
        LinkAppState::Declined => "declined",
        LinkAppState::Failed { .. } => "failed",
    }
}

/// The word for where a link stands.
pub fn status_word(status: LinkStatus) -> &'static str {
    match status {
        LinkStatus::Issued => "issued",
        LinkStatus::Visited => "visited",
        LinkStatus::Finished => "finished",
        LinkStatus::Expired => "expired",
        LinkStatus::Dead(LinkEnd::Withdrawn) => "withdrawn",
        LinkStatus::Dead(LinkEnd::WrongPerson) => "wrong_person",
        LinkStatus::Dead(LinkEnd::TooManyCodes) => "too_many_codes",
        LinkStatus::Dead(LinkEnd::Replaced) => "replaced",
        LinkStatus::Dead(LinkEnd::Cancelled) => "cancelled",
    }
}
