//! A store that is not checked, and its check (D6).

use super::*;
use crate::store::copy::tests::{all, record};
use crate::store::faulty::{FILE, Faulty};
use crate::store::{Index, Records};

/// A store with some records, closed.
fn filled() -> Faulty {
    let disk = Faulty::default();
    let store = Store::on_backend(&disk, Some(b"a header")).unwrap();
    for number in 0..200_u64 {
        put(&store, number);
    }
    store.close().unwrap();
    disk
}

fn put(store: &Store, number: u64) {
    let write = store.write().unwrap();
    let key = number.to_be_bytes();
    let sealed = record(number, 900);
    write.put_record(Records::Tokens, &key, &sealed).unwrap();
    write.put_entry(Index::Owners, &key, b"").unwrap();
    write.commit().unwrap();
}

fn unchecked(disk: &Faulty) -> Store {
    Store::open_unchecked(disk, FILE.as_ref()).unwrap()
}

/// Goal: D6 a store that is not checked is read, takes no write, and leaves the file as it is;
/// what was checked takes its place, and who reads meanwhile reads on. Method: open, read, check,
/// take, write, open as always.
#[test]
fn d6_a_store_is_read_before_it_is_checked_and_written_to_behind() {
    let disk = filled();
    let before = disk.image();
    let store = unchecked(&disk);
    assert!(store.is_unchecked() && !store.is_for_reading_alone());
    let view = store.read().unwrap();
    let seen = all(&view);
    assert_eq!(seen.len(), 401);
    assert_eq!(store.write().err(), Some(unchecked_error()));
    drop((view, store));
    assert!(disk.image() == before, "the file was written to");

    let store = unchecked(&disk);
    let watch = Arc::default();
    let checked = store.check(&watch).unwrap();
    let (read, length) = watch.progress();
    assert_eq!((read, length), (before.len() as u64, before.len() as u64));
    assert!(all(&checked.read().unwrap()) == seen);
    assert!(all(&store.read().unwrap()) == seen);
    store.take(checked, &watch).unwrap();
    assert!(!store.is_unchecked());
    put(&store, 1_000);
    watch.stop();
    assert_eq!(all(&store.read().unwrap()).len(), 403, "it stopped a store");
    store.close().unwrap();
    let store = Store::on_backend(&disk, None).unwrap();
    assert_eq!(all(&store.read().unwrap()).len(), 403);
}

fn unchecked_error() -> Error {
    super::unchecked()
}

/// Goal: D6 a check that is told to stop ends and changes nothing, before it begins, in the middle
/// and before what was checked is taken. Method: stop at each.
#[test]
fn d6_a_check_that_is_told_to_stop_ends() {
    let disk = filled();
    let store = unchecked(&disk);
    let watch: Arc<Watch> = Arc::default();
    watch.stop();
    assert_eq!(store.check(&watch).err(), Some(Error::Locked));
    let before = disk.image();
    for reads in [0, 1, 5] {
        let watch: Arc<Watch> = Arc::default();
        let (told, left) = (Arc::clone(&watch), AtomicU64::new(reads));
        disk.before_reads(move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 0 {
                told.stop();
            }
        });
        assert_eq!(store.check(&watch).err(), Some(Error::Locked));
        assert!(disk.image() == before, "the check wrote before it ended");
    }
    let watch: Arc<Watch> = Arc::default();
    let checked = store.check(&watch).unwrap();
    watch.stop();
    assert_eq!(store.take(checked, &watch).err(), Some(Error::Locked));
    assert!(store.is_unchecked());
    assert_eq!(all(&store.read().unwrap()).len(), 401);
    drop(store);
    let store = Store::on_backend(&disk, None).unwrap();
    assert_eq!(all(&store.read().unwrap()).len(), 401);
}

/// Goal: D6 a page of any of the file's that is damaged is found by the check. Method: flip a bit
/// of a record in the middle of the file.
#[test]
fn d6_the_check_finds_what_was_not_checked_before() {
    let disk = filled();
    let mut image = disk.image();
    let record = image.windows(8).position(|bytes| bytes == [7; 8]);
    image[record.unwrap()] ^= 1;
    let disk = Faulty::of(image);
    let store = unchecked(&disk);
    let found = store.check(&Arc::default()).err();
    assert!(matches!(found, Some(Error::Damaged(_))), "{found:?}");
}

/// Goal: D6 what panics on a page is an error; what panics in whoever reads goes on. Method: both.
#[test]
fn d6_a_panic_of_the_store_is_an_error_and_no_other_is() {
    let damaged = |outcome| matches!(outcome, Err(Error::Damaged(_)));
    assert!(damaged(guarded(true, || panic!("a page"))));
    assert!(damaged(walk_guarded(&mut |_, _| Ok(Scan::Go), |_| panic!(
        "a page"
    ))));
    let visitor = catch_unwind(|| {
        walk_guarded(&mut |_, _| panic!("a visitor"), |visit| {
            visit(b"key", b"value").map(|_| ())
        })
    });
    assert_eq!(
        *visitor.unwrap_err().downcast::<&str>().unwrap(),
        "a visitor"
    );
    let checked = catch_unwind(|| guarded(false, || -> Result<()> { panic!("a bug") }));
    assert!(checked.is_err());
}

/// Goal: D6 a walk that goes round in a circle ends. Method: keys that come again.
#[test]
fn d6_a_walk_that_goes_in_a_circle_ends() {
    let mut seen = 0;
    let outcome = walk_guarded(
        &mut |_, _| {
            seen += 1;
            Ok(Scan::Go)
        },
        |visit| {
            let keys = [b"a", b"b"].into_iter().cycle();
            keys.take(1_000)
                .try_for_each(|key| visit(key, b"").map(|_| ()))
        },
    );
    assert!(matches!(outcome, Err(Error::Damaged(_))), "{outcome:?}");
    assert_eq!(seen, 2);
}
