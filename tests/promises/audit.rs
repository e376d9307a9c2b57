//! The audit trail: written before the answer, chained, remembered by the ledger (A1, A3).

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use strongroom::error::Error;
use strongroom::model::access::Caller;
use strongroom::vault::{AuditMode, NewCredential, Settings, Vault};

use crate::support::*;

const HEAD_BYTES: usize = 72;

/// A vault whose ledger remembers its trail almost to the end, closed.
fn with_a_trail() -> Disk {
    let settings = Settings {
        audit: AuditMode::Strict,
        ..Settings::default()
    };
    let (disk, vault) = Disk::create(settings);
    add_apps(&vault);
    put(&vault, "one");
    put(&vault, "two");
    vault.close().unwrap();
    disk
}

fn put(vault: &Vault, key: &str) {
    let key = NewCredential::ApiKey(secret(key));
    store(vault, address("maps", &owner("", "ann")), key);
}

/// Where each frame of the first segment begins, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut at = HEAD_BYTES;
    let mut starts = vec![at];
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        at += length as usize + 8;
        starts.push(at);
    }
    starts
}

/// The problems that verifying a changed trail finds, or that the trail itself tells of, and the
/// outcomes the trail tells. What lies behind the last entry that the ledger knows to be on the
/// disk is kept aside, cut off and told of: a power cut leaves such ends.
fn after(disk: &Disk, bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let disk = disk.copy();
    std::fs::write(disk.segment(), bytes).unwrap();
    let vault = disk.unlocked().unwrap();
    let mut problems = vault.verify_audit(&Caller::local()).unwrap().problems;
    // Where one of the last three was changed, nothing of the page is shown.
    let page = vault.audit(&Caller::local(), None, 3);
    let entries = page.map(|page| page.entries).unwrap_or_default();
    let outcomes: Vec<String> = entries.into_iter().map(|entry| entry.outcome).collect();
    let told = outcomes.iter().filter(|told| told.contains("kept aside"));
    problems.extend(told.cloned());
    (problems, outcomes)
}

/// Goal: an untouched trail verifies, and every entry is numbered. Method: verify, read it all.
#[test]
fn a3_an_untouched_trail_verifies_and_counts_without_a_gap() {
    let disk = with_a_trail();
    let vault = disk.unlocked().unwrap();
    let me = Caller::local();
    let verified = vault.verify_audit(&me).unwrap();
    assert_eq!(verified.problems, [""; 0]);
    assert_eq!(verified.entries, verified.last_seq);
    let mut seqs = Vec::new();
    let mut cursor = None;
    loop {
        let page = vault.audit(&me, cursor.as_deref(), 4).unwrap();
        seqs.extend(page.entries.iter().map(|entry| entry.seq));
        let Some(next) = page.cursor else { break };
        cursor = Some(next);
    }
    let wanted: Vec<u64> = (1..=seqs[0]).rev().collect();
    assert_eq!(seqs, wanted);
    for foreign in ["", "x", "1", "1.1000000", "1.x", "18446744073709551615.72"] {
        let refused = vault.audit(&me, Some(foreign), 4);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{foreign}");
    }
}

/// Goal: a changed byte of any entry shows. Method: flip bytes across every frame, verify.
#[test]
fn a3_a_changed_entry_is_found() {
    let disk = with_a_trail();
    let bytes = std::fs::read(disk.segment()).unwrap();
    let starts = frames(&bytes);
    assert!(starts.len() > 5);
    for pair in starts.windows(2) {
        for at in [pair[0] + 4, pair[0] + 30, pair[1] - 5] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let (problems, _) = after(&disk, &changed);
            assert!(!problems.is_empty(), "byte {at} may be changed");
        }
    }
}

/// Goal: entries cannot be removed, exchanged or doubled. Method: do each in the middle, verify.
#[test]
fn a3_a_removed_exchanged_or_doubled_entry_is_found() {
    let disk = with_a_trail();
    let bytes = std::fs::read(disk.segment()).unwrap();
    let at = frames(&bytes);
    let frame = |number: usize| &bytes[at[number]..at[number + 1]];
    let (before, behind) = (&bytes[..at[2]], &bytes[at[4]..]);
    let cases = [
        ("removed", [before, frame(2), behind].concat()),
        (
            "first removed",
            [&bytes[..HEAD_BYTES], &bytes[at[1]..]].concat(),
        ),
        ("exchanged", [before, frame(3), frame(2), behind].concat()),
        (
            "doubled",
            [before, frame(2), frame(2), frame(3), behind].concat(),
        ),
    ];
    for (what, changed) in cases {
        let (problems, _) = after(&disk, &changed);
        assert!(!problems.is_empty(), "{what} was not noticed");
    }
}

