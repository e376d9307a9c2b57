//! Calls of a provider's own making: a revocation that RFC 7009 does not say, a token traded for a
//! longer one.
//!
//! It promises: as [`super::Provider`]: one request per call, and what came of it.
//! It never: sends a secret that the recipe does not name.

use http::header::{ACCEPT, AUTHORIZATION};

use super::answer::{self, Answer};
use super::asking::{self, set_header};
use super::classify::{Failure, FailureKind};
use super::egress::Request;
use super::seats::Seat;
use super::token::basic_header;
use super::{Provider, Revocation, wrong_settings};
use crate::limits;
use crate::model::Name;
use crate::model::api::Method;
use crate::model::app::{ClientAuth, OAuth};
use crate::model::blanks::{Blanks, Known};
use crate::model::dialect::{Call, CallAuth, Exchanges, Format};
use crate::model::token::Grant;
use crate::secret::Secret;

/// What fills the blanks of a call.
pub(super) struct Stock<'a> {
    pub(super) app: &'a OAuth,
    pub(super) client_secret: Option<&'a Secret<String>>,
    /// What is known of the connection.
    pub(super) known: &'a Known,
    pub(super) access_token: Option<&'a Secret<String>>,
    pub(super) refresh_token: Option<&'a Secret<String>>,
}

impl Stock<'_> {
    fn value(&self, name: &Name) -> Option<&str> {
        match name.as_str() {
            "client_id" => Some(&self.app.client_id),
            "client_secret" => self.secret().map(|s| s.expose().as_str()),
            "access_token" => self.access_token.map(|s| s.expose().as_str()),
            "refresh_token" => self.refresh_token.map(|s| s.expose().as_str()),
            _ => self.known.get(name).map(String::as_str),
        }
    }

    /// The client's secret, where it is one: a private key is never sent.
    fn secret(&self) -> Option<&Secret<String>> {
        let is_key = self.app.client_auth == ClientAuth::PrivateKeyJwt;
        self.client_secret.filter(|_| !is_key)
    }

    fn filled(&self, text: &Blanks) -> Result<String, Failure> {
        let filled = text.fill(|name| self.value(name));
        filled.map_err(|error| wrong_settings(&error.to_string()))
    }

    /// Makes the request of a recipe.
    fn request(&self, call: &Call) -> Result<(String, Request), Failure> {
        let mut known = self.known.clone();
        known.insert(
            Name::parse("client_id").map_err(|error| wrong_settings(&error.to_string()))?,
            self.app.client_id.clone(),
        );
        let url = call.url.url("the call's URL", &known);
        let url = url.map_err(|error| wrong_settings(&error.to_string()))?;
        let mut request = http::Request::builder()
            .method(call.method.as_str())
            .uri(url.as_str())
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| wrong_settings("the call's URL cannot be used"))?;
        let mut params = Vec::with_capacity(call.params.len() + 2);
        for (name, value) in &call.params {
            params.push((name.clone(), self.filled(value)?));
        }
        match call.auth {
            CallAuth::None => {}
            CallAuth::Basic => {
                let secret = self.secret();
                let secret = secret.ok_or_else(|| wrong_settings("there is no client secret"))?;
                let field = basic_header(&self.app.client_id, secret);
                set_header(&mut request, AUTHORIZATION.as_str(), field.expose())?;
            }
            CallAuth::Post => {
                params.push(("client_id".into(), self.app.client_id.clone()));
                let secret = self.secret().map(|secret| secret.expose().clone());
                params.extend(secret.map(|secret| ("client_secret".into(), secret)));
            }
            CallAuth::Bearer => {
                let token = self.access_token.or(self.refresh_token);
                let token = token.ok_or_else(|| wrong_settings("there is no access token"))?;
                let field = Secret::new(format!("Bearer {}", token.expose()));
                set_header(&mut request, AUTHORIZATION.as_str(), field.expose())?;
            }
        }
        // What has no body by its nature has its parameters in the query, whatever is said.
        let format = match call.method {
            Method::Get => Format::Query,
            Method::Post | Method::Delete => call.format,
        };
        if !params.is_empty() {
            asking::write(&mut request, format, params)?;
        }
        for (name, value) in &call.headers {
            set_header(&mut request, name, &self.filled(value)?)?;
        }
        Ok((url.authority(), request))
    }

    /// Whether a call shows the access token, and a refresh token that is held beside it stays.
    fn shows_access_token_alone(&self, call: &Call) -> bool {
        let both = self.access_token.zip(self.refresh_token);
        let has_both = both.is_some_and(|(a, b)| !a.equals(b.expose().as_bytes()));
        let blanks = call.params.values().chain(call.headers.values());
        let mut names = blanks.chain([&call.url]).flat_map(|blanks| blanks.names());
        has_both && !names.any(|name| name.as_str() == "refresh_token")
    }

    fn sent(&self) -> [Option<&Secret<String>>; 3] {
        [self.client_secret, self.access_token, self.refresh_token]
    }
}

