//! A crowd: tokens of many owners, with and without tenants, some of which wait for their owner.
//! For lists, and for the indexes that came later.
//!
//! It promises: random work of every kind that changes what an index holds; a vault can be made one
//! that an earlier version wrote last.
//! It never: looks at an index.

use std::collections::BTreeSet;

use super::super::*;
use super::given::{app_of, clock, key_file, oauth};
use crate::model::app::AppKind;
use crate::model::plan::Verdict;
use crate::model::token::{Grant, ReconnectReason, RefreshError, Summary, TokenState};
use crate::model::{Account, Address, AppId, Owner, Scopes, TenantId, TokenId, UserId};
use crate::seal::{Header, Keyring};
use crate::store::faulty::Faulty;
use crate::store::{Index, Records, Scan, View, Write};
use crate::vault::ledger::{self, Filled, Ledger};

const APPS: [&str; 3] = ["mail", "notes", "maps"];
const TENANTS: [&str; 3] = ["red", "green", "blue"];
const USERS: [&str; 5] = ["ann", "bob", "cid", "dee", "eve"];
const SLOT: &str = "crowd";

pub(in crate::vault) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(work)
}

/// A vault with a crowd in it.
pub(in crate::vault) struct Crowd {
    pub(in crate::vault) vault: Vault,
    pub(in crate::vault) rng: fastrand::Rng,
    serial: u32,
}

fn app_id(name: &str) -> AppId {
    AppId::parse(name).unwrap()
}

fn add_app(vault: &Vault, name: &str) {
    let kind = match name {
        "maps" => AppKind::ApiKey,
        _ => oauth(),
    };
    let added = vault.add_app(&Caller::local(), app_of(name, kind), None);
    added.unwrap().wait().unwrap();
}

/// Opens the vault on a disk.
pub(in crate::vault) fn opened(disk: &Faulty) -> Result<Vault> {
    let store = Store::on_backend(disk, None)?;
    let vault = Vault::assemble(store, None, Settings::default(), clock());
    vault.unlock(&key_file(SLOT), "test")?;
    Ok(vault)
}

/// Opens the vault on a disk as far as that it is unlocked: nothing goes on by itself.
pub(in crate::vault) fn let_in(disk: &Faulty) -> Vault {
    let store = Store::on_backend(disk, None).unwrap();
    let keys = Arc::new(keys_of(&store));
    let vault = Vault::assemble(store, None, Settings::default(), clock());
    vault.let_in(keys, None).unwrap();
    vault
}

impl Crowd {
    /// A new vault on a disk, with apps and nothing else in it.
    pub(in crate::vault) fn on(disk: &Faulty, rng: fastrand::Rng) -> Self {
        let (vault, _) = Vault::on_disk(disk, clock()).unwrap();
        let slot = (key_file(SLOT), SLOT);
        let added = vault.add_slot(&Caller::local(), slot.0, slot.1, KdfParams::FLOOR);
        added.unwrap();
        APPS.iter().for_each(|app| add_app(&vault, app));
        Self::of(vault, rng)
    }

    /// The crowd of a vault that is there.
    pub(in crate::vault) fn of(vault: Vault, rng: fastrand::Rng) -> Self {
        Self {
            vault,
            rng,
            serial: 0,
        }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        self.rng.choice(of).copied().unwrap()
    }

    pub(in crate::vault) fn app(&mut self) -> AppId {
        app_id(self.one(&APPS))
    }

    pub(in crate::vault) fn tenant(&mut self) -> TenantId {
        TenantId::parse(self.one(&TENANTS)).unwrap()
    }

    pub(in crate::vault) fn user(&mut self) -> UserId {
        UserId::parse(self.one(&USERS)).unwrap()
    }

    pub(in crate::vault) fn owner(&mut self) -> Owner {
        match self.rng.u8(..4) {
            0 => Owner::User(self.user()),
            1 => Owner::Tenant(self.tenant()),
            _ => Owner::TenantUser(self.tenant(), self.user()),
        }
    }

