//! The person's side of a link: what a browser asks, and where it goes next.
//!
//! It promises: every step but the first is taken by the browser the link is bound to, and by no
//! other; what went wrong is told in words for a person, and put on record.
//! It never: trusts a query for where to go next.

use super::Connect;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller};
use crate::model::app::App;
use crate::model::link::{Link, LinkApp, LinkAppState, LinkStatus, Proof};
use crate::model::{Address, AppId, LinkId, Scopes};
use crate::provider::AuthorizeRequest;
use crate::provider::classify::{Failure, filter_text};
use crate::secret::Secret;
use crate::vault::{NewCredential, NewToken, NoWay, Returned, Vault};

/// A link as its page shows it.
pub struct Visit {
    /// The link.
    pub link: Link,
    /// Where it stands.
    pub status: LinkStatus,
    /// Its apps, with what people are told of them.
    pub apps: Vec<AppCard>,
}

/// One app on the page.
pub struct AppCard {
    /// The app; `None` where it was removed meanwhile.
    pub app: Option<App>,
    /// Its entry on the link.
    pub entry: LinkApp,
}

/// A cookie to set: which link's, and its value.
pub struct Cookie {
    /// The link it binds.
    pub link: LinkId,
    /// 256 bits of chance.
    pub value: Secret<String>,
}

/// Where the browser goes next.
pub enum Next {
    /// To the link's page.
    Page(LinkId),
    /// Away: to a provider, or to the asking application. Holds a secret until it is sent.
    Away(Secret<String>),
    /// Nowhere: this is told to the person.
    Nowhere(NoWay),
}

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
}

type Outcome<T> = Result<std::result::Result<T, NoWay>>;

