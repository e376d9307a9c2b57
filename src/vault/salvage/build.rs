//! The new vault of a salvage: the records as they were sealed, everything else made anew.
//!
//! It promises: it is opened once more and added up before it is called made.
//! It never: leaves anything behind where a step fails.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::report::{Lost, Salvaged};
use super::sort::Plan;
use super::{SalvageProgress, Wreck};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::limits;
use crate::model::LinkId;
use crate::model::token::Record;
use crate::seal::{Header, Keyring, Sealed};
use crate::store::raw::{Place, Raw};
use crate::store::{FileSystem, Index, Records, Store, file_system};
use crate::vault::audit::{AuditMode, Directory};
use crate::vault::create::unfinished::Maker;
use crate::vault::create::{Made, make_directory, make_files};
use crate::vault::index::{PART, TokenKey};
use crate::vault::ledger::{self, Ledger};
use crate::vault::unlock::{AUDIT, AUDIT_BEFORE, FILE};
use crate::vault::writer::books::Books;
use crate::vault::{Settings, Vault, kept, links};

/// Makes the new vault, and tells what came of it.
pub(super) fn build(
    wreck: &Wreck,
    header: Header,
    keys: Keyring,
    plan: &Plan,
    into: &Path,
    (clock, progress): (Clock, SalvageProgress<'_>),
) -> Result<Salvaged> {
    let files = file_system();
    let mut made = Made::on(&files);
    let mark = make_directory(into, Maker::Salvage, &mut made)?;
    let header = header.to_bytes();
    let store = make_files(into, &header, &mut made)?;
    let keys = Arc::new(keys);
    let mut builder = Builder {
        raw: &wreck.raw,
        keys: &keys,
        store: &store,
        ledger: ledger_of(plan),
        names: Names::default(),
        newest_links: HashMap::new(),
    };
    builder.ledger.set_header(&header);
    builder.records(plan, progress)?;
    let mut report = builder.report(plan);
    builder.finish()?;
    if let Some(directory) = &wreck.directory {
        copy_trail(&directory.join(AUDIT), into, &mut made, &mut report);
    }
    let settings = Settings {
        audit: AuditMode::Strict,
        ..Settings::default()
    };
    let trail = Directory::on(&files, &into.join(AUDIT));
    let vault = Vault::assemble(store, Some(trail), settings, clock.clone());
    let from = plan.ledger.as_ref().map_or(0, |ledger| ledger.epoch);
    let begun = vault.begin_restored(Arc::clone(&keys), from, &report.in_short());
    report.epoch = vault.status().epoch.unwrap_or(0);
    // Closed whatever came before: its files are taken away where it failed.
    let closed = vault.close();
    begun?;
    closed?;
    check(into, &keys, &header)?;
    mark.clear()?;
    made.kept();
    Ok(report)
}

/// The ledger that the records are counted into. Where a newer one may be lost, epoch and versions
/// leap, so that no number is given out twice.
fn ledger_of(plan: &Plan) -> Ledger {
    let leap = if plan.proven { 0 } else { limits::SALVAGE_LEAP };
    let known = plan.ledger.as_ref();
    let epoch = known.map_or(0, |ledger| ledger.epoch);
    let version = known.map_or(0, |ledger| ledger.next_version);
    let version = version.max(plan.highest).saturating_add(leap);
    Ledger::going_on(epoch.saturating_add(leap) + 1, version)
}

struct Builder<'a> {
    raw: &'a Raw,
    keys: &'a Keyring,
    store: &'a Store,
    ledger: Ledger,
    names: Names,
    newest_links: HashMap<Vec<u8>, (Timestamp, LinkId)>,
}

/// What the parts of index keys stand for, learned from the records that came through.
#[derive(Default)]
struct Names {
    apps: HashMap<[u8; PART], String>,
    tenants: HashMap<[u8; PART], String>,
    users: HashMap<[u8; PART], String>,
}

