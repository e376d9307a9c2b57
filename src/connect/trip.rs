//! A trip to a provider and back, and a key typed: how a credential comes in.
//!
//! It promises: C2 and C3 of the module above; what was granted is stored, or revoked, whether or
//! not the browser waits; what a provider or a browser says is filtered before it is written down.
//! It never: sends anybody away before the proof, or redeems a code on a state that was not taken.

use super::person::Next;
use super::{Connect, Typed, answers};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller};
use crate::model::app::OAuth;
use crate::model::beside::Beside;
use crate::model::blanks::Known;
use crate::model::link::{Link, LinkAppState};
use crate::model::token::Grant;
use crate::model::{Address, AppId, LinkId};
use crate::provider::classify::{Failure, filter_code, filter_text};
use crate::provider::{AuthorizeRequest, Tokens, check_callback};
use crate::remote::{self, Asks};
use crate::secret::Secret;
use crate::vault::{AppSecrets, Landing, NewCredential, NewToken, NoWay, Returned, Vault, Way};

/// What a provider's redirect brought along (RFC 6749 4.1.2, RFC 9207).
#[derive(Default)]
pub struct Came {
    /// `state`.
    pub state: Option<Secret<String>>,
    /// `code`.
    pub code: Option<Secret<String>>,
    /// `error`.
    pub error: Option<String>,
    /// `error_description`.
    pub error_description: Option<String>,
    /// `iss`.
    pub iss: Option<String>,
    /// Every parameter, in order.
    pub params: Vec<(String, Secret<String>)>,
}

