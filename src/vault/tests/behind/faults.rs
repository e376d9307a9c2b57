//! What is wrong with a file that is checked behind the first answers (V19), one fault for each
//! promise.
//!
//! It promises: a fault is planted behind the ledger's back, or in the bytes of the file; the same
//! file, opened without the option, is refused.
//! It never: takes an answer for the right one because it is no error.

use super::*;
use crate::seal::Sealed;
use crate::seeded::Seeded;
use crate::store::faulty::{FILE, Trouble};
use crate::store::{Records, Scan, View};
use crate::vault::tests::image::{Look, look};

/// Bits that are flipped, one in a file each; a long form takes more.
const FLIPS: u64 = 60;
/// Images of each moment of a check.
const OF_ONE_MOMENT: u64 = 2;

/// Every token's key and sealed bytes.
fn tokens(vault: &Vault) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let view = vault.store().read().unwrap();
    view.scan_records(Records::Tokens, b"", None, &mut |key, sealed| {
        all.push((key.to_vec(), sealed.as_bytes().to_vec()));
        Ok(Scan::Go)
    })
    .unwrap();
    all
}

/// Where the token of a user lies, as it is the only one that is written anew.
fn place_of(rig: &Rig, user: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    let vault = rig.checked().unwrap();
    let before = tokens(&vault);
    store(&vault, address("maps", user), api_key(value));
    let after = tokens(&vault);
    vault.close().unwrap();
    let changed = before.iter().zip(&after).find(|(one, two)| one != two);
    changed.expect("it was stored").0.clone()
}

/// Changes the file behind the vault's back.
fn plant(rig: &Rig, plant: impl FnOnce(&crate::store::Write)) {
    let vault = rig.open(false).unwrap();
    let write = vault.store().write().unwrap();
    plant(&write);
    write.commit().unwrap();
    vault.close().unwrap();
}

/// The file is found damaged: the vault is locked, says why, and is not unlocked again; nor is it
/// without the option. That it was locked is on record.
fn is_found(rig: &Rig, vault: &Vault, good: &[u8]) {
    let found = vault.wait_for_check().err();
    assert!(matches!(found, Some(Error::Damaged(_))), "{found:?}");
    let status = vault.status();
    assert!(status.locked && status.checking.is_none());
    assert_eq!(status.locked_because, Some("damaged"));
    assert_eq!(fetch(vault, "ann"), Err(Error::Locked));
    let again = vault.unlock(&key_file(FIRST_SLOT), "test").err();
    assert_eq!(again, found);
    vault.close().unwrap();
    let default = rig.checked().err();
    assert!(matches!(default, Some(Error::Damaged(_))), "{default:?}");
    put_back(rig, good);
    let told = told(&rig.checked().unwrap());
    let word = "locked: the check of the vault's file failed: damaged";
    assert!(told.contains(&word.to_owned()), "{told:?}");
}

fn put_back(rig: &Rig, image: &[u8]) {
    let file = rig.disk.open(FILE).unwrap();
    file.set_len(0).unwrap();
    file.append(image).unwrap();
}

/// Goal: V19 a token that was removed from the file is never said to be to connect, and the vault
/// is locked once that is found. Method: remove Bob's record behind the ledger's back.
#[test]
fn v19_a_removed_record_is_not_missed_by_anybody() {
    let rig = Rig::new();
    let (place, _) = place_of(&rig, "bob", "another");
    let good = rig.disk.image();
    plant(&rig, |write| {
        write.remove_record(Records::Tokens, &place).unwrap();
    });
    let (vault, hold) = rig.held();
    waits("a removed token", fetch(&vault, "bob"));
    assert_eq!(fetch(&vault, "ann").unwrap(), Some(key_of("ann")));
    hold.release();
    is_found(&rig, &vault, &good);
}

/// Goal: V19 an older record is served as what it is, genuine and perhaps not the newest, and the
/// vault is locked once that is found. Method: put back the record that Bob's took the place of.
#[test]
fn v19_a_record_that_was_put_back_locks_the_vault() {
    let rig = Rig::new();
    let (place, old) = place_of(&rig, "bob", "newer");
    let good = rig.disk.image();
    plant(&rig, |write| {
        let old = Sealed::parse(&old).unwrap();
        write.put_record(Records::Tokens, &place, &old).unwrap();
    });
    let (vault, hold) = rig.held();
    assert_eq!(fetch(&vault, "bob").unwrap(), Some(key_of("bob")));
    hold.release();
    is_found(&rig, &vault, &good);
}

/// Goal: V19 a record that lies in another's place does not open. Method: put Ann's in Bob's.
#[test]
fn v19_a_record_in_anothers_place_is_not_handed_out() {
    let rig = Rig::new();
    let (bobs, _) = place_of(&rig, "bob", "another");
    let (_, anns) = place_of(&rig, "ann", "another");
    let good = rig.disk.image();
    plant(&rig, |write| {
        let anns = Sealed::parse(&anns).unwrap();
        write.put_record(Records::Tokens, &bobs, &anns).unwrap();
    });
    let (vault, hold) = rig.held();
    let outcome = fetch(&vault, "bob");
    assert!(matches!(outcome, Err(Error::Damaged(_))), "{outcome:?}");
    hold.release();
    is_found(&rig, &vault, &good);
}

