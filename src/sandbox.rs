//! An OAuth 2.0 provider for development and tests: it does what the RFCs say until it is told to
//! misbehave, and lets whoever runs it look at what its clients sent.
//!
//! It promises:
//! 1. everything is in memory and bounded; what is oldest goes first;
//! 2. time comes from the given clock, so a test can let tokens expire without waiting;
//! 3. what happens outside the HTTP routes (seeding, revoking, misbehaving) takes effect before the
//!    call returns.
//!
//! It never: talks to anybody, writes to disk, or guards anything of value: its users are made up.
//!
//! A person's way through, which a program can go as well with a cookie jar of one cookie
//! (`sbx_session`). A form's answer is a 303:
//!
//! * `GET /authorize?…`: 200 with the form of `/login`, or that of `/consent` if signed in;
//! * `POST /login` with `request` (hidden in the form), `user`, `password`: 303 to
//!   `/consent?request=…` and a new cookie, or 403 with the form again;
//! * `GET /consent?request=…`: 200 with the form of `/consent`;
//! * `POST /consent` with `request` (hidden), `scope` once per ticked scope, and `decision`,
//!   `allow` or `deny`: 303 to the client.
//!
//! Programs use `/token`, `/revoke`, `/introspect`, both metadata documents, `/api/me` (bearer
//! token) and `/api/key` (`X-Api-Key`).

mod api;
mod authorize;
mod client_auth;
mod ledger;
mod misbehave;
mod pages;
mod reply;
mod request;
mod rules;
mod serve;
mod settings;
mod shelf;
mod token;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use authorize::Visits;
use ledger::Ledger;
use misbehave::Troubles;
use request::Request;
use shelf::{Fingerprint, Shelf};

pub use misbehave::{Endpoint, Misbehaviour};
pub use request::RequestSeen;
pub use settings::{Client, ClientAuth, Rotation, Settings, User};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::secret::Secret;

/// A sandbox. Clones share one state.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    clock: Clock,
    /// Held for the length of one request's processing, never across an await.
    state: Mutex<State>,
}

struct State {
    settings: Settings,
    ledger: Ledger,
    visits: Visits,
    api_keys: Shelf<Fingerprint, String>,
    counts: Counts,
    seen: VecDeque<RequestSeen>,
    troubles: Troubles,
    behaved: watch::Sender<()>,
    told: watch::Sender<Counts>,
}

impl State {
    /// Tells those who watch what has happened.
    fn tell(&self) {
        self.told.send_replace(self.counts);
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests to `/token`, whatever came of them.
    pub token_requests: u64,
    /// Codes redeemed.
    pub code_exchanges: u64,
    /// Refreshes processed with success, whether or not the answer arrived.
    pub refreshes_ok: u64,
    /// Refreshes processed and refused.
    pub refreshes_refused: u64,
    /// Spent codes and refresh tokens that came again and cost their grant.
    pub reuse_detected: u64,
    /// Tokens revoked at `/revoke`.
    pub revocations: u64,
    /// Requests under `/api/`.
    pub api_calls: u64,
    /// Requests for a metadata document.
    pub metadata_requests: u64,
    /// Requests to `/authorize`.
    pub authorizations: u64,
}

/// Tokens issued outside any flow.
pub struct Issued {
    /// The access token.
    pub access_token: Secret<String>,
    /// The refresh token.
    pub refresh_token: Secret<String>,
    /// The life of the access token.
    pub expires_in: Duration,
}

impl Sandbox {
    /// A sandbox in which nothing has happened yet.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let ledger = Ledger::new(&settings);
        let state = Mutex::new(State {
            settings,
            ledger,
            visits: Visits::new(),
            api_keys: Shelf::new(limits::SANDBOX_API_KEYS_MAX),
            counts: Counts::default(),
            seen: VecDeque::new(),
            troubles: Troubles::default(),
            behaved: watch::Sender::new(()),
            told: watch::Sender::new(Counts::default()),
        });
        Self(Arc::new(Inner { clock, state }))
    }

