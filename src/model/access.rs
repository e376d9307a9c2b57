//! Who may ask what: callers, grants, and the one pure decision.
//!
//! It promises: no grant, no access; the decision looks at the caller, the action, the target and
//! the time, and at nothing stored, so that "not yours" and "not there" look the same.
//! It never: records (that is `vault/access`) or knows how a key is kept.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::link::Proof;
use super::url::WebUrl;
use super::{AppId, LinkId, Owner, Scopes, TenantId, UserId};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Be given an access token or API key.
    Fetch,
    /// Be given the refresh token as well.
    FetchRefresh,
    /// Make, watch, vouch for and withdraw connect links.
    Connect,
    /// Upload a token or API key.
    Store,
    /// See summaries of tokens.
    List,
    /// Refresh a token by hand.
    Refresh,
    /// See a token in plain text.
    Reveal,
    /// Delete tokens.
    Delete,
    /// See apps.
    AppsRead,
    /// Make, change and delete apps.
    Apps,
    /// See, make and delete access keys.
    Keys,
    /// Read the audit trail.
    Audit,
    /// Lock the vault.
    Lock,
}

impl Action {
    /// Every action, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Fetch,
        Self::FetchRefresh,
        Self::Connect,
        Self::Store,
        Self::List,
        Self::Refresh,
        Self::Reveal,
        Self::Delete,
        Self::AppsRead,
        Self::Apps,
        Self::Keys,
        Self::Audit,
        Self::Lock,
    ];

    /// The word on the wire and in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::FetchRefresh => "fetch_refresh",
            Self::Connect => "connect",
            Self::Store => "store",
            Self::List => "list",
            Self::Refresh => "refresh",
            Self::Reveal => "reveal",
            Self::Delete => "delete",
            Self::AppsRead => "apps_read",
            Self::Apps => "apps",
            Self::Keys => "keys",
            Self::Audit => "audit",
            Self::Lock => "lock",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A bundle of actions by name, for people who make keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Looks after the vault and sees no secret.
    Operator,
    /// An MCP server or back end: fetches, connects people, lists.
    Server,
    /// Fetches, and nothing else.
    Reader,
}

impl Role {
    /// What the role may do.
    pub fn actions(self) -> BTreeSet<Action> {
        use Action::{Apps, AppsRead, Audit, Connect, Delete, Fetch, Keys, List, Lock, Refresh};
        match self {
            Self::Admin => Action::ALL.into(),
            Self::Operator => [
                Apps, AppsRead, Audit, Connect, Delete, Keys, List, Lock, Refresh,
            ]
            .into(),
            Self::Server => [AppsRead, Connect, Fetch, List].into(),
            Self::Reader => [Fetch].into(),
        }
    }
}

/// Which ids a grant covers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Match<T: Ord> {
    /// Any, and none at all.
    #[default]
    Any,
    /// Exactly these; an empty set means "none": an owner without a tenant, or without a user.
    OneOf(BTreeSet<T>),
}

impl<T: Ord> Match<T> {
    fn fits(&self, id: Option<&T>) -> bool {
        match (self, id) {
            (Self::Any, _) => true,
            (Self::OneOf(ids), Some(id)) => ids.contains(id),
            (Self::OneOf(ids), None) => ids.is_empty(),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::OneOf(_), Self::Any) => false,
            // Empty means "none", which is not a subset of "one of these".
            (Self::OneOf(mine), Self::OneOf(theirs)) => {
                mine.is_empty() == theirs.is_empty() && theirs.is_subset(mine)
            }
        }
    }
}

impl<T: Ord + Clone + Serialize> Serialize for Match<T> {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("*"),
            Self::OneOf(ids) => ids.serialize(serializer),
        }
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for Match<T> {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T: Ord> {
            Word(String),
            Set(BTreeSet<T>),
        }
        match Either::deserialize(deserializer)? {
            Either::Word(word) if word == "*" => Ok(Self::Any),
            Either::Word(_) => Err(serde::de::Error::custom("give a list of ids, or \"*\"")),
            Either::Set(ids) if ids.len() > limits::GRANT_IDS_MAX => {
                Err(serde::de::Error::custom("too many ids in one grant"))
            }
            Either::Set(ids) => Ok(Self::OneOf(ids)),
        }
    }
}

