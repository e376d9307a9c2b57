//! The shapes of apps on the wire.
//!
//! It promises: a client secret goes in and never comes out.
//! It never: fills in what a request left out but by a stated default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::remote::RemoteShape;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::app::{App, AppKind, Callback, ClientAuth, Endpoints, OAuth};
use crate::model::remote::{Registration, ResourceChoice};
use crate::model::url::WebUrl;
use crate::model::{AppId, Scopes};
use crate::secret::Secret;
use crate::vault::{SecretChange, ShownApp};

/// The two kinds, as a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub enum Kind {
    /// OAuth.
    #[serde(rename = "oauth")]
    OAuth,
    /// API key.
    #[serde(rename = "api_key")]
    ApiKey,
}

/// `POST /v1/apps` and `PUT /v1/apps/{app}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRequest {
    #[serde(default)]
    id: Option<AppId>,
    #[serde(default)]
    pub(super) name: Option<String>,
    /// That of its template unless said.
    #[serde(default)]
    pub(super) kind: Option<Kind>,
    #[serde(default)]
    pub(super) template: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    /// Absent: keep; empty: none; else: this one.
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    pub(super) issuer: Option<String>,
    #[serde(default)]
    pub(super) authorization_url: Option<String>,
    #[serde(default)]
    pub(super) token_url: Option<String>,
    #[serde(default)]
    pub(super) revocation_url: Option<String>,
    #[serde(default)]
    pub(super) scopes: Option<Scopes>,
    #[serde(default)]
    pub(super) scope_separator: Option<String>,
    #[serde(default)]
    pub(super) authorization_params: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) token_params: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pkce: Option<bool>,
    #[serde(default)]
    pub(super) client_auth: Option<ClientAuth>,
    #[serde(default)]
    callback: Option<Callback>,
    #[serde(default)]
    pub(super) default_lifetime_s: Option<u64>,
    /// The MCP server it is of: all else is found out.
    #[serde(default)]
    server_url: Option<String>,
    #[serde(default)]
    registration: Option<Registration>,
    /// A URL; `omit` or empty: left out.
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    return_urls: Option<Vec<String>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    logo: Option<String>,
}

impl AppRequest {
    /// Reads it as an app, of the id in the path where there is one, and what becomes of its
    /// secret.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn into_app(
        mut self,
        in_path: Option<AppId>,
        now: Timestamp,
    ) -> Result<(App, SecretChange)> {
        let id = match (in_path, self.id.take()) {
            (Some(path), Some(body)) if path != body => {
                return Err(Error::invalid("`id` is not the one in the path"));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Err(Error::invalid("`id` is missing")),
        };
        let secret = match self.client_secret.take().map(Secret::new) {
            None => SecretChange::Keep,
            Some(secret) if secret.expose().is_empty() => SecretChange::Remove,
            Some(secret) => SecretChange::Set(secret),
        };
        let return_urls = self.return_urls.take().unwrap_or_default();
        let app = App {
            name: self.name.take().unwrap_or_else(|| id.to_string()),
            id,
            description: self.description.take().unwrap_or_default(),
            logo: url("logo", self.logo.take())?,
            template: self.template.take(),
            return_urls: return_urls
                .iter()
                .map(|url| WebUrl::parse("return_urls", url))
                .collect::<Result<_>>()?,
            kind: self.into_kind(&secret)?,
            created_at: now,
            updated_at: now,
        };
        Ok((app, secret))
    }

    fn into_kind(self, secret: &SecretChange) -> Result<AppKind> {
        let remote = super::remote::read(&self.server_url, self.registration, &self.client_id)?;
        let kind = self
            .kind
            .or(remote.as_ref().map(|_| Kind::OAuth))
            .ok_or_else(|| Error::invalid("`kind` is missing"))?;
        if kind == Kind::ApiKey {
            let oauth_only = self.client_id.is_some()
                || self.issuer.is_some()
                || self.resource.is_some()
                || remote.is_some()
                || self.authorization_url.is_some()
                || self.token_url.is_some()
                || self.revocation_url.is_some()
                || self
                    .scopes
                    .as_ref()
                    .is_some_and(|scopes| !scopes.is_empty())
                || self.default_lifetime_s.is_some()
                || self.callback.is_some()
                || matches!(secret, SecretChange::Set(_));
            return match oauth_only {
                true => Err(Error::invalid("an `api_key` app has no OAuth settings")),
                false => Ok(AppKind::ApiKey),
            };
        }
        let client_id = match self.client_id {
            None if remote.is_some() => String::new(),
            client_id => client_id.ok_or_else(|| Error::invalid("`client_id` is missing"))?,
        };
        Ok(AppKind::OAuth(Box::new(OAuth {
            client_id,
            issuer: url("issuer", self.issuer)?,
            by_hand: Endpoints {
                authorization_url: url("authorization_url", self.authorization_url)?,
                token_url: url("token_url", self.token_url)?,
                revocation_url: url("revocation_url", self.revocation_url)?,
            },
            discovered: Endpoints::default(),
            iss_advertised: false,
            scopes: self.scopes.unwrap_or_default(),
            scope_separator: self.scope_separator.unwrap_or_else(|| " ".into()),
            authorization_params: self.authorization_params.unwrap_or_default(),
            token_params: self.token_params.unwrap_or_default(),
            pkce: self.pkce.unwrap_or(true),
            client_auth: self.client_auth.unwrap_or_default(),
            callback: self.callback.unwrap_or_default(),
            default_lifetime_s: self.default_lifetime_s,
            resource: ResourceChoice::parse(self.resource.as_deref())?,
            remote: remote.map(Box::new),
        })))
    }
}

