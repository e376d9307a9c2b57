//! Access keys on a disk that fails: nobody is told that a key is gone which is not.

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::seal::Unlocker;
use crate::store::faulty::Faulty;
use crate::vault::{AuditMode, Settings};

fn key_file() -> Unlocker {
    Unlocker::key_file(Secret::new(vec![7; 32])).unwrap()
}

fn clock() -> Clock {
    Clock::test(Timestamp::from_unix_ms(1_800_000_000_000))
}

/// Each entry is synced as it is written, so that operations of the disk come in one order.
fn settings() -> Settings {
    Settings {
        audit: AuditMode::Strict,
        ..Settings::default()
    }
}

/// What putting an entry on record takes of the disk.
const OF_THE_TRAIL: u32 = 2;

fn vault_on(disk: &Faulty) -> Vault {
    let slots = [(&key_file(), "file")];
    let made = Vault::create_on_disk(disk, &slots, settings(), clock());
    made.unwrap().0
}

fn opened_again(vault: &Vault, disk: &Faulty) -> Vault {
    vault.close().unwrap();
    let vault = Vault::open_on_disk(disk, settings(), clock()).unwrap();
    vault.unlock(&key_file(), "test").unwrap();
    vault
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(work)
}

fn make(vault: &Vault, name: &str) -> Result<(AccessKey, Secret<String>)> {
    let new = NewKey {
        name: name.into(),
        role: Some(Role::Server),
        ..NewKey::default()
    };
    block_on(vault.add_key(&Caller::local(), new))
}

fn is_listed(vault: &Vault, name: &str) -> bool {
    let keys = vault.keys(&Caller::local()).unwrap();
    keys.iter().any(|key| key.name == name)
}

/// Goal: a key whose removal the disk refused opens nothing and is not said to be gone, so that it
/// can be removed again, and then is. Method: remove it while commits fail; look; remove it again
/// on a sound disk; restart.
#[test]
fn a_key_whose_removal_was_not_stored_is_useless_listed_and_removed_again() {
    let disk = Faulty::default();
    let vault = vault_on(&disk);
    let me = Caller::local();
    let (key, text) = make(&vault, "leaked").unwrap();
    assert!(vault.authenticate(Some(&text), "test").is_ok());
    disk.fail_once_after(OF_THE_TRAIL);
    let refused = block_on(vault.remove_key(&me, &key.id));
    assert!(
        matches!(refused, Err(Error::Storage(_) | Error::OutcomeUnknown(_))),
        "{refused:?}"
    );
    assert!(vault.authenticate(Some(&text), "test").is_err());
    assert!(is_listed(&vault, "leaked"), "it is said to be gone");
    block_on(vault.remove_key(&me, &key.id)).unwrap();
    assert!(!is_listed(&vault, "leaked"));
    let vault = opened_again(&vault, &disk);
    assert!(vault.authenticate(Some(&text), "test").is_err());
    assert!(!is_listed(&vault, "leaked"));
    vault.close().unwrap();
}

/// Goal: after a commit whose outcome is unknown the keys that are known are those that are stored.
/// Method: let each operation of making and of removing a key fail once; compare what is listed
/// with what a restart lists.
#[test]
fn after_a_failed_commit_the_keys_listed_are_the_keys_stored() {
    let mut failures = 0;
    for after in 0..24 {
        let disk = Faulty::default();
        let mut vault = vault_on(&disk);
        let (old, text) = make(&vault, "old").unwrap();
        disk.fail_once_after(after);
        let made = make(&vault, "new");
        failures += disk.mend();
        // A commit that succeeds ends the writer's pauses.
        make(&vault, "between").unwrap();
        disk.fail_once_after(after);
        let removed = block_on(vault.remove_key(&Caller::local(), &old.id));
        failures += disk.mend();
        make(&vault, "after").unwrap();
        let before = ["old", "new"].map(|name| is_listed(&vault, name));
        assert!(before[1] || made.is_err(), "operation {after}");
        assert!(!before[0] || removed.is_err(), "operation {after}");
        let is_used = vault.authenticate(Some(&text), "test").is_ok();
        let never_tried = matches!(removed, Err(Error::AuditUnavailable(_)));
        assert_eq!(is_used, never_tried, "operation {after}");
        vault = opened_again(&vault, &disk);
        let stored = ["old", "new"].map(|name| is_listed(&vault, name));
        assert_eq!(before, stored, "operation {after}");
        vault.close().unwrap();
    }
    assert!(failures > 20, "only {failures} failures");
}

/// Goal: a removal that was never tried leaves the key as it was. Method: remove one while the
/// trail cannot be written.
#[test]
fn a_key_whose_removal_is_refused_stays_in_use() {
    let disk = Faulty::default();
    let vault = vault_on(&disk);
    let (key, text) = make(&vault, "used").unwrap();
    disk.fail_after(0);
    let refused = block_on(vault.remove_key(&Caller::local(), &key.id));
    assert!(
        matches!(refused, Err(Error::AuditUnavailable(_))),
        "{refused:?}"
    );
    disk.mend();
    assert!(vault.authenticate(Some(&text), "test").is_ok());
    vault.close().unwrap();
}