/// Goal: V19 whatever bit of the file is flipped, the check behind finds what the check first does,
/// and no fetch meanwhile is answered by another value, or by a no. Method: one random bit of the
/// file each; open with and without the option; fetch while the check is held.
#[test]
fn v19_a_flipped_bit_is_found_as_it_is_without_the_option() {
    let seeded = Seeded::new("V19 flips");
    let made = Rig::new();
    let (good, tree) = (made.disk.image(), made.disk.durable());
    let (mut refused, mut harmless) = (0, 0);
    for case in 0..seeded.runs(FLIPS) {
        let mut seeded = seeded.case(case);
        // A disk of its own: its log, and the trail, grow with each opening.
        let rig = Rig {
            disk: Faulty::holding(tree.clone()),
            clock: made.clock.clone(),
            access_key: made.access_key.clone(),
            eve: made.eve,
        };
        let mut image = good.clone();
        let byte = seeded.rng().usize(..image.len());
        image[byte] ^= 1 << seeded.rng().u8(..8);
        let at = seeded.at(&format!("byte {byte}"));
        put_back(&rig, &image);
        let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            rig.checked().and_then(|vault| vault.close())
        }));
        let is_sound = matches!(first, Ok(Ok(())));
        put_back(&rig, &image);
        let hold = Hold::thread(&rig.disk, CHECK);
        let outcome = rig.unchecked().and_then(|vault| {
            let users = USERS.into_iter().chain(["nobody"]);
            for user in users {
                match fetch(&vault, user) {
                    Ok(value) => assert_eq!(value, Some(key_of(user)), "{at}"),
                    // A panic of a debug build's own checks is an error too.
                    Err(Error::Checking { .. } | Error::Damaged(_) | Error::Storage(_)) => {}
                    Err(error) => panic!("{user}: {error:?}: {at}"),
                }
            }
            hold.release();
            let outcome = vault.wait_for_check();
            assert_eq!(vault.status().locked, outcome.is_err(), "{at}");
            let _ = vault.close();
            outcome
        });
        drop(hold);
        assert_eq!(outcome.is_ok(), is_sound, "{outcome:?}: {at}");
        match is_sound {
            true => harmless += 1,
            false => refused += 1,
        }
    }
    assert!(refused > 0 && harmless > 0, "{refused} and {harmless}");
}

/// Goal: V19 a power cut, or a kill, in mid-check leaves a whole vault. Method: cut at every
/// operation from the opening to the end of the check; each image opens, adds up, and is read
/// whole.
#[test]
fn v19_a_cut_in_mid_check_is_harmless() {
    let mut chance = Seeded::new("V19 cut");
    let rig = Rig::new();
    let begun = rig.disk.position();
    let vault = rig.unchecked().unwrap();
    vault.wait_for_check().unwrap();
    store(&vault, address("maps", "dan"), api_key("key of dan"));
    vault.close().unwrap();
    let mut replay = rig.disk.replay();
    let mut opened = 0;
    while replay.advance() {
        if replay.at() < begun {
            continue;
        }
        for _ in 0..OF_ONE_MOMENT {
            let left = replay.image(chance.rng());
            let how = Look {
                mode: AuditMode::Strict,
                wanted: super::super::super::audit::Head::default(),
                trail: true,
                whole: true,
            };
            let place = chance.at(&format!("operation {}", replay.at()));
            let seen = look(left, how, &mut fastrand::Rng::with_seed(opened));
            let seen = seen.unwrap_or_else(|what| panic!("{what}: {place}"));
            let keys = seen.contents.keys().filter(|key| key.starts_with("token"));
            assert!(keys.count() >= USERS.len() + 2, "{place}");
            opened += 1;
        }
    }
    assert!(opened > 10, "{opened}");
}

/// Goal: a disk that fails in mid-check is no damage: the vault is locked, says so, and the next
/// unlock checks anew. Method: one read of the check fails.
#[test]
fn v19_a_disk_that_fails_in_mid_check_is_tried_again() {
    let rig = Rig::new();
    let (vault, hold) = rig.held();
    rig.disk.trouble(Trouble {
        reads: true,
        once: true,
        io: true,
        ..Trouble::default()
    });
    hold.release();
    let failed = vault.wait_for_check();
    assert!(matches!(failed, Err(Error::Storage(_))), "{failed:?}");
    assert_eq!(rig.disk.mend(), 1);
    let status = vault.status();
    assert!(status.locked);
    assert_eq!(status.locked_because, Some("storage"));
    vault.unlock(&key_file(FIRST_SLOT), "test").unwrap();
    vault.wait_for_check().unwrap();
    store(&vault, address("maps", "dan"), api_key("key of dan"));
    vault.close().unwrap();
}