/// Goal: a cut end shows, and goes on showing when the ledger has moved on. Method: cut all but
/// three entries; break a length so that the rest cannot be read; remove the whole file; unlock,
/// write, restart, and look for the entry that tells.
#[test]
fn a3_a_cut_end_is_on_record_for_ever() {
    let disk = with_a_trail();
    let bytes = std::fs::read(disk.segment()).unwrap();
    let at = frames(&bytes);
    let mut broken = bytes.clone();
    broken[at[3]] ^= 1;
    for cut in [Some(bytes[..at[3]].to_vec()), Some(broken), None] {
        let disk = disk.copy();
        match cut {
            Some(bytes) => std::fs::write(disk.segment(), bytes).unwrap(),
            None => std::fs::remove_file(disk.segment()).unwrap(),
        }
        let vault = disk.unlocked().unwrap();
        put(&vault, "three");
        vault.close().unwrap();
        drop(vault);
        let vault = disk.unlocked().unwrap();
        let page = vault.audit(&Caller::local(), None, 100).unwrap();
        let told = page.entries.iter();
        let told = told.filter(|entry| entry.outcome.contains("its end was cut or changed"));
        assert_eq!(told.count(), 1);
    }
}

/// Goal: what was handed out behind the last write cannot be cut off the trail of a vault that was
/// locked or closed in order. Method: a few reads, which write nothing to the store; lock or close;
/// cut their entries off; unlock.
#[test]
fn a3_the_end_that_no_write_followed_cannot_be_cut_after_an_orderly_end() {
    for is_locked in [true, false] {
        let disk = with_a_trail();
        let vault = disk.unlocked().unwrap();
        let before = std::fs::read(disk.segment()).unwrap();
        for _ in 0..3 {
            vault.apps(&Caller::local()).unwrap();
        }
        match is_locked {
            true => vault.lock(&Caller::local()).unwrap(),
            false => vault.close().unwrap(),
        }
        let whole = std::fs::read(disk.segment()).unwrap();
        let ended = disk.copy();
        drop(vault);
        let (problems, outcomes) = after(&ended, &whole);
        assert_eq!(problems, [""; 0]);
        assert!(!outcomes.iter().any(|told| told.contains("cut or changed")));
        let cut = ended.copy();
        std::fs::write(cut.segment(), &before).unwrap();
        let vault = cut.unlocked().unwrap();
        let page = vault.audit(&Caller::local(), None, 10).unwrap();
        let mut told = page.entries.iter();
        let is_told = told.any(|entry| entry.outcome.contains("its end was cut or changed"));
        assert!(is_told, "locked: {is_locked}");
    }
}

/// Goal: what a cut end looked like is kept, and the next one does not take its place. Method:
/// break a length in the middle, unlock, compare the file that was put aside; break it again.
#[test]
fn a3_a_damaged_segment_is_kept_as_it_was_found() {
    let disk = with_a_trail();
    let mut bytes = std::fs::read(disk.segment()).unwrap();
    let at = frames(&bytes);
    bytes[at[3]] ^= 1;
    std::fs::write(disk.segment(), &bytes).unwrap();
    drop(disk.unlocked().unwrap());
    let aside = |extension: &str| {
        let path = disk.segment().with_extension(extension);
        std::fs::read(path).ok()
    };
    assert!(aside("damaged").is_some_and(|kept| kept == bytes));
    assert_eq!(aside("damaged-2"), None);
    let mut again = std::fs::read(disk.segment()).unwrap();
    again.truncate(at[2] + 3);
    std::fs::write(disk.segment(), &again).unwrap();
    drop(disk.unlocked().unwrap());
    assert!(aside("damaged").is_some_and(|kept| kept == bytes));
    assert!(aside("damaged-2").is_some_and(|kept| kept == again));
}

/// Goal: a torn last entry costs that entry and nothing else. Method: cut the last frame short, or
/// append half of one or noise; unlock; the trail verifies and says that an end was cut off.
#[test]
fn a3_a_torn_last_entry_is_cut_off_and_reported() {
    let disk = with_a_trail();
    // Read entries that no commit follows, and a process that ends there: the ledger does not know
    // of them.
    let vault = disk.unlocked().unwrap();
    vault.apps(&Caller::local()).unwrap();
    let killed = disk.copy();
    drop((vault, disk));
    let disk = killed;
    let bytes = std::fs::read(disk.segment()).unwrap();
    let at = frames(&bytes);
    let half = &bytes[at[1]..at[1] + 40];
    let cases = [
        bytes[..bytes.len() - 5].to_vec(),
        bytes[..bytes.len() - 1].to_vec(),
        [bytes.as_slice(), half].concat(),
        [bytes.as_slice(), &[0xff; 9]].concat(),
        [bytes.as_slice(), &[0; 3]].concat(),
    ];
    for (case, torn) in cases.into_iter().enumerate() {
        let (problems, outcomes) = after(&disk, &torn);
        assert_eq!(problems, [""; 0], "case {case}");
        let told = outcomes.iter().any(|one| one.starts_with("a torn end of"));
        assert!(told, "case {case}: {outcomes:?}");
    }
}

/// Goal: noise in the shape of an entry is found. Method: append a whole frame that nobody sealed.
#[test]
fn a3_an_appended_forgery_is_found() {
    let disk = with_a_trail();
    let bytes = std::fs::read(disk.segment()).unwrap();
    let length = 100_u32.to_le_bytes();
    let forged = [bytes.as_slice(), &length, &[7; 100], &length].concat();
    let (problems, _) = after(&disk, &forged);
    assert!(!problems.is_empty());
}

