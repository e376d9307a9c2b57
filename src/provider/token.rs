//! Token requests: the exchange of a code, a refresh.
//!
//! It promises: as [`super::Provider`].
//! It never: sends `scope` with a refresh, or a private key.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, PkceCodeVerifier, RedirectUrl,
    RefreshToken, TokenUrl,
};

use super::answer::{self, Answer};
use super::asking::{self, Kind};
use super::calls::Stock;
use super::classify::{Failure, FailureKind};
use super::desk::Desk;
use super::egress::Request;
use super::seats::Seat;
use super::{Provider, assertion, token_params, wrong_settings};
use crate::limits;
use crate::model::app::{ClientAuth, OAuth};
use crate::model::beside::Brought;
use crate::model::blanks::Known;
use crate::model::dialect::Renewal;
use crate::model::token::Grant;
use crate::model::url::WebUrl;
use crate::secret::Secret;

/// The oauth2 crate's client, once its token endpoint is set.
pub(super) type Client = BasicClient<
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

impl Provider {
    /// Exchanges an authorization code (RFC 6749 4.1.3), and what came of it for a longer token
    /// where the provider has that. `known` is what is known of the connection.
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
        known: &Known,
    ) -> Result<Grant, Failure> {
        let client = token_client(app, app.token_url(), client_secret)?;
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
        let request = self.dressed(app, client_secret, request, Kind::Code)?;
        let sent = [client_secret, Some(code), verifier];
        let seat = self.0.seats.take(&app.host()).await?;
        let grant = self.grant(app, &app.host(), (seat, request), &sent).await?;
        let exchanges = match &app.dialect.lives.renewal {
            Renewal::Refresh => return Ok(grant),
            // What nothing can be done with is not kept.
            Renewal::None => {
                return Ok(Grant {
                    refresh_token: None,
                    ..grant
                });
            }
            Renewal::Exchange(exchanges) => exchanges,
        };
        let stock = Stock {
            app,
            client_secret,
            known,
            access_token: Some(&grant.access_token),
            refresh_token: None,
        };
        let longer = self.trade_granted(exchanges, &stock).await?;
        Ok(Grant {
            access_token: longer.access_token,
            refresh_token: longer.refresh_token,
            expires_in_s: longer.expires_in_s,
            brought: Box::new(Brought {
                refresh_token_lifetime_s: longer.brought.refresh_token_lifetime_s,
                ..*grant.brought
            }),
            ..grant
        })
    }

    /// Refreshes (RFC 6749 6), once, and without `scope`; or trades a token that has none for a
    /// longer one, where that is what renews it. `known` is what is kept beside the token.
    ///
    /// # Errors
    /// See [`FailureKind`].
    pub async fn refresh(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        refresh_token: &Secret<String>,
        known: &Known,
    ) -> Result<Grant, Failure> {
        if let Renewal::Exchange(exchanges) = &app.dialect.lives.renewal {
            let stock = Stock {
                app,
                client_secret,
                known,
                access_token: Some(refresh_token),
                refresh_token: None,
            };
            return self.trade_again(exchanges, &stock).await;
        }
        let client = token_client(app, app.refresh_url(), client_secret)?;
        let presented = RefreshToken::new(refresh_token.expose().clone());
        let mut draft = client.exchange_refresh_token(&presented);
        for (name, value) in token_params(app) {
            draft = draft.add_extra_param(name, value);
        }
        let desk = Desk::default();
        let request = desk.collect(draft.request_async(&desk)).await?;
        let request = self.dressed(app, client_secret, request, Kind::Refresh(known))?;
        let sent = [client_secret, Some(refresh_token)];
        let host = app.refresh_url().map(WebUrl::authority).unwrap_or_default();
        let seat = self.seat_for_refresh(&host).await?;
        self.grant(app, &host, (seat, request), &sent).await
    }

    /// A token request as it goes out: with the client's proof, in its provider's dialect.
    fn dressed(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        mut request: Request,
        kind: Kind<'_>,
    ) -> Result<Request, Failure> {
        if let (ClientAuth::PrivateKeyJwt, Some(key)) = (app.client_auth, client_secret) {
            assertion::add(app, key, self.0.clock.now(), &mut request)?;
        }
        let request = asking::token_request(app, kind, request)?;
        authenticated(app, client_secret, request)
    }

    async fn grant(
        &self,
        app: &OAuth,
        host: &str,
        (seat, request): (Seat, Request),
        sent: &[Option<&Secret<String>>],
    ) -> Result<Grant, Failure> {
        let most = limits::PROVIDER_BODY_BYTES_MAX;
        let answer = self.send_seated(seat, host, request, most).await?;
        self.read_answer(app, &answer, sent)
    }

    /// Reads what came back for what was sent.
    pub(super) fn read_answer(
        &self,
        app: &OAuth,
        answer: &Answer,
        sent: &[Option<&Secret<String>>],
    ) -> Result<Grant, Failure> {
        let now = self.0.clock.now();
        answer::read_grant(answer, app, now).map_err(|failure| {
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
            let words = answer::read_grant(&clean, app, now).err();
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
}

pub(super) fn token_client(
    app: &OAuth,
    endpoint: Option<&WebUrl>,
    client_secret: Option<&Secret<String>>,
) -> Result<Client, Failure> {
    let endpoint = endpoint.ok_or_else(|| wrong_settings("the app has no token URL"))?;
    let mut client = BasicClient::new(ClientId::new(app.client_id.clone()));
    // A private key is never sent.
    if !matches!(
        app.client_auth,
        ClientAuth::None | ClientAuth::PrivateKeyJwt
    ) && let Some(secret) = client_secret
    {
        client = client.set_client_secret(ClientSecret::new(secret.expose().clone()));
    }
    let auth_type = match app.client_auth {
        ClientAuth::Basic | ClientAuth::BasicRaw => AuthType::BasicAuth,
        ClientAuth::Post | ClientAuth::None | ClientAuth::PrivateKeyJwt => AuthType::RequestBody,
    };
    Ok(client
        .set_auth_type(auth_type)
        .set_token_uri(TokenUrl::from_url(endpoint.as_url().clone())))
}

/// Puts the raw form of HTTP Basic in the place of the encoded one, where the app wants that, and
/// marks the header so that nothing shows it.
pub(super) fn authenticated(
    app: &OAuth,
    client_secret: Option<&Secret<String>>,
    mut request: Request,
) -> Result<Request, Failure> {
    if let (ClientAuth::BasicRaw, Some(secret)) = (app.client_auth, client_secret) {
        let field = basic_header(&app.client_id, secret);
        let value = HeaderValue::from_str(field.expose())
            .map_err(|_| wrong_settings("the client id and secret make no header"))?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    if let Some(value) = request.headers_mut().get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    Ok(request)
}

/// The value of HTTP Basic's header field (RFC 7617), with name and password as they are.
pub(super) fn basic_header(name: &str, password: &Secret<String>) -> Secret<String> {
    let pair = Secret::new(format!("{name}:{}", password.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))
}
