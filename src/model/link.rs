//! A connect link: takes one person's browser through connecting one or more apps.
//!
//! ```text
//!            opened                proven                 callback ok, key stored
//!   issued ---------> visited ------------> proven ----+------------------------> connected (app)
//!     |                  |                     |       +--> declined (app)
//!     |                  | wrong person,       |       +--> failed (app), may be tried again
//!     |                  | too many codes      |
//!     +------------------+---------+-----------+--> all apps decided: finished
//!                                  v
//!                 dead: expired, withdrawn, cancelled, or the wrong person
//! ```
//!
//! One that its owner asks for, in the browser that gets it, begins as proven, bound to that
//! browser.
//!
//! It promises: the one-way steps above are decided here, by pure functions.
//! It never: holds the link's own secret, a state or a cookie; only their hashes.

use serde::{Deserialize, Serialize};

use super::app::Callback;
use super::blanks::Known;
use super::url::WebUrl;
use super::{Account, AppId, LinkId, Owner, Scopes, TokenId, check_text};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits;

/// How the person is proven to be the one who was asked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The asking application says who is signed in there.
    Vouch,
    /// A short code, shown where the link was made, is typed on the page.
    Code,
    /// No proof: development, or back ends that an operator trusts.
    None,
    /// The person asks for the link itself, by a JWT, from a page in its own browser, and no other
    /// browser opens it.
    Page,
}

/// One app on a link, and how far it has come.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LinkApp {
    /// The app.
    pub app: AppId,
    /// The scopes to ask for.
    pub scopes: Scopes,
    /// Which account the token is stored as.
    #[serde(default)]
    pub account: Option<Account>,
    /// What its provider is told of the person.
    #[serde(default)]
    pub hints: Hints,
    /// What is said of the app's variables.
    #[serde(default, skip_serializing_if = "Known::is_empty")]
    pub variables: Known,
    /// How far it has come.
    pub state: LinkAppState,
}

/// What an authorization request says of the person (OpenID Connect Core 3.1.2.1). It goes in the
/// place of what the app's own parameters say.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hints {
    /// Who is about to sign in, as the provider knows them.
    #[serde(default)]
    pub login_hint: Option<String>,
    /// What the provider is to ask the person, such as `consent`; several with a space in between.
    #[serde(default)]
    pub prompt: Option<String>,
}

impl Hints {
    /// Checks that they are short, and text.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] naming the first that is not.
    pub fn check(&self) -> Result<()> {
        for (name, hint) in self.named() {
            check_text(name, hint)?;
        }
        Ok(())
    }

    /// Those that are there, by the names of their parameters.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [("login_hint", &self.login_hint), ("prompt", &self.prompt)];
        named
            .into_iter()
            .filter_map(|(name, hint)| Some((name, hint.as_deref()?)))
    }
}

/// How far one app of a link has come.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum LinkAppState {
    /// Nothing yet, or on its way.
    Waiting,
    /// Stored.
    Connected {
        /// The token's record.
        token_id: TokenId,
        /// Scopes asked for and not granted.
        missing_scopes: Scopes,
        /// What people know the account by, where the service says.
        #[serde(default)]
        label: Option<String>,
        /// Whose account was connected before, where it was another.
        #[serde(default)]
        switched_from: Option<String>,
        /// How the key ends that was typed, where it is long enough for that to tell nobody more
        /// than which one it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_four: Option<String>,
    },
    /// The person said no, here or at the provider.
    Declined,
    /// It went wrong; the person may try again.
    Failed {
        /// What went wrong, as a stable code.
        code: String,
        /// In words safe to show.
        message: String,
    },
}

/// Codes of failures after which the person may have a key stored all the same.
const MAY_STORE_ANYWAY: [&str; 3] = ["key_refused", "key_not_checked", "key_looks_wrong"];

impl LinkAppState {
    /// True where a key was not stored and the person may have that done all the same.
    pub fn may_store_anyway(&self) -> bool {
        match self {
            Self::Failed { code, .. } => MAY_STORE_ANYWAY.contains(&code.as_str()),
            Self::Waiting | Self::Declined | Self::Connected { .. } => false,
        }
    }
}

