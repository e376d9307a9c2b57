//! The whole of a vault or backup, looked at: what is damaged, and whose it is.
//!
//! ```text
//! structure   redb's own check of every page
//! header      its shape, the slots, that it is the one last written
//! records     every part of every record authenticates and can be read, and lies where it belongs
//! indexes     every entry leads to its record, every record has its entries
//! ledger      records and entries add up
//! audit       every entry follows the one before, as far as the ledger remembers
//! ```
//!
//! It promises: a vault that passes opens, and each of its records does; what does not pass is
//! named by app and owner where anything still tells them.
//! It never: changes a byte of what it looks at, repairs, or holds more than
//! [`limits::CHECK_PROBLEMS_MAX`] problems.

mod indexes;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::audit::{Directory, Head, verify_directory};
use super::create::unfinished;
use super::index::{Indexer, PART, TokenKey};
use super::ledger::{self, Filled, Ledger};
use super::unlock::{AUDIT, FILE};
use super::{Vault, apps, keys, links};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Header, Keyring, Sealed, Unlocker};
use crate::store::{
    FileSystem, Index, Medium, Progress, Read, Records, Scan, Store, View, is_free,
};

/// One thing that is wrong.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The part it was found in: `structure`, `header`, `ledger`, `audit`, or a table's name.
    pub part: &'static str,
    /// What is wrong, in words.
    pub what: String,
    /// The app it concerns, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The tenant it concerns, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user it concerns, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What a check found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Whether it was unlocked. Without that only the structure can be looked at.
    pub opened: bool,
    /// Number of the last commit.
    pub epoch: Option<u64>,
    /// Entries of each table.
    pub entries: BTreeMap<&'static str, u64>,
    /// Indexes that are not whole yet, in a vault made without them. Nothing is wrong with that: an
    /// unlock goes on to fill them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_filled: Vec<&'static str>,
    /// Entries of the audit trail; nothing for a backup, which holds none.
    pub audit_entries: Option<u64>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// How many more there are than are listed.
    pub more_problems: u64,
}

impl Report {
    /// True where nothing is wrong with what was looked at.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, problem: Problem) {
        if self.problems.len() < limits::CHECK_PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }

    fn found(&mut self, part: &'static str, what: impl Into<String>) {
        self.problem(Problem {
            part,
            what: what.into(),
            ..Problem::default()
        });
    }
}

impl Vault {
    /// Looks at all of an unlocked vault, as it is at this moment. Blocks for as long as it takes
    /// to read everything; others are served meanwhile.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`]; [`Error::Storage`] where the disk cannot be read; what
    /// `progress` answers. Damage is in the report.
    pub fn check(&self, caller: &Caller, progress: &mut Progress<'_>) -> Result<Report> {
        let permit = self
            .gate()
            .permit(caller, Action::Backup, &Target::vault())?;
        let view = self.store().read()?;
        let ledger = Ledger::read(permit.keys(), &view);
        let mut report = examine(permit.keys(), &view, progress)?;
        if let (Ok(ledger), Some(trail)) = (ledger, &self.0.trail) {
            check_audit(&mut report, trail, permit.keys(), ledger.audit_head());
        }
        let count = report.problems.len() as u64 + report.more_problems;
        permit.record(&format!("checked: {count} problems"), None)?;
        Ok(report)
    }

    /// Whether [`Vault::check_at`] can look at `place` now: before anybody types a passphrase.
    ///
    /// # Errors
    /// As [`Vault::check_at`], but for what takes a look at the bytes.
    pub fn can_be_checked(place: &Path) -> Result<()> {
        match find(place).and_then(|(file, _)| is_free(&FileSystem, &file)) {
            Err(Error::Damaged(_)) => Ok(()),
            other => other,
        }
    }

    /// Looks at all of a vault that is not in use (`place` is its data directory) or of a backup
    /// (`place` is a file), and changes nothing. Without an unlocker only the structure is seen.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InUse`]; [`Error::UnlockFailed`];
    /// [`Error::Settings`] where it is nothing to look at; [`Error::TooNew`]; what `progress`
    /// answers. Damage is in the report.
    pub fn check_at(
        place: &Path,
        unlocker: Option<&Unlocker>,
        progress: &mut Progress<'_>,
    ) -> Result<Report> {
        let (file, directory) = find(place)?;
        let mut report = Report::default();
        let store = match Store::open_aside(&FileSystem, &file) {
            Ok(store) => store,
            Err(error @ (Error::Damaged(_) | Error::Storage(_))) => {
                report.found("structure", error.to_string());
                return Ok(report);
            }
            Err(other) => return Err(other),
        };
        let view = store.read()?;
        let keys = match unlock(&view, unlocker, &mut report)? {
            Some(keys) => keys,
            None => {
                structure(&view, &mut report, progress)?;
                return Ok(report);
            }
        };
        let mut report = examine(&keys, &view, progress)?;
        if let (Ok(ledger), Some(directory)) = (Ledger::read(&keys, &view), directory) {
            let trail = Directory::from(&*directory.join(AUDIT));
            check_audit(&mut report, &trail, &keys, ledger.audit_head());
        }
        Ok(report)
    }
}

