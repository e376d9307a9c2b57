//! Segments: one is closed and the next begun, and the chain goes through (A3).

use std::path::{Path, PathBuf};

use super::*;
use crate::limits;
use crate::seal::{KdfParams, RecoveryCode, Unlocker};

fn keyring() -> Arc<Keyring> {
    let code = Unlocker::RecoveryCode(RecoveryCode::generate());
    let now = Timestamp::default();
    let (keys, _) = Keyring::create(&[(&code, "")], KdfParams::FLOOR, now).unwrap();
    Arc::new(keys)
}

fn open(keys: &Arc<Keyring>, directory: &Path, remembered: Head) -> (Audit, Option<String>) {
    let keys = Arc::clone(keys);
    Audit::open(keys, Some(directory.into()), AuditMode::Strict, remembered).unwrap()
}

fn append(audit: &Audit, count: u64) {
    for _ in 0..count {
        let number = audit.last_seq() + 1;
        let outcome = format!("entry {number}");
        let entry = Entry {
            outcome: outcome.as_str(),
            ..Entry::default()
        };
        audit.append(entry).unwrap();
    }
}

/// Ends the segment, as if it were full.
fn fill(audit: &Audit) {
    if let Sink::Files { segment, .. } = &mut audit.shared.lock().sink {
        segment.body().give_up();
    }
}

/// Three segments of five entries each; the directory, the keys, and the last entry.
fn three_segments() -> (tempfile::TempDir, Arc<Keyring>, Head) {
    let directory = tempfile::tempdir().unwrap();
    let keys = keyring();
    let (audit, fault) = open(&keys, directory.path(), Head::default());
    assert_eq!(fault, None);
    for _ in 0..3 {
        append(&audit, 5);
        // What was strict is on the disk; a segment that is given up begins a new one.
        fill(&audit);
    }
    let (seq, hash) = audit.durable_head();
    (directory, keys, Head { seq, hash })
}

fn segment(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.seg"))
}

/// Goal: the trail is one chain over all its segments. Method: write three, open again, verify, go
/// on writing, read pages of every length from the end to the beginning.
#[test]
fn a3_the_chain_goes_through_all_segments() {
    let (directory, keys, last) = three_segments();
    let (audit, fault) = open(&keys, directory.path(), last);
    assert_eq!((fault, audit.last_seq(), last.seq), (None, 15, 15));
    append(&audit, 2);
    let found = audit.verify(last.seq, &last.hash).unwrap();
    assert_eq!((found.entries, found.last_seq), (17, 17));
    assert_eq!(found.problems, [""; 0]);
    for limit in 1..20 {
        let mut seqs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = audit.page(cursor.as_deref(), limit).unwrap();
            assert!(page.entries.len() <= limit);
            seqs.extend(page.entries.iter().map(|entry| entry.seq));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let wanted: Vec<u64> = (1..=17).rev().collect();
        assert_eq!(seqs, wanted, "pages of {limit}");
    }
}

/// Goal: a segment cannot be removed, exchanged or emptied. Method: each, then verify or open.
#[test]
fn a3_a_segment_that_is_removed_or_exchanged_is_noticed() {
    let (directory, keys, last) = three_segments();
    let path = |number| segment(directory.path(), number);
    let bytes: Vec<Vec<u8>> = (1..=3).map(|n| std::fs::read(path(n)).unwrap()).collect();
    let problems = || {
        let (audit, fault) = open(&keys, directory.path(), last);
        let verified = audit.verify(last.seq, &last.hash);
        drop(audit);
        let noticed = fault.is_some() || verified.map_or(true, |found| !found.problems.is_empty());
        for (number, bytes) in (1..).zip(&bytes) {
            std::fs::write(path(number), bytes).unwrap();
        }
        noticed
    };
    assert!(!problems());
    for number in 1..=3 {
        std::fs::remove_file(path(number)).unwrap();
        assert!(problems(), "segment {number} removed");
    }
    for number in [1, 2] {
        std::fs::write(path(number), &bytes[number as usize - 1][..72]).unwrap();
        assert!(problems(), "segment {number} emptied");
    }
    std::fs::write(path(2), &bytes[0]).unwrap();
    std::fs::write(path(1), &bytes[1]).unwrap();
    assert!(problems(), "segments exchanged");
}