impl Connect {
    /// Sends the browser to an app's provider, with a fresh state and PKCE challenge.
    ///
    /// # Errors
    /// [`Error::Denied`] before the proof; [`Error::NotFound`] for an app that is gone.
    pub async fn go(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        app: &AppId,
        typed: &Typed,
        from: &str,
    ) -> Result<Next> {
        let (caller, link, entry) = match self.open_for(app, id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::instead(id, no_way)),
        };
        let settings = self.vault().app_settings(&caller, Action::Store, app)?;
        let flows = (self.vault(), &self.0.provider);
        let settings = Box::pin(remote::fresh_metadata(flows, settings, false)).await;
        let settings = remote::fresh_client(flows, settings).await;
        let variables = match typed.variables(&settings, &entry) {
            Ok(variables) => variables,
            Err(error) => {
                let outcome = not_taken("invalid_variable", error.to_string());
                self.vault().settle(&caller, &link, app, outcome)?.await?;
                self.changed();
                return Ok(Next::Page(id));
            }
        };
        let oauth = settings.oauth_of(&variables)?.ok_or(Error::Denied)?;
        let scopes = oauth.scopes_to_send(&entry.scopes);
        let mut hints = entry.hints.clone();
        if oauth.wants_consent(&scopes) {
            hints.prompt.get_or_insert_with(|| "consent".into());
        }
        let state = Vault::new_state(&link);
        let way = Way {
            app: app.clone(),
            callback: oauth.callback,
            variables,
        };
        let redirect_uri = self.redirect_uri(app, oauth.callback);
        let request = AuthorizeRequest {
            redirect_uri: &redirect_uri,
            state: &state,
            scopes: &scopes,
            hints: &hints,
        };
        let authorize = self.0.provider.authorize_url(&oauth, &request)?;
        self.vault()
            .begin_trip(&caller, &link, way, authorize.pkce_verifier, &state)?
            .await?;
        Ok(Next::Away(authorize.url))
    }

    /// Takes what a provider's redirect brought: checks it, redeems the code, stores the token. A
    /// person who closes the page meanwhile ends none of it.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`]; what the provider refused stands on the link.
    pub async fn come_back(
        &self,
        landing: Landing,
        came: Came,
        cookies: &[Secret<String>],
        from: &str,
    ) -> Result<Next> {
        let this = self.clone();
        let (cookies, from) = (cookies.to_vec(), from.to_owned());
        let arrival = async move { this.arrive(&landing, came, &cookies, &from).await };
        self.0.arrivals.run(arrival).await
    }

    async fn arrive(
        &self,
        landing: &Landing,
        came: Came,
        cookies: &[Secret<String>],
        from: &str,
    ) -> Result<Next> {
        let Some(state) = &came.state else {
            return Ok(Next::Nowhere(NoWay::Unknown));
        };
        let taken = self.vault().take_trip(state, cookies, landing, from);
        let returned = match taken.await? {
            Ok(returned) => returned,
            Err(no_way) => {
                let link = Vault::link_of(state);
                return Ok(link.map_or(Next::Nowhere(no_way), |id| Next::instead(id, no_way)));
            }
        };
        let outcome = self.redeem(came, &returned).await?;
        let Returned {
            caller, link, trip, ..
        } = &returned;
        let settled = self.vault().settle(caller, link, &trip.app, outcome)?;
        settled.await?;
        self.changed();
        Ok(Next::Page(returned.link.id))
    }

    async fn redeem(&self, came: Came, returned: &Returned) -> Result<LinkAppState> {
        let app = &returned.trip.app;
        let found = self
            .vault()
            .app_secrets(&returned.caller, Action::Store, app)?;
        let known = match answers::known(&found.app, returned, &came) {
            Ok(known) => known,
            Err(error) => return Ok(failed("invalid_answer", &error.to_string())),
        };
        let Some(oauth) = found.app.oauth_of(&known)? else {
            return Ok(failed("settings", "this app does not use OAuth any more"));
        };
        let secret = found.client_secret.as_ref();
        if let Err(wrong) = check_callback(&oauth, secret, &came.params) {
            return Ok(failed("answer_not_signed", wrong));
        }
        if let Some(wrong) = wrong_issuer(&oauth, came.iss.as_deref()) {
            return Ok(failed("issuer_mismatch", wrong));
        }
        if oauth.has_moved_since(returned.trip.began_at()) {
            return Ok(failed("issuer_mismatch", MOVED));
        }
        if let Some(error) = &came.error {
            return Ok(refused(error, came.error_description.as_deref()));
        }
        let Some(code) = &came.code else {
            return Ok(failed(
                "no_code",
                "the provider sent neither a code nor an error",
            ));
        };
        // That of the trip, whatever the app is set to by now: it must be the one that was sent.
        let redirect_uri = self.redirect_uri(app, returned.trip.callback);
        let verifier = returned.verifier.as_ref();
        let exchanged = self
            .0
            .provider
            .exchange(&oauth, secret, code, &redirect_uri, verifier, &known)
            .await;
        let mut grant = match exchanged {
            Ok(grant) => grant,
            Err(failure) => return Ok(self.not_granted(&found, &failure).await),
        };
        let kept = answers::kept(&found.app, &oauth, (returned, &known), &came, &redirect_uri);
        if grant.subject.is_none() {
            grant.subject = answers::account_of(&oauth, &kept);
        }
        grant.brought.metadata.extend(kept);
        let is_unnamed = self.name_account(&found.app, &mut grant).await;
        let kept = self
            .take_in(returned, &oauth, (grant.clone(), is_unnamed))
            .await;
        if !matches!(kept, Ok(LinkAppState::Connected { .. })) {
            self.give_back(&oauth, secret, &grant, &known).await;
        }
        kept
    }

    /// What a person is told of a code that was not redeemed. A code is its client's alone (RFC
    /// 6749 4.1.3): where there is another by now, only a new trip helps.
    async fn not_granted(&self, app: &AppSecrets, failure: &Failure) -> LinkAppState {
        let flows = (self.vault(), &self.0.provider);
        let renewed = Box::pin(remote::renew_client(flows, app, failure, Asks::Person)).await;
        match renewed {
            Some(_) => failed(
                "client_renewed",
                "the provider had forgotten us; that is mended: please connect again",
            ),
            None => failed(&failure.code, &failure.description),
        }
    }

    /// Stores what was granted, unless the link was taken back while the provider was asked.
    async fn take_in(
        &self,
        returned: &Returned,
        asked: &OAuth,
        (grant, is_unnamed): (Grant, bool),
    ) -> Result<LinkAppState> {
        let Returned {
            caller, link, trip, ..
        } = returned;
        if self.vault().is_dead(caller, link)? {
            return Ok(failed("link_over", "the link was taken back meanwhile"));
        }
        let now = self
            .vault()
            .app_settings(caller, Action::Store, &trip.app)?;
        let issuer = now.oauth().and_then(OAuth::issuer_in_use);
        if asked.remote.is_some() && issuer != asked.issuer_in_use() {
            return Ok(failed("issuer_mismatch", MOVED));
        }
        let came_in = CameIn {
            credential: NewCredential::Granted(grant),
            subject: None,
            is_unnamed,
            beside: Beside::default(),
        };
        self.keep(caller, link, &trip.app, came_in).await
    }

    /// Revokes a grant that is not kept: it is nobody's.
    async fn give_back(
        &self,
        oauth: &OAuth,
        secret: Option<&Secret<String>>,
        grant: &Grant,
        known: &Known,
    ) {
        let seconds = grant.brought.second.iter().map(|second| &second.grant);
        for grant in std::iter::once(grant).chain(seconds) {
            let tokens = Tokens {
                access_token: Some(&grant.access_token),
                refresh_token: grant.refresh_token.as_ref(),
                known,
            };
            let revoked = self.0.provider.revoke_grant(oauth, secret, tokens).await;
            if let Err(failure) = revoked {
                tracing::warn!(code = failure.code, "an unwanted grant was not revoked");
            }
        }
    }

    /// Stores what the person brought, as this entry of the link says.
    pub(super) async fn keep(
        &self,
        caller: &Caller,
        link: &Link,
        app: &AppId,
        came_in: CameIn,
    ) -> Result<LinkAppState> {
        let entry = link.app(app).ok_or(Error::NotFound("app"))?;
        let address = Address {
            app: app.clone(),
            owner: link.owner.clone(),
            account: entry.account.clone(),
            scopes: entry.scopes.clone(),
        };
        let last_four = match &came_in.credential {
            NewCredential::ApiKey(key) => last_four(key),
            NewCredential::Granted(_) | NewCredential::Uploaded(_) => None,
        };
        let new = NewToken {
            subject: came_in.subject,
            is_unnamed: came_in.is_unnamed,
            beside: came_in.beside,
            ..NewToken::of(address, came_in.credential)
        };
        let stored = self.vault().store_token(caller, new)?.await;
        let summary = match stored {
            Ok(summary) => summary,
            // Whoever brought it takes it back: say so, rather than "connected".
            Err(error) => return Ok(failed(error.code(), &error.to_string())),
        };
        (self.0.stored)();
        Ok(LinkAppState::Connected {
            token_id: summary.id,
            missing_scopes: summary.missing_scopes(),
            label: summary.label.or(summary.subject),
            switched_from: summary.switched_from,
            last_four,
        })
    }
}