/// Goal: another vault's trail is not taken for one's own. Method: exchange the files.
#[test]
fn a3_the_trail_of_another_vault_is_refused() {
    let (one, other) = (with_a_trail(), with_a_trail());
    std::fs::copy(other.segment(), one.segment()).unwrap();
    assert!(matches!(one.unlocked().err(), Some(Error::Damaged(_))));
}

const CHILD: &str = "STRONGROOM_TEST_FULL_DISK";

/// Goal: no record, no secret. Method: run this binary again under a limit on the length of files
/// (a full disk that binds the superuser too): a fetch that cannot be put on record is refused, a
/// store too; with room again, the trail is whole and the vault as it was.
#[test]
fn a1_what_cannot_be_put_on_record_is_refused() {
    let disk = with_a_trail();
    let length = std::fs::metadata(disk.segment()).unwrap().len();
    // Room for the unlock and a few entries, in blocks of 512 bytes; less than vault.redb has.
    let blocks = length / 512 + 5;
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""
        ))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "audit::a1_on_a_full_disk_nothing_is_handed_out"])
        .env(
            CHILD,
            format!("{} {}", disk.recovery, disk.directory.display()),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.status.success() && said.contains("1 passed"),
        "{said}"
    );
    let length = std::fs::metadata(disk.segment()).unwrap().len();
    assert!(length <= blocks * 1024, "the limit did not bind");
    let vault = disk.unlocked().unwrap();
    let me = Caller::local();
    assert_eq!(vault.verify_audit(&me).unwrap().problems, [""; 0]);
    let handed = fresh(&vault, &ask(&address("maps", &owner("", "ann"))));
    assert!(handed.value.equals(b"two"));
    let page = vault.audit(&me, None, 100).unwrap();
    let outcomes: Vec<&str> = page
        .entries
        .iter()
        .map(|one| one.outcome.as_str())
        .collect();
    let torn = outcomes.iter().any(|one| one.contains("torn"));
    assert!(
        !torn,
        "a failed entry left half of itself behind: {outcomes:?}"
    );
}

/// The half of the test above that runs under the limit. Without it, there is nothing to do.
#[test]
fn a1_on_a_full_disk_nothing_is_handed_out() {
    let Ok(child) = std::env::var(CHILD) else {
        return;
    };
    let (code, directory) = child.split_once(' ').unwrap();
    let clock = strongroom::clock::Clock::test(NOW);
    let vault = Vault::open(&PathBuf::from(directory), Settings::default(), clock).unwrap();
    vault.unlock(&recovery(code), "").unwrap();
    let me = Caller::local();
    let maps = address("maps", &owner("", "ann"));
    let fetch = || vault.fetch(&me, &ask(&maps)).map(|found| said(&found));
    let mut served = 0;
    let refused = loop {
        match fetch() {
            Ok(_) => served += 1,
            Err(error) => break error,
        }
        assert!(served < 1000, "the disk never filled up");
    };
    assert!(served > 0, "not even one entry fitted: {refused}");
    assert!(matches!(refused, Error::AuditUnavailable(_)), "{refused}");
    // A shorter entry may fit where that one did not: the shortest there is fills the rest.
    let is_full = (0..1000).any(|_| vault.keys(&me).is_err());
    assert!(is_full, "the disk never filled up");
    for _ in 0..3 {
        assert!(matches!(fetch(), Err(Error::AuditUnavailable(_))));
    }
    let new = strongroom::vault::NewToken::of(maps, NewCredential::ApiKey(secret("three")));
    let stored = vault.store_token(&me, new).err();
    assert!(
        matches!(stored, Some(Error::AuditUnavailable(_))),
        "{stored:?}"
    );
    let bearer = secret("sr_0000000000000000_x");
    let stranger = vault.authenticate(Some(&bearer), "").err();
    assert!(
        matches!(stranger, Some(Error::AuditUnavailable(_))),
        "{stranger:?}"
    );
    let lock = vault.lock(&me).err();
    assert!(matches!(lock, Some(Error::AuditUnavailable(_))), "{lock:?}");
}

/// Goal: a full disk is not a locked door. Method: what was refused for want of room is allowed
/// when there is some: a segment that cannot be begun, since a directory stands in its place, and
/// then can.
#[test]
fn a1_a_segment_that_is_no_file_refuses_the_unlock() {
    let disk = with_a_trail();
    let bytes = std::fs::read(disk.segment()).unwrap();
    std::fs::remove_file(disk.segment()).unwrap();
    std::fs::create_dir(disk.segment()).unwrap();
    assert!(matches!(
        disk.unlocked().err(),
        Some(Error::AuditUnavailable(_))
    ));
    std::fs::remove_dir(disk.segment()).unwrap();
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(disk.segment())
        .unwrap();
    file.write_all(&bytes).unwrap();
    let vault = disk.unlocked().unwrap();
    assert_eq!(
        vault.verify_audit(&Caller::local()).unwrap().problems,
        [""; 0]
    );
}
