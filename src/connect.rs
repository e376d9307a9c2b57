//! A person connects an app: from a connect link to a stored token.
//!
//! ```text
//!   asker: start ----> link + code        GET /c/{ticket}   who asks for what; changes nothing
//!                                         POST /c/{ticket}  this browser, and no other: cookie
//!          vouch <---- single-use ticket  (proof by the asking application)
//!                                         code typed        (proof by code)
//!                                         go: state + PKCE -> provider -> /callback/{app}
//!   asker: state <---- connected          stored; back to the page, then to the return URL
//! ```
//!
//! An owner who asks in person, from a browser, gets the cookie with the link ([`Wish::browser`]).
//!
//! It promises:
//! * C1 Nobody is sent to a provider before the person is proven to be the one who was asked, and
//!   no code is redeemed in another browser than that person's.
//! * C2 `state` is 256 bits, hashed at rest, single use, ten minutes, of one app's redirect URI; it
//!   is taken in a durable step before the code is redeemed.
//! * C3 `iss` is compared where it comes, and must come where the provider says it does (RFC 9207).
//! * C4 A return URL is exactly one of the asking key's or of the app's.
//! * C5 Opening a link changes nothing: a chat's preview does not use it up.
//!
//! It never: shows a provider's URL before the proof, or keeps anything a browser presents.

mod answers;
mod arrivals;
mod check;
mod keys;
mod person;
mod proofs;
mod remote;
mod templates;
mod trip;
mod wish;

use std::fmt::Display;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use self::arrivals::Arrivals;
pub use self::check::{Finding, Level, worst};
pub use self::keys::Typed;
pub use self::person::{AppCard, Cookie, Next, Visit};
use self::proofs::choose_proof;
pub use self::templates::{UpdateWish, Updated};
pub use self::trip::Came;
pub use self::wish::{Wish, WishedApp};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller};
use crate::model::app::{App, AppKind, Callback, Endpoints, MetadataRead};
use crate::model::link::{Link, LinkApp, LinkAppState, LinkStatus, Proof};
use crate::model::url::WebUrl;
use crate::model::{AppId, LinkId, Owner};
use crate::provider::Provider;
use crate::provider::catalogue::Catalogue;
use crate::secret::Secret;
use crate::vault::{NewLink, Vault};

/// Takes people through connecting. Cheap to clone.
#[derive(Clone)]
pub struct Connect(Arc<Inner>);

struct Inner {
    vault: Vault,
    provider: Provider,
    /// Where browsers reach us, without a slash at the end.
    public_url: String,
    domain: String,
    /// Counts changes of links, so that long polls wake up.
    changes: watch::Sender<u64>,
    ending: AtomicBool,
    /// Places for those who wait for a change.
    places: Semaphore,
    /// Browsers that came back from a provider.
    arrivals: Arrivals,
    /// What apps are made of.
    catalogue: RwLock<Arc<Catalogue>>,
    /// Called when a token was stored.
    stored: Box<dyn Fn() + Send + Sync>,
}

