//! A template: what the catalogue knows of a service, and the app that is made of it.
//!
//! It promises: an app made of a template has its own copy of everything, so that a later catalogue
//! changes nothing of it.
//! It never: holds a client id, or anything of a user's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::app::{App, AppKind, Callback, ClientAuth, Endpoints, OAuth};
use super::url::WebUrl;
use super::{AppId, Scopes};
use crate::clock::Timestamp;

/// What is known of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Names it.
    pub id: AppId,
    /// What people call the service.
    pub name: String,
    /// What it is for, in a word.
    pub category: String,
    /// The service's own page about it: where a client is registered or a key is had.
    pub docs: WebUrl,
    /// How sure the facts are.
    pub certainty: Certainty,
    /// Its OAuth settings; none where its tokens are API keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthTemplate>,
}

/// How sure a template's facts are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Read in the service's own documentation.
    Documented,
    /// Generally known, and to be compared with the documentation before it is relied on.
    General,
}

/// The OAuth settings of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthTemplate {
    /// Where people's browsers are sent.
    pub authorization_url: WebUrl,
    /// Where codes and refresh tokens are redeemed.
    pub token_url: WebUrl,
    /// Where tokens are revoked (RFC 7009), if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<WebUrl>,
    /// How the client proves itself.
    pub client_auth: ClientAuth,
    /// The least useful scopes to begin with.
    #[serde(default)]
    pub scopes: Scopes,
    /// What stands between scopes in a request.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// Extra parameters of the authorization request.
    #[serde(default)]
    pub authorization_params: BTreeMap<String, String>,
    /// Extra parameters of every token request.
    #[serde(default)]
    pub token_params: BTreeMap<String, String>,
    /// Lifetime of an access token whose answer names none, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_lifetime_s: Option<u64>,
}

fn space() -> String {
    " ".into()
}

impl Template {
    /// An app of this template, for a client that is registered as `client_id`. It has the rules of
    /// an app yet to pass, where nothing was registered.
    pub fn app(&self, id: AppId, client_id: String, now: Timestamp) -> App {
        App {
            id,
            name: self.name.clone(),
            description: String::new(),
            logo: None,
            template: Some(self.id.to_string()),
            return_urls: Vec::new(),
            kind: match &self.oauth {
                Some(oauth) => AppKind::OAuth(Box::new(oauth.settings(client_id))),
                None => AppKind::ApiKey,
            },
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether a search for this word finds it: in its id, name or category, whatever the case.
    pub fn is_found_by(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let texts = [self.id.as_str(), &self.name, &self.category];
        texts.iter().any(|text| text.to_lowercase().contains(&word))
    }
}

impl OAuthTemplate {
    /// Its endpoints, as far as what is said beside leaves them: whoever names an issuer wants
    /// those of its metadata, and tokens of another place are not shown to this one to be revoked.
    pub fn endpoints(&self, has_issuer: bool, has_token_url: bool) -> Endpoints {
        if has_issuer {
            return Endpoints::default();
        }
        Endpoints {
            authorization_url: Some(self.authorization_url.clone()),
            token_url: Some(self.token_url.clone()),
            revocation_url: self.revocation_url.clone().filter(|_| !has_token_url),
        }
    }

    fn settings(&self, client_id: String) -> OAuth {
        OAuth {
            client_id,
            issuer: None,
            by_hand: self.endpoints(false, false),
            discovered: Endpoints::default(),
            iss_advertised: false,
            scopes: self.scopes.clone(),
            scope_separator: self.scope_separator.clone(),
            authorization_params: self.authorization_params.clone(),
            token_params: self.token_params.clone(),
            pkce: true,
            client_auth: self.client_auth,
            callback: Callback::default(),
            default_lifetime_s: self.default_lifetime_s,
            resource: Default::default(),
            remote: None,
        }
    }
}