impl Provider {
    /// Revokes by a recipe. One that is gone already counts as revoked, unless that is an access
    /// token that has lapsed, shown alone: the refresh token beside it lives on.
    pub(super) async fn revoke_by_recipe(
        &self,
        call: &Call,
        stock: &Stock<'_>,
    ) -> Result<Revocation, Failure> {
        let answer = self.call(call, stock).await?;
        let now = self.0.clock.now();
        match stock.shows_access_token_alone(call) {
            true => answer::read_revocation_of_part(&answer, stock.app, now)?,
            false => answer::read_revocation(&answer, stock.app, now)?,
        }
        Ok(Revocation::Done)
    }

    /// Trades an access token for a longer one. What lives on is both: the token itself is what
    /// buys the next.
    async fn trade(
        &self,
        exchanges: &Exchanges,
        stock: &Stock<'_>,
        (seat, host, request): (Seat, &str, Request),
    ) -> Result<Grant, Failure> {
        let most = limits::PROVIDER_BODY_BYTES_MAX;
        let answer = self.send_seated(seat, host, request, most).await?;
        let sent = stock.sent();
        let mut grant = self.read_answer(stock.app, &answer, &sent)?;
        grant.expires_in_s = grant.expires_in_s.or(Some(exchanges.lifetime_s));
        grant.brought.refresh_token_lifetime_s = grant.expires_in_s;
        grant.refresh_token = Some(grant.access_token.clone());
        Ok(grant)
    }

    /// Trades a token that was just granted; once more where that may help, since its code is
    /// spent. A grant that cannot be traded is not kept: it ends within hours by itself, and
    /// nothing would renew it. It is not revoked either: that ends all that this person granted
    /// the app, and so the connection that works already, where this was to be another.
    pub(super) async fn trade_granted(
        &self,
        exchanges: &Exchanges,
        stock: &Stock<'_>,
    ) -> Result<Grant, Failure> {
        let mut traded = self.trade_first(exchanges, stock).await;
        let may_pass = |failure: &Failure| {
            matches!(
                failure.kind,
                FailureKind::Transient { .. } | FailureKind::NotSent | FailureKind::AnswerLost
            )
        };
        if traded.as_ref().err().is_some_and(may_pass) {
            traded = self.trade_first(exchanges, stock).await;
        }
        traded.map_err(|failure| Failure {
            code: "not_exchanged".into(),
            description: format!(
                "please try again: the provider gave no lasting token for its first one ({}: {})",
                failure.code, failure.description
            ),
            ..failure
        })
    }

    async fn trade_first(
        &self,
        exchanges: &Exchanges,
        stock: &Stock<'_>,
    ) -> Result<Grant, Failure> {
        let (host, request) = stock.request(&exchanges.first)?;
        let seat = self.0.seats.take(&host).await?;
        let sent = (seat, host.as_str(), request);
        self.trade(exchanges, stock, sent).await
    }

    /// Trades a token that was traded before, unless refreshes are held. It has the one seat that
    /// it is sent by: whoever waits for a second of the same host waits for ever.
    pub(super) async fn trade_again(
        &self,
        exchanges: &Exchanges,
        stock: &Stock<'_>,
    ) -> Result<Grant, Failure> {
        let (host, request) = stock.request(&exchanges.again)?;
        let seat = self.seat_for_refresh(&host).await?;
        let sent = (seat, host.as_str(), request);
        self.trade(exchanges, stock, sent).await
    }

    async fn call(&self, call: &Call, stock: &Stock<'_>) -> Result<Answer, Failure> {
        let (host, request) = stock.request(call)?;
        let most = limits::PROVIDER_BODY_BYTES_MAX;
        self.send(&host, request, most).await
    }
}

#[cfg(test)]
mod tests;
