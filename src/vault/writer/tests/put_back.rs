//! A file that goes back while it is open, and a change that takes its group with it.
//!
//! It promises: the older state is one that was committed, as a snapshot would bring it back.
//! It never: waits longer than the writer's pauses.

use super::*;
use crate::store::faulty::Lies;

/// Goal: after an error the writer goes on from what it acknowledged, and from nothing older: that
/// was a state once, and spent refresh tokens are in it. Method: a disk that says it synced and did
/// not loses its power under an open store; the next commit fails, so that the file is read anew.
#[test]
fn v3_a_file_that_went_back_while_it_was_open_is_neither_read_nor_written() {
    let bench = Bench::new();
    bench.put(1, "old").unwrap();
    bench.disk.lie(Lies::Store);
    bench.put(1, "new").unwrap();
    bench.disk.cut_power();
    bench.disk.fail_once_after(1);
    assert!(bench.put(2, "unknown").is_err());
    bench.disk.mend();
    let refused = put_when_tried(&bench);
    assert!(matches!(refused, Error::Damaged(_)), "{refused:?}");
    assert!(bench.store.read().is_err(), "the older state is served");
}

/// Stores once the writer tries the disk again; the refusal.
fn put_when_tried(bench: &Bench) -> Error {
    let clock = Clock::system();
    let begun = clock.now();
    loop {
        match bench.put(3, "after").unwrap_err() {
            Error::Storage(_) if clock.now().since(begun) < PATIENCE => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// Goal: one change's damage is not told to the others of its group as theirs, since what they
/// bring would be given up. Method: what each place of a group is told.
#[test]
fn v2_damage_that_one_change_meets_is_not_that_of_the_others() {
    let damaged = Error::Damaged("a record".into());
    let failed = Failed {
        error: damaged.clone(),
        of: Some(1),
    };
    assert_eq!(failed.told_to(1), damaged);
    for other in [0, 2] {
        assert!(matches!(failed.told_to(other), Error::Storage(_)));
    }
    let of_the_disk = Failed::from(damaged.clone());
    assert_eq!(of_the_disk.told_to(0), damaged);
}