    fn new_token(&mut self, address: Address) -> NewToken {
        self.serial += 1;
        let text = |what: &str| Secret::new(format!("{what} {}", self.serial));
        let credential = match address.app.as_str() {
            "maps" => NewCredential::ApiKey(text("key")),
            _ => NewCredential::Granted(Grant {
                access_token: text("access"),
                token_type: "Bearer".into(),
                refresh_token: Some(text("refresh")),
                id_token: None,
                expires_in_s: Some(3600),
                scopes: None,
                subject: None,
                brought: Default::default(),
            }),
        };
        NewToken::of(address, credential)
    }

    /// Stores a token, maybe in the place of another.
    pub(in crate::vault) fn store(&mut self, app: AppId, owner: Owner) -> Summary {
        let accounts = [None, Some("work"), Some("home")];
        let account = self.one(&accounts);
        let scopes: &[&str] = self.one(&[&[], &["read"]]);
        let address = Address {
            app,
            owner,
            account: account.map(|name| Account::parse(name).unwrap()),
            scopes: Scopes::parse(scopes.iter().copied()).unwrap(),
        };
        let new = self.new_token(address);
        let stored = self.vault.store_token(&Caller::local(), new);
        stored.unwrap().wait().unwrap()
    }

    /// Stores so many tokens of as many users, a group at a time; three of four are of a tenant's.
    pub(in crate::vault) fn store_many(&mut self, count: usize) -> Vec<TokenId> {
        let mut receipts = Vec::new();
        for number in 0..count {
            let user = UserId::parse(format!("user-{number}")).unwrap();
            let owner = match number % 4 {
                0 => Owner::User(user),
                _ => Owner::TenantUser(self.tenant(), user),
            };
            let address = Address {
                app: app_id(["mail", "notes"][number % 2]),
                owner,
                account: None,
                scopes: Scopes::default(),
            };
            let new = self.new_token(address);
            receipts.push(self.vault.store_token(&Caller::local(), new).unwrap());
        }
        let stored = receipts.into_iter().map(|receipt| receipt.wait().unwrap());
        stored.map(|summary| summary.id).collect()
    }

    /// Has a refresh end so that the token waits for its owner; nothing where it cannot be begun.
    pub(in crate::vault) fn kill(&mut self, id: TokenId) {
        self.refresh(id, |error| Verdict::Dead(ReconnectReason::Revoked, error));
    }

    fn refresh(&mut self, id: TokenId, verdict: impl FnOnce(RefreshError) -> Verdict) {
        let me = Caller::local();
        let ask = RefreshAsk { id, rejected: None };
        let begun = self.vault.begin_refresh(&me, ask).unwrap().wait().unwrap();
        let Begin::Go(job) = begun else { return };
        let error = RefreshError {
            code: "invalid_grant".into(),
            description: "gone".into(),
            at: clock().now(),
        };
        let finished = self.vault.finish_refresh(&me, &job, verdict(error));
        finished.unwrap().wait().unwrap();
    }

    /// All tokens, by no index.
    pub(in crate::vault) fn all(&self) -> Vec<Summary> {
        everything(&self.vault, &Filter::default())
    }

    fn some_id(&mut self) -> Option<TokenId> {
        let all = self.all();
        self.rng.choice(&all).map(|token| token.id)
    }

    /// A filter of any kind.
    pub(in crate::vault) fn filter(&mut self) -> Filter {
        Filter {
            app: self.rng.bool().then(|| self.app()),
            tenant: (self.rng.u8(..3) == 0).then(|| self.tenant()),
            user: (self.rng.u8(..3) > 0).then(|| self.user()),
            owner: (self.rng.u8(..8) == 0).then(|| self.owner()),
            of_users: self.rng.u8(..8) == 0,
            active: self.one(&[None, Some(true), Some(false), Some(false)]),
        }
    }