/// A link as it is kept. Everything in it is sealed; what could be presented is hashed besides.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Names it for whoever asked.
    pub id: LinkId,
    /// Hash of the secret in its URL.
    pub ticket_hash: Vec<u8>,
    /// Whom it is for.
    pub owner: Owner,
    /// The access key that asked.
    pub key_id: String,
    /// Who asks, as the page shows it.
    pub asker: String,
    /// The apps on it.
    pub apps: Vec<LinkApp>,
    /// How the person is proven.
    pub proof: Proof,
    /// Hash of the code, where proof is by code.
    #[serde(default)]
    pub code_hash: Option<Vec<u8>>,
    /// Wrong codes typed.
    #[serde(default)]
    pub code_tries: u32,
    /// Hash of the single-use ticket sent to the asking application, where proof is by vouching.
    #[serde(default)]
    pub vouch_hash: Option<Vec<u8>>,
    /// Hash of what the asking application sends the vouched person back with. It must come back in
    /// the browser the link is bound to: so nobody's word for one person opens another's browser.
    #[serde(default)]
    pub vouched_hash: Option<Vec<u8>>,
    /// Hash of the browser's cookie, from the first visit on.
    #[serde(default)]
    pub browser_hash: Option<Vec<u8>>,
    /// The person is proven.
    #[serde(default)]
    pub proven: bool,
    /// The trip to a provider that is under way.
    #[serde(default)]
    pub trip: Option<Trip>,
    /// Why it is dead, if it is.
    #[serde(default)]
    pub dead: Option<LinkEnd>,
    /// Where the person is sent at the end.
    #[serde(default)]
    pub return_url: Option<WebUrl>,
    /// The origin of the page that opened it as a pop-up, which is told how it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opener_origin: Option<String>,
    /// The reason given by the asker.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// Why a link is dead.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkEnd {
    /// Whoever made it took it back.
    Withdrawn,
    /// Somebody else than its owner was vouched for.
    WrongPerson,
    /// Too many wrong codes.
    TooManyCodes,
    /// A newer link for the same owner and apps took its place.
    Replaced,
    /// Its person said no to all that was left of it.
    Cancelled,
}

/// One trip to a provider: single use.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// The app whose provider is visited.
    pub app: AppId,
    /// Where the provider was told to send the person back to.
    #[serde(default)]
    pub callback: Callback,
    /// What is said of the app's variables: by the asker, else by the person.
    #[serde(default, skip_serializing_if = "Known::is_empty")]
    pub variables: Known,
    /// Hash of `state`.
    pub state_hash: Vec<u8>,
    /// When the trip lapses.
    pub expires_at: Timestamp,
}

impl Trip {
    /// When it began.
    pub fn began_at(&self) -> Timestamp {
        self.expires_at.minus(limits::STATE_LIFE)
    }
}

/// Where a link stands, for whoever asked and for the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkStatus {
    /// Nobody has opened it.
    Issued,
    /// Somebody has opened it.
    Visited,
    /// Every app is decided: connected or declined.
    Finished,
    /// It lapsed.
    Expired,
    /// It is dead.
    Dead(LinkEnd),
}

impl Link {
    /// Where it stands at `now`.
    pub fn status(&self, now: Timestamp) -> LinkStatus {
        if let Some(end) = self.dead {
            return LinkStatus::Dead(end);
        }
        let decided = |app: &LinkApp| {
            matches!(
                app.state,
                LinkAppState::Connected { .. } | LinkAppState::Declined
            )
        };
        if self.apps.iter().all(decided) {
            return LinkStatus::Finished;
        }
        // Made later than now: the clock was set back, and nobody can tell how long ago that was.
        let is_from_later = self.created_at > now.plus(limits::CLOCK_SKEW);
        if now >= self.expires_at || is_from_later {
            return LinkStatus::Expired;
        }
        if self.browser_hash.is_some() {
            LinkStatus::Visited
        } else {
            LinkStatus::Issued
        }
    }

    /// True while a person can still do something with it.
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.status(now), LinkStatus::Issued | LinkStatus::Visited)
    }

    /// The entry of `app`.
    pub fn app(&self, app: &AppId) -> Option<&LinkApp> {
        self.apps.iter().find(|entry| &entry.app == app)
    }

    /// The entry of `app`, to change.
    pub fn app_mut(&mut self, app: &AppId) -> Option<&mut LinkApp> {
        self.apps.iter_mut().find(|entry| &entry.app == app)
    }
}