/// Goal: a segment torn while it was begun costs nothing. Method: leave a part of its head behind
/// the last whole segment, or its whole length with zeros from any byte on, open, go on; behind one
/// that is not whole, zeros are refused.
#[test]
fn a3_a_segment_torn_while_it_was_begun_is_begun_again() {
    let (directory, keys, last) = three_segments();
    let (audit, _) = open(&keys, directory.path(), last);
    fill(&audit);
    append(&audit, 1);
    drop(audit);
    let head = std::fs::read(segment(directory.path(), 4)).unwrap()[..72].to_vec();
    let short = [0, 1, 71].map(|length| vec![0; length]);
    let long = (0..=72).map(|torn| [&head[..torn], &vec![0; 72 - torn]].concat());
    for left in short.into_iter().chain(long) {
        std::fs::write(segment(directory.path(), 4), left).unwrap();
        let (audit, fault) = open(&keys, directory.path(), last);
        assert_eq!((fault, audit.last_seq()), (None, 15));
        append(&audit, 1);
        let found = audit.verify(last.seq, &last.hash).unwrap();
        assert_eq!((found.problems, found.last_seq), (vec![], 16));
        drop(audit);
        std::fs::remove_file(segment(directory.path(), 4)).unwrap();
    }
    std::fs::write(segment(directory.path(), 4), [0; 72]).unwrap();
    let third = segment(directory.path(), 3);
    let whole = std::fs::read(&third).unwrap();
    std::fs::write(&third, &whole[..whole.len() - 1]).unwrap();
    let place = Some(directory.path().into());
    let refused = Audit::open(Arc::clone(&keys), place, AuditMode::Strict, last).err();
    assert!(matches!(refused, Some(Error::Damaged(_))), "{refused:?}");
}

/// Goal: a cursor that was not given out is the caller's mistake and no damage. Method: take one
/// that was, and change its offset to each place before, its segment, and its check.
#[test]
fn a3_a_cursor_that_points_into_an_entry_is_refused_as_invalid() {
    let (directory, keys, last) = three_segments();
    let (audit, _) = open(&keys, directory.path(), last);
    let cursor = audit.page(None, 2).unwrap().cursor.unwrap();
    assert_eq!(audit.page(Some(&cursor), 2).unwrap().entries[0].seq, 13);
    let parts: Vec<&str> = cursor.split('.').collect();
    let [number, offset, check] = parts[..] else {
        panic!("{cursor}")
    };
    let offset: u64 = offset.parse().unwrap();
    let mut forged: Vec<String> = (0..offset)
        .map(|offset| format!("{number}.{offset}.{check}"))
        .collect();
    forged.push(format!("1.{offset}.{check}"));
    forged.push(format!("{number}.{offset}"));
    forged.push(format!("{number}.{offset}."));
    forged.push(format!("{number}.{offset}.{check}A"));
    forged.push(String::new());
    for cursor in forged {
        let refused = audit.page(Some(&cursor), 2).err();
        assert!(
            matches!(refused, Some(Error::Invalid(_))),
            "{cursor}: {refused:?}"
        );
    }
}

/// Goal: a closed trail takes no entry more. Method: stop it as a lock does, append.
#[test]
fn a3_a_trail_that_is_closed_takes_no_entry() {
    let (directory, keys, last) = three_segments();
    let (audit, _) = open(&keys, directory.path(), last);
    append(&audit, 1);
    audit.stop();
    assert_eq!(audit.append(Entry::default()), Err(Error::Locked));
    drop(audit);
    let (audit, _) = open(&keys, directory.path(), last);
    assert_eq!(audit.last_seq(), 16);
}

/// Goal: an entry longer than the limit is refused and leaves nothing behind. Method: one too long,
/// then a good one.
#[test]
fn a1_an_entry_that_is_too_long_is_refused_and_leaves_nothing() {
    let (directory, keys, last) = three_segments();
    let (audit, _) = open(&keys, directory.path(), last);
    let reason = "x".repeat(limits::AUDIT_ENTRY_BYTES_MAX);
    let long = Entry {
        reason: Some(reason.as_str()),
        ..Entry::default()
    };
    assert!(matches!(
        audit.append(long),
        Err(Error::AuditUnavailable(_))
    ));
    append(&audit, 1);
    let found = audit.verify(last.seq, &last.hash).unwrap();
    assert_eq!((found.problems, found.last_seq), (vec![], 16));
}

