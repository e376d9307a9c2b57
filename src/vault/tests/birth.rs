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
use super::image::{Look, Told, look};

use crate::seeded::Seeded;
use crate::store::faulty::{FILE, Faulty, Lies, Tree};

/// Images of each moment.
const OF_ONE_MOMENT: u64 = 12;

fn make(disk: &Faulty) -> Result<Vault> {
    let first = key_file(FIRST_SLOT);
    let slots = [(&first, FIRST_SLOT)];
    Vault::create_on_disk(disk, &slots, settings(AuditMode::Strict), clock()).map(|made| made.0)
}

/// Cuts at every operation of the making, on a disk that lies about its syncs or does not: how many
/// images opened, and how many were made anew.
fn cut_while_made(chance: &mut Seeded, lies: Lies) -> Told<(u64, u64)> {
    let disk = Faulty::default();
    disk.lie(lies);
    let vault = make(&disk).unwrap();
    let end = disk.position();
    vault.close().unwrap();
    let mut replay = disk.replay();
    let (mut opened, mut anew) = (0, 0);
    loop {
        for _ in 0..OF_ONE_MOMENT {
            let left = replay.image(chance.rng());
            let place = format!("operation {} ({:?})", replay.at(), replay.next());
            let told = |what: String| format!("{what}: {}", chance.at(&place));
            if left.names.contains_key(FILE) && !left.names.contains_key(MARK) {
                let how = Look {
                    mode: AuditMode::Strict,
                    wanted: Head::default(),
                    trail: true,
                    whole: true,
                };
                let mut rng = fastrand::Rng::with_seed(opened);
                let seen = look(left, how, &mut rng).map_err(told)?;
                if !seen.contents.contains_key("key first admin") {
                    return Err(told("nobody can make keys".into()));
                }
                opened += 1;
            } else if replay.at() < end {
                let disk = Faulty::holding(left);
                let again = make(&disk).map_err(|error| told(error.to_string()))?;
                again.close().unwrap();
                anew += 1;
            } else {
                return Err(told("it was made, and is not there".into()));
            }
        }
        if !replay.advance() {
            break;
        }
    }
    Ok((opened, anew))
}

/// Goal: a power cut while a vault is made leaves a whole vault, or none and nothing in the way of
/// the next try. Method: cut at every operation of the making; open what has the vault's name, and
/// make anew what has not.
#[test]
fn c4_a_vault_whose_making_is_cut_short_opens_or_is_made_again() {
    let cut = cut_while_made(&mut Seeded::new("C4"), Lies::None);
    let (opened, anew) = cut.unwrap_or_else(|what| panic!("{what}"));
    assert!(opened > 0 && anew > 0, "{opened} opened, {anew} made anew");
}

/// Goal: the harness above sees a fault. Method: make the vault on disks that say that they synced
/// and did not.
#[test]
fn c4_a_vault_made_on_a_disk_that_lies_is_caught() {
    for lies in [Lies::Store, Lies::Trail] {
        let cut = cut_while_made(&mut Seeded::with("C4, planted", 0x5eed), lies);
        let caught = cut.unwrap_err();
        assert!(
            caught.starts_with("it") || caught.starts_with("nobody"),
            "{caught}"
        );
    }
}

fn old() -> Unlocker {
    Unlocker::Passphrase(Secret::new("violet harbour mumbles often".to_owned()))
}

fn new() -> Secret<String> {
    Secret::new("seven otters juggle marmalade".to_owned())
}

/// Cuts at every operation of a change of passphrase, on a disk that lies about its syncs from then
/// on or does not. Each header that may be left, by whether it is the new one, with an image.
fn cut_while_changed(chance: &mut Seeded, lies: Lies) -> Told<BTreeMap<bool, Tree>> {
    let disk = Faulty::default();
    let settings = settings(AuditMode::Strict);
    let (vault, _) =
        Vault::create_on_disk(&disk, &[(&old(), "")], settings.clone(), clock()).unwrap();
    let before = (disk.position(), vault.store().header().unwrap());
    disk.lie(lies);
    vault
        .change_passphrase(&Caller::local(), new(), KdfParams::FLOOR)
        .unwrap();
    let after = (disk.position(), vault.store().header().unwrap());
    vault.close().unwrap();
    let mut found = BTreeMap::new();
    let mut replay = disk.replay();
    while replay.advance() {
        for _ in 0..OF_ONE_MOMENT * u64::from(replay.at() >= before.0) {
            let left = replay.image(chance.rng());
            let told = |what: &str| {
                let place = format!("operation {} ({:?})", replay.at(), replay.next());
                format!("{what}: {}", chance.at(&place))
            };
            let image = Faulty::holding(left.clone());
            let opened = Vault::open_on_disk(&image, settings.clone(), clock());
            let opened = opened.map_err(|error| told(&error.to_string()))?;
            let header = opened.store().header().unwrap();
            let is_new = header == after.1;
            if !is_new && header != before.1 {
                return Err(told("it is neither"));
            }
            if !is_new && replay.at() >= after.0 {
                return Err(told("it was changed"));
            }
            found.insert(is_new, left);
        }
    }
    Ok(found)
}

/// Goal: a change of passphrase that is cut short leaves the old one or the new one, never neither.
/// Method: cut at every operation of it; each header that is found is one of the two, and each of
/// the two opens with its own.
#[test]
fn c4_a_change_of_passphrase_cut_short_leaves_the_old_or_the_new() {
    let cut = cut_while_changed(&mut Seeded::new("C4, passphrase"), Lies::None);
    let found = cut.unwrap_or_else(|what| panic!("{what}"));
    assert!(found.keys().eq(&[false, true]), "{:?}", found.keys());
    let settings = settings(AuditMode::Strict);
    for (is_new, left) in found {
        let vault = Vault::open_on_disk(&Faulty::holding(left), settings.clone(), clock()).unwrap();
        let unlocker = match is_new {
            true => Unlocker::Passphrase(new()),
            false => old(),
        };
        vault.unlock(&unlocker, "test").unwrap();
        vault.close().unwrap();
    }
}

/// Goal: the harness above sees a fault. Method: change the passphrase on a disk that says that it
/// synced and did not.
#[test]
fn c4_a_change_of_passphrase_on_a_disk_that_lies_is_caught() {
    let mut chance = Seeded::with("C4, planted", 0x5eed);
    let caught = cut_while_changed(&mut chance, Lies::Store).unwrap_err();
    assert!(caught.starts_with("it was changed"), "{caught}");
}