/// The file to look at, and the data directory where it is a vault's.
fn find(place: &Path) -> Result<(PathBuf, Option<&Path>)> {
    if !place.is_dir() {
        return Ok((place.to_owned(), None));
    }
    FileSystem.check_directory(place)?;
    unfinished::check(&FileSystem, place)?;
    let file = place.join(FILE);
    if file.exists() {
        Ok((file, Some(place)))
    } else {
        Err(Error::NotFound("vault in this directory"))
    }
}

/// The keys, where something was given to open the vault and its header can be read.
fn unlock(
    view: &Read,
    unlocker: Option<&Unlocker>,
    report: &mut Report,
) -> Result<Option<Keyring>> {
    let header = match view.header().and_then(|header| Header::parse(&header)) {
        Ok(header) => header,
        Err(error @ Error::TooNew(_)) => return Err(error),
        Err(error) => {
            report.found("header", error.to_string());
            return Ok(None);
        }
    };
    match unlocker.map(|unlocker| Keyring::unlock(&header, unlocker)) {
        None => Ok(None),
        Some(Ok(keys)) => Ok(Some(keys)),
        Some(Err(Error::Damaged(what))) => {
            report.found("header", what);
            Ok(None)
        }
        Some(Err(other)) => Err(other),
    }
}

/// What can be seen without a key: that each value has the shape of a record, and each key of an
/// index its length.
fn structure(view: &Read, report: &mut Report, progress: &mut Progress<'_>) -> Result<()> {
    let (mut done, total) = (0, view.entries()?);
    for table in Records::COUNTED.into_iter().chain([Records::Meta]) {
        let mut entries = 0;
        let scanned = view.scan_bytes(table, b"", None, &mut |_, value| {
            step(&mut done, total, progress)?;
            entries += 1;
            if Sealed::parse(value).is_err() {
                report.found(table.name(), "a record has not the shape of one");
            }
            Ok(Scan::Go)
        });
        report.entries.insert(table.name(), entries);
        unreadable(scanned, table.name(), report)?;
    }
    for index in Index::ALL {
        let mut entries = 0;
        let scanned = view.scan_index(index, b"", None, &mut |key, _| {
            step(&mut done, total, progress)?;
            entries += 1;
            if key.len() != indexes::key_bytes(index) {
                report.found(index.name(), "a key has a wrong length");
            }
            Ok(Scan::Go)
        });
        report.entries.insert(index.name(), entries);
        unreadable(scanned, index.name(), report)?;
    }
    progress(total, total)
}

fn step(done: &mut u64, total: u64, progress: &mut Progress<'_>) -> Result<()> {
    *done += 1;
    if done.is_multiple_of(limits::CHECK_TELL_EVERY) {
        progress((*done).min(total), total)?;
    }
    Ok(())
}

/// Sorts a scan's end: what the disk or the file's structure is to blame for is a problem, and what
/// `progress` answered ends the check.
fn unreadable(scanned: Result<()>, part: &'static str, report: &mut Report) -> Result<()> {
    match scanned {
        Err(error @ (Error::Damaged(_) | Error::Storage(_))) => {
            report.found(part, format!("it cannot be read to its end: {error}"));
            Ok(())
        }
        other => other,
    }
}

/// Looks at everything one view shows, with the keys.
///
/// # Errors
/// What `progress` answers. Damage is in the report.
pub(super) fn examine(keys: &Keyring, view: &Read, progress: &mut Progress<'_>) -> Result<Report> {
    let entries = view.entries()?;
    let ledger = Ledger::read(keys, view);
    let filled = ledger.map_or(Filled::Not, |ledger| ledger.filled().clone());
    let mut exam = Exam {
        keys,
        view,
        progress,
        report: Report {
            opened: true,
            not_filled: match filled {
                Filled::Whole => Vec::new(),
                _ => Index::LATER.map(Index::name).to_vec(),
            },
            ..Report::default()
        },
        filled,
        done: 0,
        // Each is looked at, and added up.
        total: entries.saturating_mul(2),
        apps: HashMap::new(),
        nameless: BTreeMap::new(),
        missing: BTreeSet::new(),
    };
    exam.records(Records::Apps, Exam::app)?;
    exam.records(Records::Tokens, Exam::token)?;
    exam.records(Records::Keys, Exam::key)?;
    exam.records(Records::Links, Exam::link)?;
    exam.records(Records::Intents, Exam::intent)?;
    exam.records(Records::Meta, Exam::note)?;
    for index in Index::ALL {
        exam.index(index)?;
    }
    exam.name_the_nameless()?;
    exam.ledger()?;
    (exam.progress)(exam.total, exam.total)?;
    Ok(exam.report)
}

