//! What may be done, on what: actions, roles, grants, targets.
//!
//! It promises: a grant allows exactly what it says; what it leaves unsaid is "any", never "more".
//! It never: knows who asks (that is `access`).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AppId, Owner, Scopes, TenantId, UserId};
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
    /// Lock the vault, change its key slots (with what opens it), rotate its keys.
    Lock,
    /// Write a backup on the server's machine, sealed as it is; compact the vault's file.
    Backup,
}

impl Action {
    /// Every action, for tables and tests.
    pub const ALL: [Self; 14] = [
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
        Self::Backup,
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
            Self::Backup => "backup",
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
        use Action::{
            Apps, AppsRead, Audit, Backup, Connect, Delete, Fetch, Keys, List, Lock, Refresh,
        };
        match self {
            Self::Admin => Action::ALL.into(),
            Self::Operator => [
                Apps, AppsRead, Audit, Backup, Connect, Delete, Keys, List, Lock, Refresh,
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
    pub(super) fn fits(&self, id: Option<&T>) -> bool {
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

    pub(super) fn fits(&self, action: Action, target: &Target<'_>) -> bool {
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
            // An app is shared by all owners. Who is confined to some of them could change where
            // the tokens of the others are sent.
            && (action != Action::Apps || self.is_of_any_owner())
    }

    fn is_everywhere(&self) -> bool {
        self.apps == Match::Any && self.is_of_any_owner()
    }

    fn is_of_any_owner(&self) -> bool {
        self.tenants == Match::Any && self.users == Match::Any && self.scopes.is_none()
    }

    /// True where everything `other` allows is allowed by this grant too.
    pub(super) fn covers(&self, other: &Self) -> bool {
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
    /// Keys, audit, lock, backup: these concern everything at once.
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
