//! Remote MCP servers as apps: from a server's URL to everything that connecting needs.
//!
//! ```text
//!   server_url -> 401 challenge | .well-known   what is it, which authorization server?  RFC 9728
//!              -> authorization server          endpoints, S256, iss         RFC 8414, 9207, 7636
//!              -> client id: given | our document's URL | registered                    RFC 7591
//!   refused later: registered anew, once in hours (`renew`)
//! ```
//!
//! What an app's issuer says of itself, a remote server's or not, is read again when its life is
//! over (`reread`).
//!
//! It promises:
//! * what fails is told by name: which step, which URL, what was said there;
//! * a client is of one issuer: where that changes a new one is registered, and neither the old
//!   one nor a token of the old issuer is shown to the new;
//! * an app's client is registered by one at a time, whoever wants to.
//!
//! It never: takes a server without PKCE S256, or an operator's client id for one of its own.

mod renew;
mod reread;

pub use self::renew::{Asks, fresh_client, refused_to_another, renew_client};
pub use self::reread::{Said, fresh_metadata, take_over};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller};
use crate::model::app::{App, AppKind, ClientAuth, MetadataRead, OAuth};
use crate::model::remote::{Client, Found, OFFLINE_ACCESS, Registration};
use crate::model::url::WebUrl;
use crate::provider::Provider;
use crate::provider::metadata::{Discovered, is_same_issuer, shorter};
use crate::provider::registration::{NewClient, Turn, auth_to_ask, in_words};
use crate::provider::remote::RemoteServer;
use crate::vault::{SecretChange, Vault};

/// What an authorization server is told of us.
pub struct Ours {
    /// Where people come back to.
    pub redirect_uri: String,
    /// Where the app's client id metadata document is, where a server can reach it.
    pub document_url: Option<String>,
}

/// An app that is ready to be stored. No other registration for it begins until this goes.
pub struct Settled {
    /// What becomes of its client secret.
    pub secret: SecretChange,
    _turn: Turn,
}

/// Finds out everything that an app of a remote server leaves open, and registers a client where
/// the operator gives none and none is there that will do.
///
/// # Errors
/// [`Error::Conflict`] where it is to be new and is there; [`Error::Invalid`] for settings that
/// contradict each other; those of [`Provider::remote_server`], [`Provider::discover`] and
/// [`Provider::register`].
pub async fn settle(
    (vault, provider): (&Vault, &Provider),
    caller: &Caller,
    (app, secret): (&mut App, SecretChange),
    is_new: bool,
    ours: &Ours,
) -> Result<Settled> {
    app.check_settings()?;
    let turn = provider.turn_to_register(&app.id).await;
    let old = match vault.app_settings(caller, Action::Apps, &app.id) {
        Ok(_) if is_new => {
            let what = format!("there is an app `{}` already", app.id);
            return Err(Error::Conflict(what));
        }
        Ok(old) => Some(old),
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    let before = old.as_ref().and_then(App::oauth);
    let AppKind::OAuth(oauth) = &mut app.kind else {
        return Err(Error::invalid(
            "a remote MCP server's app is of kind `oauth`",
        ));
    };
    let setup = Setup {
        provider,
        before,
        ours,
        now: vault.clock().now(),
    };
    let work = tokio::time::timeout(limits::REMOTE_SETUP_MAX, setup.run(oauth, secret));
    let secret = work.await.unwrap_or_else(|_| {
        Err(Error::ProviderUnavailable {
            what: "finding the MCP server's authorization server took too long".into(),
            retry_after: None,
        })
    })?;
    Ok(Settled {
        secret,
        _turn: turn,
    })
}

struct Setup<'a> {
    provider: &'a Provider,
    /// What was there.
    before: Option<&'a OAuth>,
    ours: &'a Ours,
    now: Timestamp,
}

