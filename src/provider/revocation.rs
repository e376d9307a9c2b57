//! Revoking at a provider: as RFC 7009 says, or by its recipe.
//!
//! It promises: what is gone already counts as revoked.
//! It never: revokes what it was not given.

use oauth2::{AccessToken, RefreshToken, RevocationUrl, StandardRevocableToken};

use super::calls::Stock;
use super::classify::Failure;
use super::desk::Desk;
use super::token::{authenticated, token_client};
use super::{Provider, answer, assertion, wrong_settings};
use crate::limits;
use crate::model::app::{ClientAuth, OAuth};
use crate::model::blanks::Known;
use crate::secret::Secret;

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

/// The tokens of a grant that is to be revoked, and what is known of its connection.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    /// The access token.
    pub access_token: Option<&'a Secret<String>>,
    /// The refresh token.
    pub refresh_token: Option<&'a Secret<String>>,
    /// What is kept beside them.
    pub known: &'a Known,
}

impl Provider {
    /// Revokes a grant: by its refresh token where there is one, since most servers end the whole
    /// grant with it (RFC 7009 2.1), and by its access token as well; or by the provider's own
    /// recipe.
    ///
    /// # Errors
    /// See [`super::classify::FailureKind`]: the first failure, where one of the tokens is left.
    pub async fn revoke_grant(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        tokens: Tokens<'_>,
    ) -> Result<Option<Revocation>, Failure> {
        let Tokens {
            access_token,
            refresh_token,
            known,
        } = tokens;
        if access_token.or(refresh_token).is_none() {
            return Ok(None);
        }
        if let Some(call) = &app.dialect.revocation {
            let stock = Stock {
                app,
                client_secret,
                known,
                access_token,
                // Where only the refresh token is named and there is none, the other will do.
                refresh_token: refresh_token.or(access_token),
            };
            return self.revoke_by_recipe(call, &stock).await.map(Some);
        }
        let is_same = access_token.zip(refresh_token);
        let is_same = is_same.is_some_and(|(a, b)| a.equals(b.expose().as_bytes()));
        let both = [
            (refresh_token, TokenHint::RefreshToken),
            (access_token.filter(|_| !is_same), TokenHint::AccessToken),
        ];
        let mut is_done = false;
        let mut failed = None;
        for (token, hint) in both {
            let Some(token) = token else { continue };
            match self.revoke(app, client_secret, token, hint).await {
                Ok(Revocation::Done) => is_done = true,
                Ok(Revocation::Unsupported) => return Ok(Some(Revocation::Unsupported)),
                // RFC 7009 2.2.1: a server need not revoke access tokens by themselves. The grant
                // is gone with its refresh token.
                Err(failure) if is_done && failure.code == "unsupported_token_type" => {}
                // The other one is tried all the same.
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(Some(Revocation::Done)),
        }
    }

    /// Revokes a token (RFC 7009). One that is gone already counts as revoked.
    ///
    /// # Errors
    /// See [`super::classify::FailureKind`].
    pub async fn revoke(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        token: &Secret<String>,
        hint: TokenHint,
    ) -> Result<Revocation, Failure> {
        let Some(endpoint) = app.revocation_url() else {
            return Ok(Revocation::Unsupported);
        };
        // The crate refuses http here, and only here. Which hosts may be reached in the clear is
        // for `egress` to say, so the scheme is set back below.
        let mut shown = endpoint.as_url().clone();
        let _ = shown.set_scheme("https");
        let client = token_client(app, app.token_url(), client_secret)?;
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
        if let (ClientAuth::PrivateKeyJwt, Some(key)) = (app.client_auth, client_secret) {
            assertion::add(app, key, self.0.clock.now(), &mut request)?;
        }
        let request = authenticated(app, client_secret, request)?;
        let answer = self
            .send(&host, request, limits::PROVIDER_BODY_BYTES_MAX)
            .await?;
        answer::read_revocation(&answer, app, self.0.clock.now())?;
        Ok(Revocation::Done)
    }
}
