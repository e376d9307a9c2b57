//! Ways to unlock a vault, and patience with wrong ones (S2, V11).

use std::sync::Barrier;
use std::time::Duration;

use strongroom::error::Error;
use strongroom::model::access::Caller;
use strongroom::secret::Secret;
use strongroom::vault::{KdfParams, RecoveryCode, Settings, Unlocker, Vault};

use crate::support::*;

fn file(byte: u8) -> Unlocker {
    Unlocker::key_file(Secret::new(vec![byte; 32])).unwrap()
}

fn other_code() -> Unlocker {
    Unlocker::RecoveryCode(RecoveryCode::generate())
}

fn number_of(vault: &Vault, kind: &str) -> u32 {
    let slots = vault.slots().unwrap();
    let mut fitting = slots.iter().filter(|slot| slot.kind == kind);
    fitting.next().unwrap().number
}

/// A vault with a recovery slot alone, so that a wrong try costs no time. Locked.
fn quick() -> (Disk, Vault) {
    let (disk, vault) = Disk::create(Settings::default());
    let doomed = number_of(&vault, "passphrase");
    vault.remove_slot(&Caller::local(), doomed).unwrap();
    vault.lock(&Caller::local()).unwrap();
    (disk, vault)
}

/// Goal: a wrong try says one thing. Method: try each kind wrongly where a slot of it exists and
/// where none does, and compare the errors.
#[test]
fn s2_every_wrong_secret_is_refused_in_the_same_words() {
    let (disk, vault) = Disk::create(Settings::default());
    let me = Caller::local();
    vault
        .add_slot(&me, file(1), "file", KdfParams::FLOOR)
        .unwrap();
    vault.lock(&me).unwrap();
    for wrong in [passphrase("not the one"), other_code(), file(2)] {
        let refused = vault.unlock(&wrong, "").unwrap_err();
        assert_eq!(refused, Error::UnlockFailed);
        disk.clock.advance(Duration::from_secs(60));
    }
    vault.unlock(&file(1), "").unwrap();
    let slots = [
        number_of(&vault, "key file"),
        number_of(&vault, "passphrase"),
    ];
    for number in slots {
        vault.remove_slot(&me, number).unwrap();
    }
    vault.lock(&me).unwrap();
    for wrong in [passphrase(PASSPHRASE), file(1)] {
        let refused = vault.unlock(&wrong, "").unwrap_err();
        assert_eq!(refused, Error::UnlockFailed);
        disk.clock.advance(Duration::from_secs(60));
    }
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
}

/// Goal: a changed passphrase is changed. Method: change it, restart, try the old and the new.
#[test]
fn s4_after_a_change_the_old_passphrase_opens_no_more() {
    let (disk, vault) = Disk::create(Settings::default());
    let me = Caller::local();
    let new = "seven otters juggle marmalade";
    let weak = vault.change_passphrase(&me, secret("password123"), KdfParams::FLOOR);
    assert!(matches!(weak, Err(Error::Invalid(_))));
    vault
        .change_passphrase(&me, secret(new), KdfParams::FLOOR)
        .unwrap();
    vault.close().unwrap();
    drop(vault);
    let vault = disk.open();
    let refused = vault.unlock(&passphrase(PASSPHRASE), "").unwrap_err();
    assert_eq!(refused, Error::UnlockFailed);
    disk.clock.advance(Duration::from_secs(1));
    vault.unlock(&passphrase(new), "").unwrap();
    assert_eq!(vault.slots().unwrap().len(), 2);
    vault.lock(&me).unwrap();
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
}

/// Goal: a passphrase can be changed where every slot is taken, and where there is none and no room
/// it is refused. Method: fill the list, change; take the passphrase away, fill, change.
#[test]
fn s4_a_passphrase_is_changed_where_every_slot_is_taken() {
    let (disk, vault) = Disk::create(Settings::default());
    let me = Caller::local();
    let add = |byte| vault.add_slot(&me, file(byte), "file", KdfParams::FLOOR);
    for byte in 1..7 {
        add(byte).unwrap();
    }
    assert!(matches!(add(9), Err(Error::Invalid(_))));
    let new = "seven otters juggle marmalade";
    vault
        .change_passphrase(&me, secret(new), KdfParams::FLOOR)
        .unwrap();
    assert_eq!(vault.slots().unwrap().len(), 8);
    vault.lock(&me).unwrap();
    vault.unlock(&passphrase(new), "").unwrap();
    vault
        .remove_slot(&me, number_of(&vault, "passphrase"))
        .unwrap();
    add(9).unwrap();
    let refused = vault.change_passphrase(&me, secret(new), KdfParams::FLOOR);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    vault.close().unwrap();
    drop(vault);
    assert!(disk.unlocked().is_ok());
}

