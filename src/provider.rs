//! The OAuth client: what we ask of authorization servers, and what their answers mean.
//!
//! It promises:
//! 1. one request per call: nothing is sent twice, no other way of client authentication is tried,
//!    no redirect is followed;
//! 2. a refresh never sends `scope`, since some providers make a narrower one permanent;
//! 3. a failure says what can be done about it ([`FailureKind`]) and holds no secret;
//! 4. whatever an answer holds, it is read in bounded memory and time.
//!
//! It never: stores anything, decides what becomes of a token, or sees more than one credential.
//!
//! The `oauth2` crate builds the requests; `answer` reads what comes back, for real answers are
//! wilder than that crate allows; `egress` is the way between.

pub mod addresses;
pub mod answer;
mod asking;
mod assertion;
mod calls;
pub mod catalogue;
pub mod check;
pub mod classify;
mod desk;
mod discovery;
pub mod egress;
mod hold;
mod identity;
mod key_document;
mod lifetime;
pub mod metadata;
mod oddities;
pub mod proxy;
pub mod readings;
pub mod registration;
pub mod remote;
mod revocation;
mod seats;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};
use tokio::sync::watch;

pub use self::hold::Hold;
pub use self::identity::{Identity, NotIdentified, Shown};
pub use self::key_document::KeyDocument;
pub use self::oddities::{Callback, check_callback};
pub use self::revocation::{Revocation, TokenHint, Tokens};
use self::seats::{Seat, Seats};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::Scopes;
use crate::model::app::OAuth;
use crate::model::link::Hints;
use crate::secret::{Secret, base64url, random};
use answer::Answer;
use classify::{Failure, FailureKind, read_retry_after};
use egress::{Egress, EgressSettings, Request};

/// The OAuth client. Cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    egress: Egress,
    seats: Seats,
    turns: registration::Turns,
    readings: readings::Readings,
    clock: Clock,
    /// How many want no further refresh to be sent.
    holds: watch::Sender<usize>,
}

/// What a trip to the authorization endpoint takes along.
pub struct AuthorizeRequest<'a> {
    /// Our callback for this app, exactly as registered.
    pub redirect_uri: &'a str,
    /// The single-use state, made by whoever keeps it.
    pub state: &'a Secret<String>,
    /// The scopes asked for; none where empty.
    pub scopes: &'a Scopes,
    /// What is said of the person.
    pub hints: &'a Hints,
}

/// Where to send a person's browser.
pub struct Authorize {
    /// The URL. It holds the state, hence a secret until it is sent.
    pub url: Secret<String>,
    /// The PKCE verifier to keep for the exchange, where the app uses PKCE.
    pub pkce_verifier: Option<Secret<String>>,
}

impl Provider {
    /// Makes the client and its way out.
    ///
    /// # Errors
    /// [`Error::Settings`] for a host, certificate file or proxy that cannot be used.
    pub fn new(settings: &EgressSettings, clock: Clock) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            egress: Egress::new(settings)?,
            seats: Seats::new(clock.clone(), settings.timeout, settings.calls_max),
            turns: registration::Turns::default(),
            readings: readings::Readings::default(),
            clock,
            holds: watch::Sender::new(0),
        })))
    }

    /// Makes the URL of a trip to the authorization endpoint (RFC 6749 4.1.1, RFC 7636 4.3). A
    /// query that the endpoint has is kept.
    ///
    /// # Errors
    /// [`Error::Settings`] where the app has no such endpoint or the redirect URI is no URL.
    pub fn authorize_url(&self, app: &OAuth, request: &AuthorizeRequest<'_>) -> Result<Authorize> {
        let missing = || Error::Settings("the app has no authorization URL".into());
        let endpoint = app.authorization_url().ok_or_else(missing)?;
        let redirect_url = RedirectUrl::new(request.redirect_uri.to_owned())
            .map_err(|_| Error::Settings("the redirect URI is not a URL".into()))?;
        let client = BasicClient::new(ClientId::new(app.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoint.as_url().clone()))
            .set_redirect_uri(redirect_url);
        let mut trip = client.authorize_url(|| CsrfToken::new(request.state.expose().clone()));
        if !request.scopes.is_empty() {
            // Joined by us: the crate joins by spaces alone.
            trip = trip.add_scope(Scope::new(request.scopes.joined(&app.scope_separator)));
        }
        let mut params: BTreeMap<&str, &str> = app
            .authorization_params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        for (name, hint) in request.hints.named() {
            params.insert(name, hint);
        }
        params.extend(resource(app, &app.authorization_params));
        for (name, value) in params {
            trip = trip.add_extra_param(name, value);
        }
        let mut pkce_verifier = None;
        if app.pkce {
            // 32 random bytes make the 43 characters that RFC 7636 4.1 asks for.
            let verifier = base64url(&random::<32>());
            let kept = Secret::new(verifier.clone());
            let verifier = PkceCodeVerifier::new(verifier);
            trip = trip.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
            pkce_verifier = Some(kept);
        }
        let (mut url, _state) = trip.url();
        asking::authorize(app, &mut url);
        Ok(Authorize {
            url: Secret::new(url.into()),
            pkce_verifier,
        })
    }

    /// Sends one request, within the host's seats and the wait it asked for.
    async fn send(
        &self,
        host: &str,
        request: Request,
        body_max: usize,
    ) -> std::result::Result<Answer, Failure> {
        let seat = self.0.seats.take(host).await?;
        self.send_seated(seat, host, request, body_max).await
    }

    /// Sends one request, within the host's seats; where it is in trouble, or busy, that is of this
    /// request alone: what is only looked up keeps nobody's refresh waiting.
    async fn send_aside(
        &self,
        host: &str,
        request: Request,
        body_max: usize,
    ) -> std::result::Result<Answer, Failure> {
        let _seat = self.0.seats.take(host).await?;
        self.0.egress.send(request, body_max).await
    }

    async fn send_seated(
        &self,
        _seat: Seat,
        host: &str,
        request: Request,
        body_max: usize,
    ) -> std::result::Result<Answer, Failure> {
        let answer = self.0.egress.send(request, body_max).await?;
        if matches!(answer.status, 408 | 425 | 429 | 500..) {
            let wait = read_retry_after(&answer.retry_after, self.0.clock.now());
            self.0.seats.stay_away(host, wait.unwrap_or_default());
        }
        Ok(answer)
    }
}

/// The app's parameters of a token request, `resource` among them.
fn token_params(app: &OAuth) -> impl Iterator<Item = (&str, &str)> {
    let own = app.token_params.iter();
    let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
    own.chain(resource(app, &app.token_params))
}

/// What the tokens are for (RFC 8707 2), unless these parameters say so already.
fn resource<'a>(
    app: &'a OAuth,
    params: &BTreeMap<String, String>,
) -> Option<(&'static str, &'a str)> {
    let resource = app.resource_in_use()?;
    (!params.contains_key("resource")).then_some(("resource", resource.as_str()))
}

fn wrong_settings(what: &str) -> Failure {
    Failure::ours(FailureKind::ClientRefused, "settings", what)
}
