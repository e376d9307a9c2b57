//! An app: a configured third-party service, OAuth or API key.
//!
//! It promises: an [`App`] that exists has passed every rule here; its client secret is not in it.
//! It never: reaches the service (that is `provider`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::remote::{Remote, Resource, ResourceChoice};
use super::url::WebUrl;
use super::{AppId, Scopes, check_text};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// A configured third-party service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// Names it in requests and in its redirect URI.
    pub id: AppId,
    /// What people see.
    pub name: String,
    /// What it is for, shown to people.
    #[serde(default)]
    pub description: String,
    /// A picture's URL. Kept and listed; our pages fetch nothing from elsewhere.
    #[serde(default)]
    pub logo: Option<WebUrl>,
    /// The catalogue entry it was made from, if any.
    #[serde(default)]
    pub template: Option<String>,
    /// Where people may be sent back to after connecting, exactly.
    #[serde(default)]
    pub return_urls: Vec<WebUrl>,
    /// OAuth or API key, with what belongs to each.
    pub kind: AppKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What kind of credential an app's tokens are.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppKind {
    /// Tokens come from an OAuth authorization server.
    #[serde(rename = "oauth")]
    OAuth(Box<OAuth>),
    /// Tokens are static keys that people or back ends enter.
    ApiKey,
}

/// How the client proves itself at the token endpoint (RFC 6749 2.3.1). Never guessed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic with id and secret form-encoded first, as the RFC says.
    #[default]
    Basic,
    /// HTTP Basic with id and secret as they are, as some servers want.
    BasicRaw,
    /// Id and secret in the body.
    Post,
    /// A public client: the id alone.
    None,
}

/// Which of our redirect URIs an app's provider is told.
///
/// With one for each app, an answer that another provider was tricked into giving (mix-up, RFC 9700
/// 4.4) comes back where the trip did not begin, and is refused. With the shared one the state
/// alone says which app an answer is for, and only a provider that sends `iss` (RFC 9207) is told
/// apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// `/callback/{app}`, the app's own. The better one.
    #[default]
    Own,
    /// `/v1/outbound/oauth/callback`, the one that Descope has for all apps: where it is registered
    /// at providers already.
    Shared,
}

/// Settings of an OAuth app, without its client secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OAuth {
    /// The client id registered at the provider.
    pub client_id: String,
    /// The authorization server, where its metadata is to be used.
    #[serde(default)]
    pub issuer: Option<WebUrl>,
    /// Endpoints given by hand. They win over what the metadata says.
    #[serde(default)]
    pub by_hand: Endpoints,
    /// Endpoints read from the issuer's metadata.
    #[serde(default)]
    pub discovered: Endpoints,
    /// The metadata says that `iss` comes with every callback (RFC 9207): then it must.
    #[serde(default)]
    pub iss_advertised: bool,
    /// Scopes asked for when a connect link names none.
    #[serde(default)]
    pub scopes: Scopes,
    /// What stands between scopes in a request; a space by RFC 6749.
    pub scope_separator: String,
    /// Extra parameters of the authorization request.
    #[serde(default)]
    pub authorization_params: BTreeMap<String, String>,
    /// Extra parameters of every token request, refresh included.
    #[serde(default)]
    pub token_params: BTreeMap<String, String>,
    /// Send PKCE S256. On, but for providers known to refuse it.
    pub pkce: bool,
    /// How the client proves itself.
    pub client_auth: ClientAuth,
    /// Where its provider sends people back to.
    #[serde(default)]
    pub callback: Callback,
    /// Lifetime of an access token whose answer names none, in seconds.
    #[serde(default)]
    pub default_lifetime_s: Option<u64>,
    /// What the tokens are for (RFC 8707), where the operator says.
    #[serde(default)]
    pub resource: ResourceChoice,
    /// The remote MCP server it was made of, if it was.
    #[serde(default)]
    pub remote: Option<Box<Remote>>,
}

/// The addresses of an authorization server.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Where the person's browser is sent.
    #[serde(default)]
    pub authorization_url: Option<WebUrl>,
    /// Where codes and refresh tokens are redeemed.
    #[serde(default)]
    pub token_url: Option<WebUrl>,
    /// Where tokens are revoked (RFC 7009), if anywhere.
    #[serde(default)]
    pub revocation_url: Option<WebUrl>,
}

/// Parameters of a request that are ours to set and no setting may replace.
const RESERVED_PARAMS: [&str; 12] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "grant_type",
    "refresh_token",
    "scope",
];

impl OAuth {
    /// Where the person's browser is sent.
    pub fn authorization_url(&self) -> Option<&WebUrl> {
        self.by_hand
            .authorization_url
            .as_ref()
            .or(self.discovered.authorization_url.as_ref())
    }

    /// Where codes and refresh tokens are redeemed.
    pub fn token_url(&self) -> Option<&WebUrl> {
        self.by_hand
            .token_url
            .as_ref()
            .or(self.discovered.token_url.as_ref())
    }

