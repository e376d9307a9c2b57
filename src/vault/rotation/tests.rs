//! Rotation on a disk that fails and in a process that dies (V14).

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::model::app::{App, AppKind};
use crate::model::{Address, AppId, Owner, Scopes, UserId};
use crate::seal::{KdfParams, Sealed, Unlocker};
use crate::secret::Secret;
use crate::store::faulty::Faulty;
use crate::store::{Records, Scan, Store, View};
use crate::vault::{Ask, Found, NewCredential, NewToken, Settings};

mod beside;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const PATIENCE: Duration = Duration::from_secs(180);
const USERS: usize = 30;

fn me() -> Caller {
    Caller::local()
}

fn key_file() -> Unlocker {
    Unlocker::key_file(Secret::new(vec![7; 32])).unwrap()
}

fn maps() -> AppId {
    AppId::parse("maps").unwrap()
}

fn owner(user: usize) -> Owner {
    Owner::User(UserId::parse(format!("user-{user}")).unwrap())
}

fn store(vault: &Vault, user: usize, value: &str) {
    let address = Address {
        app: maps(),
        owner: owner(user),
        account: None,
        scopes: Scopes::default(),
    };
    let credential = NewCredential::ApiKey(Secret::new(value.to_owned()));
    let new = NewToken::of(address, credential);
    vault.store_token(&me(), new).unwrap().wait().unwrap();
}

fn fetch(vault: &Vault, user: usize) -> Result<Option<String>> {
    let ask = Ask {
        app: maps(),
        owner: owner(user),
        account: None,
        scopes: None,
        min_ttl: Duration::ZERO,
        with_refresh_token: false,
    };
    Ok(match vault.fetch(&me(), &ask)? {
        Found::Fresh(handed) => Some(handed.value.expose().clone()),
        _ => None,
    })
}

/// A vault with an app, thirty tokens, and a key file that opens it.
fn filled(disk: &Faulty) -> (Vault, Clock) {
    let clock = Clock::test(NOW);
    let (vault, _) = Vault::on_disk(disk, clock.clone()).unwrap();
    vault
        .add_slot(&me(), key_file(), "file", KdfParams::FLOOR)
        .unwrap();
    let app = App {
        name: "maps".into(),
        return_urls: vec![],
        ..App::of(maps(), AppKind::ApiKey, NOW)
    };
    vault.add_app(&me(), app, None).unwrap().wait().unwrap();
    for user in 0..USERS {
        store(&vault, user, &format!("value-{user}"));
    }
    (vault, clock)
}

