//! A check finds each kind of damage, names what it can, and changes nothing.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use strongroom::vault::Report;

use crate::backups::{back_up, check, furnished, quiet};
use crate::support::*;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Row = (Vec<u8>, Vec<u8>);

fn rows(disk: &Disk, name: &'static str) -> Vec<Row> {
    let database = Database::open(disk.file()).unwrap();
    let read = database.begin_read().unwrap();
    let table = read.open_table(Table::new(name)).unwrap();
    let entries = table.iter().unwrap().map(|entry| entry.unwrap());
    entries
        .map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
        .collect()
}

fn put(disk: &Disk, name: &'static str, key: &[u8], value: Option<&[u8]>) {
    let database = Database::open(disk.file()).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(Table::new(name)).unwrap();
        match value {
            Some(value) => drop(table.insert(key, value).unwrap()),
            None => drop(table.remove(key).unwrap()),
        }
    }
    write.commit().unwrap();
}

/// What a check says of a damaged copy; the copy is as it was.
fn report_of(disk: &Disk, harm: impl FnOnce(&Disk)) -> Report {
    let disk = disk.copy();
    harm(&disk);
    let files = [disk.file(), disk.segment()];
    let before = files.clone().map(|file| std::fs::read(file).unwrap());
    let report = check(&disk, &disk.directory).unwrap();
    let after = files.map(|file| std::fs::read(file).unwrap());
    assert!(before == after, "the check changed what it looked at");
    report
}

fn parts(report: &Report) -> Vec<&'static str> {
    let mut parts: Vec<_> = report.problems.iter().map(|problem| problem.part).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// A vault that is closed, and found whole.
fn closed() -> Disk {
    let (disk, vault, _home) = furnished();
    let report = vault.check(&strongroom::model::access::Caller::local(), &mut quiet);
    assert!(report.unwrap().is_whole());
    vault.close().unwrap();
    let report = report_of(&disk, |_| {});
    assert!(report.is_whole() && report.opened, "{report:?}");
    assert_eq!(report.entries["tokens"], 3);
    assert_eq!(report.entries["ids"], 3);
    assert!(report.audit_entries.unwrap() > 3);
    disk
}

/// Goal: a token that does not open is named by whose it is. Method: flip a bit of its hot part,
/// of its cold part, and of its head.
#[test]
fn a_flipped_bit_in_a_record_is_told_with_app_and_owner() {
    let disk = closed();
    let (key, value) = rows(&disk, "tokens").swap_remove(1);
    for at in [0, 5, 60, value.len() - 3] {
        let mut flipped = value.clone();
        flipped[at] ^= 1;
        let report = report_of(&disk, |disk| put(disk, "tokens", &key, Some(&flipped)));
        let told: Vec<_> = report
            .problems
            .iter()
            .filter(|problem| problem.part == "tokens")
            .collect();
        let [problem] = told.as_slice() else {
            panic!("at byte {at}: {report:?}")
        };
        assert_eq!(problem.app.as_deref(), Some("mail"));
        assert_eq!(problem.tenant.as_deref(), Some("acme"), "at byte {at}");
    }
}

/// Goal: what is gone and what is too much is told. Method: remove, double and overwrite records of
/// each table that holds some.
#[test]
fn a_record_that_is_missing_or_extra_is_told() {
    let disk = closed();
    for name in ["tokens", "apps", "keys"] {
        let rows = rows(&disk, name);
        let (key, value) = &rows[0];
        let gone = report_of(&disk, |disk| put(disk, name, key, None));
        assert!(parts(&gone).contains(&"ledger"), "{name}: {gone:?}");
        let mut free = key.clone();
        free[0] ^= 1;
        let extra = report_of(&disk, |disk| put(disk, name, &free, Some(value)));
        assert!(parts(&extra).contains(&"ledger"), "{name}: {extra:?}");
        // Bound to its key, a record opens nowhere else.
        assert!(parts(&extra).contains(&name), "{name}: {extra:?}");
    }
    let (key, _) = rows(&disk, "tokens").swap_remove(0);
    let gone = report_of(&disk, |disk| put(disk, "tokens", &key, None));
    let missing = gone
        .problems
        .iter()
        .find(|problem| problem.what.starts_with("a token is missing"));
    let missing = missing.unwrap_or_else(|| panic!("{gone:?}"));
    assert_eq!(missing.app.as_deref(), Some("mail"));
    assert_eq!(missing.tenant.as_deref(), Some("acme"));
}