/// What a caller may do, on what.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The actions.
    pub actions: BTreeSet<Action>,
    /// On which apps; any unless said.
    #[serde(default)]
    pub apps: Match<AppId>,
    /// Of which tenants; any, and none, unless said. `[]` means: owners without a tenant.
    #[serde(default)]
    pub tenants: Match<TenantId>,
    /// Of which users; any, and none, unless said. `[]` means: tenant-level tokens.
    #[serde(default)]
    pub users: Match<UserId>,
    /// No token with more than these scopes; no ceiling unless said.
    #[serde(default)]
    pub scopes: Option<Scopes>,
}

impl Grant {
    /// `actions` on everything.
    pub fn everywhere(actions: BTreeSet<Action>) -> Self {
        Self {
            actions,
            apps: Match::Any,
            tenants: Match::Any,
            users: Match::Any,
            scopes: None,
        }
    }

    fn fits(&self, action: Action, target: &Target<'_>) -> bool {
        let owner_fits =
            |owner: &Owner| self.tenants.fits(owner.tenant()) && self.users.fits(owner.user());
        self.actions.contains(&action)
            && target.app.is_none_or(|app| self.apps.fits(Some(app)))
            && target.owner.is_none_or(owner_fits)
            && match (&self.scopes, target.scopes) {
                (Some(ceiling), Some(asked)) => ceiling.covers(asked),
                _ => true,
            }
            // What concerns the whole vault is not for somebody confined to a part of it.
            && (!target.whole_vault || self.is_everywhere())
    }

    fn is_everywhere(&self) -> bool {
        self.apps == Match::Any
            && self.tenants == Match::Any
            && self.users == Match::Any
            && self.scopes.is_none()
    }

    /// True where everything `other` allows is allowed by this grant too.
    fn covers(&self, other: &Self) -> bool {
        other.actions.is_subset(&self.actions)
            && self.apps.covers(&other.apps)
            && self.tenants.covers(&other.tenants)
            && self.users.covers(&other.users)
            && match (&self.scopes, &other.scopes) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => mine.covers(theirs),
            }
    }
}

/// What an action is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// The app, where one is named.
    pub app: Option<&'a AppId>,
    /// The owner, where one is named.
    pub owner: Option<&'a Owner>,
    /// The scopes asked for, where some are named.
    pub scopes: Option<&'a Scopes>,
    /// Keys, audit, lock: these concern everything at once.
    pub whole_vault: bool,
}

impl<'a> Target<'a> {
    /// The vault as a whole.
    pub fn vault() -> Self {
        Self {
            whole_vault: true,
            ..Self::default()
        }
    }

    /// One app.
    pub fn app(app: &'a AppId) -> Self {
        Self {
            app: Some(app),
            ..Self::default()
        }
    }

    /// One owner's tokens of one app.
    pub fn of(app: &'a AppId, owner: &'a Owner) -> Self {
        Self {
            app: Some(app),
            owner: Some(owner),
            ..Self::default()
        }
    }
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom we take the caller for.
    pub who: Who,
    /// Where the request comes from, as an address; empty where there is none.
    pub from: String,
    /// The reason given, for the audit trail.
    pub reason: Option<String>,
}

/// The kinds of callers.
#[derive(Clone, Debug)]
pub enum Who {
    /// A client of ours that presented an access key.
    Key(Arc<AccessKey>),
    /// A person in a browser, on a connect link: may store for that link's owner and apps alone.
    Link {
        /// The link.
        id: LinkId,
        /// Whom it was made for.
        owner: Owner,
        /// The apps on it.
        apps: BTreeSet<AppId>,
    },
    /// The refresh scheduler: refreshes, and nothing else.
    Scheduler,
    /// Whoever holds the data directory and the passphrase: the command line, an embedding program.
    Local,
}

impl Caller {
    /// The refresh scheduler.
    pub fn scheduler() -> Self {
        Self {
            who: Who::Scheduler,
            from: String::new(),
            reason: None,
        }
    }

    /// The command line or an embedding program, in the same process as the vault.
    pub fn local() -> Self {
        Self {
            who: Who::Local,
            from: String::new(),
            reason: None,
        }
    }

