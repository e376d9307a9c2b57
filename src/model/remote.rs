//! A remote MCP server as an app, and the resource that tokens are for (RFC 8707).
//!
//! It promises: a resource is kept and sent letter by letter, for servers compare it so; a client
//! that was registered names the issuer it was registered at, and is of no use at another.
//! It never: asks a server anything (that is `provider`), or holds a client secret.

use serde::{Deserialize, Serialize};

use super::Scopes;
use super::app::{ClientAuth, OAuth};
use super::url::WebUrl;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// Names a protected resource (RFC 8707 2): an absolute URL without a fragment, as it was written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource(String);

impl Resource {
    /// Reads one; `what` names the field in the message.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not an absolute web URL, or has a fragment.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        WebUrl::parse(what, text).map(|_| Self(text.to_owned()))
    }

    /// The text, as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this may be what is at `asked`: the same URL, or one above it on the same origin,
    /// by whole segments of the path (RFC 9728 3.3, as the MCP specification widens it).
    pub fn covers(&self, asked: &WebUrl) -> bool {
        let Ok(named) = WebUrl::parse("resource", &self.0) else {
            return false;
        };
        let (named, asked) = (named.as_url(), asked.as_url());
        if named.origin() != asked.origin() {
            return false;
        }
        if named.query().is_some() {
            return named.path() == asked.path() && named.query() == asked.query();
        }
        let above = named.path().trim_end_matches('/');
        let below = asked.path().strip_prefix(above);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl TryFrom<String> for Resource {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse("resource", &text)
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.0
    }
}

/// The word for [`ResourceChoice::Omitted`].
pub const OMIT: &str = "omit";

/// What an operator says of the parameter `resource`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceChoice {
    /// Nothing: a remote server's own, if it names one.
    #[default]
    Unsaid,
    /// It is left out, since some servers refuse it.
    Omitted,
    /// This one.
    Named(Resource),
}

impl ResourceChoice {
    /// Reads the setting: nothing, `omit` (or an empty text), or a URL.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none of them.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None => Ok(Self::Unsaid),
            Some("" | OMIT) => Ok(Self::Omitted),
            Some(text) => Resource::parse("resource", text).map(Self::Named),
        }
    }

    /// The setting, as it is read again; nothing where nothing was said.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Unsaid => None,
            Self::Omitted => Some(OMIT),
            Self::Named(resource) => Some(resource.as_str()),
        }
    }
}

/// How a client id is come by where the operator gives none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// By a client id metadata document where server and public URL allow it, else dynamically.
    #[default]
    Auto,
    /// Dynamically (RFC 7591), whatever else the server offers: where it cannot reach our document.
    Dynamic,
}

/// A remote MCP server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Remote {
    /// Its endpoint.
    pub server_url: WebUrl,
    /// How to come by a client id.
    #[serde(default)]
    pub registration: Registration,
    /// What it said of itself.
    #[serde(default)]
    pub found: Option<Found>,
    /// Our client, where the operator gave none.
    #[serde(default)]
    pub client: Option<Client>,
    /// A new client is wanted, whatever is there. Of a change, and never kept.
    #[serde(skip)]
    pub anew: bool,
}

/// What a remote server said of itself when it was asked last.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The authorization server it trusts.
    pub issuer: WebUrl,
    /// Since when it is this one. Tokens obtained before are of another, and are not shown to this.
    pub since: Timestamp,
    /// What it calls itself.
    #[serde(default)]
    pub resource: Option<Resource>,
    /// The scopes it wants.
    #[serde(default)]
    pub scopes: Scopes,
    /// Its authorization server grants refresh tokens by a scope of their own, and lists it.
    #[serde(default)]
    pub offline_access: bool,
}

/// The scope that many servers grant no refresh token without (OpenID Connect Core 11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Our client at an authorization server, registered by ourselves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Whose it is: of no use at another.
    pub issuer: WebUrl,
    /// Where it was registered (RFC 7591); nothing where its id is the URL of our document.
    #[serde(default)]
    pub registration_url: Option<WebUrl>,
    /// The redirect URI it was registered with.
    pub redirect_uri: String,
    /// How it was to prove itself.
    pub asked_auth: ClientAuth,
    /// When.
    pub registered_at: Timestamp,
    /// When it took the place of one that the server refused.
    #[serde(default)]
    pub renewed_at: Option<Timestamp>,
    /// When its secret ends, if it does.
    #[serde(default)]
    pub secret_expires_at: Option<Timestamp>,
    /// The one before it was refused once alone, which may have been a hiccup: that tokens of that
    /// one are refused to this one says nothing of them (RFC 6749 10.4).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