/// A check under way.
struct Exam<'a, 'p> {
    keys: &'a Keyring,
    view: &'a Read,
    progress: &'a mut Progress<'p>,
    report: Report,
    done: u64,
    total: u64,
    /// How far the indexes that came later are filled.
    filled: Filled,
    /// The apps that can be read, by their part of a key.
    apps: HashMap<[u8; PART], AppId>,
    /// Tokens that are damaged or gone, and what is wrong with them, until somebody knows whose.
    nameless: BTreeMap<TokenKey, String>,
    /// Tokens that index entries lead to and that are not there.
    missing: BTreeSet<TokenKey>,
}

impl Exam<'_, '_> {
    fn step(&mut self) -> Result<()> {
        step(&mut self.done, self.total, self.progress)
    }

    /// Looks at every record of a table; what `look` finds wrong is a problem of that record.
    fn records(
        &mut self,
        table: Records,
        look: fn(&mut Self, &[u8], &Sealed) -> Result<()>,
    ) -> Result<()> {
        let view = self.view;
        let mut entries = 0;
        let scanned = view.scan_bytes(table, b"", None, &mut |key, value| {
            self.step()?;
            entries += 1;
            let looked = Sealed::parse(value).and_then(|sealed| look(self, key, &sealed));
            if let Err(error) = looked {
                self.blame(table, key, &error);
            }
            Ok(Scan::Go)
        });
        self.report.entries.insert(table.name(), entries);
        unreadable(scanned, table.name(), &mut self.report)
    }

    fn blame(&mut self, table: Records, key: &[u8], error: &Error) {
        let place = TokenKey::try_from(key);
        match (table, place) {
            (Records::Tokens | Records::Intents, Ok(place))
                if self.nameless.len() < limits::CHECK_PROBLEMS_MAX =>
            {
                self.nameless.entry(place).or_insert(error.to_string());
            }
            _ => self.report.found(table.name(), error.to_string()),
        }
    }

    fn app(&mut self, place: &[u8], sealed: &Sealed) -> Result<()> {
        let app = apps::open(self.keys, place, sealed)?.app.id;
        let own = Indexer(self.keys).app(&app);
        if own != place {
            return Err(Error::Damaged(format!(
                "the record of app `{app}` lies where another's belongs"
            )));
        }
        self.apps.insert(own, app);
        Ok(())
    }

    fn key(&mut self, place: &[u8], sealed: &Sealed) -> Result<()> {
        let kept = keys::open(self.keys, place, sealed)?;
        if Indexer(self.keys).access_key(&kept.key.id) == place {
            return Ok(());
        }
        let id = &kept.key.id;
        Err(Error::Damaged(format!(
            "the record of access key {id} lies where another's belongs"
        )))
    }

    fn link(&mut self, place: &[u8], sealed: &Sealed) -> Result<()> {
        links::open_settings(self.keys, place, sealed).map(|_| ())
    }

    /// What the vault keeps about itself. The ledger's numbers are looked at apart.
    fn note(&mut self, place: &[u8], sealed: &Sealed) -> Result<()> {
        self.keys
            .open(Records::Meta.name(), place, sealed, 0)
            .map(|_| ())
    }

    fn ledger(&mut self) -> Result<()> {
        let read = Ledger::read(self.keys, self.view);
        let ledger = match read {
            Ok(ledger) => ledger,
            Err(error) => {
                self.report.found(part_of_ledger(), error.to_string());
                return Ok(());
            }
        };
        self.report.epoch = Some(ledger.epoch);
        let header = self.view.header();
        if let Err(error) = header.and_then(|header| ledger.check_header(&header)) {
            self.report.found("header", error.to_string());
        }
        let (before, total) = (self.done, self.total);
        let mut ended = None;
        let added = ledger.verify_watched(self.keys, self.view, &mut |added| {
            (self.progress)((before + added).min(total), total).inspect_err(|error| {
                ended = Some(error.clone());
            })
        });
        match (ended, added) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => {
                self.report.found(part_of_ledger(), error.to_string());
                Ok(())
            }
            (None, Ok(())) => Ok(()),
        }
    }
}

fn part_of_ledger() -> &'static str {
    str::from_utf8(ledger::KEY).expect("a word")
}

fn check_audit(report: &mut Report, trail: &Directory, keys: &Keyring, remembered: Head) {
    match verify_directory(trail, keys, remembered) {
        Ok(verified) => {
            report.audit_entries = Some(verified.entries);
            for what in verified.problems {
                report.found("audit", what);
            }
        }
        Err(error) => report.found("audit", error.to_string()),
    }
}
