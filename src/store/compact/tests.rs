//! Compaction of a store (D5).

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::copy::tests::{all, record};
use crate::store::faulty::Faulty;
use crate::store::{FileSystem, Index, Records, View};

const HEADER: &[u8] = b"a header";

/// Stores a record and an index entry.
fn put(store: &Store, number: u64, length: u32) -> Result<()> {
    let write = store.write()?;
    let key = number.to_be_bytes();
    write.put_record(Records::Tokens, &key, &record(number, length))?;
    write.put_entry(Index::Owners, &key, b"")?;
    write.commit()
}

/// A store that has held four times as much, in a directory of its own.
fn worn(records: u64) -> (tempfile::TempDir, PathBuf, Store) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("vault.redb");
    let store = Store::create(&FileSystem, &path, HEADER).unwrap();
    for number in 0..records * 4 {
        let length = if number % 50 == 0 { 20_000 } else { 900 };
        put(&store, number, length).unwrap();
    }
    let write = store.write().unwrap();
    for number in records..records * 4 {
        let key = number.to_be_bytes();
        write.remove_record(Records::Tokens, &key).unwrap();
        write.remove_entry(Index::Owners, &key).unwrap();
    }
    write.commit().unwrap();
    (home, path, store)
}

fn compact(store: &Store, path: &Path) -> Result<()> {
    store.compact(&FileSystem, path, &mut |_, _| Ok(()), &mut |_| Ok(()))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Goal: D5 the new file is smaller, holds the same, and is the store's from then on; who has begun
/// to read reads on. Method: a worn file, a view of it, a compaction; read, write and open again.
#[test]
fn d5_a_compacted_file_is_smaller_and_holds_the_same() {
    let (home, path, store) = worn(200);
    let seen = all(&store.read().unwrap());
    let before = FileSystem.taken(&path).unwrap();
    let inode = path.metadata().unwrap().ino();
    let (mut last, mut read) = ((0, 0), 0);
    let mut progress = |done: u64, total: u64| {
        assert!(done >= last.0 && done <= total);
        last = (done, total);
        // A view that others began goes on, and others begin.
        read += all(&store.read()?).len();
        Ok(())
    };
    let looked = &mut |view: &Read| {
        assert!(all(view) == seen, "it is given the whole of the new one");
        Ok(())
    };
    store
        .compact(&FileSystem, &path, &mut progress, looked)
        .unwrap();
    assert_eq!(last, (2 * seen.len() as u64, 2 * seen.len() as u64));
    assert!(read > seen.len());
    let about = path.metadata().unwrap();
    assert_ne!(about.ino(), inode);
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    let after = FileSystem.taken(&path).unwrap();
    assert!(after * 2 < before, "{after} of {before}");
    assert_eq!(names(home.path()), ["vault.redb"]);
    assert!(all(&store.read().unwrap()) == seen);
    put(&store, 1_000_000, 50).unwrap();
    let open = Store::open(&FileSystem, &path);
    assert!(matches!(open.err(), Some(Error::InUse)), "it is locked");
    store.close().unwrap();
    let store = Store::open(&FileSystem, &path).unwrap();
    assert_eq!(all(&store.read().unwrap()).len(), seen.len() + 2);
}

/// Goal: D5 what fails, or is given up, leaves the old file in use and no other. Method: an end at
/// each step that is told, and a look at the new file that says no.
#[test]
fn d5_a_compaction_that_is_given_up_changes_nothing() {
    let (home, path, store) = worn(60);
    let seen = all(&store.read().unwrap());
    let inode = path.metadata().unwrap().ino();
    let mut steps = 0;
    loop {
        let mut left = steps;
        let step = &mut |_, _| {
            left -= 1;
            if left < 0 { Err(Error::Locked) } else { Ok(()) }
        };
        let no = &mut |_: &Read| Err(Error::ShuttingDown);
        let outcome = store.compact(&FileSystem, &path, step, no);
        assert_eq!(path.metadata().unwrap().ino(), inode);
        assert_eq!(names(home.path()), ["vault.redb"]);
        if outcome == Err(Error::ShuttingDown) {
            break;
        }
        assert_eq!(outcome, Err(Error::Locked));
        steps += 1;
    }
    assert!(steps > 5);
    assert!(all(&store.read().unwrap()) == seen);
    put(&store, 1, 10).unwrap();
}

/// Goal: a file with a second name, with a table of a later version, or in memory is not replaced.
/// Method: each of them.
#[test]
fn d5_a_file_that_is_more_than_the_vaults_is_not_replaced() {
    let (home, path, store) = worn(5);
    let other = home.path().join("other");
    std::fs::hard_link(&path, &other).unwrap();
    let refused = compact(&store, &path).unwrap_err();
    assert!(matches!(&refused, Error::Conflict(why) if why.contains("hard links")));
    std::fs::remove_file(other).unwrap();
    store.close().unwrap();
    let database = redb::Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    let later: crate::store::Definition = crate::store::Definition::new("later");
    write.open_table(later).unwrap();
    write.commit().unwrap();
    drop(database);
    let store = Store::open(&FileSystem, &path).unwrap();
    let refused = compact(&store, &path).unwrap_err();
    assert!(matches!(&refused, Error::TooNew(why) if why.contains("later")));
}

/// Goal: D5 what a killed compaction left is taken away, whatever it is, and one that cannot be is
/// in nobody's way but the next compaction's. Method: a half file, a link, a directory.
#[test]
fn d5_what_was_left_behind_is_taken_away() {
    let (home, path, store) = worn(5);
    let partial = partial_of(&path);
    std::fs::write(&partial, "half").unwrap();
    compact(&store, &path).unwrap();
    let elsewhere = home.path().join("elsewhere");
    std::fs::write(&elsewhere, "somebody's").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &partial).unwrap();
    clear_partial(&FileSystem, &path).unwrap();
    assert!(!FileSystem.has(&partial));
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"somebody's");
    std::fs::create_dir(&partial).unwrap();
    assert!(matches!(compact(&store, &path), Err(Error::Storage(_))));
    put(&store, 1, 10).unwrap();
}