impl Client {
    /// Whether its secret has ended by `at`.
    pub fn has_ended(&self, at: Timestamp) -> bool {
        self.secret_expires_at.is_some_and(|end| end <= at)
    }
}

impl Remote {
    /// A server that was not asked yet.
    pub fn new(server_url: WebUrl, registration: Registration) -> Self {
        Self {
            server_url,
            registration,
            found: None,
            client: None,
            anew: false,
        }
    }

    /// The client that was registered at this issuer, to come back on this redirect URI.
    pub fn client_of(&self, issuer: &WebUrl, redirect_uri: &str) -> Option<&Client> {
        let client = self.client.as_ref()?;
        (client.issuer == *issuer && client.redirect_uri == redirect_uri).then_some(client)
    }
}

impl OAuth {
    /// The scopes that a request for these is sent with: for a remote server the one for a refresh
    /// token too, where its authorization server lists that. Where none are asked for none are
    /// sent: the authorization server has its own then, which a list of one would keep back.
    pub fn scopes_to_send(&self, asked: &Scopes) -> Scopes {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        let offers = found.is_some_and(|found| found.offline_access);
        if !offers || asked.is_empty() || asked.len() >= limits::SCOPES_MAX {
            return asked.clone();
        }
        asked.union(&Scopes::parse([OFFLINE_ACCESS]).unwrap_or_default())
    }

    /// Whether an authorization request for these scopes is to ask for consent: without, the scope
    /// for a refresh token means nothing to OpenID providers (OpenID Connect Core 11).
    pub fn wants_consent(&self, sent: &Scopes) -> bool {
        let says = self.authorization_params.contains_key("prompt");
        self.remote.is_some() && !says && sent.iter().any(|scope| scope == OFFLINE_ACCESS)
    }

    /// Takes over what `before` was found to be, where it is of a remote server: for a change that
    /// says nothing of that. A client that we registered stays only with its own id.
    pub fn stay_remote(&mut self, before: &Self) {
        let Some(remote) = &before.remote else { return };
        let is_same = self.client_id == before.client_id;
        self.discovered = before.discovered.clone();
        self.iss_advertised = before.iss_advertised;
        self.issuer_text = before.issuer_text.clone();
        self.metadata = before.metadata.clone();
        self.remote = Some(Box::new(Remote {
            client: remote.client.clone().filter(|_| is_same),
            ..(**remote).clone()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_covers_itself_and_what_is_below_it_and_nothing_beside() {
        let covers = |named: &str, asked: &str| {
            let asked = WebUrl::parse("url", asked).unwrap();
            Resource::parse("resource", named).unwrap().covers(&asked)
        };
        for (named, asked) in [
            ("https://a.example/mcp", "https://a.example/mcp"),
            ("https://a.example/mcp/", "https://a.example/mcp"),
            ("https://a.example/mcp", "https://a.example/mcp/"),
            ("https://a.example", "https://a.example/t/mcp"),
            ("https://A.example:443/t", "https://a.example/t/mcp"),
            ("https://a.example/mcp?x=1", "https://a.example/mcp?x=1"),
            ("https://a.example/mcp", "https://a.example/mcp?x=1"),
        ] {
            assert!(covers(named, asked), "{named} {asked}");
        }
        for (named, asked) in [
            ("https://a.example/mcp/x", "https://a.example/mcp"),
            ("https://a.example/mc", "https://a.example/mcp"),
            ("https://a.example/MCP", "https://a.example/mcp"),
            ("http://a.example/mcp", "https://a.example/mcp"),
            ("https://a.example:8443/mcp", "https://a.example/mcp"),
            ("https://b.example/mcp", "https://a.example/mcp"),
            ("https://a.example.b.example/", "https://a.example/mcp"),
            ("https://a.example/mcp?x=1", "https://a.example/mcp?x=2"),
            ("https://a.example/?x=1", "https://a.example/mcp"),
        ] {
            assert!(!covers(named, asked), "{named} {asked}");
        }
    }

    #[test]
    fn a_resource_stays_as_it_was_written() {
        for text in [
            "https://a.example",
            "https://a.example/",
            "HTTPS://A.example/%7e",
        ] {
            assert_eq!(Resource::parse("resource", text).unwrap().as_str(), text);
        }
        for bad in ["", "a.example", "urn:x:y", "https://a.example/#f"] {
            assert!(Resource::parse("resource", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_choice_is_read_as_it_is_shown() {
        for text in [None, Some("omit"), Some("https://a.example")] {
            assert_eq!(ResourceChoice::parse(text).unwrap().as_str(), text);
        }
        let empty = ResourceChoice::parse(Some("")).unwrap();
        assert_eq!(empty, ResourceChoice::Omitted);
    }
}
