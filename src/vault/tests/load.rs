//! Mixed work on a vault on a simulated disk, and a model of what it comes to. A key rotation goes
//! on behind the steps; it changes nothing of what there is.
//!
//! It promises: the model changes by what was asked and answered, never by what the vault says it
//! holds; a step counts as acknowledged only once its answer has reached us.
//! It never: asks for what would be refused, so that a refusal is a fault.

mod keys;

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::audit::{AuditMode, Head};
use super::super::*;
use super::contents::{Contents, Edit, edited, take_inventory};
use super::given::{FIRST_SLOT, app_of, clock, key_file, oauth, owner, settings};
use crate::error::{Error, Result};
use crate::model::app::AppKind;
use crate::model::link::{LinkApp, LinkAppState, Proof};
use crate::model::plan::Verdict;
use crate::model::token::Grant;
use crate::model::{Address, AppId, LinkId, Scopes, TokenId};
use crate::store::faulty::Faulty;

pub(super) use self::keys::rotation_ends;

/// One piece of work.
pub(super) struct Step {
    pub(super) what: String,
    /// Operations of the disk's log before it was asked for, and when it was acknowledged.
    pub(super) asked: usize,
    pub(super) acknowledged: usize,
    /// The last audit entry known to be on the disk then.
    pub(super) audit: Head,
    pub(super) edits: Vec<Edit>,
    pub(super) outcome: Result<()>,
}

/// Work in progress, and what it should have come to.
pub(super) struct Load {
    pub(super) vault: Vault,
    pub(super) disk: Faulty,
    pub(super) model: Contents,
    /// The last audit entry on the disk before any of it.
    pub(super) first_entry: Head,
    rng: fastrand::Rng,
    tokens: BTreeMap<String, TokenId>,
    keys: BTreeMap<String, String>,
    slots: BTreeMap<String, u32>,
    links: BTreeMap<String, LinkId>,
    /// Refreshes that began, and whether the record is still the one they began with.
    jobs: BTreeMap<String, (RefreshJob, bool)>,
    serial: u32,
}

const USERS: usize = 6;
const BOXES: usize = 3;

impl Load {
    /// A new vault with one OAuth app in it.
    pub(super) fn new(mode: AuditMode, rng: fastrand::Rng) -> Self {
        let disk = Faulty::default();
        let first = key_file(FIRST_SLOT);
        let slots = [(&first, FIRST_SLOT)];
        let (vault, _) = Vault::create_on_disk(&disk, &slots, settings(mode), clock()).unwrap();
        let me = Caller::local();
        let mail = app_of("mail", oauth());
        vault.add_app(&me, mail, None).unwrap().wait().unwrap();
        let mut load = Self {
            vault,
            disk,
            model: Contents::new(),
            first_entry: Head::default(),
            rng,
            tokens: BTreeMap::new(),
            keys: BTreeMap::new(),
            slots: BTreeMap::new(),
            links: BTreeMap::new(),
            jobs: BTreeMap::new(),
            serial: 0,
        };
        load.model = load.look_again().unwrap();
        load.first_entry = load.durable_entry();
        load
    }

    /// Learns anew which ids there are, after a step whose outcome is unknown.
    pub(super) fn look_again(&mut self) -> Result<Contents> {
        let all = take_inventory(&self.vault)?;
        self.tokens = all.tokens;
        self.keys = all.keys;
        self.slots = all.slots;
        self.jobs.clear();
        Ok(all.contents)
    }

    /// Does one piece of work, or a few at one time.
    pub(super) fn step(&mut self) -> Vec<Step> {
        self.serial += 1;
        match self.rng.usize(..22) {
            0..=5 => self.store(1),
            6 | 7 => {
                let count = self.rng.usize(2..6);
                self.store(count)
            }
            8 => self.remove_token(),
            9 => self.box_app(),
            10 => self.access_key(),
            11 => self.make_link(),
            12 => self.withdraw_link(),
            13..=15 => self.refresh(),
            16 => self.slot(),
            17 => self.lock_and_unlock(),
            18 | 19 => self.rotate(),
            _ => self.fetch(),
        }
    }

    /// Notes what came of a piece of work, and what it changed.
    fn done(&mut self, what: String, asked: usize, edits: Vec<Edit>, outcome: Result<()>) -> Step {
        if outcome.is_ok() {
            self.model = edited(&self.model, &edits);
        }
        // Asked before the position: what the syncer adds meanwhile is not known to be before it.
        let audit = self.durable_entry();
        Step {
            what,
            asked,
            acknowledged: self.disk.position(),
            audit,
            edits,
            outcome,
        }
    }

    /// The last audit entry that is said to be on the disk.
    pub(super) fn durable_entry(&self) -> Head {
        let target = Target::vault();
        let permit = self
            .vault
            .gate()
            .permit(&Caller::local(), Action::Audit, &target);
        permit.map_or(Head::default(), |permit| {
            let (seq, hash) = permit.audit().durable_head();
            Head { seq, hash }
        })
    }