impl Connect {
    /// Shows a link that was opened by its URL. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`]; what a person is told is inside.
    pub fn look(
        &self,
        ticket: &Secret<String>,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Outcome<Visit> {
        match self.vault().visit(ticket, cookie, from)? {
            Ok((caller, link)) => self.visit_of(&caller, link).map(Ok),
            Err(no_way) => Ok(Err(no_way)),
        }
    }

    /// Binds a link to this browser and moves on to its page.
    ///
    /// # Errors
    /// As [`Connect::look`].
    pub async fn enter(
        &self,
        ticket: &Secret<String>,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Result<(Next, Option<Cookie>)> {
        let (caller, link) = match self.vault().visit(ticket, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok((Next::Nowhere(no_way), None)),
        };
        let now = self.vault().clock().now();
        if !link.is_open(now) {
            return Ok((Next::Nowhere(NoWay::Over(link.status(now))), None));
        }
        if link.browser_hash.is_some() {
            return Ok((Next::Page(link.id), None));
        }
        let bound = self.vault().bind_browser(&caller, &link)?.await?;
        self.changed();
        Ok(match bound {
            Some(value) => (
                Next::Page(link.id),
                Some(Cookie {
                    link: link.id,
                    value,
                }),
            ),
            // Another browser was faster by a moment.
            None => (Next::Nowhere(NoWay::OtherBrowser), None),
        })
    }

    /// Shows the page of a link this browser is bound to.
    ///
    /// # Errors
    /// As [`Connect::look`].
    pub fn page(&self, id: LinkId, cookie: Option<&Secret<String>>, from: &str) -> Outcome<Visit> {
        match self.bound(id, cookie, from)? {
            Ok((caller, link)) => self.visit_of(&caller, link).map(Ok),
            Err(no_way) => Ok(Err(no_way)),
        }
    }

    /// Sends the browser to the asking application to be vouched for.
    ///
    /// # Errors
    /// [`Error::Settings`] where its key has no `verify_url` any more.
    pub async fn to_vouch(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Result<Next> {
        let (caller, link) = match self.open(id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::Nowhere(no_way)),
        };
        if link.proof != Proof::Vouch || link.proven {
            return Ok(Next::Page(id));
        }
        let verify_url = self.vault().verify_url(&caller, &link)?;
        let ticket = self.vault().begin_vouch(&caller, &link)?.await?;
        let mut url = verify_url.as_url().clone();
        url.query_pairs_mut()
            .append_pair("connect_id", &id.to_string())
            .append_pair("ticket", ticket.expose())
            .append_pair("return_to", &format!("{}/connect/{id}", self.0.public_url));
        Ok(Next::Away(Secret::new(url.into())))
    }

    /// Checks a typed code.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`].
    pub async fn type_code(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        code: Secret<String>,
        from: &str,
    ) -> Result<Next> {
        match self.open(id, cookie, from)? {
            Ok((caller, link)) => {
                self.vault().try_code(&caller, &link, code)?.await?;
                self.changed();
                Ok(Next::Page(id))
            }
            Err(no_way) => Ok(Next::Nowhere(no_way)),
        }
    }

    /// Sends the browser to an app's provider, with a fresh state and PKCE challenge.
    ///
    /// # Errors
    /// [`Error::Denied`] before the proof; [`Error::NotFound`] for an app that is gone.
    pub async fn go(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        app: &AppId,
        from: &str,
    ) -> Result<Next> {
        let (caller, link) = match self.open(id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::Nowhere(no_way)),
        };
        let Some(entry) = link.app(app).filter(|_| link.proven) else {
            return Err(Error::Denied);
        };
        let found = self.vault().app_secrets(&caller, Action::Store, app)?;
        let oauth = found.app.oauth().ok_or(Error::Denied)?;
        let state = Vault::new_state(&link);
        let redirect_uri = self.redirect_uri(app);
        let request = AuthorizeRequest {
            redirect_uri: &redirect_uri,
            state: &state,
            scopes: &entry.scopes,
        };
        let authorize = self.0.provider.authorize_url(oauth, &request)?;
        self.vault()
            .begin_trip(&caller, &link, app, authorize.pkce_verifier, &state)?
            .await?;
        Ok(Next::Away(authorize.url))
    }

    /// Takes what a provider's redirect brought: checks it, redeems the code, stores the token.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`]; what the provider refused stands on the link.
    pub async fn come_back(
        &self,
        app: &AppId,
        came: Came,
        cookies: &[Secret<String>],
        from: &str,
    ) -> Result<Next> {
        let Some(state) = &came.state else {
            return Ok(Next::Nowhere(NoWay::Unknown));
        };
        let returned = match self.vault().take_trip(state, cookies, app, from).await? {
            Ok(returned) => returned,
            Err(no_way) => return Ok(Next::Nowhere(no_way)),
        };
        let outcome = self.redeem(app, came, &returned).await?;
        self.vault()
            .settle(&returned.caller, &returned.link, app, outcome)?
            .await?;
        self.changed();
        Ok(Next::Page(returned.link.id))
    }

    async fn redeem(&self, app: &AppId, came: Came, returned: &Returned) -> Result<LinkAppState> {
        let found = self
            .vault()
            .app_secrets(&returned.caller, Action::Store, app)?;
        let Some(oauth) = found.app.oauth() else {
            return Ok(failed("settings", "this app does not use OAuth any more"));
        };
        if let Some(wrong) = wrong_issuer(oauth, came.iss.as_deref()) {
            return Ok(failed("issuer_mismatch", wrong));
        }
        if let Some(error) = came.error {
            return Ok(refused(&error, came.error_description.as_deref()));
        }
        let Some(code) = came.code else {
            return Ok(failed(
                "no_code",
                "the provider sent neither a code nor an error",
            ));
        };
        let redirect_uri = self.redirect_uri(app);
        let secret = found.client_secret.as_ref();
        let verifier = returned.verifier.as_ref();
        let exchanged = self
            .0
            .provider
            .exchange(oauth, secret, &code, &redirect_uri, verifier)
            .await;
        match exchanged {
            Ok(grant) => {
                self.keep(returned, app, NewCredential::Granted(grant))
                    .await
            }
            Err(Failure {
                code, description, ..
            }) => Ok(failed(&code, &description)),
        }
    }

    /// Takes an API key that a person typed.
    ///
    /// # Errors
    /// [`Error::Denied`] before the proof; [`Error::Invalid`] for a key that cannot be one.
    pub async fn submit_key(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        app: &AppId,
        key: Secret<String>,
        from: &str,
    ) -> Result<Next> {
        let (caller, link) = match self.open(id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::Nowhere(no_way)),
        };
        if !link.proven || link.app(app).is_none() {
            return Err(Error::Denied);
        }
        let returned = Returned {
            caller,
            link,
            verifier: None,
        };
        let outcome = match check_key(&key) {
            Ok(()) => {
                self.keep(&returned, app, NewCredential::ApiKey(key))
                    .await?
            }
            Err(why) => failed("invalid_key", why),
        };
        self.vault()
            .settle(&returned.caller, &returned.link, app, outcome)?
            .await?;
        self.changed();
        Ok(Next::Page(id))
    }

