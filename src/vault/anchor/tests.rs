//! The anchor's file, torn and on a disk that fails.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::file::{Found, HALF_BYTES, create, half, look, write};
use super::*;
use crate::seal::{KdfParams, Keyring, RecoveryCode, Unlocker};

fn keys() -> Keyring {
    let recovery = Unlocker::RecoveryCode(RecoveryCode::generate());
    let slots = [(&recovery, "test")];
    Keyring::create(&slots, KdfParams::FLOOR, Timestamp::default())
        .unwrap()
        .0
}

fn mark(epoch: u64) -> Mark {
    Mark {
        anchor: [7; ANCHOR_ID],
        epoch,
        at: Timestamp::from_unix_ms(1_800_000_000_000 + epoch),
        ledger: [9; 32],
    }
}

/// A path in a directory of its own.
fn place() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("anchor");
    (home, path)
}

fn newest(path: &Path, keys: &Keyring) -> Option<(u64, Mark)> {
    match look(path, keys).unwrap() {
        Found::Mark(_, number, mark) => Some((number, mark)),
        _ => None,
    }
}

/// Goal: a torn write leaves the mark before it. Method: write five marks; tear the newest half at
/// every length, with zeros and with what was there before.
#[test]
fn v15_a_torn_write_leaves_the_mark_before_it() {
    let ((_home, path), keys) = (place(), keys());
    let file = create(&path).unwrap();
    for number in 1..=4 {
        write(&file, number, &half(&keys, number, &mark(number))).unwrap();
    }
    let new = half(&keys, 5, &mark(5));
    let old = half(&keys, 3, &mark(3));
    for length in 0..HALF_BYTES {
        for rest in [[0; HALF_BYTES], old] {
            let mut torn = rest;
            torn[..length].copy_from_slice(&new[..length]);
            write(&file, 5, &torn).unwrap();
            assert_eq!(newest(&path, &keys), Some((4, mark(4))), "torn at {length}");
        }
    }
    write(&file, 5, &new).unwrap();
    assert_eq!(newest(&path, &keys), Some((5, mark(5))));
}

/// Goal: no bit of a half can be changed unseen. Method: flip each bit of the only half.
#[test]
fn v15_a_changed_bit_of_an_anchor_is_noticed() {
    let ((_home, path), keys) = (place(), keys());
    let file = create(&path).unwrap();
    let good = half(&keys, 1, &mark(1));
    for bit in 0..HALF_BYTES * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        write(&file, 1, &bad).unwrap();
        let found = look(&path, &keys);
        // In the magic or the vault's id: not this vault's, and never written over.
        let is_foreign = bit / 8 < 24;
        match found {
            Err(Error::Settings(_)) => assert!(is_foreign, "bit {bit}"),
            Ok(Found::Damaged(_)) => assert!(!is_foreign, "bit {bit}"),
            _ => panic!("bit {bit} was not noticed"),
        }
    }
}

/// Goal: marks of a vault do not pass for another's. Method: read with another vault's keys.
#[test]
fn v15_an_anchor_of_another_vault_is_left_alone() {
    let ((_home, path), ours, theirs) = (place(), keys(), keys());
    let file = create(&path).unwrap();
    write(&file, 1, &half(&theirs, 1, &mark(1))).unwrap();
    let Err(Error::Settings(why)) = look(&path, &ours) else {
        panic!("it was taken")
    };
    assert!(why.contains("another vault"), "{why}");
    assert!(newest(&path, &theirs).is_some());
}

/// Waits for the keeper's thread, for a bounded time.
fn until(anchor: &Anchor, what: &str, is_so: impl Fn(&State) -> bool) {
    let state = anchor.shared.lock();
    let wake = &anchor.shared.wake;
    let waited = wake.wait_timeout_while(state, Duration::from_secs(30), |state| !is_so(state));
    assert!(
        !waited.unwrap().1.timed_out(),
        "it did not come to this: {what}"
    );
}

/// An anchor at work, whose first mark is written.
fn at_work(path: &Path, keys: &Keyring) -> Anchor {
    let anchor = Anchor::new(create(path).unwrap(), 0, mark(1), keys);
    anchor.begin(keys, mark(1)).unwrap();
    anchor.start().unwrap();
    anchor
}