/// A link that was made.
pub struct Started {
    /// Names it.
    pub id: LinkId,
    /// Where the person goes. Holds a secret: it is for that person alone.
    pub url: Secret<String>,
    /// The code the person types, where proof is by code.
    pub code: Option<Secret<String>>,
    /// The cookie to set, where the link is bound to the browser that asked.
    pub cookie: Option<Cookie>,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// What a caller without a token is offered.
pub enum Offer {
    /// A person is at it.
    Pending(LinkId),
    /// The person said no.
    Declined,
    /// A new link.
    Link(Box<Started>),
    /// Nothing: none was asked for, or the caller may not make links.
    Nothing,
}

impl Connect {
    /// Takes people through connecting, by pages at `public_url`. `stored` is called after a token
    /// was stored.
    pub fn new(
        vault: Vault,
        provider: Provider,
        public_url: &WebUrl,
        stored: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            vault,
            provider,
            public_url: public_url.as_str().trim_end_matches('/').to_owned(),
            domain: public_url
                .as_url()
                .host_str()
                .unwrap_or_default()
                .to_owned(),
            changes: watch::Sender::new(0),
            ending: AtomicBool::new(false),
            places: Semaphore::new(limits::LINK_WAITERS_MAX),
            arrivals: Arrivals::default(),
            catalogue: RwLock::default(),
            stored: Box::new(stored),
        }))
    }

    /// Lets at most `count` callers wait for changes at one time; who finds no place is answered at
    /// once. Called once, before anybody waits.
    pub fn seat_at_most(&self, count: usize) {
        let places = limits::LINK_WAITERS_MAX.saturating_sub(count.max(1));
        self.0.places.forget_permits(places);
    }

    fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// The redirect URI of an app, of its own or shared.
    pub fn redirect_uri(&self, app: &dyn Display, callback: Callback) -> String {
        let public_url = &self.0.public_url;
        match callback {
            // An app id is made of characters that stand in a URL as they are.
            Callback::Own => format!("{public_url}/callback/{app}"),
            Callback::Shared => format!("{public_url}/v1/outbound/oauth/callback"),
        }
    }

    /// The domain that browsers reach us under.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// True where the pages are reached under TLS.
    pub fn is_secure(&self) -> bool {
        self.0.public_url.starts_with("https://")
    }

    /// Makes a link.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotFound`] for an unknown app, [`Error::Denied`].
    pub async fn start(&self, caller: &Caller, mut wish: Wish) -> Result<Started> {
        if wish.apps.is_empty() || wish.apps.len() > limits::LINK_APPS_MAX {
            let most = limits::LINK_APPS_MAX;
            return Err(Error::invalid(format!("`apps` names 1 to {most} apps")));
        }
        let proof = match wish.browser {
            true => Proof::Page,
            false => choose_proof(caller, wish.proof)?,
        };
        let (apps, return_urls) = self.wished(caller, std::mem::take(&mut wish.apps))?;
        wish.check_places(&return_urls)?;
        let life = wish.life()?;
        let new = NewLink {
            apps,
            owner: wish.owner,
            proof,
            return_url: wish.return_url,
            opener_origin: wish.opener_origin,
            life,
        };
        let made = match wish.browser {
            true => self.vault().make_bound_link(caller, new)?.await?,
            false => self.vault().make_link(caller, new)?.await?,
        };
        self.changed();
        let id = made.link.id;
        Ok(Started {
            id,
            url: Secret::new(format!("{}/c/{}", self.0.public_url, made.ticket.expose())),
            code: made.code,
            cookie: made.cookie.map(|value| Cookie { link: id, value }),
            expires_at: made.link.expires_at,
        })
    }

    /// The apps of a link as they are kept, and where their people may be sent back to.
    fn wished(
        &self,
        caller: &Caller,
        wished: Vec<WishedApp>,
    ) -> Result<(Vec<LinkApp>, Vec<WebUrl>)> {
        let mut apps: Vec<LinkApp> = Vec::new();
        let mut return_urls: Vec<WebUrl> = caller
            .key()
            .map(|key| key.return_urls.clone())
            .unwrap_or_default();
        for wished in wished {
            let app = self
                .vault()
                .app_settings(caller, Action::Connect, &wished.app)?;
            if apps.iter().any(|other| other.app == app.id) {
                return Err(Error::invalid(format!("`{}` is named twice", app.id)));
            }
            let variables = app.read_variables(&wished.variables)?;
            let account = app.first_account(wished.account);
            let own = app
                .oauth()
                .map(|oauth| oauth.scopes_in_use().clone())
                .unwrap_or_default();
            return_urls.extend(app.return_urls);
            apps.push(LinkApp {
                app: app.id,
                scopes: wished.scopes.unwrap_or(own),
                account,
                hints: wished.hints,
                variables,
                state: LinkAppState::Waiting,
            });
        }
        Ok((apps, return_urls))
    }

    /// What a caller without a token is told: a person is at it, said no, or here is a link.
    ///
    /// # Errors
    /// Those of [`Connect::start`], but for [`Error::Denied`], which offers nothing.
    pub async fn offer(
        &self,
        caller: &Caller,
        app: &AppId,
        owner: &Owner,
        wish: Option<Wish>,
    ) -> Result<Offer> {
        let now = self.vault().clock().now();
        if let Some(link) = self.vault().newest_link(caller, app, owner)? {
            let status = link.status(now);
            let declined = link
                .app(app)
                .is_some_and(|app| app.state == LinkAppState::Declined);
            match (status, &wish) {
                (LinkStatus::Visited, _) if !declined => return Ok(Offer::Pending(link.id)),
                (LinkStatus::Issued, None) => return Ok(Offer::Pending(link.id)),
                (_, None) if declined && now < link.expires_at => return Ok(Offer::Declined),
                _ => {}
            }
        }
        let Some(wish) = wish else {
            return Ok(Offer::Nothing);
        };
        match self.start(caller, wish).await {
            Ok(started) => Ok(Offer::Link(Box::new(started))),
            Err(Error::Denied) => Ok(Offer::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Where a link stands; waits up to `wait` for a change, if there is a place to wait.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub async fn state(&self, caller: &Caller, id: LinkId, wait: Duration) -> Result<Link> {
        let mut changes = self.0.changes.subscribe();
        changes.borrow_and_update();
        let first = self.vault().link(caller, id)?;
        let Ok(_place) = self.0.places.try_acquire() else {
            return Ok(first);
        };
        let mut patience = pin!(tokio::time::sleep(wait.min(limits::LINK_WAIT_MAX)));
        loop {
            let now = self.vault().clock().now();
            if !first.is_open(now) || self.0.ending.load(Ordering::Acquire) {
                return self.vault().link(caller, id);
            }
            let lapse = self.vault().clock().sleep_until(first.expires_at);
            tokio::select! {
                changed = changes.changed() => {
                    let link = self.vault().link(caller, id)?;
                    // No sender left means: shutting down.
                    if link != first || changed.is_err() {
                        return Ok(link);
                    }
                }
                () = lapse => {}
                () = &mut patience => return Ok(first),
            }
        }
    }

    /// Takes a link back.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub async fn withdraw(&self, caller: &Caller, id: LinkId) -> Result<Link> {
        let link = self.vault().withdraw_link(caller, id)?.await?;
        self.changed();
        Ok(link)
    }

    /// Takes the asking application's word for who is signed in there. Where to send that person's
    /// browser comes back; the person is proven once it arrives there, in the browser that opened
    /// the link: a ticket passed on to somebody else proves nobody.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a link or ticket that is not the caller's, or was used.
    pub async fn vouch(
        &self,
        caller: &Caller,
        id: LinkId,
        ticket: &Secret<String>,
        owner: Owner,
    ) -> Result<(Link, Option<Secret<String>>)> {
        let vouched = self.vault().vouch(caller, id, ticket, owner)?.await?;
        self.changed();
        let url = |back: Secret<String>| {
            format!(
                "{}/connect/{id}/vouched/{}",
                self.0.public_url,
                back.expose()
            )
        };
        Ok((vouched.link, vouched.back.map(url).map(Secret::new)))
    }

    /// Reads an issuer's metadata into an app's settings, where it names an issuer. Endpoints given
    /// by hand stay. Only who may make apps can send us to an address of their choice (T28).
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Invalid`] where the issuer refuses PKCE S256 that the app is to
    /// use; those of [`Provider::discover`].
    pub async fn discover(&self, caller: &Caller, app: &mut App) -> Result<()> {
        self.vault().may_make_app(caller, &app.id)?;
        let AppKind::OAuth(oauth) = &mut app.kind else {
            return Ok(());
        };
        if oauth.remote.is_some() {
            // It keeps what it was found to be: see [`Connect::settle`].
            return Ok(());
        }
        let Some(issuer) = &oauth.issuer else {
            oauth.discovered = Endpoints::default();
            oauth.iss_advertised = false;
            oauth.issuer_text = None;
            oauth.metadata = None;
            return Ok(());
        };
        let found = self.0.provider.discover(issuer).await?;
        if oauth.pkce && found.pkce_s256 == Some(false) {
            return Err(Error::invalid(
                "the issuer does not list PKCE S256; set `pkce` to false if that is to be so",
            ));
        }
        oauth.discovered = found.endpoints;
        oauth.iss_advertised = found.iss_advertised;
        oauth.issuer_text = Some(found.issuer);
        let now = self.vault().clock().now();
        oauth.metadata = Some(MetadataRead::new(now, found.kept_for));
        Ok(())
    }

    /// Ends every long poll: the process is about to end.
    pub fn end_waits(&self) {
        self.0.ending.store(true, Ordering::Release);
        self.changed();
    }

    /// Waits until every code that is being redeemed has come to its end, at most
    /// [`limits::PROVIDER_TIMEOUT`]: whoever brought it may have gone.
    pub async fn drain(&self) {
        let done = tokio::time::timeout(limits::PROVIDER_TIMEOUT, self.0.arrivals.done()).await;
        if done.is_err() {
            tracing::warn!("a connection was cut while its provider was asked");
        }
    }

    fn changed(&self) {
        self.0
            .changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
