//! A compaction makes the file small, loses nothing, and holds up nobody who reads (V18).

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use strongroom::error::Error;
use strongroom::model::access::{Action, Caller, Grant};
use strongroom::vault::{CompactionState, NewToken, Settings};

use crate::backups::{back_up, furnished};
use crate::support::*;

const TOKENS: usize = 1_000;
const KEPT: usize = 100;
const REWRITES: usize = 3;

/// Ends those who go on until they are told, should the test end early.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What a file takes of the disk, in bytes.
fn taken(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(file).unwrap().blocks() * 512
}

fn user(number: usize) -> strongroom::model::Address {
    address("mail", &owner("acme", &format!("user{number}")))
}

/// Goal: a file that has held more, and was written over and over, takes little more than what it
/// holds, and says what it took. Method: some hundred tokens of a KiB each, written anew a group at
/// a time, most of them removed; compact; open again.
#[test]
fn v18_a_worn_file_shrinks_to_what_it_holds() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    let me = Caller::local();
    let value = |number: usize, round: usize| format!("{number} {round} {}", "x".repeat(1_000));
    let mut ids = Vec::new();
    for round in 0..REWRITES {
        let receipts = (0..TOKENS).map(|number| {
            let new = NewToken::of(user(number), granted(&value(number, round), None));
            vault.store_token(&me, new).unwrap()
        });
        let receipts: Vec<_> = receipts.collect();
        let stored = receipts.into_iter().map(|receipt| receipt.wait().unwrap());
        ids = stored.map(|summary| summary.id).collect();
    }
    let gone = ids[KEPT..].iter();
    let gone: Vec<_> = gone
        .map(|id| vault.remove_token(&me, *id).unwrap())
        .collect();
    for receipt in gone {
        receipt.wait().unwrap();
    }
    let before = taken(&disk.file());
    let mut last = (0, 0);
    let done = vault
        .compact(&me, &mut |done, total| last = (done, total))
        .unwrap();
    let after = taken(&disk.file());
    assert_eq!((done.state, &done.error), (CompactionState::Done, &None));
    assert_eq!((done.bytes_before, done.bytes_after), (before, Some(after)));
    assert_eq!((done.done, last), (done.total, (done.total, done.total)));
    println!("V18: {before} bytes before, {after} after");
    assert!(after * 2 < before, "{after} of {before}");
    vault.close().unwrap();
    let vault = disk.unlocked().unwrap();
    for number in 0..KEPT {
        let handed = fresh(&vault, &ask(&user(number)));
        assert_eq!(handed.value.expose(), &value(number, REWRITES - 1));
    }
}

/// Goal: writers and readers go on while files are exchanged. Method: one who reads all the time,
/// two who write and look, four compactions one after the other; every acknowledged write is there.
#[test]
fn v18_who_reads_reads_on_and_who_writes_is_stored() {
    let (disk, vault, _home) = furnished();
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let written: Vec<usize> = std::thread::scope(|scope| {
        let ends = Ends(&stop);
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                let ann = address("mail", &owner("acme", "ann"));
                assert_eq!(fresh(&vault, &ask(&ann)).value.expose(), "token of ann");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let writers = [0, 1_000].map(|first| {
            let (vault, stop) = (&vault, &stop);
            scope.spawn(move || {
                let mut written = first;
                while !stop.load(Ordering::Acquire) {
                    let value = format!("value {written}");
                    store(vault, user(written), granted(&value, None));
                    assert_eq!(fresh(vault, &ask(&user(written))).value.expose(), &value);
                    written += 1;
                }
                written
            })
        });
        let mut meanwhile = 0;
        for _ in 0..4 {
            let before = reads.load(Ordering::Relaxed);
            vault.compact(&Caller::local(), &mut |_, _| ()).unwrap();
            meanwhile += reads.load(Ordering::Relaxed) - before;
        }
        drop(ends);
        reader.join().unwrap();
        assert!(meanwhile > 0, "nobody read meanwhile");
        writers.map(|writer| writer.join().unwrap()).into()
    });
    vault.close().unwrap();
    let vault = disk.unlocked().unwrap();
    for (first, end) in [0, 1_000].into_iter().zip(written) {
        assert!(end > first, "nothing was written");
        for number in first..end {
            let handed = fresh(&vault, &ask(&user(number)));
            assert_eq!(handed.value.expose(), &format!("value {number}"));
        }
    }
}

/// Goal: who asks is on record, no right is no compaction, and one is not made beside a backup, nor
/// of a vault without a file. Method: each of them; a compaction asked for from within a backup.
#[test]
fn v18_a_compaction_is_for_who_may_and_stands_alone() {
    let (_disk, vault, home) = furnished();
    let me = Caller::local();
    let mut others: std::collections::BTreeSet<Action> = Action::ALL.into();
    others.remove(&Action::Backup);
    let stranger = key_with(&vault, vec![Grant::everywhere(others)]);
    assert_eq!(
        vault.compact(&stranger, &mut |_, _| ()).err(),
        Some(Error::Denied)
    );
    let mut inner = None;
    let backup = vault.backup(&me, home.path(), &mut |_, _| {
        inner = Some(vault.start_compaction(&me));
        Ok(())
    });
    backup.unwrap();
    assert!(matches!(inner, Some(Err(Error::Conflict(_)))), "{inner:?}");
    vault.compact(&me, &mut |_, _| ()).unwrap();
    // A compaction makes no commit, so it is another directory's.
    back_up(&vault, tempfile::tempdir().unwrap().path()).unwrap();
    let page = vault.audit(&me, None, 50).unwrap();
    let told: Vec<_> = page.entries.iter().map(|entry| &*entry.outcome).collect();
    for outcome in ["compaction: conflict", "compaction begins"] {
        assert!(told.contains(&outcome), "{outcome}: {told:?}");
    }
    let (memory, _) = memory();
    let refused = memory.compact(&me, &mut |_, _| ());
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

/// Goal: a lock gives a compaction up, and the vault is as it was. Method: lock as soon as it is
/// asked for, over and over; what is left is whole.
#[test]
fn v18_a_lock_gives_a_compaction_up() {
    let (disk, vault, _home) = furnished();
    let me = Caller::local();
    for _ in 0..10 {
        vault.start_compaction(&me).unwrap();
        vault.lock(&me).unwrap();
        vault.unlock(&recovery(&disk.recovery), "").unwrap();
        let latest = vault.latest_compaction(&me).unwrap().unwrap();
        let ended = matches!(
            (latest.state, &latest.error),
            (CompactionState::Done, None) | (CompactionState::Failed, Some(Error::Locked))
        );
        assert!(ended, "{latest:?}");
        let names = std::fs::read_dir(&disk.directory).unwrap();
        assert_eq!(names.count(), 2, "a partial file is left");
    }
    let ann = address("mail", &owner("acme", "ann"));
    assert_eq!(fresh(&vault, &ask(&ann)).value.expose(), "token of ann");
}