impl Setup<'_> {
    async fn run(&self, oauth: &mut OAuth, secret: SecretChange) -> Result<SecretChange> {
        let Some(mut remote) = oauth.remote.take() else {
            return Err(Error::invalid("`server_url` is missing"));
        };
        let server = self.provider.remote_server(&remote.server_url).await?;
        let in_use = self.before.and_then(OAuth::issuer_in_use);
        let wanted = (oauth.issuer.as_ref(), in_use);
        let issuer = choose_issuer(wanted, &server, &remote.server_url)?;
        let found = self.metadata(&issuer).await?;
        let kept_for = shorter(found.kept_for, server.kept_for);
        remote.found = Some(Found {
            since: self.since(&issuer),
            scopes: server.scopes,
            offline_access: offers_offline_access(&found),
            resource: server.resource,
            issuer,
        });
        oauth.discovered = found.endpoints.clone();
        oauth.iss_advertised = found.iss_advertised;
        oauth.issuer_text = Some(found.issuer.clone());
        oauth.metadata = Some(MetadataRead::new(self.now, kept_for));
        oauth.remote = Some(remote);
        self.client(oauth, &found, secret).await
    }

    /// The metadata of the authorization server, if it is one that MCP clients may use.
    async fn metadata(&self, issuer: &WebUrl) -> Result<Discovered> {
        let found = self.provider.discover(issuer).await;
        let found = found.map_err(|error| match error {
            Error::ProviderRefused { code, description } => Error::ProviderRefused {
                code,
                description: format!("the authorization server {issuer}: {description}"),
            },
            Error::ProviderUnavailable { what, retry_after } => Error::ProviderUnavailable {
                what: format!("the authorization server {issuer}: {what}"),
                retry_after,
            },
            other => other,
        })?;
        if found.pkce_s256 != Some(true) {
            return Err(Error::ProviderRefused {
                code: "pkce_s256_missing".into(),
                description: format!(
                    "the metadata of {issuer} does not list S256 in \
                     `code_challenge_methods_supported`: clients of MCP servers must not go on"
                ),
            });
        }
        Ok(found)
    }

    /// Since when this is the issuer.
    fn since(&self, issuer: &WebUrl) -> Timestamp {
        let Some(before) = self.before else {
            return Timestamp::from_unix_ms(0);
        };
        let is_same = before
            .issuer_in_use()
            .is_some_and(|old| is_same_issuer(issuer, old.as_str()));
        let known = before.remote.as_ref().and_then(|old| old.found.as_ref());
        match (is_same, known) {
            (true, Some(found)) => found.since,
            (true, None) => Timestamp::from_unix_ms(0),
            (false, _) => self.now,
        }
    }

    /// Comes by a client: the operator's, the one that is there, or a new one.
    async fn client(
        &self,
        oauth: &mut OAuth,
        found: &Discovered,
        secret: SecretChange,
    ) -> Result<SecretChange> {
        let own = self.before.filter(|before| is_registered(before));
        let is_given = !oauth.client_id.is_empty()
            && own.is_none_or(|before| before.client_id != oauth.client_id);
        if is_given {
            return Ok(self.given(oauth, found, secret));
        }
        if matches!(secret, SecretChange::Set(_)) {
            return Err(Error::invalid(
                "`client_secret` belongs to a `client_id`: give both, or neither",
            ));
        }
        let asks_anew = oauth.client_id.is_empty() && wants_anew(oauth);
        if let Some(before) = own.filter(|_| !asks_anew)
            && let Some(client) = self.kept(before, oauth)
        {
            oauth.client_id = before.client_id.clone();
            oauth.client_auth = before.client_auth;
            set_client(oauth, Some(client));
            return Ok(SecretChange::Keep);
        }
        self.register(oauth, found).await
    }

    /// The operator's own client.
    fn given(&self, oauth: &mut OAuth, found: &Discovered, secret: SecretChange) -> SecretChange {
        set_client(oauth, None);
        let listed = &found.token_endpoint_auth_methods;
        let lists = |method: &str| listed.iter().any(|known| known == method);
        let is_basic = oauth.client_auth == ClientAuth::Basic;
        if is_basic && lists("client_secret_post") && !lists("client_secret_basic") {
            oauth.client_auth = ClientAuth::Post;
        }
        let had_own = self.before.is_some_and(is_registered);
        match secret {
            // That of a client that we registered is not the operator's.
            SecretChange::Keep if had_own => SecretChange::Remove,
            secret => secret,
        }
    }

    /// The client that is there, if it is of this issuer and does what is wanted now.
    fn kept(&self, before: &OAuth, oauth: &OAuth) -> Option<Client> {
        let issuer = oauth.issuer_in_use()?;
        let remote = before.remote.as_ref()?;
        let client = remote.client_of(issuer, &self.ours.redirect_uri)?;
        let hosts = |oauth: &OAuth| {
            let revocation = oauth.revocation_url().map(WebUrl::authority);
            (oauth.host(), revocation)
        };
        let wanted = oauth.remote.as_ref()?.registration;
        let fits = client.registration_url.is_some() || wanted == Registration::Auto;
        let is_good = fits && !client.has_ended(self.now) && hosts(before) == hosts(oauth);
        is_good.then(|| client.clone())
    }

    async fn register(&self, oauth: &mut OAuth, found: &Discovered) -> Result<SecretChange> {
        let (Some(issuer), Some(remote)) = (oauth.issuer_in_use().cloned(), &oauth.remote) else {
            return Err(Error::invalid("`server_url` is missing"));
        };
        let asked_auth = auth_to_ask(&found.token_endpoint_auth_methods);
        let mut client = Client {
            issuer,
            registration_url: None,
            redirect_uri: self.ours.redirect_uri.clone(),
            asked_auth,
            registered_at: self.now,
            renewed_at: None,
            secret_expires_at: None,
            in_doubt: false,
        };
        let document = self.ours.document_url.as_ref();
        let by_document = found.takes_documents && remote.registration == Registration::Auto;
        if let Some(url) = document.filter(|_| by_document) {
            client.asked_auth = ClientAuth::None;
            oauth.client_id = url.clone();
            oauth.client_auth = ClientAuth::None;
            set_client(oauth, Some(client));
            return Ok(SecretChange::Remove);
        }
        let Some(place) = &found.registration_url else {
            return Err(no_registration(&client));
        };
        let new = NewClient {
            place,
            redirect_uri: &client.redirect_uri,
            auth: asked_auth,
            scopes: &oauth.scopes_to_send(oauth.scopes_in_use()),
        };
        let made = self.provider.register(&new).await;
        let made = made.map_err(|failure| in_words(failure, place))?;
        client.registration_url = Some(place.clone());
        client.secret_expires_at = made.secret_expires_at;
        oauth.client_id = made.client_id;
        oauth.client_auth = made.auth;
        set_client(oauth, Some(client));
        Ok(match made.client_secret {
            Some(secret) => SecretChange::Set(secret),
            None => SecretChange::Remove,
        })
    }
}

