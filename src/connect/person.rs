//! The person's side of a link: what a browser asks, and where it goes next.
//!
//! It promises: every step but the first is taken by the browser the link is bound to, and by no
//! other; what went wrong is told in words for a person, and put on record.
//! It never: trusts a query for where to go next.

use std::sync::Arc;

use super::Connect;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller};
use crate::model::app::App;
use crate::model::link::{Link, LinkApp, LinkAppState, LinkStatus, Proof};
use crate::model::template::Template;
use crate::model::{AppId, LinkId};
use crate::secret::Secret;
use crate::vault::{Before, NoWay};

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
    /// What the owner had connected before, once the person is proven to be the owner.
    pub before: Option<Before>,
    /// What the app was made of, as the catalogue knows it now.
    template: Option<Arc<Template>>,
}

impl AppCard {
    /// What a scope lets somebody do, in the catalogue's words; nothing where it has none.
    pub fn described(&self, scope: &str) -> Option<&str> {
        let known = self.template.as_ref()?.scope_descriptions.get(scope)?;
        Some(known)
    }
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

impl Next {
    /// Where a browser goes whose step came to nothing. A link that is over says how it ended on
    /// its own page, which also tells whoever opened it as a pop-up.
    pub(super) fn instead(id: LinkId, no_way: NoWay) -> Self {
        match no_way {
            NoWay::Over(_) => Self::Page(id),
            NoWay::Unknown | NoWay::OtherBrowser => Self::Nowhere(no_way),
        }
    }
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
            Err(no_way) => return Ok(Next::instead(id, no_way)),
        };
        if link.proof != Proof::Vouch || link.proven {
            return Ok(Next::Page(id));
        }
        let verify_url = self.vault().verify_url(&caller, &link)?;
        let ticket = self.vault().begin_vouch(&caller, &link)?.await?;
        let mut url = verify_url.as_url().clone();
        url.query_pairs_mut()
            .append_pair("connect_id", &id.to_string())
            .append_pair("ticket", ticket.expose());
        Ok(Next::Away(Secret::new(url.into())))
    }

    /// Takes a browser back from the asking application.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`]; what a person is told is inside.
    pub async fn come_vouched(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        back: &Secret<String>,
        from: &str,
    ) -> Result<Next> {
        let (caller, link) = match self.open(id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::instead(id, no_way)),
        };
        if !link.proven {
            self.vault().come_vouched(&caller, &link, back)?.await?;
            self.changed();
        }
        Ok(Next::Page(id))
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
            Err(no_way) => Ok(Next::instead(id, no_way)),
        }
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
        let (caller, link, entry) = match self.open_for(app, id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::instead(id, no_way)),
        };
        // What is connected is not declined any more.
        if !matches!(entry.state, LinkAppState::Connected { .. }) {
            self.vault()
                .settle(&caller, &link, app, LinkAppState::Declined)?
                .await?;
            self.changed();
        }
        Ok(Next::Page(id))
    }

    /// Takes a person's no to all that is left of a link.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`].
    pub async fn cancel(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Result<Next> {
        match self.open(id, cookie, from)? {
            Ok((caller, link)) => {
                self.vault().cancel_link(&caller, &link)?.await?;
                self.changed();
                Ok(Next::Page(id))
            }
            Err(no_way) => Ok(Next::instead(id, no_way)),
        }
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
    pub(super) fn open(
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

    /// [`Connect::open`] for one app of the link, where the person is proven, with its entry.
    /// Before the proof it would be anybody's word.
    pub(super) fn open_for(
        &self,
        app: &AppId,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Outcome<(Caller, Link, LinkApp)> {
        let (caller, link) = match self.open(id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Err(no_way)),
        };
        let entry = link.app(app).filter(|_| link.proven).cloned();
        let entry = entry.ok_or(Error::Denied)?;
        Ok(Ok((caller, link, entry)))
    }

    fn visit_of(&self, caller: &Caller, link: Link) -> Result<Visit> {
        let mut apps = Vec::with_capacity(link.apps.len());
        for entry in &link.apps {
            let app = match self.vault().app_settings(caller, Action::Store, &entry.app) {
                Ok(app) => Some(app),
                Err(Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            let before = match link.proven && entry.state == LinkAppState::Waiting {
                true => self.vault().connected_before(caller, &link, entry)?,
                false => None,
            };
            let made_of = app.as_ref().and_then(|app| app.template.as_ref());
            apps.push(AppCard {
                template: made_of.and_then(|made_of| self.template(&made_of.id)),
                app,
                entry: entry.clone(),
                before,
            });
        }
        let status = link.status(self.vault().clock().now());
        Ok(Visit { link, status, apps })
    }
}
