//! Harnesses F1, F2, F3 and F5: a vault's file that was damaged or tampered with.
//!
//! It promises: every case ends in what was stored or in an error, never in something else: no
//! wrong plaintext, no record that is missing in silence, no panic, no hang. Most cases take the
//! steps of opening and unlocking one by one, which is quick; some go the real way (`real`), and
//! both must agree.
//! It never: opens a file that is not in memory.

mod flips;
mod headers;
mod moves;
mod pages;
mod real;
mod running;
mod salvaging;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use self::real::{Handed, Unlocking};
use self::running::run;

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::model::access::Caller;
use crate::model::app::{App, AppKind, ClientAuth, Endpoints, OAuth};
use crate::model::link::{LinkApp, LinkAppState, Proof};
use crate::model::token::Grant;
use crate::model::url::WebUrl;
use crate::model::{Account, Address, AppId, Owner, Scopes, TenantId, TokenId, UserId};
use crate::seal::{Header, KdfParams, Keyring, RecoveryCode, Sealed, Unlocker};
use crate::secret::Secret;
use crate::seeded;
use crate::store::faulty::Faulty;
use crate::store::{Index, Records, Scan, Store, View};
use crate::vault::ledger::Ledger;
use crate::vault::{Filter, NewCredential, NewLink, NewToken, RefreshAsk, Settings, Upload, Vault};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
/// Tokens of the image: with apps, links, intents and a key it has about a hundred records.
const TOKENS: usize = 88;

/// Every counted record: its version and the plain bytes of its parts.
type Content = BTreeMap<(Records, Vec<u8>), (u64, Vec<Vec<u8>>)>;

/// Every row of every table, and the header, as they are stored: table, key, value.
type Rows = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

/// A vault's file in memory, what opens it, and what it holds.
struct Image {
    bytes: Vec<u8>,
    code: String,
    content: Content,
    rows: Rows,
    /// What a vault hands out of it.
    handed: Handed,
}

/// What reading a file checks; planted faults leave a check out.
#[derive(Clone, Copy)]
struct Checks {
    ledger: bool,
    seals: bool,
}

const ALL_CHECKS: Checks = Checks {
    ledger: true,
    seals: true,
};

/// How a case ended.
#[derive(Clone, Debug, Eq, PartialEq)]
enum End {
    /// Everything is there, as it was stored.
    Whole,
    /// An error said so.
    Refused(Error),
    /// What must not be, in words.
    Wrong(String),
}

fn app(id: &str, kind: AppKind) -> App {
    App {
        name: id.into(),
        return_urls: vec![],
        ..App::of(AppId::parse(id).unwrap(), kind, NOW)
    }
}

fn oauth() -> AppKind {
    let url = |path: &str| WebUrl::parse("url", &format!("https://id.example/{path}")).unwrap();
    AppKind::OAuth(Box::new(OAuth {
        by_hand: Endpoints {
            authorization_url: Some(url("authorize")),
            token_url: Some(url("token")),
            revocation_url: None,
            ..Endpoints::default()
        },
        authorization_params: [].into(),
        token_params: [].into(),
        client_auth: ClientAuth::Basic,
        ..OAuth::of("client")
    }))
}

fn owner(n: usize) -> Owner {
    let tenant = TenantId::parse(format!("tenant-{}", n % 7)).unwrap();
    let user = UserId::parse(format!("user-{n}")).unwrap();
    let (tenant, user) = match n % 3 {
        0 => (None, Some(user)),
        1 => (Some(tenant), Some(user)),
        _ => (Some(tenant), None),
    };
    Owner::new(tenant, user).unwrap()
}

fn address(n: usize) -> Address {
    Address {
        app: AppId::parse(if n.is_multiple_of(4) { "maps" } else { "mail" }).unwrap(),
        owner: owner(n),
        account: Some(Account::parse(format!("account-{n}")).unwrap()),
        scopes: Scopes::default(),
    }
}