/// Goal: there is always a way in, and never too many. Method: remove all but one; add up to the
/// limit; numbers are not used again.
#[test]
fn s4_the_last_slot_stays_and_the_list_has_an_end() {
    let (_disk, vault) = quick_unlocked();
    let me = Caller::local();
    let last = number_of(&vault, "recovery code");
    let refused = vault.remove_slot(&me, last);
    assert!(matches!(refused, Err(Error::Invalid(_))));
    assert_eq!(vault.remove_slot(&me, 99), Err(Error::NotFound("key slot")));
    let mut numbers = vec![last];
    for byte in 1..8 {
        numbers.push(
            vault
                .add_slot(&me, file(byte), "file", KdfParams::FLOOR)
                .unwrap(),
        );
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let ninth = vault.add_slot(&me, file(9), "file", KdfParams::FLOOR);
    assert!(matches!(ninth, Err(Error::Invalid(_))));
    vault.remove_slot(&me, numbers[7]).unwrap();
    let again = vault.add_slot(&me, file(9), "file", KdfParams::FLOOR);
    assert!(again.unwrap() > numbers[7]);
    for label in ["a\nb", &"x".repeat(65)] {
        vault
            .remove_slot(&me, number_of(&vault, "key file"))
            .unwrap();
        let refused = vault.add_slot(&me, file(1), label, KdfParams::FLOOR);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{label:?}");
    }
}

fn quick_unlocked() -> (Disk, Vault) {
    let (disk, vault) = quick();
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
    (disk, vault)
}

/// Goal: each wrong try makes the next wait longer, and none locks the owner out for ever. Method:
/// fail twelve times on a test clock, write down each wait, then open.
#[test]
fn v11_the_wait_grows_to_half_a_minute_and_then_the_owner_gets_in() {
    let (disk, vault) = quick();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let refused = vault.unlock(&other_code(), "").unwrap_err();
        assert_eq!(refused, Error::UnlockFailed);
        let Err(Error::Busy(wait)) = vault.unlock(&recovery(&disk.recovery), "") else {
            panic!("a try right behind a wrong one was looked at")
        };
        waits.push(wait.as_millis());
        disk.clock.advance(wait - Duration::from_millis(1));
        let early = vault.unlock(&recovery(&disk.recovery), "");
        assert_eq!(early, Err(Error::Busy(Duration::from_millis(1))));
        disk.clock.advance(Duration::from_millis(1));
    }
    let wanted = [
        500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000,
    ];
    assert_eq!(waits[..10], wanted);
    assert_eq!(waits[11], 30000);
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
    let page = vault.audit(&Caller::local(), None, 10).unwrap();
    let told = "unlocked after 12 wrong tries";
    assert!(page.entries.iter().any(|entry| entry.outcome == told));
    // A right one wipes the slate.
    vault.lock(&Caller::local()).unwrap();
    vault.unlock(&other_code(), "").unwrap_err();
    let waits = vault.unlock(&other_code(), "");
    assert_eq!(waits, Err(Error::Busy(Duration::from_millis(500))));
}

/// Goal: one try at a time, however many come. Method: eight wrong ones at once while the clock
/// stands still: one is looked at, and every other is told to come back.
#[test]
fn v11_of_many_tries_at_once_one_is_looked_at() {
    let (_disk, vault) = Disk::create(Settings::default());
    vault.lock(&Caller::local()).unwrap();
    let start = Barrier::new(8);
    let outcomes: Vec<Error> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    vault.unlock(&passphrase("not the one"), "").unwrap_err()
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let failed = outcomes.iter().filter(|one| **one == Error::UnlockFailed);
    assert_eq!(failed.count(), 1, "{outcomes:?}");
    let busy = outcomes.iter().filter(|one| matches!(one, Error::Busy(_)));
    assert_eq!(busy.count(), 7, "{outcomes:?}");
}

/// Goal: a locked vault answers "locked" to everything but unlocking. Method: ask it everything.
#[test]
fn v10_a_locked_vault_answers_locked_to_everything() {
    let (disk, vault) = quick();
    let me = Caller::local();
    let key = secret(&disk.access_key);
    let mail = address("mail", &owner("", "u"));
    let answers = [
        vault.authenticate(Some(&key), "").err(),
        vault.fetch(&me, &ask(&mail)).err(),
        vault.apps(&me).err(),
        vault.app(&me, &mail.app).err(),
        vault.add_app(&me, oauth_app("mail"), None).err(),
        vault.list(&me, &Default::default(), 10, None).err(),
        vault.keys(&me).err(),
        vault.audit(&me, None, 10).err(),
        vault.verify_audit(&me).err(),
        vault.interrupted(&me).err(),
        vault.due(&me, NOW, 10).err(),
        vault.lock(&me).err(),
        vault.remove_slot(&me, 1).err(),
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, Some(Error::Locked), "answer {at}");
    }
    assert!(vault.status().locked);
    assert_eq!(vault.status().epoch, None);
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
    assert!(!vault.status().locked);
    let again = vault.unlock(&recovery(&disk.recovery), "");
    assert_eq!(again, Err(Error::AlreadyUnlocked));
    vault.authenticate(Some(&key), "").unwrap();
}
