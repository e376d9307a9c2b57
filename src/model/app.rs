//! An app: a configured third-party service, OAuth or API key.
//!
//! It promises: an [`App`] that exists has passed every rule here; its client secret is not in it.
//! It never: reaches the service (that is `provider`).

mod endpoints;
mod in_use;
mod metadata;
mod rules;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::endpoints::{Endpoints, OpenEndpoints};
pub use self::metadata::MetadataRead;
use super::api::{Api, CredentialField};
use super::blanks::{AskedOf, Known, Variable, is_default};
use super::dialect::Dialect;
use super::logo::Logo;
use super::remote::{Remote, ResourceChoice};
use super::template::TemplateRef;
use super::url::WebUrl;
use super::{Account, AppId, Name, Scopes};
use crate::clock::Timestamp;
use crate::error::{Error, Result};

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
    /// A picture. Our pages show one that is written out, and fetch none from elsewhere.
    #[serde(default)]
    pub logo: Option<Logo>,
    /// The catalogue entry it was made from, if any, and as it was then.
    #[serde(default)]
    pub template: Option<TemplateRef>,
    /// Where people may be sent back to after connecting, exactly.
    #[serde(default)]
    pub return_urls: Vec<WebUrl>,
    /// OAuth or API key, with what belongs to each.
    pub kind: AppKind,
    /// What its URLs and requests have blanks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<Name, Variable>,
    /// What its operator has said they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: Known,
    /// What people enter, where its tokens are keys; a single secret where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<CredentialField>,
    /// How its credentials are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Box<Api>>,
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
    /// A JWT signed by the client's private key, which is kept in the place of its secret
    /// (RFC 7523 2.2).
    PrivateKeyJwt,
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
    /// Endpoints with blanks, of which each connection fills its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenEndpoints>,
    /// Endpoints read from the issuer's metadata.
    #[serde(default)]
    pub discovered: Endpoints,
    /// The metadata says that `iss` comes with every callback (RFC 9207): then it must.
    #[serde(default)]
    pub iss_advertised: bool,
    /// The issuer as its metadata writes it, letter by letter, since servers compare it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_text: Option<String>,
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
    /// How its provider departs from the RFCs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dialect: Dialect,
    /// What the tokens are for (RFC 8707), where the operator says.
    #[serde(default)]
    pub resource: ResourceChoice,
    /// The remote MCP server it was made of, if it was.
    #[serde(default)]
    pub remote: Option<Box<Remote>>,
    /// When the issuer's metadata was read; nothing where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataRead>,
}

impl OAuth {
    /// A client of this id, and of the rest what the RFCs say.
    pub fn of(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            issuer: None,
            by_hand: Endpoints::default(),
            open: None,
            discovered: Endpoints::default(),
            iss_advertised: false,
            issuer_text: None,
            scopes: Scopes::default(),
            scope_separator: " ".into(),
            authorization_params: BTreeMap::new(),
            token_params: BTreeMap::new(),
            pkce: true,
            client_auth: ClientAuth::default(),
            callback: Callback::default(),
            default_lifetime_s: None,
            dialect: Dialect::default(),
            resource: ResourceChoice::default(),
            remote: None,
            metadata: None,
        }
    }

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

    /// Where refresh tokens are redeemed.
    pub fn refresh_url(&self) -> Option<&WebUrl> {
        self.by_hand.refresh_url.as_ref().or(self.token_url())
    }

    /// The same settings with every blank of the endpoints filled that can be. An endpoint that is
    /// needed and is not there is missed where it is needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value that has no place in a URL.
    pub fn filled(&self, known: &Known) -> Result<Cow<'_, Self>> {
        let Some(open) = &self.open else {
            return Ok(Cow::Borrowed(self));
        };
        let mut full = self.clone();
        full.by_hand = full.by_hand.or(open.filled(known)?);
        full.open = None;
        Ok(Cow::Owned(full))
    }

    /// The provider host that limits and back-off are counted by.
    pub fn host(&self) -> String {
        self.token_url().map(WebUrl::authority).unwrap_or_default()
    }
}