/// Goal: D5 the comparison sees what a copy lacks, has beyond, or has otherwise. Method: plant each
/// of them.
#[test]
fn d5_a_copy_that_differs_is_seen() {
    let filled = |numbers: std::ops::Range<u64>, length: u32| {
        let store = Store::in_memory(HEADER).unwrap();
        numbers.for_each(|number| put(&store, number, length).unwrap());
        store
    };
    let compared = |other: &Store| {
        let store = filled(1..9, 40);
        let (old, new) = (store.read().unwrap(), other.read().unwrap());
        compare(&old, &new, &mut |_| Ok(()))
    };
    assert_eq!(compared(&filled(1..9, 40)), Ok(()));
    for other in [
        filled(1..8, 40),
        filled(0..9, 40),
        filled(2..10, 40),
        filled(1..9, 41),
        Store::in_memory(b"another").unwrap(),
    ] {
        assert!(matches!(compared(&other), Err(Error::Damaged(_))));
    }
}

/// Goal: D1 no commit counts before the new file's name is durable. Method: the sync of the
/// directory fails from the exchange on; write, cut the power, and look; then let it succeed.
#[test]
fn d5_nothing_is_acknowledged_before_the_new_name_is_durable() {
    let disk = Faulty::default();
    let path = Path::new(crate::store::faulty::FILE);
    let store = Store::create(&disk, path, HEADER).unwrap();
    put(&store, 1, 40).unwrap();
    let file = || disk.durable().names[crate::store::faulty::FILE];
    let before = file();
    let fails = &mut |_: &Read| {
        disk.fail_directories(true);
        Ok(())
    };
    let outcome = store.compact(&disk, path, &mut |_, _| Ok(()), fails);
    assert!(matches!(outcome, Err(Error::Storage(_))), "{outcome:?}");
    assert!(put(&store, 2, 40).is_err(), "it may be lost");
    assert_eq!(file(), before);
    disk.fail_directories(false);
    store.reopen().unwrap();
    put(&store, 3, 40).unwrap();
    assert_ne!(file(), before);
    let left = Faulty::holding(disk.durable());
    let left = Store::open(&left, path).unwrap();
    let key = 3_u64.to_be_bytes();
    assert!(
        left.read()
            .unwrap()
            .record(Records::Tokens, &key)
            .unwrap()
            .is_some()
    );
}

/// Goal: D2 one process has the vault at a time, while files are exchanged as well: what is
/// acknowledged to whoever has it is there in the end. Method: one opens, compacts and closes over
/// and over, another opens, writes and closes whenever it is let in.
#[test]
fn d2_nobody_is_let_in_to_a_file_that_was_replaced() {
    let (_home, path, store) = worn(5);
    store.close().unwrap();
    let done = AtomicBool::new(false);
    let open = || loop {
        match Store::open(&FileSystem, &path) {
            Ok(store) => return store,
            Err(error) => assert_eq!(error, Error::InUse),
        }
    };
    let stored = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut stored = Vec::new();
            while !done.load(Ordering::Acquire) {
                let (number, store) = (1_000 + stored.len() as u64, open());
                put(&store, number, 10).unwrap();
                store.close().unwrap();
                stored.push(number);
            }
            stored
        });
        for _ in 0..30 {
            let store = open();
            compact(&store, &path).unwrap();
            store.close().unwrap();
        }
        done.store(true, Ordering::Release);
        writer.join().unwrap()
    });
    let store = open();
    let view = store.read().unwrap();
    for number in &stored {
        let key = number.to_be_bytes();
        let found = view.record(Records::Tokens, &key).unwrap();
        assert!(found.is_some(), "{number} of {} is lost", stored.len());
    }
    assert!(!stored.is_empty());
}