    /// One piece of work.
    pub(in crate::vault) fn work(&mut self) {
        let me = Caller::local();
        match self.rng.u8(..20) {
            0..=8 => {
                let (app, owner) = (self.app(), self.owner());
                self.store(app, owner);
            }
            9..=13 => {
                if let Some(id) = self.some_id() {
                    self.kill(id);
                }
            }
            14 => {
                if let Some(id) = self.some_id() {
                    self.refresh(id, |error| Verdict::Later {
                        error,
                        not_before: clock().now(),
                        uncertain: false,
                    });
                }
            }
            15 | 16 => {
                if let Some(id) = self.some_id() {
                    let removed = self.vault.remove_token(&me, id);
                    removed.unwrap().wait().unwrap();
                }
            }
            17 | 18 => {
                let (tenant, user) = (self.rng.bool(), self.user());
                let filter = Filter {
                    tenant: tenant.then(|| self.tenant()),
                    user: Some(user),
                    ..Filter::default()
                };
                let removed = block_on(self.vault.remove_tokens(&me, &filter, None));
                assert_eq!(removed.unwrap().1, None);
            }
            _ => {
                let app = self.app();
                let removed = self.vault.remove_app(&me, &app).unwrap().wait();
                assert!(!removed.unwrap().more);
                add_app(&self.vault, app.as_str());
            }
        }
    }
}

/// All of a list.
pub(in crate::vault) fn everything(vault: &Vault, filter: &Filter) -> Vec<Summary> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = vault.list(&Caller::local(), filter, 1000, cursor.as_deref());
        let page = page.unwrap();
        all.extend(page.tokens);
        cursor = page.cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Whether a filter lets a token through, by what is shown of it.
pub(in crate::vault) fn fits(filter: &Filter, token: &Summary) -> bool {
    let owner = Owner::new(token.tenant.clone(), token.user.clone()).unwrap();
    let same = |wanted: &Option<AppId>| wanted.as_ref().is_none_or(|app| *app == token.app);
    let is_active = token.state == TokenState::Active;
    same(&filter.app)
        && (filter.tenant.is_none() || filter.tenant == token.tenant)
        && (filter.user.is_none() || filter.user == token.user)
        && filter.owner.as_ref().is_none_or(|wanted| *wanted == owner)
        && (!filter.of_users || token.user.is_some())
        && filter.active.is_none_or(|active| active == is_active)
}

pub(in crate::vault) fn ids<'a>(tokens: impl IntoIterator<Item = &'a Summary>) -> BTreeSet<String> {
    tokens
        .into_iter()
        .map(|token| token.id.to_string())
        .collect()
}

/// Makes the vault on a disk, which nobody has open, one that a program wrote last that knows
/// nothing of the indexes that came later. What it leaves in them is `stale`'s to say.
pub(in crate::vault) fn as_an_earlier_version(disk: &Faulty, stale: &dyn Fn(&Write)) {
    let store = Store::on_backend(disk, None).unwrap();
    let keys = keys_of(&store);
    let view = store.read().unwrap();
    let mut ledger = Ledger::read(&keys, &view).unwrap();
    ledger.set_filled(Filled::Not);
    let write = store.write().unwrap();
    for index in Index::LATER {
        view.scan_index(index, b"", None, &mut |key, _| {
            write.remove_entry(index, key)?;
            Ok(Scan::Go)
        })
        .unwrap();
    }
    stale(&write);
    let sealed = ledger.seal(&keys).unwrap();
    write
        .put_record(Records::Meta, ledger::KEY, &sealed)
        .unwrap();
    write.commit().unwrap();
    drop(view);
    store.close().unwrap();
}

/// How far the indexes are filled in the file on a disk, which nobody has open; it adds up.
pub(in crate::vault) fn filled_on(disk: &Faulty) -> Filled {
    let store = Store::on_backend(disk, None).unwrap();
    let keys = keys_of(&store);
    let view = store.read().unwrap();
    let ledger = Ledger::read(&keys, &view).unwrap();
    ledger.verify(&keys, &view).unwrap();
    drop(view);
    store.close().unwrap();
    ledger.filled().clone()
}

fn keys_of(store: &Store) -> Keyring {
    let header = Header::parse(&store.header().unwrap()).unwrap();
    Keyring::unlock(&header, &key_file(SLOT)).unwrap()
}
