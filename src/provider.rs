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
pub mod catalogue;
pub mod classify;
mod discovery;
pub mod egress;
mod hold;
mod key_document;
pub mod metadata;
pub mod proxy;
pub mod registration;
pub mod remote;
mod seats;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue};
use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RevocationUrl, Scope, StandardRevocableToken, TokenUrl,
};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Scopes;
use crate::model::app::{ClientAuth, OAuth};
use crate::model::link::Hints;
use crate::model::token::Grant;
use crate::secret::{Secret, base64url, random};
use answer::Answer;
use classify::{Failure, FailureKind, read_retry_after};
use egress::{Egress, EgressSettings, Request};
pub use hold::Hold;
pub use key_document::KeyDocument;
use seats::{Seat, Seats};

/// The OAuth client. Cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    egress: Egress,
    seats: Seats,
    turns: registration::Turns,
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

/// Which token is revoked (RFC 7009 2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenHint {
    /// An access token.
    AccessToken,
    /// A refresh token: most servers revoke the whole grant with it.
    RefreshToken,
}

/// How a revocation went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// The provider says it is gone.
    Done,
    /// The app names no place to revoke at.
    Unsupported,
}

/// The oauth2 crate's client, once its token endpoint is set.
type Client = BasicClient<
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

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
        let (url, _state) = trip.url();
        Ok(Authorize {
            url: Secret::new(url.into()),
            pkce_verifier,
        })
    }

    /// Exchanges an authorization code (RFC 6749 4.1.3).
    ///
    /// # Errors
    /// See [`FailureKind`].
    pub async fn exchange(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        code: &Secret<String>,
        redirect_uri: &str,
        verifier: Option<&Secret<String>>,
    ) -> std::result::Result<Grant, Failure> {
        let client = token_client(app, client_secret)?;
        let redirect_url = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|_| wrong_settings("the redirect URI is not a URL"))?;
        let presented = AuthorizationCode::new(code.expose().clone());
        let mut draft = client
            .exchange_code(presented)
            .set_redirect_uri(Cow::Owned(redirect_url));
        if let Some(verifier) = verifier {
            draft = draft.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()));
        }
        for (name, value) in token_params(app) {
            draft = draft.add_extra_param(name, value);
        }
        let desk = Desk::default();
        let request = desk.collect(draft.request_async(&desk)).await?;
        let sent = [client_secret, Some(code), verifier];
        let seat = self.0.seats.take(&app.host()).await?;
        self.grant(app, client_secret, (seat, request), &sent).await
    }

    /// Refreshes (RFC 6749 6), once, and without `scope`.
    ///
    /// # Errors
    /// See [`FailureKind`].
    pub async fn refresh(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        refresh_token: &Secret<String>,
    ) -> std::result::Result<Grant, Failure> {
        let client = token_client(app, client_secret)?;
        let presented = RefreshToken::new(refresh_token.expose().clone());
        let mut draft = client.exchange_refresh_token(&presented);
        for (name, value) in token_params(app) {
            draft = draft.add_extra_param(name, value);
        }
        let desk = Desk::default();
        let request = desk.collect(draft.request_async(&desk)).await?;
        let sent = [client_secret, Some(refresh_token)];
        let seat = self.seat_for_refresh(&app.host()).await?;
        self.grant(app, client_secret, (seat, request), &sent).await
    }

    /// Revokes a token (RFC 7009). One that is gone already counts as revoked.
    ///
    /// # Errors
    /// See [`FailureKind`].
    pub async fn revoke(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        token: &Secret<String>,
        hint: TokenHint,
    ) -> std::result::Result<Revocation, Failure> {
        let Some(endpoint) = app.revocation_url() else {
            return Ok(Revocation::Unsupported);
        };
        // The crate refuses http here, and only here. Which hosts may be reached in the clear is
        // for `egress` to say, so the scheme is set back below.
        let mut shown = endpoint.as_url().clone();
        let _ = shown.set_scheme("https");
        let client = token_client(app, client_secret)?;
        let client = client.set_revocation_url(RevocationUrl::from_url(shown));
        let token = token.expose().clone();
        let token = match hint {
            TokenHint::AccessToken => StandardRevocableToken::AccessToken(AccessToken::new(token)),
            TokenHint::RefreshToken => {
                StandardRevocableToken::RefreshToken(RefreshToken::new(token))
            }
        };
        let draft = client
            .revoke_token(token)
            .map_err(|_| wrong_settings("the revocation URL cannot be used"))?;
        let desk = Desk::default();
        let mut request = desk.collect(draft.request_async(&desk)).await?;
        *request.uri_mut() = endpoint
            .as_str()
            .parse()
            .map_err(|_| wrong_settings("the revocation URL cannot be used"))?;
        let host = endpoint.authority();
        let request = authenticated(app, client_secret, request)?;
        let answer = self
            .send(&host, request, limits::PROVIDER_BODY_BYTES_MAX)
            .await?;
        answer::read_revocation(&answer, self.0.clock.now())?;
        Ok(Revocation::Done)
    }

    async fn grant(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        (seat, request): (Seat, Request),
        sent: &[Option<&Secret<String>>],
    ) -> std::result::Result<Grant, Failure> {
        let request = authenticated(app, client_secret, request)?;
        let most = limits::PROVIDER_BODY_BYTES_MAX;
        let answer = self.send_seated(seat, &app.host(), request, most).await?;
        let now = self.0.clock.now();
        answer::read_grant(&answer, &app.scope_separator, now).map_err(|failure| {
            // Some say "too often" by a 200 or a 400: it holds for the whole host as well.
            if let FailureKind::Transient {
                retry_after: Some(wait),
            } = failure.kind
            {
                self.0.seats.stay_away(&app.host(), wait);
            }
            // Some providers repeat what they refuse. What it means is read from the answer as it
            // came, its words from the answer without what we sent.
            let clean = answer.without(sent.iter().copied().flatten());
            let words = answer::read_grant(&clean, &app.scope_separator, now).err();
            let (code, description) = words.map_or_else(
                || ("unreadable".into(), String::new()),
                |failure| (failure.code, failure.description),
            );
            Failure {
                code,
                description,
                ..failure
            }
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

fn token_client(
    app: &OAuth,
    client_secret: Option<&Secret<String>>,
) -> std::result::Result<Client, Failure> {
    let endpoint = app
        .token_url()
        .ok_or_else(|| wrong_settings("the app has no token URL"))?;
    let mut client = BasicClient::new(ClientId::new(app.client_id.clone()));
    if app.client_auth != ClientAuth::None
        && let Some(secret) = client_secret
    {
        client = client.set_client_secret(ClientSecret::new(secret.expose().clone()));
    }
    let auth_type = match app.client_auth {
        ClientAuth::Basic | ClientAuth::BasicRaw => AuthType::BasicAuth,
        ClientAuth::Post | ClientAuth::None => AuthType::RequestBody,
    };
    Ok(client
        .set_auth_type(auth_type)
        .set_token_uri(TokenUrl::from_url(endpoint.as_url().clone())))
}

/// Puts the raw form of HTTP Basic in the place of the encoded one, where the app wants that, and
/// marks the header so that nothing shows it.
fn authenticated(
    app: &OAuth,
    client_secret: Option<&Secret<String>>,
    mut request: Request,
) -> std::result::Result<Request, Failure> {
    if let (ClientAuth::BasicRaw, Some(secret)) = (app.client_auth, client_secret) {
        let pair = Secret::new(format!("{}:{}", app.client_id, secret.expose()));
        let field = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
        let value = HeaderValue::from_str(field.expose())
            .map_err(|_| wrong_settings("the client id and secret make no header"))?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    if let Some(value) = request.headers_mut().get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    Ok(request)
}

/// Stands in for an HTTP client: the request is laid down here, and we send it ourselves.
#[derive(Default)]
struct Desk(Mutex<Option<Request>>);

/// What the crate is told in place of an answer.
#[derive(Debug)]
struct LaidDown;

impl fmt::Display for LaidDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is sent elsewhere")
    }
}

impl std::error::Error for LaidDown {}

impl<'c> AsyncHttpClient<'c> for Desk {
    type Error = LaidDown;
    type Future = Ready<std::result::Result<HttpResponse, LaidDown>>;

    fn call(&'c self, request: Request) -> Self::Future {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        ready(Err(LaidDown))
    }
}

impl Desk {
    /// Lets the crate build a request; it is done when the request lies here.
    async fn collect<T>(
        &self,
        building: impl Future<Output = T>,
    ) -> std::result::Result<Request, Failure> {
        building.await;
        let request = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        request.ok_or_else(|| wrong_settings("the request could not be built"))
    }
}