/// Goal: entries of the grouped mode are durable a little later without anybody asking. Method:
/// append some, and more than fill a group; wait for the syncer's word, not for a time.
#[test]
fn a2_entries_become_durable_by_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let keys = keyring();
    let place = Some(directory.path().into());
    let (audit, _) = Audit::open(keys, place, AuditMode::Grouped, Head::default()).unwrap();
    for count in [100, 3 * limits::AUDIT_GROUP_ENTRIES_MAX + 1] {
        append(&audit, count);
        while audit.durable_head().0 < audit.last_seq() {
            std::thread::yield_now();
        }
    }
    let head = audit.shared.lock().head();
    assert_eq!(audit.durable_head(), (head.seq, head.hash));
}

fn on_segment<T>(audit: &Audit, act: impl FnOnce(&mut Segment) -> T) -> T {
    match &mut audit.shared.lock().sink {
        Sink::Files { segment, .. } => act(segment),
        Sink::Memory(_) => panic!("no files"),
    }
}

/// Goal: a sync that fails is not taken for one that succeeded, and the trail goes on in a new
/// segment as soon as one can be made. Method: break the disk under an open segment, let the syncer
/// find out, stand in the way of the next segment, get out of the way.
#[test]
fn a2_after_a_failed_sync_the_trail_goes_on_and_nothing_lost_counts_as_durable() {
    let directory = tempfile::tempdir().unwrap();
    let keys = keyring();
    let place = Some(directory.path().into());
    let (audit, _) = Audit::open(
        Arc::clone(&keys),
        place,
        AuditMode::Grouped,
        Head::default(),
    )
    .unwrap();
    append(&audit, 3);
    while audit.durable_head().0 < 3 {
        std::thread::yield_now();
    }
    let durable = audit.durable_head();
    on_segment(&audit, Segment::break_disk);
    append(&audit, 2);
    while !on_segment(&audit, |segment| segment.is_full()) {
        std::thread::yield_now();
    }
    assert_eq!(audit.durable_head(), durable);
    let in_the_way = segment(directory.path(), 2);
    std::fs::create_dir(&in_the_way).unwrap();
    for _ in 0..3 {
        let refused = audit.append(Entry::default());
        assert!(
            matches!(refused, Err(Error::AuditUnavailable(_))),
            "{refused:?}"
        );
    }
    assert_eq!((audit.last_seq(), audit.durable_head()), (5, durable));
    std::fs::remove_dir(&in_the_way).unwrap();
    append(&audit, 1);
    while audit.durable_head().0 < 6 {
        std::thread::yield_now();
    }
    let (seq, hash) = audit.durable_head();
    drop(audit);
    let (audit, fault) = open(&keys, directory.path(), Head { seq, hash });
    assert_eq!((fault, audit.last_seq()), (None, 6));
    // The two that the disk lost are missed.
    let problems = audit.verify(seq, &hash).unwrap().problems;
    assert!(
        problems[0].starts_with("segment 2 begins behind entry 5"),
        "{problems:?}"
    );
}

/// Goal: in strict mode an entry whose sync failed refuses its operation, and the next one does
/// not. Method: break the disk, append twice.
#[test]
fn a2_a_strict_entry_is_refused_while_its_sync_fails_and_the_next_is_taken() {
    let (directory, keys, last) = three_segments();
    let (audit, _) = open(&keys, directory.path(), last);
    append(&audit, 1);
    let durable = audit.durable_head();
    on_segment(&audit, Segment::break_disk);
    let refused = audit.append(Entry::default());
    assert!(
        matches!(refused, Err(Error::AuditUnavailable(_))),
        "{refused:?}"
    );
    assert_eq!(audit.durable_head(), durable);
    append(&audit, 1);
    assert_eq!(audit.durable_head().0, 18);
}

/// Goal: what a try to begin a segment left behind is not in the way for ever. Method: leave parts
/// of a head, then something else.
#[test]
fn a2_a_segment_whose_beginning_failed_is_begun_again() {
    let (directory, keys, last) = three_segments();
    let (audit, _) = open(&keys, directory.path(), last);
    for (number, length) in [(4, 0), (5, 30), (6, 72)] {
        fill(&audit);
        std::fs::write(segment(directory.path(), number), vec![0; length]).unwrap();
        append(&audit, 1);
    }
    fill(&audit);
    std::fs::write(segment(directory.path(), 7), vec![0; 73]).unwrap();
    let refused = audit.append(Entry::default());
    assert!(
        matches!(refused, Err(Error::AuditUnavailable(_))),
        "{refused:?}"
    );
}
