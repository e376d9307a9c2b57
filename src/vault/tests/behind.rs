//! The file checked behind the first answers (V19): what is said until then, and behind it.
//!
//! It promises: the check is held by the disk where a test wants it, so that nothing hangs on time.
//! It never: looks at a fault (`faults`).

mod faults;

use std::collections::BTreeSet;
use std::path::Path;

use super::super::audit::AuditMode;
use super::super::*;
use super::given::{FIRST_SLOT, app_of, clock, key_file, oauth, owner, settings};
use crate::error::Error;
use crate::model::access::Grant;
use crate::model::app::AppKind;
use crate::model::token::Grant as Granted;
use crate::model::{Address, AppId, TokenId};
use crate::store::faulty::{Faulty, Hold};

/// The thread that checks.
const CHECK: &str = super::super::behind::THREAD;
/// Users with an API key of `maps`.
const USERS: [&str; 3] = ["ann", "bob", "cay"];

/// A vault on a disk, closed; what was stored in it.
struct Rig {
    disk: Faulty,
    clock: Clock,
    access_key: Secret<String>,
    /// Eve's token of `mail`, which has a refresh token and is over soon.
    eve: TokenId,
}

fn address(app: &str, user: &str) -> Address {
    Address {
        app: AppId::parse(app).unwrap(),
        owner: owner(user),
        account: None,
        scopes: Scopes::default(),
    }
}

fn ask(app: &str, user: &str) -> Ask {
    Ask {
        app: AppId::parse(app).unwrap(),
        owner: owner(user),
        account: None,
        scopes: None,
        min_ttl: std::time::Duration::ZERO,
        with_refresh_token: false,
    }
}

fn store(vault: &Vault, address: Address, credential: NewCredential) -> TokenId {
    let new = NewToken::of(address, credential);
    let stored = vault.store_token(&Caller::local(), new).unwrap();
    stored.wait().unwrap().id
}

fn api_key(value: &str) -> NewCredential {
    NewCredential::ApiKey(Secret::new(value.to_owned()))
}

