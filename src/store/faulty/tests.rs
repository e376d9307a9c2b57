//! The simulated disk itself: what it keeps, and what it may lose.

use std::path::Path;

use super::*;
use crate::store::Medium;

/// Chance that counts through every answer.
struct Counter(usize);

impl Chance for Counter {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(25_214_903_917).wrapping_add(11);
        (self.0 >> 16) % bound
    }
}

/// Every image that a power cut at the end of the log may leave, found by trying often.
fn images(disk: &Faulty) -> Vec<Tree> {
    let mut replay = disk.replay();
    while replay.advance() {}
    let mut chance = Counter(1);
    let mut found: Vec<Tree> = Vec::new();
    for _ in 0..3000 {
        let image = replay.image(&mut chance);
        if !found.contains(&image) {
            found.push(image);
        }
    }
    found
}

fn bytes(tree: &Tree, name: &str) -> Option<Vec<u8>> {
    let file = tree.names.get(name)?;
    Some(tree.files[file].to_vec())
}

/// Goal: what was synced is in every image, and what was not is in some and lacks in others.
/// Method: a file with synced bytes and others, a name that was synced and one that was not.
#[test]
fn a_cut_leaves_what_was_synced_and_any_part_of_the_rest() {
    let disk = Faulty::default();
    disk.make_directory(Path::new("audit")).unwrap();
    disk.sync_directory("").unwrap();
    let file = disk.create("audit/1").unwrap();
    file.append(b"kept").unwrap();
    file.sync_data().unwrap();
    disk.sync_directory("audit").unwrap();
    file.append(b"lost").unwrap();
    let other = disk.create("audit/2").unwrap();
    other.append(b"other").unwrap();
    other.sync_data().unwrap();
    let found = images(&disk);
    assert!(
        found.iter().all(|image| {
            bytes(image, "audit/1").is_some_and(|bytes| bytes.starts_with(b"kept"))
        })
    );
    for wanted in [b"kept".as_slice(), b"keptlost", b"kept\0\0\0\0", b"keptlo"] {
        let is_it = |image: &Tree| bytes(image, "audit/1").as_deref() == Some(wanted);
        assert!(found.iter().any(is_it), "{wanted:?}");
    }
    let second = |image: &Tree| bytes(image, "audit/2");
    assert!(found.iter().any(|image| second(image).is_none()));
    let there = found.iter().filter_map(second);
    assert!(there.clone().count() > 0 && there.clone().all(|bytes| bytes == b"other"));
}

/// Goal: a sync that failed loses for good. Method: fail a sync, sync again.
#[test]
fn what_a_failed_sync_lost_stays_lost() {
    let disk = Faulty::default();
    let file = disk.create(FILE).unwrap();
    file.append(b"first").unwrap();
    file.sync_data().unwrap();
    disk.sync_directory("").unwrap();
    file.append(b" second").unwrap();
    disk.trouble(Trouble {
        once: true,
        syncs_only: true,
        loses: true,
        ..Trouble::default()
    });
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(disk.image(), b"first second");
    assert_eq!(bytes(&disk.durable(), FILE).unwrap(), b"first");
    let again = Faulty::of(disk.image());
    assert_eq!(bytes(&again.durable(), FILE).unwrap(), b"first second");
}
