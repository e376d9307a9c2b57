//! What an app's issuer says of itself, read again when the life of what it said is over.
//!
//! ```text
//!   before a refresh, or a person's trip --> due? --no--> go on
//!      asked (5 s of waiting at most) --> judged --> stored, if the app is still what was judged
//! ```
//! A fetch of a valid token comes nowhere near. What cannot be had, or is not taken over, changes
//! nothing: what is kept goes on being used.
//!
//! **Where secrets go is the operator's to say.** The client secret and refresh tokens go to the
//! token endpoint, and whoever can write an issuer's document could have them sent to a place of
//! his. So no endpoint moves by itself to an origin (scheme, host and port) that the app has not
//! used so far, but for the issuer's own, which is where the document was had from. There is no
//! weighing of names: `auth.example.com` and `tokens.example.com` may be two customers of one
//! hoster. The login page may stay on its own origin, and moves to no new one either, since people
//! type passwords there. A document that would move one of them is not taken over as a whole; the
//! app says so, until the operator changes it or the document changes back. The rest is as where
//! an app is made: the document names its issuer, the way out allows its endpoints, PKCE S256
//! stays, and what was given by hand wins.
//!
//! A remote MCP server's word is read with it. It moves neither to another authorization server,
//! which would cost every token, nor to another `resource`, which the tokens are for.
//!
//! It promises: nobody waits longer than [`limits::METADATA_WAIT_MAX`]; of a change by an operator
//! meanwhile and what was read, the operator's stands.
//! It never: lets a document choose a new place for a secret.

use std::collections::BTreeSet;

use super::{choose_issuer, offers_offline_access};
use crate::limits;
use crate::model::access::{Action, Caller};
use crate::model::app::{App, AppKind, Endpoints, MetadataRead, OAuth};
use crate::model::url::WebUrl;
use crate::provider::Provider;
use crate::provider::metadata::{Discovered, is_same_issuer};
use crate::provider::readings::{Reading, Source};
use crate::provider::remote::RemoteServer;
use crate::vault::Vault;

/// The app with its issuer's metadata read again, where that was due and could be done; else as it
/// is. `is_failing` says that its token endpoint failed last time: it may have moved.
pub async fn fresh_metadata(
    (vault, provider): (&Vault, &Provider),
    app: App,
    is_failing: bool,
) -> App {
    let now = vault.clock().now();
    let is_due = |oauth: &OAuth| oauth.is_metadata_due(now, is_failing);
    if !app.oauth().is_some_and(is_due) {
        return app;
    }
    let reading = read_again((vault, provider), &app);
    let read = tokio::time::timeout(limits::METADATA_WAIT_MAX, reading).await;
    read.ok().flatten().unwrap_or(app)
}

fn source_of(app: &App) -> Option<Source> {
    let oauth = app.oauth()?;
    Some(Source {
        issuer: oauth.issuer_in_use()?.clone(),
        server_url: oauth
            .remote
            .as_ref()
            .map(|remote| remote.server_url.clone()),
    })
}

async fn read_again((vault, provider): (&Vault, &Provider), app: &App) -> Option<App> {
    let source = source_of(app)?;
    let seen = &app.oauth()?.metadata;
    let known = seen.as_ref().map(|read| read.at);
    let reading = provider.read_again(&source, known).await?;
    // One at a time: of many refreshes that come back at once the first one stores it.
    let _turn = provider.turn_to_register(&app.id).await;
    let by = Caller::scheduler();
    let stored = vault.app_settings(&by, Action::Refresh, &app.id).ok()?;
    let is_as_seen = stored.oauth().is_some_and(|oauth| oauth.metadata == *seen);
    if !is_as_seen || source_of(&stored)? != source {
        return Some(stored);
    }
    let (next, outcome) = judged(&stored, &reading)?;
    let kept = match vault.keep_metadata(&stored, next, &outcome) {
        Ok(receipt) => receipt.await,
        Err(error) => Err(error),
    };
    if let Err(error) = &kept {
        tracing::warn!(%error, app = %app.id, "metadata that was read is not stored");
    }
    // A change meanwhile stands.
    kept.or_else(|_| vault.app_settings(&by, Action::Refresh, &app.id))
        .ok()
}