    /// Serves connections until `shutdown` is over; then lets open requests end, for a short while.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        serve::serve(self, listener, shutdown).await;
    }

    /// Adds a client, in place of one with the same id.
    pub fn add_client(&self, client: Client) {
        let mut state = self.state();
        state.settings.clients.retain(|known| known.id != client.id);
        state.settings.clients.push(client);
    }

    /// Adds a redirect URI to a client.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such client.
    pub fn add_redirect_uri(&self, client_id: &str, redirect_uri: impl Into<String>) -> Result<()> {
        let mut state = self.state();
        let clients = &mut state.settings.clients;
        let client = clients.iter_mut().find(|client| client.id == client_id);
        let client = client.ok_or(Error::NotFound("client"))?;
        client.redirect_uris.push(redirect_uri.into());
        Ok(())
    }

    /// Registers an API key for `/api/key`, which will answer that it is `name`'s.
    pub fn register_api_key(&self, name: impl Into<String>, key: &Secret<String>) {
        let key = Fingerprint::of(key.expose());
        self.state().api_keys.put(key, name.into());
    }

    /// Opens a grant without a browser: for a demonstration, or a test that begins connected.
    pub fn grant(&self, client_id: &str, user: &str, scopes: &[&str]) -> Issued {
        let now = self.0.clock.now();
        let ledger = &mut self.state().ledger;
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let (access_token, refresh_token) = ledger.seed(now, client_id, user, scopes);
        Issued {
            access_token,
            refresh_token,
            expires_in: ledger.access_token_life,
        }
    }

    /// Revokes every grant of a user: refreshes get `invalid_grant`, access tokens 401.
    pub fn revoke_user(&self, user: &str) {
        self.state().ledger.revoke_user(user);
    }

    /// Refuses every access token a user has by now; refreshing brings one that works.
    pub fn refuse_access_tokens(&self, user: &str) {
        self.state().ledger.refuse_access_tokens(user);
    }

    /// Sets the life of access tokens issued from now on.
    pub fn set_access_token_life(&self, life: Duration) {
        self.state().ledger.access_token_life = life;
    }

    /// Sets the life of refresh tokens issued from now on. `None`: until revoked.
    pub fn set_refresh_token_life(&self, life: Option<Duration>) {
        self.state().ledger.refresh_token_life = life;
    }

    /// Sets what becomes of refresh tokens used from now on.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.state().ledger.rotation = rotation;
    }

    /// Makes an endpoint misbehave for the next `times` requests; `None`: until [`Self::behave`].
    /// Several with a count come one after another, in the order given. One without a count comes
    /// after those, until another is given in its place.
    ///
    /// # Panics
    /// Where the misbehaviour cannot be sent over HTTP (a status of two digits, a line break in a
    /// header), or too many wait already.
    pub fn misbehave(&self, endpoint: Endpoint, how: Misbehaviour, times: Option<u32>) {
        self.state().troubles.add(endpoint, how, times);
    }

    /// Ends all misbehaviour, and answers requests that were left hanging.
    pub fn behave(&self) {
        let mut state = self.state();
        state.troubles.clear();
        state.behaved.send_replace(());
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// What has happened, as it happens: a request is told when it has arrived, and again when it
    /// was processed, both before its answer leaves.
    pub fn watch(&self) -> watch::Receiver<Counts> {
        self.state().told.subscribe()
    }

    /// Whether a token, of either kind, would be accepted now.
    pub fn is_live(&self, token: &Secret<String>) -> bool {
        let now = self.0.clock.now();
        self.state().ledger.live(now, token.expose()).is_some()
    }

    /// The last requests, oldest first.
    pub fn last_requests(&self) -> Vec<RequestSeen> {
        self.state().seen.iter().cloned().collect()
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves a sandbox whose state is whole enough to go on with.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and remembers a request, and takes the misbehaviour that is due for it. The receiver
    /// tells of the next [`Self::behave`]; made under the same lock, it misses none.
    fn receive(&self, request: &Request) -> (Option<Misbehaviour>, watch::Receiver<()>) {
        let mut state = self.state();
        if state.seen.len() >= limits::SANDBOX_REQUESTS_SEEN_MAX {
            state.seen.pop_front();
        }
        state.seen.push_back(request.seen());
        let endpoint = Endpoint::of(&request.path);
        let counts = &mut state.counts;
        match endpoint {
            Some(Endpoint::Token) => counts.token_requests += 1,
            Some(Endpoint::Metadata) => counts.metadata_requests += 1,
            Some(Endpoint::Api) => counts.api_calls += 1,
            None if request.path == "/authorize" => counts.authorizations += 1,
            Some(Endpoint::Revoke) | None => {}
        }
        let trouble = endpoint.and_then(|endpoint| state.troubles.take(endpoint));
        state.tell();
        (trouble, state.behaved.subscribe())
    }
}