/// Goal: indexes and records agree, both ways. Method: remove each kind of entry, add one that
/// leads nowhere, lead one to another token.
#[test]
fn a_broken_index_is_told() {
    let disk = closed();
    for (name, said) in [
        ("owners", "has no entry among its owner's"),
        ("ids", "is not found by its id"),
        ("due", "would never be found due"),
    ] {
        let (key, value) = rows(&disk, name).swap_remove(0);
        let report = report_of(&disk, |disk| put(disk, name, &key, None));
        let found = report
            .problems
            .iter()
            .any(|problem| problem.what.contains(said));
        assert!(found, "{name}: {report:?}");
        let mut free = key.clone();
        free[0] ^= 1;
        let report = report_of(&disk, |disk| put(disk, name, &free, Some(&value)));
        let lost = report
            .problems
            .iter()
            .any(|problem| problem.part == name || problem.what.contains("missing"));
        assert!(lost, "{name}: {report:?}");
        let report = report_of(&disk, |disk| put(disk, name, &key[1..], Some(&value)));
        assert!(parts(&report).contains(&name), "{name}: {report:?}");
    }
    let ids = rows(&disk, "ids");
    let report = report_of(&disk, |disk| put(disk, "ids", &ids[0].0, Some(&ids[1].1)));
    let what = "an id leads to another token";
    assert!(
        report.problems.iter().any(|problem| problem.what == what),
        "{report:?}"
    );
}

/// Goal: a trail that was cut or changed is told, and an old header. Method: cut the newest
/// segment, flip a bit in it, remove it; an emptied header.
#[test]
fn a_cut_trail_and_a_changed_header_are_told() {
    let disk = closed();
    let trail = std::fs::read(disk.segment()).unwrap();
    let half = &trail[..trail.len() / 2];
    let mut flipped = trail.clone();
    flipped[trail.len() / 2] ^= 1;
    for bytes in [half, &flipped] {
        let report = report_of(&disk, |disk| std::fs::write(disk.segment(), bytes).unwrap());
        assert_eq!(parts(&report), ["audit"]);
    }
    let (key, mut header) = rows(&disk, "header").swap_remove(0);
    let last = header.len() - 1;
    header[last] ^= 1;
    let damaged = disk.copy();
    put(&damaged, "header", &key, Some(&header));
    // What opens it does not any more, or it is told: never "whole".
    let looked = check(&damaged, &damaged.directory);
    assert!(looked.is_err() || !looked.unwrap().is_whole());
}

/// Goal: bytes changed under redb are told, whatever they were. Method: flip one bit in each of the
/// first pages; whole only where every record still opens.
#[test]
fn a_flip_below_the_store_is_never_called_whole_where_a_record_is_lost() {
    let (disk, vault, home) = furnished();
    let made = back_up(&vault, home.path()).unwrap();
    let whole = std::fs::read(&made.file).unwrap();
    let baseline = check(&disk, &made.file).unwrap();
    let file = home.path().join("flipped");
    let mut damaged = 0;
    for at in (0..whole.len()).step_by(509) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file, &bytes).unwrap();
        match check(&disk, &file) {
            Ok(report) if report.is_whole() => {
                assert_eq!(report.entries, baseline.entries, "at byte {at}");
            }
            _ => damaged += 1,
        }
        assert!(
            std::fs::read(&file).unwrap() == bytes,
            "the check wrote to it"
        );
    }
    assert!(damaged > 5, "{damaged}");
}