    fn user(&mut self) -> String {
        format!("user-{}", self.rng.usize(..USERS))
    }

    /// One that stands in the model under `kind`.
    fn any(&mut self, kind: &str) -> Option<String> {
        let names: Vec<&String> = self.model.keys().filter(|k| k.starts_with(kind)).collect();
        let name = self.rng.choice(names)?;
        Some(name[kind.len()..].to_owned())
    }

    /// Stores `count` tokens at one time, each of its own user.
    fn store(&mut self, count: usize) -> Vec<Step> {
        let first = self.rng.usize(..USERS);
        let mut asked = Vec::new();
        for number in 0..count {
            let user = format!("user-{}", (first + number) % USERS);
            let text = format!("{}.{number}", self.serial);
            // Some are longer than a page, so that the file grows and shrinks.
            let long = self.rng.usize(..12) == 0;
            let access = format!("a{text}{}", "x".repeat(usize::from(long) * 5000));
            let new = NewToken::of(
                Address {
                    app: AppId::parse("mail").unwrap(),
                    owner: owner(&user),
                    account: None,
                    scopes: Scopes::default(),
                },
                NewCredential::Uploaded(Upload {
                    access_token: Some(Secret::new(access.clone())),
                    refresh_token: Some(Secret::new(format!("r{text}"))),
                    expires_at: Some(clock().now().plus(Duration::from_secs(3600))),
                    ..Upload::default()
                }),
            );
            let edits = vec![
                Edit::put(format!("token mail/{user}"), format!("{access}|r{text}")),
                Edit::remove(format!("intent mail/{user}")),
            ];
            let at = self.disk.position();
            asked.push((
                user,
                at,
                edits,
                self.vault.store_token(&Caller::local(), new),
            ));
        }
        let mut steps = Vec::new();
        for (user, at, edits, receipt) in asked {
            let outcome = receipt.and_then(Receipt::wait).map(|summary| {
                self.tokens.insert(format!("mail/{user}"), summary.id);
                self.outdate(&user);
            });
            steps.push(self.done(format!("store {user}"), at, edits, outcome));
        }
        steps
    }

    fn outdate(&mut self, user: &str) {
        if let Some((_, is_current)) = self.jobs.get_mut(user) {
            *is_current = false;
        }
    }

    fn remove_token(&mut self) -> Vec<Step> {
        let Some(name) = self.any("token mail/") else {
            return vec![];
        };
        let at = self.disk.position();
        let id = self.tokens[&format!("mail/{name}")];
        let removed = self.vault.remove_token(&Caller::local(), id);
        let outcome = removed.and_then(Receipt::wait).map(|_| ());
        if outcome.is_ok() {
            self.outdate(&name);
        }
        let edits = vec![
            Edit::remove(format!("token mail/{name}")),
            Edit::remove(format!("intent mail/{name}")),
        ];
        vec![self.done(format!("remove {name}"), at, edits, outcome)]
    }

    /// Adds an app with a key in it, or removes one with all that is in it.
    fn box_app(&mut self) -> Vec<Step> {
        let me = Caller::local();
        let at = self.disk.position();
        let boxes = self.model.keys().filter(|name| name.starts_with("app box"));
        if boxes.count() >= BOXES {
            let id = format!("box{}", self.any("app box").expect("counted"));
            let app = AppId::parse(id.as_str()).unwrap();
            let removed = self.vault.remove_app(&me, &app);
            let outcome = removed.and_then(Receipt::wait).map(|_| ());
            let edits = vec![
                Edit::remove(format!("app {id}")),
                Edit::remove(format!("token {id}/keeper")),
            ];
            return vec![self.done(format!("remove app {id}"), at, edits, outcome)];
        }
        let id = format!("box{}", self.serial);
        let added = self.vault.add_app(&me, app_of(&id, AppKind::ApiKey), None);
        let outcome = added.and_then(Receipt::wait).map(|_| ());
        let is_there = outcome.is_ok();
        let edits = vec![Edit::put(format!("app {id}"), format!("App {id}"))];
        let mut steps = vec![self.done(format!("add app {id}"), at, edits, outcome)];
        if is_there {
            let at = self.disk.position();
            let value = format!("k{}", self.serial);
            let new = NewToken::of(
                Address {
                    app: AppId::parse(id.as_str()).unwrap(),
                    owner: owner("keeper"),
                    account: None,
                    scopes: Scopes::default(),
                },
                NewCredential::ApiKey(Secret::new(value.clone())),
            );
            let stored = self.vault.store_token(&me, new);
            let outcome = stored.and_then(Receipt::wait).map(|_| ());
            let edits = vec![Edit::put(
                format!("token {id}/keeper"),
                format!("{value}|-"),
            )];
            steps.push(self.done(format!("store {id}"), at, edits, outcome));
        }
        steps
    }