impl Builder<'_> {
    fn records(&mut self, plan: &Plan, progress: SalvageProgress<'_>) -> Result<()> {
        let all = plan.taken.len() as u64;
        let mut done = 0;
        for group in plan.taken.chunks(limits::COMMIT_GROUP_MAX) {
            let write = self.store.write()?;
            let mut ledger = self.ledger.clone();
            let mut books = Books {
                write: &write,
                keys: self.keys,
                ledger: &mut ledger,
            };
            for (table, key, place) in group {
                let sealed = Sealed::parse(&self.raw.read(*place))?;
                books.put(*table, key, &sealed)?;
                match table {
                    Records::Tokens => {
                        let (place, record, due) = kept::open_hot(self.keys, key, &sealed)?;
                        self.names.learn(&place, &record);
                        for (index, key, value) in kept::entries(&place, &record, due) {
                            books.put_entry(index, &key, &value)?;
                        }
                    }
                    Records::Links => {
                        let (keys, at, id) = links::owner_keys(self.keys, key, &sealed)?;
                        for key in keys {
                            let newest = self.newest_links.entry(key).or_insert((at, id));
                            *newest = (*newest).max((at, id));
                        }
                    }
                    Records::Apps | Records::Keys | Records::Intents | Records::Meta => {}
                }
            }
            write.commit()?;
            self.ledger = ledger;
            done += group.len() as u64;
            progress("writing the new vault", done, all);
        }
        Ok(())
    }

    /// The entries of links, and the ledger. The host is written down by the next unlock.
    fn finish(&mut self) -> Result<()> {
        let write = self.store.write()?;
        let mut books = Books {
            write: &write,
            keys: self.keys,
            ledger: &mut self.ledger,
        };
        for (key, (_, id)) in &self.newest_links {
            books.put_entry(Index::LinkOwners, key, id.as_bytes())?;
        }
        let sealed = self.ledger.seal(self.keys)?;
        write.put_record(Records::Meta, ledger::KEY, &sealed)?;
        write.commit()
    }

    fn report(&self, plan: &Plan) -> Salvaged {
        let mut report = Salvaged {
            tables: plan.tables.clone(),
            lost: plan
                .lost
                .iter()
                .take(limits::SALVAGE_LOST_NAMED_MAX)
                .map(|lost| self.names.of(self.raw, self.keys, lost))
                .collect(),
            proven: plan.proven,
            notes: plan.notes.clone(),
            ..Salvaged::default()
        };
        report.judge();
        report.notes.extend(self.sentences(plan));
        report
    }

    fn sentences(&self, plan: &Plan) -> Vec<String> {
        let mut notes = Vec::new();
        if plan.ledger.is_none() {
            notes.push(
                "No ledger can be read, so nothing tells how many records there were.".to_owned(),
            );
        }
        let taken = |table: Records| plan.taken.iter().filter(move |one| one.0 == table);
        let app_of = |key: &[u8]| key.first_chunk::<PART>().copied();
        let apps: Vec<_> = taken(Records::Apps).map(|one| app_of(&one.1)).collect();
        let orphans = taken(Records::Tokens).filter(|one| !apps.contains(&app_of(&one.1)));
        let orphans: std::collections::BTreeSet<String> = orphans
            .filter_map(|one| self.names.apps.get(&app_of(&one.1)?).cloned())
            .collect();
        for app in orphans {
            notes.push(format!(
                "The app `{app}` is lost and its tokens are not: add it again under that name, and \
                 they are of use again."
            ));
        }
        if self.raw.unreadable() > 0 {
            notes.push(format!(
                "The disk refused {} reads; what lies there counts as lost. A copy of the disk, \
                 made by a rescue tool, may bring more.",
                self.raw.unreadable()
            ));
        }
        notes
    }
}

impl Names {
    /// Learns the names of a token.
    fn learn(&mut self, place: &TokenKey, record: &Record) {
        let address = &record.address;
        let part = |n: usize| {
            *place[n * PART..]
                .first_chunk()
                .expect("a key has four parts")
        };
        self.apps.insert(part(0), address.app.to_string());
        if let Some(tenant) = address.owner.tenant() {
            self.tenants.insert(part(1), tenant.to_string());
        }
        if let Some(user) = address.owner.user() {
            self.users.insert(part(2), user.to_string());
        }
    }

    /// Names a lost record as far as it can be.
    fn of(
        &self,
        raw: &Raw,
        keys: &Keyring,
        (table, key, place): &(Records, Vec<u8>, Place),
    ) -> Lost {
        let mut lost = Lost {
            table: table.name(),
            ..Lost::default()
        };
        // Of a token whose cold part alone is damaged the hot part tells everything.
        let hot = Sealed::parse(&raw.read(*place))
            .ok()
            .filter(|_| *table == Records::Tokens)
            .and_then(|sealed| kept::open_hot(keys, key, &sealed).ok());
        if let Some((_, record, _)) = hot {
            lost.app = Some(record.address.app.to_string());
            lost.tenant = record.address.owner.tenant().map(ToString::to_string);
            lost.user = record.address.owner.user().map(ToString::to_string);
            return lost;
        }
        let part = |n: usize| key.get(n * PART..)?.first_chunk::<PART>();
        if matches!(table, Records::Tokens | Records::Intents | Records::Apps) {
            lost.app = part(0).and_then(|part| self.apps.get(part).cloned());
            lost.tenant = part(1).and_then(|part| self.tenants.get(part).cloned());
            lost.user = part(2).and_then(|part| self.users.get(part).cloned());
        }
        lost
    }
}

/// Opens what was made and adds it up.
fn check(into: &Path, keys: &Keyring, header: &[u8]) -> Result<()> {
    let store = Store::open(&FileSystem, &into.join(FILE))?;
    let view = store.read()?;
    let ledger = Ledger::read(keys, &view)?;
    ledger.check_header(header)?;
    ledger.verify(keys, &view)?;
    drop(view);
    store.close()
}

/// Copies what can be read of the old trail, beside the new one. A trail that cannot be copied is
/// told, and does not hold up the rest.
fn copy_trail(from: &Path, into: &Path, made: &mut Made, report: &mut Salvaged) {
    let to = into.join(AUDIT_BEFORE);
    let mut copy = || -> io::Result<Vec<String>> {
        let mut failed = Vec::new();
        for file in std::fs::read_dir(from)? {
            let file = file?;
            if !file.file_type()?.is_file() {
                continue;
            }
            if !to.exists() {
                std::fs::DirBuilder::new().mode(0o700).create(&to)?;
                made.push(to.clone());
            }
            match copy_file(&file.path(), &to.join(file.file_name())) {
                Ok(()) => report.trail_files += 1,
                Err(error) => failed.push(format!(
                    "{} of the old audit trail cannot be copied: {error}.",
                    file.file_name().display()
                )),
            }
        }
        if to.exists() {
            File::open(&to)?.sync_all()?;
        }
        Ok(failed)
    };
    match copy() {
        Ok(failed) => report.notes.extend(failed),
        Err(error) => report
            .notes
            .push(format!("The old audit trail cannot be copied: {error}.")),
    }
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let copied = File::open(from).and_then(|mut file| io::copy(&mut file, &mut out));
    match copied.and_then(|_| out.sync_all()) {
        Ok(()) => Ok(()),
        Err(error) => {
            std::fs::remove_file(to)?;
            Err(error)
        }
    }
}
