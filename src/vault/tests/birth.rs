//! Power cuts while a vault is made, and while its secrets change (C4).
//!
//! It promises: what a cut leaves of a vault in the making either opens, or is no vault and is made
//! again; after a change of passphrase the old one opens it or the new one, as the header says.
//! It never: finds a vault that nothing opens.

use std::collections::BTreeMap;

use super::super::audit::{AuditMode, Head};
use super::super::create::unfinished::MARK;
use super::super::*;
use super::given::{FIRST_SLOT, clock, key_file, settings};
use super::image::{Look, look};

use super::seeded::Seeded;
use crate::store::faulty::{FILE, Faulty, Tree};

/// Images of each moment.
const OF_ONE_MOMENT: u64 = 12;

fn make(disk: &Faulty) -> Result<Vault> {
    let first = key_file(FIRST_SLOT);
    let slots = [(&first, FIRST_SLOT)];
    Vault::create_on_disk(disk, &slots, settings(AuditMode::Strict), clock()).map(|made| made.0)
}

/// Goal: a power cut while a vault is made leaves a whole vault, or none and nothing in the way of
/// the next try. Method: cut at every operation of the making; open what has the vault's name, and
/// make anew what has not.
#[test]
fn c4_a_vault_whose_making_is_cut_short_opens_or_is_made_again() {
    let mut chance = Seeded::new("C4");
    let disk = Faulty::default();
    let vault = make(&disk).unwrap();
    let end = disk.position();
    vault.close().unwrap();
    let mut replay = disk.replay();
    let (mut opened, mut anew) = (0, 0);
    loop {
        for _ in 0..OF_ONE_MOMENT {
            let left = replay.image(chance.rng());
            let place = format!("operation {} ({:?})", replay.at(), replay.next());
            if left.names.contains_key(FILE) && !left.names.contains_key(MARK) {
                let how = Look {
                    mode: AuditMode::Strict,
                    wanted: Head::default(),
                    trail: true,
                    whole: true,
                };
                let seen = look(left, how, chance.rng());
                let seen = seen.unwrap_or_else(|what| panic!("{what}: {}", chance.at(&place)));
                assert!(seen.contents.contains_key("key first admin"), "{place}");
                opened += 1;
            } else {
                assert!(replay.at() < end, "it was made: {}", chance.at(&place));
                let disk = Faulty::holding(left);
                let vault = make(&disk).unwrap_or_else(|error| panic!("{place}: {error}"));
                vault.close().unwrap();
                anew += 1;
            }
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(opened > 0 && anew > 0, "{opened} opened, {anew} made anew");
}

/// Goal: a change of passphrase that is cut short leaves the old one or the new one, never neither.
/// Method: cut at every operation of it; each header that is found is one of the two, and each of
/// the two opens with its own.
#[test]
fn c4_a_change_of_passphrase_cut_short_leaves_the_old_or_the_new() {
    let mut chance = Seeded::new("C4, passphrase");
    let disk = Faulty::default();
    let old = || Unlocker::Passphrase(Secret::new("violet harbour mumbles often".to_owned()));
    let new = || Secret::new("seven otters juggle marmalade".to_owned());
    let settings = settings(AuditMode::Strict);
    let (vault, _) =
        Vault::create_on_disk(&disk, &[(&old(), "")], settings.clone(), clock()).unwrap();
    let before = (disk.position(), vault.store().header().unwrap());
    vault
        .change_passphrase(&Caller::local(), new(), KdfParams::FLOOR)
        .unwrap();
    let after = (disk.position(), vault.store().header().unwrap());
    vault.close().unwrap();
    let mut found: BTreeMap<Vec<u8>, Tree> = BTreeMap::new();
    let mut replay = disk.replay();
    while replay.advance() {
        for _ in 0..OF_ONE_MOMENT * u64::from(replay.at() >= before.0) {
            let left = replay.image(chance.rng());
            let image = Faulty::holding(left.clone());
            let opened = Vault::open_on_disk(&image, settings.clone(), clock());
            let opened = opened.unwrap_or_else(|error| {
                panic!("{error}: {}", chance.at(&format!("{:?}", replay.next())))
            });
            let header = opened.store().header().unwrap();
            assert!(replay.at() < after.0 || header == after.1, "it was changed");
            found.insert(header, left);
        }
    }
    assert!(found.keys().eq({
        let mut both = [&before.1, &after.1];
        both.sort();
        both
    }));
    for (header, left) in found {
        let vault = Vault::open_on_disk(&Faulty::holding(left), settings.clone(), clock()).unwrap();
        let unlocker = match header == before.1 {
            true => old(),
            false => Unlocker::Passphrase(new()),
        };
        vault.unlock(&unlocker, "test").unwrap();
        vault.close().unwrap();
    }
}
