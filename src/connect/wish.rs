//! What an asker wants of a new link.
//!
//! It promises: C4 of the module above: where a person is sent back to, and which page is told, is
//! one of those that the asking key or the app lists.
//! It never: takes a place from anything that a browser says.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::limits;
use crate::model::blanks::Known;
use crate::model::link::{Hints, Proof};
use crate::model::url::WebUrl;
use crate::model::{Account, AppId, Owner, Scopes};

/// What a new link is to be.
pub struct Wish {
    /// The apps to connect.
    pub apps: Vec<WishedApp>,
    /// Whom it is for.
    pub owner: Owner,
    /// Where the person is sent at the end.
    pub return_url: Option<WebUrl>,
    /// The origin of the page that opens the link as a pop-up and is told how it ends.
    pub opener_origin: Option<String>,
    /// The way of proof; the key's own where none is named.
    pub proof: Option<Proof>,
    /// The answer goes to the browser of the owner, who asks in person: the link is bound to that
    /// browser from its birth, and no other proof is asked for.
    pub browser: bool,
    /// How long the link lives.
    pub life: Option<Duration>,
}

/// One app of a [`Wish`].
pub struct WishedApp {
    /// The app.
    pub app: AppId,
    /// The scopes to ask for; the app's own where none are named.
    pub scopes: Option<Scopes>,
    /// Which account the token is stored as.
    pub account: Option<Account>,
    /// What its provider is told of the person.
    pub hints: Hints,
    /// What is said of the app's variables; the person is asked for the others.
    pub variables: Known,
}

impl WishedApp {
    /// An app of which nothing more is said.
    pub fn of(app: AppId) -> Self {
        Self {
            app,
            scopes: None,
            account: None,
            hints: Hints::default(),
            variables: Known::default(),
        }
    }
}

impl Wish {
    /// A link for these apps and this owner, of which nothing more is said.
    pub fn of(apps: Vec<WishedApp>, owner: Owner) -> Self {
        Self {
            apps,
            owner,
            return_url: None,
            opener_origin: None,
            proof: None,
            browser: false,
            life: None,
        }
    }

    /// Refuses a place that is not listed.
    pub(super) fn check_places(&self, return_urls: &[WebUrl]) -> Result<()> {
        if let Some(url) = &self.return_url
            && !return_urls.contains(url)
        {
            return Err(Error::invalid(
                "`return_url` is not exactly one of the access key's or the app's `return_urls`",
            ));
        }
        if let Some(origin) = &self.opener_origin
            && !return_urls.iter().any(|url| url.origin() == *origin)
        {
            return Err(Error::invalid(
                "`opener_origin` is not the origin of one of the access key's or the app's \
                 `return_urls`",
            ));
        }
        Ok(())
    }

    /// How long the link is to live.
    pub(super) fn life(&self) -> Result<Duration> {
        let life = self.life.unwrap_or(limits::LINK_LIFE_DEFAULT);
        match life < Duration::from_secs(30) || life > limits::LINK_LIFE_MAX {
            true => Err(Error::invalid("`expires_in_s` is from 30 to 3600")),
            false => Ok(life),
        }
    }
}