    /// Where tokens are revoked, if anywhere.
    pub fn revocation_url(&self) -> Option<&WebUrl> {
        self.by_hand
            .revocation_url
            .as_ref()
            .or(self.discovered.revocation_url.as_ref())
    }

    /// The authorization server whose metadata is used: the one named, else the remote server's.
    pub fn issuer_in_use(&self) -> Option<&WebUrl> {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        self.issuer.as_ref().or(found.map(|found| &found.issuer))
    }

    /// The scopes asked for when a connect link names none: those said, else the remote server's.
    pub fn scopes_in_use(&self) -> &Scopes {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        match found {
            Some(found) if self.scopes.is_empty() => &found.scopes,
            _ => &self.scopes,
        }
    }

    /// What `resource` says in every request (RFC 8707 2): what the operator says, else what the
    /// remote server calls itself.
    pub fn resource_in_use(&self) -> Option<&Resource> {
        match &self.resource {
            ResourceChoice::Named(resource) => Some(resource),
            ResourceChoice::Omitted => None,
            ResourceChoice::Unsaid => self.remote.as_ref()?.found.as_ref()?.resource.as_ref(),
        }
    }

    /// Whether what was obtained at this moment is of another authorization server than the one
    /// that the remote server trusts now, which then must not see it.
    pub fn has_moved_since(&self, obtained_at: Timestamp) -> bool {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        found.is_some_and(|found| obtained_at < found.since)
    }

    /// The provider host that limits and back-off are counted by.
    pub fn host(&self) -> String {
        self.token_url().map(WebUrl::authority).unwrap_or_default()
    }

    /// What has to be there, by hand or found out.
    fn check_whole(&self) -> Result<()> {
        if self.client_id.is_empty() || self.client_id.len() > limits::TEXT_BYTES_MAX {
            return Err(Error::invalid("`client_id` is missing or too long"));
        }
        if self.client_id.chars().any(char::is_control) {
            return Err(Error::invalid("`client_id` has no control characters"));
        }
        if self.authorization_url().is_none() || self.token_url().is_none() {
            return Err(Error::invalid(
                "give `authorization_url` and `token_url`, or an `issuer` whose metadata has them",
            ));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.scope_separator.is_empty() || self.scope_separator.len() > 4 {
            return Err(Error::invalid("`scope_separator` has 1 to 4 characters"));
        }
        if self
            .default_lifetime_s
            .is_some_and(|s| s == 0 || s > limits::LIFETIME_MAX.as_secs())
        {
            return Err(Error::invalid(
                "`default_lifetime_s` is from 1 second to 400 days",
            ));
        }
        for (field, params) in [
            ("authorization_params", &self.authorization_params),
            ("token_params", &self.token_params),
        ] {
            check_params(field, params)?;
            if self.resource.as_str().is_some() && params.contains_key("resource") {
                return Err(Error::invalid(format!(
                    "`resource` is a setting of its own and in `{field}`: say it once"
                )));
            }
        }
        if self.remote.is_some() && !self.pkce {
            return Err(Error::invalid(
                "`pkce` is never off for a remote MCP server",
            ));
        }
        Ok(())
    }
}

fn check_params(field: &str, params: &BTreeMap<String, String>) -> Result<()> {
    if params.len() > limits::PARAMS_MAX {
        return Err(Error::invalid(format!(
            "`{field}` has at most {} entries",
            limits::PARAMS_MAX
        )));
    }
    for (name, value) in params {
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "`{field}` has an entry without a name"
            )));
        }
        check_text(field, name)?;
        check_text(field, value)?;
        if RESERVED_PARAMS.contains(&name.as_str()) {
            return Err(Error::invalid(format!(
                "`{field}` may not set `{name}`; it has its own field"
            )));
        }
    }
    Ok(())
}

impl App {
    /// Checks every rule an app must keep before it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that breaks one.
    pub fn check(&self) -> Result<()> {
        self.oauth().map_or(Ok(()), OAuth::check_whole)?;
        self.check_settings()
    }

    /// Checks every rule but those on what a remote server tells first.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that breaks one.
    pub fn check_settings(&self) -> Result<()> {
        if self.name.trim().is_empty() {
            return Err(Error::invalid("`name` is missing"));
        }
        check_text("name", &self.name)?;
        check_text("description", &self.description)?;
        if self.return_urls.len() > limits::RETURN_URLS_MAX {
            return Err(Error::invalid(format!(
                "`return_urls` has at most {} entries",
                limits::RETURN_URLS_MAX
            )));
        }
        match &self.kind {
            AppKind::OAuth(oauth) => oauth.check(),
            AppKind::ApiKey => Ok(()),
        }
    }

    /// The OAuth settings, where it is an OAuth app.
    pub fn oauth(&self) -> Option<&OAuth> {
        match &self.kind {
            AppKind::OAuth(oauth) => Some(oauth),
            AppKind::ApiKey => None,
        }
    }

    /// Where its provider sends people back to.
    pub fn callback(&self) -> Callback {
        self.oauth().map_or(Callback::Own, |oauth| oauth.callback)
    }
}