    /// The caller's name in the audit trail.
    pub fn name(&self) -> String {
        match &self.who {
            Who::Key(key) => format!("key:{}", key.id),
            Who::Link { id, .. } => format!("link:{id}"),
            Who::Scheduler => "scheduler".into(),
            Who::Local => "local".into(),
        }
    }

    /// The access key, where one was presented.
    pub fn key(&self) -> Option<&AccessKey> {
        match &self.who {
            Who::Key(key) => Some(key),
            _ => None,
        }
    }

    /// True where this caller's rights include everything in `grants`: nobody makes a key that may
    /// do more than its maker.
    pub fn covers(&self, grants: &[Grant]) -> bool {
        match &self.who {
            Who::Local => true,
            Who::Key(key) => grants
                .iter()
                .all(|wanted| key.grants.iter().any(|mine| mine.covers(wanted))),
            Who::Link { .. } | Who::Scheduler => false,
        }
    }
}

/// An access key as it is kept, without its secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The public id: the middle part of the key.
    pub id: String,
    /// What people call it. On a connect page it says who asks.
    pub name: String,
    /// The role it was made with, if any.
    #[serde(default)]
    pub role: Option<Role>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Where people may be sent back to after connecting, exactly.
    #[serde(default)]
    pub return_urls: Vec<WebUrl>,
    /// Where a browser is sent to be vouched for.
    #[serde(default)]
    pub verify_url: Option<WebUrl>,
    /// The ways of proof its connect links may use.
    #[serde(default)]
    pub connect_verify: BTreeSet<Proof>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
}

impl AccessKey {
    /// Checks every rule a key must keep before it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        if self.name.trim().is_empty() {
            return Err(Error::invalid("`name` is missing"));
        }
        super::check_text("name", &self.name)?;
        if self.grants.is_empty() || self.grants.len() > limits::GRANTS_MAX {
            return Err(Error::invalid(format!(
                "give a `role`, or 1 to {} `grants`",
                limits::GRANTS_MAX
            )));
        }
        if self.return_urls.len() > limits::RETURN_URLS_MAX {
            return Err(Error::invalid("too many `return_urls`"));
        }
        if self.connect_verify.contains(&Proof::Vouch) && self.verify_url.is_none() {
            return Err(Error::invalid(
                "`connect_verify` with \"vouch\" needs a `verify_url`",
            ));
        }
        Ok(())
    }
}

/// The outcome of [`decide`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Allowed. Where there is a ceiling, only tokens whose scopes it covers may be handed out.
    Allowed {
        /// The ceilings of the grants that allow it; empty where one of them has none.
        ceilings: Vec<Scopes>,
    },
    /// Refused, for a reason that goes to the audit trail and to nobody else.
    Refused(&'static str),
}

/// Decides whether `caller` may do `action` on `target` at `now`. Pure.
pub fn decide(caller: &Caller, action: Action, target: &Target<'_>, now: Timestamp) -> Decision {
    let free = Decision::Allowed {
        ceilings: Vec::new(),
    };
    match &caller.who {
        Who::Local => free,
        Who::Scheduler if action == Action::Refresh => free,
        Who::Scheduler => Decision::Refused("the scheduler only refreshes"),
        Who::Link { owner, apps, .. } => {
            // A step of the link itself names no app; storing always does.
            let own_app = match target.app {
                Some(app) => apps.contains(app),
                None => action == Action::Connect,
            };
            let may = matches!(action, Action::Store | Action::Connect);
            if may && own_app && target.owner == Some(owner) && !target.whole_vault {
                free
            } else {
                Decision::Refused("a connect link stores for its own owner and apps alone")
            }
        }
        Who::Key(key) if key.expires_at.is_some_and(|end| end <= now) => {
            Decision::Refused("the access key has expired")
        }
        Who::Key(key) => decide_by_grants(&key.grants, action, target),
    }
}

fn decide_by_grants(grants: &[Grant], action: Action, target: &Target<'_>) -> Decision {
    let fitting: Vec<&Grant> = grants.iter().filter(|g| g.fits(action, target)).collect();
    if fitting.is_empty() {
        return Decision::Refused("no grant covers this");
    }
    if fitting.iter().any(|grant| grant.scopes.is_none()) {
        return Decision::Allowed {
            ceilings: Vec::new(),
        };
    }
    Decision::Allowed {
        ceilings: fitting.iter().filter_map(|g| g.scopes.clone()).collect(),
    }
}