fn url(what: &str, text: Option<String>) -> Result<Option<WebUrl>> {
    text.filter(|text| !text.is_empty())
        .map(|text| WebUrl::parse(what, &text))
        .transpose()
}

/// An app, as it is shown.
#[derive(Serialize)]
pub struct AppShape<'a> {
    id: &'a AppId,
    name: &'a str,
    kind: Kind,
    template: &'a Option<String>,
    description: &'a str,
    logo: &'a Option<WebUrl>,
    return_urls: &'a [WebUrl],
    #[serde(flatten)]
    oauth: Option<OAuthShape<'a>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct OAuthShape<'a> {
    client_id: &'a str,
    has_client_secret: bool,
    issuer: &'a Option<WebUrl>,
    /// Given by hand.
    authorization_url: &'a Option<WebUrl>,
    /// Given by hand.
    token_url: &'a Option<WebUrl>,
    /// Given by hand.
    revocation_url: &'a Option<WebUrl>,
    /// In use: by hand, else from the issuer's metadata.
    endpoints: EndpointsShape<'a>,
    redirect_uri: String,
    scopes: &'a Scopes,
    scope_separator: &'a str,
    authorization_params: &'a BTreeMap<String, String>,
    token_params: &'a BTreeMap<String, String>,
    pkce: bool,
    client_auth: ClientAuth,
    callback: Callback,
    default_lifetime_s: Option<u64>,
    #[serde(flatten)]
    remote: RemoteShape<'a>,
}

#[derive(Serialize)]
struct EndpointsShape<'a> {
    authorization_url: Option<&'a WebUrl>,
    token_url: Option<&'a WebUrl>,
    revocation_url: Option<&'a WebUrl>,
}

impl<'a> AppShape<'a> {
    /// The shape of an app whose provider sends people back to `redirect_uri`.
    pub fn of(app: &'a ShownApp, redirect_uri: String) -> Self {
        let oauth = app.oauth().map(|oauth| OAuthShape {
            client_id: &oauth.client_id,
            has_client_secret: app.has_client_secret,
            issuer: &oauth.issuer,
            authorization_url: &oauth.by_hand.authorization_url,
            token_url: &oauth.by_hand.token_url,
            revocation_url: &oauth.by_hand.revocation_url,
            endpoints: EndpointsShape {
                authorization_url: oauth.authorization_url(),
                token_url: oauth.token_url(),
                revocation_url: oauth.revocation_url(),
            },
            redirect_uri,
            scopes: &oauth.scopes,
            scope_separator: &oauth.scope_separator,
            authorization_params: &oauth.authorization_params,
            token_params: &oauth.token_params,
            pkce: oauth.pkce,
            client_auth: oauth.client_auth,
            callback: oauth.callback,
            default_lifetime_s: oauth.default_lifetime_s,
            remote: RemoteShape::of(oauth),
        });
        Self {
            id: &app.id,
            name: &app.name,
            kind: if oauth.is_some() {
                Kind::OAuth
            } else {
                Kind::ApiKey
            },
            template: &app.template,
            description: &app.description,
            logo: &app.logo,
            return_urls: &app.return_urls,
            oauth,
            created_at: app.created_at,
            updated_at: app.updated_at,
        }
    }
}
