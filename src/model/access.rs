//! Who may ask what: callers, access keys, and the one pure decision.
//!
//! It promises: no grant, no access; the decision looks at the caller, the action, the target and
//! the time, and at nothing stored, so that "not yours" and "not there" look the same.
//! It never: records (that is `vault/access`) or knows how a key is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::grant::{Action, Grant, Match, Role, Target};
use super::jwt::JwtRule;
use super::link::Proof;
use super::url::WebUrl;
use super::{AppId, LinkId, Owner, Scopes, TenantId, UserId};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom we take the caller for.
    pub who: Who,
    /// Where the request comes from, as an address; empty where there is none.
    pub from: Arc<str>,
    /// The reason given, for the audit trail.
    pub reason: Option<String>,
}

/// The kinds of callers.
#[derive(Clone, Debug)]
pub enum Who {
    /// A client of ours that presented an access key.
    Key(Arc<AccessKey>),
    /// Somebody whom a configured issuer names in a JWT.
    Person {
        /// The access key that the issuer was given, narrowed to this person.
        key: Arc<AccessKey>,
        /// Who it is.
        person: Arc<Person>,
    },
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

/// Whom a JWT is of, as its issuer says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Person {
    /// The user.
    pub user: UserId,
    /// The tenants the user belongs to.
    pub tenants: BTreeSet<TenantId>,
}

impl Person {
    /// True where `owner` is this person: by itself, within one of its tenants, or that tenant.
    pub fn stands_for(&self, owner: &Owner) -> bool {
        owner.user().is_none_or(|user| *user == self.user)
            && owner
                .tenant()
                .is_none_or(|tenant| self.tenants.contains(tenant))
    }
}

impl Caller {
    /// The refresh scheduler.
    pub fn scheduler() -> Self {
        Self {
            who: Who::Scheduler,
            from: Arc::default(),
            reason: None,
        }
    }

    /// The command line or an embedding program, in the same process as the vault.
    pub fn local() -> Self {
        Self {
            who: Who::Local,
            from: Arc::default(),
            reason: None,
        }
    }

    /// The caller's name in the audit trail.
    pub fn name(&self) -> String {
        match &self.who {
            Who::Key(key) => format!("key:{}", key.id),
            Who::Person { key, person } => format!("jwt:{}:{}", key.id, person.user),
            Who::Link { id, .. } => format!("link:{id}"),
            Who::Scheduler => "scheduler".into(),
            Who::Local => "local".into(),
        }
    }

    /// The access key, where one was presented; that of the issuer where a JWT was.
    pub fn key(&self) -> Option<&AccessKey> {
        match &self.who {
            Who::Key(key) | Who::Person { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whom the JWT is of, where one was presented.
    pub fn person(&self) -> Option<&Person> {
        match &self.who {
            Who::Person { person, .. } => Some(person),
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
            Who::Person { .. } | Who::Link { .. } | Who::Scheduler => false,
        }
    }
}

/// An access key as it is kept, without its secret: the standing of an asking application.
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
    /// Whose JWTs stand for it. Such a key has no secret, and each token opens its own user's part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtRule>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
}

impl AccessKey {
    /// True once it has expired.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

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
        if self.connect_verify.contains(&Proof::Page) && self.jwt.is_none() {
            return Err(Error::invalid(
                "`connect_verify` with \"page\" is for a key with a `jwt` rule: it takes a person \
                 who asks",
            ));
        }
        match &self.jwt {
            Some(rule) => rule.check().and_then(|()| rule.check_grants(&self.grants)),
            None => Ok(()),
        }
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
        Who::Key(key) | Who::Person { key, .. } if key.has_ended(now) => {
            Decision::Refused("the access key has expired")
        }
        Who::Key(key) | Who::Person { key, .. } => decide_by_grants(&key.grants, action, target),
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