fn granted(value: &str, refresh_token: Option<&str>) -> NewCredential {
    NewCredential::Granted(Granted {
        access_token: Secret::new(value.to_owned()),
        refresh_token: refresh_token.map(|token| Secret::new(token.to_owned())),
        id_token: None,
        token_type: "Bearer".into(),
        expires_in_s: Some(60),
        scopes: None,
        subject: None,
        brought: Default::default(),
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

impl Rig {
    fn new() -> Self {
        let (disk, clock) = (Faulty::default(), clock());
        let key = key_file(FIRST_SLOT);
        let slots = [(&key, FIRST_SLOT)];
        let (vault, access_key) =
            Vault::create_on_disk(&disk, &slots, settings(AuditMode::Strict), clock.clone())
                .unwrap();
        let me = Caller::local();
        for app in [
            app_of("maps", AppKind::ApiKey),
            app_of("mail", oauth()),
            app_of("none", AppKind::ApiKey),
        ] {
            vault.add_app(&me, app, None).unwrap().wait().unwrap();
        }
        for user in USERS {
            store(&vault, address("maps", user), api_key(&key_of(user)));
        }
        let eve = store(&vault, address("mail", "eve"), granted("e", Some("r")));
        store(&vault, address("mail", "fay"), granted("f", None));
        vault.close().unwrap();
        Self {
            disk,
            clock,
            access_key,
            eve,
        }
    }

    fn open(&self, check_behind: bool) -> Result<Vault> {
        let settings = Settings {
            check_behind,
            ..settings(AuditMode::Strict)
        };
        Vault::open_on_disk(&self.disk, settings, self.clock.clone())
    }

    /// Opened and unlocked, as it is without the option.
    fn checked(&self) -> Result<Vault> {
        let vault = self.open(false)?;
        vault.unlock(&key_file(FIRST_SLOT), "test")?;
        Ok(vault)
    }

    /// Opened and unlocked, while the check goes on.
    fn unchecked(&self) -> Result<Vault> {
        let vault = self.open(true)?;
        vault.unlock(&key_file(FIRST_SLOT), "test")?;
        Ok(vault)
    }

    /// [`Self::unchecked`], with the check held at its first read.
    fn held(&self) -> (Vault, Hold) {
        let hold = Hold::thread(&self.disk, CHECK);
        let vault = self.unchecked().unwrap();
        hold.is_held();
        (vault, hold)
    }
}

fn key_of(user: &str) -> String {
    format!("key of {user}")
}

fn fetch(vault: &Vault, user: &str) -> Result<Option<String>> {
    match vault.fetch(&Caller::local(), &ask("maps", user))? {
        Found::Fresh(handed) => Ok(Some(handed.value.expose().clone())),
        _ => Ok(None),
    }
}

/// The outcomes on record, the newest first.
fn told(vault: &Vault) -> Vec<String> {
    let page = vault.audit(&Caller::local(), None, 100).unwrap();
    page.entries
        .into_iter()
        .map(|entry| entry.outcome)
        .collect()
}

fn waits<T>(what: &str, outcome: Result<T>) {
    let error = outcome.err();
    assert!(
        matches!(error, Some(Error::Checking { .. })),
        "{what}: {error:?}"
    );
}

/// Goal: V19 what is found valid is handed out while the check goes on, on record before that, and
/// nothing is said of anything else; behind it, all is as it always was. Method: hold the check;
/// fetch what is there, is not, is over, has another owner; let it go; fetch again.
#[test]
fn v19_until_the_check_has_ended_no_is_not_said() {
    let rig = Rig::new();
    let (vault, hold) = rig.held();
    let me = Caller::local();
    for user in USERS {
        assert_eq!(fetch(&vault, user).unwrap(), Some(key_of(user)));
    }
    assert_eq!(told(&vault)[..3], ["ok", "ok", "ok"]);
    waits("an absent token", fetch(&vault, "nobody"));
    assert!(told(&vault)[0].starts_with("unavailable"));
    waits("an absent app", vault.fetch(&me, &ask("nothing", "ann")));
    rig.clock.advance(std::time::Duration::from_secs(90));
    waits("one that is over", vault.fetch(&me, &ask("mail", "fay")));
    let stale = vault.fetch(&me, &ask("mail", "eve")).unwrap();
    assert!(matches!(stale, Found::Stale(..)));
    let with_refresh_token = Ask {
        with_refresh_token: true,
        ..ask("maps", "ann")
    };
    waits("a refresh token", vault.fetch(&me, &with_refresh_token));
    let rejected = Secret::new(key_of("ann"));
    let besides = Besides {
        rejected: Some(&rejected),
        ..Besides::default()
    };
    let again = vault.fetch_besides(&me, &ask("maps", "ann"), &besides);
    waits("a key that was rejected", again);
    let (app, ann) = (AppId::parse("maps").unwrap(), owner("ann"));
    waits("a link", vault.newest_link(&me, &app, &ann));
    hold.release();
    vault.wait_for_check().unwrap();
    assert_eq!(vault.status().checking, None);
    let missing = vault.fetch(&me, &ask("maps", "nobody")).unwrap();
    assert!(matches!(missing, Found::Missing));
    let nothing = vault.fetch(&me, &ask("nothing", "ann")).err();
    assert_eq!(nothing, Some(Error::NotFound("app")));
    let over = vault.fetch(&me, &ask("mail", "fay")).unwrap();
    assert!(matches!(over, Found::Reconnect(..)));
    assert!(told(&vault).contains(&"the vault's file was checked and is whole".to_owned()));
    vault.close().unwrap();
}

/// Each kind of what is done with a vault, but for fetching, and how it ended.
fn everything(vault: &Vault, eve: TokenId) -> [(&'static str, Result<()>); 18] {
    let (me, scheduler) = (Caller::local(), Caller::scheduler());
    let maps = AppId::parse("maps").unwrap();
    let new = NewToken::of(address("maps", "dan"), api_key("key of dan"));
    let ask = RefreshAsk {
        id: eve,
        rejected: None,
    };
    let key = NewKey {
        name: "new".into(),
        grants: vec![Grant::everywhere(BTreeSet::from([Action::Fetch]))],
        ..NewKey::default()
    };
    let other = Unlocker::key_file(Secret::new(vec![7; 64])).unwrap();
    let slot = vault.add_slot(&me, other, "other", KdfParams::FLOOR);
    [
        ("store", vault.store_token(&me, new).map(drop)),
        (
            "list",
            vault.list(&me, &Filter::default(), 10, None).map(drop),
        ),
        ("look", vault.token(&me, eve).map(drop)),
        ("reveal", vault.reveal(&me, eve).map(drop)),
        ("apps", vault.apps(&me).map(drop)),
        ("app", vault.app(&me, &maps).map(drop)),
        ("keys", vault.keys(&me).map(drop)),
        ("add a key", block_on(vault.add_key(&me, key)).map(drop)),
        (
            "due",
            vault.due(&scheduler, vault.clock().now(), 10).map(drop),
        ),
        ("interrupted", vault.interrupted(&scheduler).map(drop)),
        ("refresh", vault.begin_refresh(&scheduler, ask).map(drop)),
        ("links", vault.forget_links(&scheduler).map(drop)),
        ("slots", slot.map(drop)),
        ("rotate", vault.rotate_keys(&me).map(drop)),
        ("compact", vault.start_compaction(&me).map(drop)),
        ("backup", vault.start_backup(&me, Path::new("/")).map(drop)),
        ("verify", vault.verify_audit(&me).map(drop)),
        ("remove", vault.remove_token(&me, eve).map(drop)),
    ]
}

/// Goal: V19 nothing is changed, listed or refreshed while the check goes on, and who asks is told
/// how far it is and when to come back; behind it everything is done. Method: each kind of it.
#[test]
fn v19_until_the_check_has_ended_everything_else_waits() {
    let rig = Rig::new();
    let before = rig.disk.image();
    let (vault, hold) = rig.held();
    let me = Caller::local();
    let known = told(&vault).len();
    for (what, outcome) in everything(&vault, rig.eve) {
        waits(what, outcome);
    }
    assert!(vault.must_wait_for_check().is_some());
    // That the trail was read, and was to be verified: nothing is said to have been accepted.
    let told_of = told(&vault);
    let new = &told_of[..told_of.len() - known];
    assert_eq!(new, ["unavailable: the file is being checked", "ok"]);
    let status = vault.status();
    let checking = status.checking.unwrap();
    assert!(!status.locked && checking.done < checking.total);
    let refusal = vault.store_token(
        &me,
        NewToken::of(address("maps", "dan"), api_key("key of dan")),
    );
    let words = refusal.err().unwrap().to_string();
    assert!(words.contains("still being checked (0 % done)"), "{words}");
    assert!(words.contains("come back in"), "{words}");
    assert!(rig.disk.image() == before, "the file was written to");
    hold.release();
    vault.wait_for_check().unwrap();
    for (what, outcome) in everything(&vault, rig.eve) {
        // A disk of tests has no place for backups.
        let may_fail = ["backup", "compact", "rotate"].contains(&what);
        assert!(outcome.is_ok() || may_fail, "{what}: {outcome:?}");
    }
    assert_eq!(vault.must_wait_for_check(), None);
    vault.close().unwrap();
    let vault = rig.checked().unwrap();
    assert_eq!(fetch(&vault, "dan").unwrap(), Some("key of dan".to_owned()));
}

/// Goal: V19 a key that is not known, has another secret or is over is answered alike, and not as
/// one that is refused for good, until the check has ended. Method: each of them, before and after.
#[test]
fn v19_an_access_key_that_is_not_found_may_be_missing() {
    let rig = Rig::new();
    let (vault, hold) = rig.held();
    let known = rig.access_key.expose().clone();
    let other = format!("{}A", &known[..known.len() - 1]);
    let other = if other == known {
        format!("{}B", &known[..known.len() - 1])
    } else {
        other
    };
    let unknown = known.replacen(&known[3..6], "zzz", 1);
    let ask = |bearer: &str| vault.authenticate(Some(&Secret::new(bearer.to_owned())), "");
    assert!(ask(&known).is_ok());
    for bearer in [&other, &unknown, "nonsense"] {
        waits(bearer, ask(bearer));
    }
    let none = vault.authenticate(None, "").err();
    assert_eq!(none, Some(Error::Unauthenticated));
    hold.release();
    vault.wait_for_check().unwrap();
    assert!(ask(&known).is_ok());
    for bearer in [&other, &unknown, "nonsense"] {
        assert_eq!(ask(bearer).err(), Some(Error::Unauthenticated), "{bearer}");
    }
}

/// Ends the vault while the check is held, which is let go once it was told to stop.
fn end_in_mid_check(vault: &Vault, hold: &Hold, end: &(dyn Fn() -> Result<()> + Sync)) {
    let watch = vault.0.behind.watch().unwrap();
    std::thread::scope(|scope| {
        let ending = scope.spawn(end);
        while watch.may_go_on().is_ok() && !ending.is_finished() {
            std::thread::yield_now();
        }
        hold.release();
        ending.join().unwrap().unwrap();
    });
}

/// Goal: V19 a lock, or an end, in mid-check ends it, whoever waits hears of it, and the next
/// unlock checks anew. Method: hold the check, lock from another thread, let it go once it was told
/// to stop; unlock, hold, close.
#[test]
fn v19_a_lock_or_an_end_in_mid_check_ends_it() {
    let rig = Rig::new();
    let before = rig.disk.image();
    let (vault, hold) = rig.held();
    let me = Caller::local();
    let stopped = |hold: &Hold, end: &(dyn Fn() -> Result<()> + Sync)| {
        end_in_mid_check(&vault, hold, end);
        assert_eq!(vault.wait_for_check(), Err(Error::Locked));
        assert!(vault.status().locked);
        assert!(
            rig.disk.image() == before,
            "the check wrote before it ended"
        );
    };
    stopped(&hold, &|| vault.lock(&me));
    assert_eq!(fetch(&vault, "ann"), Err(Error::Locked));
    let hold = Hold::thread(&rig.disk, CHECK);
    vault.unlock(&key_file(FIRST_SLOT), "test").unwrap();
    hold.is_held();
    assert_eq!(fetch(&vault, "ann").unwrap(), Some(key_of("ann")));
    stopped(&hold, &|| vault.close());
    drop(hold);
    let vault = rig.unchecked().unwrap();
    vault.wait_for_check().unwrap();
    vault.lock(&me).unwrap();
    // What was checked stays so: from here on an unlock counts first.
    vault.unlock(&key_file(FIRST_SLOT), "test").unwrap();
    assert_eq!(vault.status().checking, None);
    store(&vault, address("maps", "dan"), api_key("key of dan"));
    vault.close().unwrap();
    assert_eq!(
        fetch(&rig.checked().unwrap(), "dan").unwrap(),
        Some("key of dan".to_owned())
    );
}

/// Goal: V19 a lock in mid-check, wherever the check is, is a lock and no word about the disk.
/// Method: hold the check at reads from its first to its last, lock, let it go once it was told.
#[test]
fn v19_a_lock_in_mid_check_is_no_fault_of_the_disk() {
    let rig = Rig::new();
    rig.disk.read_uncached();
    let (mut at, mut while_added_up) = (0, 0);
    loop {
        let hold = Hold::thread_at(&rig.disk, CHECK, at);
        let vault = rig.unchecked().unwrap();
        if !hold.is_held_before(|| vault.status().checking.is_none()) {
            break;
        }
        let checking = vault.status().checking.unwrap();
        if vault.0.behind.watch().unwrap().is_over() {
            break;
        }
        end_in_mid_check(&vault, &hold, &|| vault.lock(&Caller::local()));
        assert_eq!(vault.wait_for_check(), Err(Error::Locked), "at read {at}");
        assert_eq!(*vault.locked_because(), None, "at read {at}");
        while_added_up += usize::from(2 * checking.done >= checking.total);
        vault.close().unwrap();
        at += 1;
    }
    assert!(
        while_added_up > 0,
        "of {at} reads none was of the adding up"
    );
}

/// Goal: without the option, and with an operator's word for an older copy, the check comes first.
/// Method: unlock with each; no check goes on, and the store takes writes.
#[test]
fn v19_the_default_is_to_check_first() {
    let rig = Rig::new();
    let vault = rig.checked().unwrap();
    assert_eq!(vault.status().checking, None);
    vault.close().unwrap();
    let both = Settings {
        check_behind: true,
        accept_rollback: true,
        ..settings(AuditMode::Strict)
    };
    let vault = Vault::open_on_disk(&rig.disk, both, rig.clock.clone()).unwrap();
    vault.unlock(&key_file(FIRST_SLOT), "test").unwrap();
    assert_eq!(vault.status().checking, None);
    store(&vault, address("maps", "dan"), api_key("key of dan"));
    vault.close().unwrap();
}