/// Goal: a disk that refuses is told of, tried again, and forgotten once it is well. Method: give
/// the anchor a full device, then its own file back; then take the file's name away.
#[test]
fn v15_an_anchor_whose_disk_fails_is_behind_until_it_is_well() {
    let ((_home, path), keys) = (place(), keys());
    let anchor = at_work(&path, &keys);
    anchor.note(&keys, 2, [2; 32], mark(2).at);
    assert!(!anchor.status().behind);
    assert_eq!(
        newest(&path, &keys).unwrap().1.epoch,
        2,
        "before note returns"
    );
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let good = std::mem::replace(&mut anchor.shared.lock().file, Arc::new(full));
    anchor.note(&keys, 3, [3; 32], mark(3).at);
    let status = |epoch, behind| AnchorStatus { epoch, behind };
    assert_eq!(anchor.status(), status(3, true));
    assert_eq!(newest(&path, &keys).unwrap().1.epoch, 2);
    anchor.shared.lock().file = good;
    until(&anchor, "it has caught up", |state| !state.behind);
    assert_eq!(anchor.status(), status(3, false));
    assert_eq!(newest(&path, &keys).unwrap().1.epoch, 3);
    std::fs::remove_file(&path).unwrap();
    anchor.note(&keys, 4, [4; 32], mark(4).at);
    assert!(
        anchor.status().behind,
        "a file without a name remembers nothing"
    );
}

/// Goal: a disk that does not answer holds up one commit, for a bounded time, and neither those
/// that follow nor the end. Method: an anchor whose thread is not there, as one that hangs in the
/// system is not; note two commits, end it.
#[test]
fn v15_an_anchor_whose_disk_does_not_answer_is_left_behind() {
    let ((_home, path), keys) = (place(), keys());
    let anchor = Anchor::new(create(&path).unwrap(), 0, mark(1), &keys);
    anchor.begin(&keys, mark(1)).unwrap();
    anchor.shared.lock().ended = false;
    let hung = std::thread::spawn(|| ());
    *anchor.keeper.lock().unwrap() = Some(hung);
    for epoch in 2..20 {
        anchor.note(&keys, epoch, [2; 32], mark(epoch).at);
        assert_eq!(
            anchor.status(),
            AnchorStatus {
                epoch,
                behind: true
            }
        );
    }
    anchor.stop();
    assert_eq!(newest(&path, &keys).unwrap().1.epoch, 1);
}

/// Goal: what was noted is in the file when it ends, and the thread with it. Method: many commits
/// in a row, an end, a look.
#[test]
fn v15_an_anchor_that_ends_holds_the_last_commit() {
    let ((_home, path), keys) = (place(), keys());
    let anchor = at_work(&path, &keys);
    for epoch in 2..200 {
        anchor.note(&keys, epoch, [2; 32], mark(epoch).at);
        assert_eq!(newest(&path, &keys).unwrap().1.epoch, epoch);
    }
    anchor.stop();
    let state = anchor.shared.lock();
    assert!(state.ended && state.undone == Undone::Nothing && !state.behind);
}

/// Goal: an anchor never goes back by itself. Method: note an older commit after a newer one.
#[test]
fn v15_an_older_commit_does_not_bring_an_anchor_back() {
    let ((_home, path), keys) = (place(), keys());
    let anchor = Anchor::new(create(&path).unwrap(), 0, mark(5), &keys);
    anchor.begin(&keys, mark(5)).unwrap();
    anchor.note(&keys, 4, [4; 32], mark(4).at);
    assert_eq!(newest(&path, &keys).unwrap().1.epoch, 5);
}

/// Goal: a file that is no anchor is not written over. Method: one with a few words in it, a long
/// one of zeros, a short one of zeros (a creation cut short, which may be).
#[test]
fn v15_a_file_that_is_no_anchor_is_left_as_it_is() {
    let ((_home, path), keys) = (place(), keys());
    let file = create(&path).unwrap();
    assert!(matches!(look(&path, &keys), Ok(Found::Blank(_))));
    file.set_len(9000).unwrap();
    assert!(matches!(look(&path, &keys), Err(Error::Settings(_))));
    file.set_len(8192).unwrap();
    file.write_all_at(b"words of somebody's", 0).unwrap();
    assert!(matches!(look(&path, &keys), Err(Error::Settings(_))));
}