/// The app as it is to be stored, and what the trail says of it.
fn judged(app: &App, reading: &Reading) -> Option<(App, String)> {
    let said = Said {
        found: &reading.found,
        server: reading.server.as_ref(),
    };
    let old = app.oauth()?;
    let (oauth, outcome) = match take_over(old, &said) {
        Ok(new) => {
            let outcome = match differences(&old.discovered, &new.discovered).as_slice() {
                [] => "metadata read".to_owned(),
                changed => format!("metadata read: another {}", changed.join(", ")),
            };
            let metadata = Some(reading.read.clone());
            (OAuth { metadata, ..new }, outcome)
        }
        Err(why) => {
            let why: String = why
                .chars()
                .take(limits::METADATA_REASON_CHARS_MAX)
                .collect();
            tracing::warn!(app = %app.id, why, "an issuer's metadata is not taken over");
            let outcome = format!("metadata not taken over: {why}");
            let metadata = Some(MetadataRead {
                withheld: Some(why),
                ..reading.read.clone()
            });
            (
                OAuth {
                    metadata,
                    ..old.clone()
                },
                outcome,
            )
        }
    };
    let kind = AppKind::OAuth(Box::new(oauth));
    Some((
        App {
            kind,
            ..app.clone()
        },
        outcome,
    ))
}

/// What is said of an authorization server.
pub struct Said<'a> {
    /// By itself.
    pub found: &'a Discovered,
    /// By the remote MCP server that trusts it, where it is one's.
    pub server: Option<&'a RemoteServer>,
}

/// The settings with what is said by now, for an app that nobody is changing.
///
/// # Errors
/// Why they stay as they are, as a phrase.
pub fn take_over(oauth: &OAuth, said: &Said<'_>) -> Result<OAuth, String> {
    let found = said.found;
    let mut new = oauth.clone();
    let Some(issuer) = oauth.issuer_in_use() else {
        return Ok(new);
    };
    let mut endpoints = found.endpoints.clone();
    let mut iss_advertised = found.iss_advertised;
    if !found.is_whole {
        // What a document that is not to be had would say stays what it said.
        endpoints = endpoints.or(oauth.discovered.clone());
        iss_advertised |= oauth.iss_advertised;
    }
    check_places(oauth, issuer, &endpoints)?;
    let needs_s256 = oauth.pkce && found.pkce_s256 == Some(false);
    if needs_s256 || (oauth.remote.is_some() && found.pkce_s256 != Some(true)) {
        return Err("PKCE S256 is not listed any more".into());
    }
    if let (Some(remote), Some(server)) = (&mut new.remote, said.server) {
        let wanted = (oauth.issuer.as_ref(), Some(issuer));
        let chosen = choose_issuer(wanted, server, &remote.server_url);
        let chosen = chosen.map_err(|error| error.to_string())?;
        if !is_same_issuer(issuer, chosen.as_str()) {
            return Err(format!(
                "the MCP server trusts {chosen} by now, not {issuer}"
            ));
        }
        if let Some(known) = &mut remote.found {
            known.scopes = server.scopes.clone();
            let offered = known.offline_access && !found.is_whole;
            known.offline_access = offered || offers_offline_access(found);
        }
    }
    new.discovered = endpoints;
    new.iss_advertised = iss_advertised;
    new.issuer_text = Some(found.issuer.clone());
    Ok(new)
}

/// Refuses endpoints at places that the app has not used so far; see the words at the head.
fn check_places(oauth: &OAuth, issuer: &WebUrl, said: &Endpoints) -> Result<(), String> {
    let kept = &oauth.discovered;
    let places = [
        Some(issuer),
        oauth.token_url(),
        oauth.refresh_url(),
        oauth.revocation_url(),
        kept.token_url.as_ref(),
        kept.revocation_url.as_ref(),
    ];
    let mut known: BTreeSet<String> = places.into_iter().flatten().map(origin).collect();
    let check = |known: &BTreeSet<String>, name: &str, url: &Option<WebUrl>| match url {
        Some(url) if !known.contains(&origin(url)) => Err(format!(
            "its `{name}` would be {url}, at a place that this app has not used so far"
        )),
        _ => Ok(()),
    };
    check(&known, "token_url", &said.token_url)?;
    check(&known, "revocation_url", &said.revocation_url)?;
    let pages = [oauth.authorization_url(), kept.authorization_url.as_ref()];
    known.extend(pages.into_iter().flatten().map(origin));
    check(&known, "authorization_url", &said.authorization_url)
}

fn origin(url: &WebUrl) -> String {
    url.as_url().origin().ascii_serialization()
}

fn differences(old: &Endpoints, new: &Endpoints) -> Vec<&'static str> {
    let all = [
        (
            "authorization_url",
            &old.authorization_url,
            &new.authorization_url,
        ),
        ("token_url", &old.token_url, &new.token_url),
        ("revocation_url", &old.revocation_url, &new.revocation_url),
    ];
    let changed = all.into_iter().filter(|(_, old, new)| old != new);
    changed.map(|(name, ..)| name).collect()
}