fn put_token(vault: &Vault, n: usize, mark: &str) -> TokenId {
    let address = address(n);
    let credential = if address.app.as_str() == "maps" {
        NewCredential::ApiKey(Secret::new(format!("{mark} key {n}")))
    } else {
        NewCredential::Granted(Grant {
            access_token: Secret::new(format!("{mark} access {n} {}", "x".repeat(n * 7))),
            token_type: "Bearer".into(),
            refresh_token: Some(Secret::new(format!("{mark} refresh {n}"))),
            id_token: None,
            expires_in_s: Some(3600),
            scopes: None,
            subject: None,
            brought: Default::default(),
        })
    };
    let new = NewToken::of(address, credential);
    let stored = vault.store_token(&Caller::local(), new).unwrap();
    stored.wait().unwrap().id
}

fn make_link(vault: &Vault, owner: Owner) {
    let link = NewLink {
        apps: vec![LinkApp {
            app: AppId::parse("mail").unwrap(),
            scopes: Scopes::default(),
            account: None,
            hints: Default::default(),
            variables: Default::default(),
            state: LinkAppState::Waiting,
        }],
        owner,
        proof: Proof::Code,
        return_url: None,
        opener_origin: None,
        life: Duration::from_secs(600),
    };
    let made = vault.make_link(&Caller::local(), link).unwrap();
    made.wait().unwrap();
}

impl Image {
    /// A vault that has lived: tokens stored, stored again and removed, links, open refreshes.
    fn new() -> Self {
        Self::made(true)
    }

    /// The same of a server that was killed: redb has to recover it first.
    fn killed() -> Self {
        Self::made(false)
    }

    fn made(closed: bool) -> Self {
        let disk = Faulty::default();
        let code = RecoveryCode::generate();
        let text = code.to_text().expose().clone();
        let recovery = Unlocker::RecoveryCode(code);
        let (keys, header) =
            Keyring::create(&[(&recovery, "harness")], KdfParams::FLOOR, NOW).unwrap();
        let store = Store::on_backend(&disk, Some(&header.to_bytes())).unwrap();
        let vault = Vault::assemble(store, None, Settings::default(), Clock::test(NOW));
        vault.begin(keys).unwrap();
        Self::live(&vault);
        let killed = disk.image();
        vault.close().unwrap();
        Self::of(if closed { disk.image() } else { killed }, text)
    }

    /// An undamaged file, and what it holds.
    fn of(bytes: Vec<u8>, code: String) -> Self {
        let mut image = Self {
            bytes,
            code,
            content: Content::new(),
            rows: Rows::new(),
            handed: Handed::new(),
        };
        image.content = image.read(&image.bytes, ALL_CHECKS).unwrap();
        let store = Store::on_backend(&Faulty::of(image.bytes.clone()), None).unwrap();
        image.rows = rows(&store).unwrap();
        let unlocker = image.unlocker();
        image.handed = real::handed(&image.bytes, &unlocker, Unlocking::Whole).unwrap();
        image
    }

    fn live(vault: &Vault) {
        let me = Caller::local();
        for (id, kind) in [("maps", AppKind::ApiKey), ("mail", oauth())] {
            let secret = (id == "mail").then(|| Secret::new("client secret".to_owned()));
            let added = vault.add_app(&me, app(id, kind), secret).unwrap();
            added.wait().unwrap();
        }
        for n in 0..TOKENS + 12 {
            put_token(vault, n, "first");
        }
        for n in TOKENS..TOKENS + 12 {
            let page = vault.list(&me, &Filter::default(), 200, None).unwrap();
            let account = address(n).account;
            let found = page.tokens.iter().find(|token| token.account == account);
            let removed = vault.remove_token(&me, found.unwrap().id).unwrap();
            removed.wait().unwrap();
        }
        for n in (0..TOKENS).step_by(3) {
            put_token(vault, n, "second");
        }
        for n in 0..4 {
            make_link(vault, owner(n));
        }
        for n in [1, 2, 5] {
            let id = put_token(vault, n, "third");
            let ask = RefreshAsk { id, rejected: None };
            vault.begin_refresh(&me, ask).unwrap().wait().unwrap();
        }
    }

    fn unlocker(&self) -> Unlocker {
        Unlocker::RecoveryCode(RecoveryCode::parse(&self.code).unwrap())
    }

    fn keys(&self) -> Keyring {
        let store = Store::on_backend(&Faulty::of(self.bytes.clone()), None).unwrap();
        let header = Header::parse(&store.header().unwrap()).unwrap();
        Keyring::unlock(&header, &self.unlocker()).unwrap()
    }