impl App {
    /// An app of this id, called by it, with nothing said beside its kind.
    pub fn of(id: AppId, kind: AppKind, now: Timestamp) -> Self {
        Self {
            name: id.to_string(),
            id,
            description: String::new(),
            logo: None,
            template: None,
            return_urls: Vec::new(),
            kind,
            variables: BTreeMap::new(),
            values: Known::new(),
            fields: Vec::new(),
            api: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// What is known of its variables before anybody connects: what its operator said, else what
    /// they are by default.
    pub fn known(&self) -> Known {
        let default =
            |(name, variable): (&Name, &Variable)| Some((name.clone(), variable.default.clone()?));
        let mut known: Known = self.variables.iter().filter_map(default).collect();
        known.extend(self.values.clone());
        known
    }

    /// What is known of one connection, of which this is kept. What is the operator's to say stays
    /// so, and what does not look as it must is as if it were not kept: a record may be older than
    /// the app's rules, or have come by an upload.
    pub fn known_of(&self, kept: &Known) -> Known {
        let mut known = self.known();
        for (name, value) in kept {
            let is_good = self.variables.get(name).is_none_or(|variable| {
                let is_theirs = variable.is_of_connection() && !self.values.contains_key(name);
                is_theirs && variable.read(name, value).is_ok_and(|read| read == *value)
            });
            if is_good {
                known.insert(name.clone(), value.clone());
            }
        }
        known
    }

    /// Checks what is uploaded beside a token, as if whoever connects said it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is the operator's to say, or does not look right.
    pub fn check_kept(&self, kept: &Known) -> Result<()> {
        for (name, value) in kept {
            let Some(variable) = self.variables.get(name) else {
                continue;
            };
            if !variable.is_of_connection() || self.values.contains_key(name) {
                return Err(Error::invalid(format!(
                    "`{name}` is for the app to say, and not for a token"
                )));
            }
            if variable.read(name, value)? != *value {
                return Err(Error::invalid(format!("`{name}` does not look right")));
            }
        }
        Ok(())
    }

    /// The account that a connection is made for, where a further token of it is asked for by its
    /// own name: both come of one consent.
    pub fn first_account(&self, account: Option<Account>) -> Option<Account> {
        let account = account?;
        let Some(slot) = self.slot_of(&account) else {
            return Some(account);
        };
        let first = account.as_str().strip_suffix(slot)?.strip_suffix('/')?;
        Account::parse(first).ok()
    }

    /// The slot that an account is the name of.
    pub fn slot_of(&self, account: &Account) -> Option<&str> {
        let second = self
            .oauth()
            .map(|oauth| &oauth.dialect.answered.second_tokens)?;
        let mut slots = second.iter().map(|second| second.slot.as_str());
        slots.find(|slot| {
            let before = account.as_str().strip_suffix(slot);
            before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        })
    }

    /// What is known for every connection alike: nobody who connects says it, and no redirect.
    pub fn settled(&self) -> Known {
        let is_settled = |name: &Name| {
            self.variables.get(name).is_some_and(|variable| {
                let is_open = variable.asked_of == AskedOf::Person;
                variable.callback_param.is_none() && (!is_open || self.values.contains_key(name))
            })
        };
        let mut settled = self.known();
        settled.retain(|name, _| is_settled(name));
        settled
    }

    /// The variables that whoever connects is asked for: those that nobody has said.
    pub fn asked_of_person(&self) -> impl Iterator<Item = (&Name, &Variable)> {
        let is_open = |(name, variable): &(&Name, &Variable)| {
            variable.asked_of == AskedOf::Person && !self.values.contains_key(*name)
        };
        self.variables.iter().filter(is_open)
    }

    /// Checks and mends what was said of the variables of one connection.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that is no such variable, or does not look right.
    pub fn read_variables(&self, said: &Known) -> Result<Known> {
        let read = |(name, value): (&Name, &String)| {
            let mut open = self.asked_of_person();
            let (_, variable) = open.find(|(open, _)| *open == name).ok_or_else(|| {
                Error::invalid(format!("`{name}` is no variable that a connection sets"))
            })?;
            Ok((name.clone(), variable.read(name, value)?))
        };
        said.iter().map(read).collect()
    }

    /// The OAuth settings as a connection of which `known` is known uses them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value that has no place in a URL.
    pub fn oauth_of(&self, known: &Known) -> Result<Option<Cow<'_, OAuth>>> {
        let Some(oauth) = self.oauth() else {
            return Ok(None);
        };
        if oauth.open.is_none() {
            return Ok(Some(Cow::Borrowed(oauth)));
        }
        oauth.filled(&self.known_of(known)).map(Some)
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

#[cfg(test)]
mod tests;