    /// Takes a person's no.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`].
    pub async fn decline(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        app: &AppId,
        from: &str,
    ) -> Result<Next> {
        match self.open(id, cookie, from)? {
            Ok((caller, link)) => {
                self.vault()
                    .settle(&caller, &link, app, LinkAppState::Declined)?
                    .await?;
                self.changed();
                Ok(Next::Page(id))
            }
            Err(no_way) => Ok(Next::Nowhere(no_way)),
        }
    }

    async fn keep(
        &self,
        returned: &Returned,
        app: &AppId,
        credential: NewCredential,
    ) -> Result<LinkAppState> {
        let Returned { caller, link, .. } = returned;
        let entry = link.app(app).ok_or(Error::NotFound("app"))?;
        let address = Address {
            app: app.clone(),
            owner: link.owner.clone(),
            account: entry.account.clone(),
            scopes: entry.scopes.clone(),
        };
        let has_scopes = matches!(credential, NewCredential::Granted(_));
        let stored = self
            .vault()
            .store_token(
                caller,
                NewToken {
                    address,
                    credential,
                },
            )?
            .await;
        let summary = match stored {
            Ok(summary) => summary,
            // The grant is lost with this process at the latest: say so, rather than "connected".
            Err(error) => return Ok(failed(error.code(), &error.to_string())),
        };
        (self.0.stored)();
        let missing_scopes = match has_scopes {
            true => entry.scopes.without(&summary.scopes),
            false => Scopes::default(),
        };
        Ok(LinkAppState::Connected {
            token_id: summary.id,
            missing_scopes,
        })
    }

    /// A link this browser is bound to.
    fn bound(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Outcome<(Caller, Link)> {
        self.vault().visit_bound(id, cookie, from)
    }

    /// A link this browser is bound to and that is still open.
    fn open(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Outcome<(Caller, Link)> {
        let now = self.vault().clock().now();
        Ok(self
            .bound(id, cookie, from)?
            .and_then(|(caller, link)| match link.is_open(now) {
                true => Ok((caller, link)),
                false => Err(NoWay::Over(link.status(now))),
            }))
    }

    fn visit_of(&self, caller: &Caller, link: Link) -> Result<Visit> {
        let mut apps = Vec::with_capacity(link.apps.len());
        for entry in &link.apps {
            let app = match self.vault().app_secrets(caller, Action::Store, &entry.app) {
                Ok(found) => Some(found.app),
                Err(Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            apps.push(AppCard {
                app,
                entry: entry.clone(),
            });
        }
        let status = link.status(self.vault().clock().now());
        Ok(Visit { link, status, apps })
    }
}

/// RFC 9207 2.4: compared where it comes and an issuer is set; absent where promised is refused.
fn wrong_issuer(oauth: &crate::model::app::OAuth, iss: Option<&str>) -> Option<&'static str> {
    let expected = oauth
        .issuer
        .as_ref()
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

/// A provider's words are filtered again here: these come by way of a browser.
fn failed(code: &str, message: &str) -> LinkAppState {
    LinkAppState::Failed {
        code: filter_text(code),
        message: filter_text(message),
    }
}

fn check_key(key: &Secret<String>) -> std::result::Result<(), &'static str> {
    let text = key.expose();
    if text.is_empty() || text.len() > crate::limits::CREDENTIAL_BYTES_MAX {
        return Err("the key is empty or too long");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a key has no spaces or line breaks in it");
    }
    Ok(())
}