/// The process dies and the power goes; the next one opens what was synced.
fn restarted(vault: Vault, disk: &Faulty, clock: &Clock) -> Result<Vault> {
    let _ = vault.close();
    drop(vault);
    disk.mend();
    disk.cut_power();
    let store = Store::on_backend(disk, None)?;
    let vault = Vault::assemble(store, None, Settings::default(), clock.clone());
    vault.unlock(&key_file(), "test")?;
    Ok(vault)
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let begun = clock.now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.now().since(begun) < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn ended(vault: &Vault) {
    until("the rotation ends", || {
        let rotation = vault.status().rotation;
        let failed = |rotation: &Rotation| rotation.state == RotationState::Failed;
        assert!(!rotation.as_ref().is_some_and(failed), "{rotation:?}");
        rotation.is_none().then_some(())
    });
}

/// Every sealed record of the file, by table and key.
fn records(vault: &Vault) -> BTreeMap<(&'static str, Vec<u8>), Vec<u8>> {
    let view = vault.store().read().unwrap();
    let mut all = BTreeMap::new();
    for table in Records::COUNTED.into_iter().chain([Records::Meta]) {
        view.scan_bytes(table, b"", None, &mut |key, value| {
            all.insert((table.name(), key.to_vec()), value.to_vec());
            Ok(Scan::Go)
        })
        .unwrap();
    }
    all
}

fn terms(vault: &Vault) -> Vec<u32> {
    let header = Header::parse(&vault.store().header().unwrap()).unwrap();
    header.terms().iter().map(|term| term.number).collect()
}

fn opens(vault: &Vault, place: &(&'static str, Vec<u8>), bytes: &[u8]) -> bool {
    let permit = vault
        .gate()
        .permit(&me(), Action::Lock, &Target::vault())
        .unwrap();
    let sealed = Sealed::parse(bytes).unwrap();
    permit.keys().open(place.0, &place.1, &sealed, 0).is_ok()
}

/// Everything that must hold once a rotation to `term` has ended; what does not, in words.
fn fault(vault: &Vault, term: u32, before: &BTreeMap<(&'static str, Vec<u8>), Vec<u8>>) -> String {
    for user in 0..USERS {
        let found = fetch(vault, user);
        if found != Ok(Some(format!("value-{user}"))) {
            return format!("user {user}: {found:?}");
        }
    }
    if terms(vault) != [term] {
        return format!("terms {:?}", terms(vault));
    }
    for (place, bytes) in records(vault) {
        if Sealed::term_of(&bytes) != Some(term) {
            return format!("a record of `{}` is of an older term", place.0);
        }
    }
    for (place, bytes) in before {
        if Sealed::term_of(bytes) != Some(term) && opens(vault, place, bytes) {
            return format!("an old record of `{}` opens", place.0);
        }
    }
    String::new()
}

/// Goal: V14 a power cut at any write of a rotation loses nothing, and the rotation goes on by
/// itself. Method: let the first, second, ... change of the disk fail and every later one, cut the
/// power, open again with the same secret, wait for the end, look at everything; until a rotation
/// meets no failure.
#[test]
fn v14_a_power_cut_at_any_write_of_a_rotation_loses_nothing_and_it_goes_on() {
    let (mut cuts, mut resumed) = (0, 0);
    for changes in 0.. {
        let disk = Faulty::default();
        let (vault, clock) = filled(&disk);
        let before = records(&vault);
        disk.fail_after(changes);
        let begun = vault.rotate_keys(&me());
        if begun.is_ok() {
            until("it ends, or the disk fails", || {
                let rotation = vault.status().rotation;
                let over = rotation.is_none_or(|one| one.state == RotationState::Waiting);
                over.then_some(())
            });
        }
        let whole = begun.is_ok() && vault.status().rotation.is_none();
        let vault = restarted(vault, &disk, &clock).unwrap();
        resumed += u32::from(vault.status().rotation.is_some());
        ended(&vault);
        let term = vault.status().key_term.unwrap().number;
        assert!(term == 2 || begun.is_err(), "an acknowledged term is lost");
        assert_eq!(fault(&vault, term, &before), "", "cut after {changes}");
        vault.close().unwrap();
        if whole {
            break;
        }
        cuts += 1;
    }
    eprintln!("{cuts} cuts, {resumed} resumed");
    assert!(cuts > 20 && resumed > 10, "{cuts} cuts, {resumed} resumed");
}

/// Goal: the harness above sees a fault. Method: after a rotation put one record's old bytes back,
/// which has the right version, so that the ledger adds up; then a header with the old term.
#[test]
fn v14_the_harness_sees_an_old_record_and_an_old_header_put_back() {
    let disk = Faulty::default();
    let (vault, clock) = filled(&disk);
    let before = records(&vault);
    let mut old_headers = vec![vault.store().header().unwrap()];
    begin_term(&vault);
    old_headers.push(vault.store().header().unwrap());
    vault.resume_rotation().unwrap();
    ended(&vault);
    assert_eq!(fault(&vault, 2, &before), "");
    let after = records(&vault);
    let put = |vault: &Vault, records: &BTreeMap<(&'static str, Vec<u8>), Vec<u8>>| {
        let (place, bytes) = records
            .iter()
            .find(|(place, _)| place.0 == "tokens")
            .unwrap();
        let write = vault.store().write().unwrap();
        let sealed = Sealed::parse(bytes).unwrap();
        write
            .put_record(Records::Tokens, &place.1, &sealed)
            .unwrap();
        write.commit().unwrap();
    };
    put(&vault, &before);
    let vault = restarted(vault, &disk, &clock).unwrap();
    let found = fault(&vault, 2, &before);
    assert!(found.contains("does not authenticate"), "{found}");
    put(&vault, &after);
    assert_eq!(fault(&vault, 2, &before), "");
    // Both have a good signature. The first has no term that opens the ledger; the second has all
    // it takes, and the ledger says that it is not the last one.
    vault.close().unwrap();
    for old in old_headers {
        let store = Store::on_backend(&disk, None).unwrap();
        let write = store.write().unwrap();
        write.put_header(&old).unwrap();
        write.commit().unwrap();
        store.close().unwrap();
        let store = Store::on_backend(&disk, None).unwrap();
        let locked = Vault::assemble(store, None, Settings::default(), clock.clone());
        let refused = locked.unlock(&key_file(), "test");
        assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
        locked.close().unwrap();
    }
}

/// Goal: V14 several old terms, as crashes may leave them, end in one walk. Method: begin terms
/// behind the rotation's back, write under each, unlock anew.
#[test]
fn v14_several_old_terms_end_together() {
    let disk = Faulty::default();
    let (vault, clock) = filled(&disk);
    for user in 0..3 {
        begin_term(&vault);
        store(&vault, user, &format!("value-{user}"));
    }
    let before = records(&vault);
    assert_eq!(terms(&vault), [1, 2, 3, 4]);
    let vault = restarted(vault, &disk, &clock).unwrap();
    ended(&vault);
    assert_eq!(fault(&vault, 4, &before), "");
}

/// Goal: V14 a damaged record stops the end and nothing else: it does not spin, the old term stays,
/// the rest is resealed, and it can be taken up again. Method: change a byte of one record in the
/// file; rotate; mend it; rotate again.
#[test]
fn v14_a_damaged_record_keeps_the_old_term_and_is_told() {
    let disk = Faulty::default();
    let (vault, clock) = filled(&disk);
    let before = records(&vault);
    let tokens = before.iter().filter(|(place, _)| place.0 == "tokens");
    let (place, good) = tokens.max().unwrap();
    let put = |vault: &Vault, bytes: &[u8]| {
        let write = vault.store().write().unwrap();
        let sealed = Sealed::parse(bytes).unwrap();
        write
            .put_record(Records::Tokens, &place.1, &sealed)
            .unwrap();
        write.commit().unwrap();
    };
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    put(&vault, &bad);
    let begun = vault.rotate_keys(&me()).unwrap();
    assert_eq!(begun.term, 2);
    let failed = |vault: &Vault| {
        until("it says that it stopped", || {
            let rotation = vault.status().rotation?;
            (rotation.state == RotationState::Failed).then_some(rotation)
        })
    };
    let told = failed(&vault);
    let said = told.error.unwrap().to_string();
    assert!(said.starts_with("1 records do not open"), "{said}");
    assert_eq!(told.records_done + 1, told.records_total);
    assert_eq!(terms(&vault), [1, 2]);
    let old = records(&vault)
        .values()
        .filter(|bytes| Sealed::term_of(bytes) != Some(2))
        .count();
    assert_eq!(old, 1, "the rest is resealed");
    // After a restart it is told again; once the record is back it ends, with no further term.
    let vault = restarted(vault, &disk, &clock).unwrap();
    failed(&vault);
    put(&vault, good);
    vault.rotate_keys(&me()).unwrap();
    ended(&vault);
    assert_eq!(fault(&vault, 2, &before), "");
}

/// Begins a term, and nothing else.
fn begin_term(vault: &Vault) {
    let permit = vault
        .gate()
        .permit(&me(), Action::Lock, &Target::vault())
        .unwrap();
    let begun = permit.write_step(|tx| {
        let header = Header::parse(&tx.header()?)?;
        let header = tx.keys().add_term(&header, NOW)?;
        tx.put_header(&header);
        Ok(())
    });
    begun.unwrap().wait().unwrap();
}