/// Whether refresh tokens are granted by a scope of their own, which is listed.
fn offers_offline_access(found: &Discovered) -> bool {
    let mut listed = found.scopes_supported.iter();
    listed.any(|scope| scope == OFFLINE_ACCESS)
}

fn is_registered(oauth: &OAuth) -> bool {
    let remote = oauth.remote.as_ref();
    remote.is_some_and(|remote| remote.client.is_some())
}

fn wants_anew(oauth: &OAuth) -> bool {
    oauth.remote.as_ref().is_some_and(|remote| remote.anew)
}

fn set_client(oauth: &mut OAuth, client: Option<Client>) {
    if let Some(remote) = &mut oauth.remote {
        remote.client = client;
    }
}

fn no_registration(client: &Client) -> Error {
    Error::ProviderRefused {
        code: "no_registration".into(),
        description: format!(
            "the authorization server {} lets no client register itself: register Strongroom \
             there, with the redirect URI {}, and give its `client_id`",
            client.issuer, client.redirect_uri
        ),
    }
}

/// The authorization server: the one that the operator names, if the server trusts it; else the
/// one in use while the server names it still, in whatever order, since tokens die where it moves;
/// else the first it names (RFC 9728 7.6 leaves the choice to the client).
fn choose_issuer(
    (named, in_use): (Option<&WebUrl>, Option<&WebUrl>),
    server: &RemoteServer,
    server_url: &WebUrl,
) -> Result<WebUrl> {
    let lists = |one: &WebUrl| {
        let mut issuers = server.issuers.iter();
        issuers.any(|issuer| is_same_issuer(one, issuer.as_str()))
    };
    let Some(named) = named else {
        if let Some(in_use) = in_use.filter(|in_use| lists(in_use)) {
            return Ok(in_use.clone());
        }
        let first = server.issuers.first().cloned();
        return first.ok_or(Error::NotFound("authorization server"));
    };
    // Without metadata nothing speaks against the operator.
    if server.resource.is_none() || lists(named) {
        return Ok(named.clone());
    }
    let told: Vec<String> = server
        .issuers
        .iter()
        .take(limits::REMOTE_URLS_TOLD_MAX)
        .map(ToString::to_string)
        .collect();
    Err(Error::invalid(format!(
        "the MCP server {server_url} does not trust the `issuer` {named}; it names {}",
        told.join(", ")
    )))
}