    fn make_link(&mut self) -> Vec<Step> {
        let at = self.disk.position();
        let user = format!("guest-{}", self.serial);
        let new = NewLink {
            apps: vec![LinkApp {
                app: AppId::parse("mail").unwrap(),
                scopes: Scopes::default(),
                account: None,
                hints: Default::default(),
                variables: Default::default(),
                state: LinkAppState::Waiting,
            }],
            owner: owner(&user),
            proof: Proof::Code,
            return_url: None,
            opener_origin: None,
            life: Duration::from_secs(600),
        };
        let made = self.vault.make_link(&Caller::local(), new);
        let outcome = made.and_then(Receipt::wait).map(|made| {
            self.links.insert(user.clone(), made.link.id);
        });
        let links: u32 = self.model["links"].parse().unwrap();
        let edits = vec![Edit::put("links", (links + 1).to_string())];
        vec![self.done(format!("link {user}"), at, edits, outcome)]
    }

    fn withdraw_link(&mut self) -> Vec<Step> {
        let Some((user, id)) = self.links.pop_first() else {
            return vec![];
        };
        let at = self.disk.position();
        let withdrawn = self.vault.withdraw_link(&Caller::local(), id);
        let outcome = withdrawn.and_then(Receipt::wait).map(|_| ());
        vec![self.done(format!("withdraw {user}"), at, vec![], outcome)]
    }

    /// Begins a refresh, or ends one that began.
    fn refresh(&mut self) -> Vec<Step> {
        let at = self.disk.position();
        if self.jobs.len() > 1 || (!self.jobs.is_empty() && self.rng.bool()) {
            let (user, (job, is_current)) = self.jobs.pop_first().expect("there is one");
            return self.finish(at, &user, &job, is_current);
        }
        let user = self.user();
        let name = format!("mail/{user}");
        if !self.model.contains_key(&format!("token {name}")) {
            return vec![];
        }
        let ask = RefreshAsk {
            id: self.tokens[&name],
            rejected: None,
        };
        let begun = self.vault.begin_refresh(&Caller::local(), ask);
        let outcome = begun.and_then(Receipt::wait).and_then(|begin| match begin {
            Begin::Go(job) => {
                self.jobs.insert(user.clone(), (*job, true));
                Ok(())
            }
            _ => Err(Error::Conflict("it can be refreshed".into())),
        });
        let intent = format!("intent {name}");
        let before = self.model.get(&intent);
        let attempt = before.map_or(1, |attempt| attempt.parse::<u32>().unwrap() + 1);
        let edits = vec![Edit::put(intent, attempt.to_string())];
        vec![self.done(format!("refresh of {user} begins"), at, edits, outcome)]
    }

    fn finish(&mut self, at: usize, user: &str, job: &RefreshJob, is_current: bool) -> Vec<Step> {
        let (access, refresh) = (format!("A{}", self.serial), format!("R{}", self.serial));
        let grant = Grant {
            access_token: Secret::new(access.clone()),
            token_type: "Bearer".into(),
            refresh_token: Some(Secret::new(refresh.clone())),
            id_token: None,
            expires_in_s: Some(3600),
            scopes: None,
            subject: None,
            brought: Default::default(),
        };
        let finished = self
            .vault
            .finish_refresh(&Caller::local(), job, Verdict::Renewed(grant));
        let outcome = finished.and_then(Receipt::wait).and_then(|finish| {
            let wanted = match is_current {
                true => Finish::Stored,
                false => Finish::Superseded,
            };
            match finish == wanted {
                true => Ok(()),
                false => Err(Error::Conflict(format!("{finish:?}, not {wanted:?}"))),
            }
        });
        let edits = match is_current {
            true => vec![
                Edit::put(format!("token mail/{user}"), format!("{access}|{refresh}")),
                Edit::remove(format!("intent mail/{user}")),
            ],
            false => vec![],
        };
        vec![self.done(format!("refresh of {user} ends"), at, edits, outcome)]
    }

    /// Asks for a little of everything: a read, an audit entry and a commit. Nothing changes.
    pub(super) fn touch(&mut self) -> Result<()> {
        let app = app_of("mail", oauth());
        let changed = self
            .vault
            .change_app(&Caller::local(), app, SecretChange::Keep)?;
        changed.wait().map(|_| ())
    }

    /// Compacts the file. Nothing changes.
    pub(super) fn compact(&mut self) -> Vec<Step> {
        let at = self.disk.position();
        let compacted = self.vault.compact(&Caller::local(), &mut |_, _| ());
        vec![self.done("compact".into(), at, vec![], compacted.map(|_| ()))]
    }

    fn fetch(&mut self) -> Vec<Step> {
        let at = self.disk.position();
        let ask = Ask {
            app: AppId::parse("mail").unwrap(),
            owner: owner(&self.user()),
            account: None,
            scopes: None,
            min_ttl: Duration::ZERO,
            with_refresh_token: false,
        };
        let outcome = self.vault.fetch(&Caller::local(), &ask).map(|_| ());
        vec![self.done("fetch".into(), at, vec![], outcome)]
    }
}