/// How a key ends, for its owner to tell it by: only of one so long that its end gives nothing of
/// it away.
fn last_four(key: &Secret<String>) -> Option<String> {
    let chars: Vec<char> = key.expose().chars().collect();
    let is_long = chars.len() >= limits::KEY_SHOWN_CHARS_MIN;
    is_long.then(|| chars[chars.len() - 4..].iter().collect())
}

/// A credential that came in, and what is known of it.
pub(super) struct CameIn {
    pub(super) credential: NewCredential,
    /// What names its account, where the service was asked.
    pub(super) subject: Option<String>,
    /// The service was asked, and did not say.
    pub(super) is_unnamed: bool,
    pub(super) beside: Beside,
}

/// Why what one authorization server gave is not kept for the next.
const MOVED: &str = "the MCP server trusts another provider by now than the one that was asked";

/// RFC 9207 2.4: compared where it comes and an issuer is set; absent where promised is refused.
fn wrong_issuer(oauth: &OAuth, iss: Option<&str>) -> Option<&'static str> {
    let expected = oauth
        .issuer_in_use()
        .map(|issuer| issuer.as_str().trim_end_matches('/'));
    match (iss.map(|iss| iss.trim_end_matches('/')), expected) {
        (Some(iss), Some(expected)) if iss != expected => {
            Some("the answer came from another provider than the one asked")
        }
        (None, _) if oauth.iss_advertised => {
            Some("the answer does not say which provider it comes from, though it should")
        }
        _ => None,
    }
}

fn refused(error: &str, description: Option<&str>) -> LinkAppState {
    if error == "access_denied" {
        return LinkAppState::Declined;
    }
    failed(error, description.unwrap_or_default())
}

/// What a person typed was not taken. These words are our own: filtered as a provider's are, they
/// would lose the example they end with.
pub(super) fn not_taken(code: &str, message: String) -> LinkAppState {
    LinkAppState::Failed {
        code: code.into(),
        message,
    }
}

/// A provider's words are filtered again here: these come by way of a browser.
fn failed(code: &str, message: &str) -> LinkAppState {
    LinkAppState::Failed {
        code: filter_code(code),
        message: filter_text(message),
    }
}