    /// Opens an image the way `Vault::open` and `Vault::unlock` do, and reads all of it.
    fn read(&self, bytes: &[u8], checks: Checks) -> Result<Content> {
        if bytes.is_empty() {
            // `store/file.rs` refuses it before redb sees it.
            return Err(Error::Damaged("the file is empty".into()));
        }
        let store = Store::on_backend(&Faulty::of(bytes.to_vec()), None)?;
        // What is opened and compared depends on the rows alone: where they are those of the image,
        // its content is too.
        let content = match rows(&store)? == self.rows && !self.content.is_empty() {
            true => Ok(self.content.clone()),
            false => self.read_store(&store, checks),
        };
        store.close()?;
        content
    }

    fn read_store(&self, store: &Store, checks: Checks) -> Result<Content> {
        let stored = store.header()?;
        let header = Header::parse(&stored)?;
        let keys = Keyring::unlock(&header, &self.unlocker())?;
        let view = store.read()?;
        let ledger = Ledger::read(&keys, &view)?;
        if checks.ledger {
            ledger.check_header(&stored)?;
            ledger.verify(&keys, &view)?;
        }
        let mut content = Content::new();
        for table in Records::COUNTED {
            view.scan_records(table, b"", None, &mut |key, sealed| {
                let parts = open(&keys, table, key, &sealed, checks)?;
                content.insert((table, key.to_vec()), (sealed.version(), parts));
                Ok(Scan::Go)
            })?;
        }
        Ok(content)
    }

    /// How reading an image ends, compared with what was stored.
    fn judge(&self, bytes: &[u8], checks: Checks) -> End {
        end_of(&self.content, || self.read(bytes, checks))
    }
}

/// How reading ends: what it brought, compared with what was stored.
fn end_of<K: Ord, V: Eq>(
    stored: &BTreeMap<K, V>,
    read: impl FnOnce() -> Result<BTreeMap<K, V>>,
) -> End {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(content)) if content == *stored => End::Whole,
        Ok(Ok(content)) => End::Wrong(difference(stored, &content)),
        Ok(Err(error)) => End::Refused(error),
        Err(_) => End::Wrong("a panic".into()),
    }
}

fn rows(store: &Store) -> Result<Rows> {
    let mut rows = vec![("header", Vec::new(), store.header()?)];
    let view = store.read()?;
    for table in Records::ALL {
        view.scan_records(table, b"", None, &mut |key, sealed| {
            rows.push((table.name(), key.to_vec(), sealed.as_bytes().to_vec()));
            Ok(Scan::Go)
        })?;
    }
    for index in Index::ALL {
        view.scan_index(index, b"", None, &mut |key, value| {
            rows.push((index.name(), key.to_vec(), value.to_vec()));
            Ok(Scan::Go)
        })?;
    }
    Ok(rows)
}

fn open(
    keys: &Keyring,
    table: Records,
    key: &[u8],
    sealed: &Sealed,
    checks: Checks,
) -> Result<Vec<Vec<u8>>> {
    let part = |part| match keys.open(table.name(), key, sealed, part) {
        Ok(plain) => Ok(plain.to_vec()),
        // The planted fault: what does not authenticate is taken as it is.
        Err(_) if !checks.seals => Ok(sealed.as_bytes().to_vec()),
        Err(error) => Err(error),
    };
    (0..sealed.parts()).map(part).collect()
}

fn difference<K: Ord, V: Eq>(stored: &BTreeMap<K, V>, read: &BTreeMap<K, V>) -> String {
    let missing = stored.keys().filter(|key| !read.contains_key(*key)).count();
    let extra = read.keys().filter(|key| !stored.contains_key(*key)).count();
    let other = stored
        .iter()
        .filter(|(key, value)| read.get(*key).is_some_and(|r| r != *value));
    format!("{missing} missing, {extra} extra, {} other", other.count())
}

/// The file after rows were changed behind the vault's back.
fn changed_behind(image: &Image, change: &dyn Fn(&crate::store::Write)) -> Vec<u8> {
    let disk = Faulty::of(image.bytes.clone());
    let store = Store::on_backend(&disk, None).unwrap();
    let write = store.write().unwrap();
    change(&write);
    write.commit().unwrap();
    store.close().unwrap();
    disk.image()
}
