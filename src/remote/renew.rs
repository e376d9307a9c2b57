//! A client that we registered and that its server refuses by now: registered anew.
//!
//! It promises: one new registration in [`limits::CLIENT_RENEWED_EVERY`], by one caller at a time,
//! durable before it is used; who comes second gets what the first one registered. For a refresh it
//! is done only where the client was refused for [`limits::CLIENT_REFUSED_FOR`]: its tokens may be
//! its alone (RFC 6749 6, 10.4), and a hiccup must not cost them.
//! It never: does so for a client that the operator gave, or calls any token dead.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;
use crate::model::app::{App, OAuth};
use crate::model::remote::Client;
use crate::provider::Provider;
use crate::provider::classify::{Failure, FailureKind};
use crate::provider::registration::{NewClient, Registered};
use crate::vault::{AppSecrets, RenewedClient, Vault};

/// What a server says to a client that it does not know (any more) (RFC 6749 5.2).
const REFUSED_CLIENT: &str = "invalid_client";

/// Longest wait for a new registration: whoever waits has a refresh in flight.
const WAIT_MAX: Duration = limits::PROVIDER_TIMEOUT;

/// Whose request was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asks {
    /// A person's, who waits: a new client is registered at once.
    Person,
    /// A refresh, which can wait until it is known that the client is gone.
    Refresh,
}

/// After a request of `app` failed so: the app with another client, where its client was one that
/// we registered and there is another by now. Then the request may be sent again, once.
pub async fn renew_client(
    (vault, provider): (&Vault, &Provider),
    app: &AppSecrets,
    failure: &Failure,
    asks: Asks,
) -> Option<AppSecrets> {
    let is_of_client = failure.kind == FailureKind::ClientRefused && failure.code == REFUSED_CLIENT;
    if !is_of_client {
        return None;
    }
    within(vault, provider, &app.app, Some(asks)).await
}

/// What the refusal of a token means that was obtained with an earlier client than `client`, which
/// it was refused to; and whether the token is lost with its client. Where that is in doubt the
/// token is kept for a while, in which an operator can give the earlier client again.
pub fn refused_to_another(client: &Client, failure: Failure, now: Timestamp) -> (Failure, bool) {
    // What no server said is not about its clients.
    if failure.kind != FailureKind::Refused || failure.status.is_none() {
        return (failure, false);
    }
    let doubt_ends = client.registered_at.plus(limits::CLIENT_DOUBT);
    let in_doubt = client.in_doubt && now < doubt_ends;
    let kind = match in_doubt {
        true => FailureKind::ClientRefused,
        false => FailureKind::Refused,
    };
    let what = "the provider had forgotten this client; its people have to connect again";
    (Failure::ours(kind, "client_renewed", what), !in_doubt)
}

/// The app as it is to be connected now: with another client where the secret of the one that we
/// registered ends before a person could be back.
pub async fn fresh_client((vault, provider): (&Vault, &Provider), app: App) -> App {
    let back = vault.clock().now().plus(limits::STATE_LIFE);
    match registered(&app) {
        Some((_, client)) if client.has_ended(back) => {
            let renewed = within(vault, provider, &app, None).await;
            renewed.map_or(app, |renewed| renewed.app)
        }
        _ => app,
    }
}

/// `refused` says whose request was, if one was.
async fn within(
    vault: &Vault,
    provider: &Provider,
    app: &App,
    refused: Option<Asks>,
) -> Option<AppSecrets> {
    registered(app)?;
    let renewing = renew((vault, provider), app, refused);
    let renewed = tokio::time::timeout(WAIT_MAX, renewing).await;
    renewed.unwrap_or_default()
}

/// The settings and our own client, where we registered it by ourselves.
fn registered(app: &App) -> Option<(&OAuth, &Client)> {
    let oauth = app.oauth()?;
    let client = oauth.remote.as_ref()?.client.as_ref()?;
    // A document's URL stays what it is: there is nothing to register.
    client.registration_url.as_ref()?;
    Some((oauth, client))
}

async fn renew(
    (vault, provider): (&Vault, &Provider),
    app: &App,
    asks: Option<Asks>,
) -> Option<AppSecrets> {
    let (refused, _) = registered(app)?;
    let mut turn = provider.turn_to_register(&app.id).await;
    let stored = vault.app_to_register(&app.id).ok()?;
    let (oauth, client) = registered(&stored.app)?;
    if oauth.client_id != refused.client_id {
        // Somebody was first. What is of another issuer by now is no other client of this one.
        return (oauth.issuer_in_use() == refused.issuer_in_use()).then_some(stored);
    }
    let now = vault.clock().now();
    let is_refused_for_long = asks.is_some() && turn.is_refused_for_long(&refused.client_id, now);
    let is_gone = is_refused_for_long || client.has_ended(now.plus(limits::STATE_LIFE));
    if !is_gone && asks == Some(Asks::Refresh) {
        return None;
    }
    if !may_renew(client, now) || turn.has_just_failed(now) {
        return None;
    }
    let place = client.registration_url.as_ref()?;
    let new = NewClient {
        place,
        redirect_uri: &client.redirect_uri,
        auth: client.asked_auth,
        scopes: &oauth.scopes_to_send(oauth.scopes_in_use()),
    };
    let made = match provider.register(&new).await {
        Ok(made) => made,
        Err(failure) => {
            turn.failed(now);
            tracing::warn!(app = %app.id, code = failure.code,
                "a client that its server refuses could not be registered anew");
            return None;
        }
    };
    let renewed = in_place_of(client, made, (now, !is_gone));
    let stored = vault.renew_client(&app.id, &refused.client_id, renewed);
    let stored = match stored {
        Ok(receipt) => receipt.await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(stored) => {
            tracing::warn!(app = %app.id, "its server refused our client; registered anew");
            Some(stored)
        }
        Err(error) => {
            turn.failed(now);
            tracing::error!(%error, app = %app.id, "a new client could not be stored");
            None
        }
    }
}

/// The client that takes the place of `old`, at a moment, and whether `old` may be known still.
fn in_place_of(old: &Client, made: Registered, now: (Timestamp, bool)) -> RenewedClient {
    let (now, in_doubt) = now;
    RenewedClient {
        client: Client {
            registered_at: now,
            renewed_at: Some(now),
            secret_expires_at: made.secret_expires_at,
            in_doubt,
            ..old.clone()
        },
        client_id: made.client_id,
        client_secret: made.client_secret,
        auth: made.auth,
    }
}

/// Whether it is long enough that the client is this one. A server that set it an end has to be
/// asked when that has come.
fn may_renew(client: &Client, now: Timestamp) -> bool {
    let every = match client.has_ended(now.plus(limits::STATE_LIFE)) {
        true => limits::CLIENT_RENEWED_PAUSE,
        false => limits::CLIENT_RENEWED_EVERY,
    };
    client.renewed_at.is_none_or(|at| at.plus(every) <= now)
}
