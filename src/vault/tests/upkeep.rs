//! Power cuts while a vault is made, backed up, compacted and restored (C4), each by the steps of
//! the program.
//!
//! It promises: at every operation of the making of a vault, of a backup, of a compaction and of a
//! restore, each thing that a cut may leave is opened and read whole, or refused as what was never
//! finished; the vault that is backed up, and the backup that is restored, hold what they held. The
//! same judges see a disk that says it synced and did not.
//! It never: takes a salvage's steps, or those of the anchor and of key files: they are not on this
//! disk; nor two processes at one time, since nothing is locked on it.

use std::path::Path;

use super::super::audit::{self, AuditMode};
use super::super::*;
use super::contents::{Contents, take_inventory};
use super::cut::{backup_holds, contents_in, cut, is_one_of, is_untouched, key, read_whole};
use super::given::{FIRST_SLOT, app_of, clock, key_file, owner, settings};
use super::image::Told;
use crate::error::Error;
use crate::model::app::AppKind;
use crate::model::{Address, AppId};
use crate::seeded::Seeded;
use crate::store::faulty::{Faulty, Lies};

/// Rounds of a restore that fails: each is short.
const FAILED_ROUNDS: u64 = 8;

const DATA: &str = "data";
const BACKUPS: &str = "/backups";
const RESTORED: &str = "restored";

fn make(medium: &Arc<dyn Medium>) -> Result<Vault> {
    let key = key();
    let slots = [(&key, FIRST_SLOT)];
    let site = (medium, Path::new(DATA));
    let made = Vault::make(
        site,
        &slots,
        KdfParams::FLOOR,
        settings(AuditMode::Strict),
        clock(),
    )?;
    Ok(made.0)
}

/// A vault at work on a disk, and what it held after each write: when it was asked for, when it
/// was acknowledged, and the contents since.
struct Work {
    disk: Faulty,
    vault: Vault,
    states: Vec<(usize, usize, Contents)>,
}

impl Work {
    fn new() -> Self {
        let disk = Faulty::default();
        let medium = disk.medium();
        medium.make_directory(Path::new(BACKUPS)).unwrap();
        medium.sync_directory(Path::new("/")).unwrap();
        let vault = make(&medium).unwrap();
        let app = app_of("maps", AppKind::ApiKey);
        vault
            .add_app(&Caller::local(), app, None)
            .unwrap()
            .wait()
            .unwrap();
        let mut work = Self {
            disk,
            vault,
            states: Vec::new(),
        };
        for user in ["ann", "bob", "cay"] {
            work.store(user);
        }
        work
    }

    fn store(&mut self, user: &str) {
        let asked = self.disk.position();
        let new = NewToken::of(
            Address {
                app: AppId::parse("maps").unwrap(),
                owner: owner(user),
                account: None,
                scopes: Scopes::default(),
            },
            NewCredential::ApiKey(Secret::new(format!("key of {user}"))),
        );
        self.vault
            .store_token(&Caller::local(), new)
            .unwrap()
            .wait()
            .unwrap();
        let contents = take_inventory(&self.vault).unwrap().contents;
        self.states.push((asked, self.disk.position(), contents));
    }

    fn latest(&self) -> Contents {
        self.states.last().expect("some were stored").2.clone()
    }

    /// What the vault may hold after a cut before operation `at`.
    fn possible(&self, at: usize) -> Vec<Contents> {
        let least = self.states.partition_point(|state| state.1 <= at);
        let most = self.states.partition_point(|state| state.0 < at);
        let states = &self.states[least.saturating_sub(1)..most.max(1)];
        states.iter().map(|state| state.2.clone()).collect()
    }

    /// The vault itself is not harmed by what is done beside it. It is read in the steps of an
    /// unlock, without its threads, which is quicker.
    fn is_unharmed(&self, left: &Arc<dyn Medium>, at: usize) -> Told<()> {
        let data = Path::new(DATA);
        let read = || -> Result<(Contents, Vec<String>)> {
            let store = Store::open(&**left, &data.join("vault.redb"))?;
            let (keys, ledger, contents) = read_whole(&store)?;
            let trail = Directory::on(left, &data.join("audit"));
            let known = ledger.audit_head();
            let problems = audit::recover(&keys, &trail, known, Some(known))?;
            store.close()?;
            Ok((contents, problems))
        };
        let (found, problems) = read().map_err(|error| format!("the vault: {error}"))?;
        match problems.first() {
            None => is_one_of("the vault", &found, &self.possible(at)),
            Some(problem) => Err(format!("the vault's trail: {problem}")),
        }
    }
}

/// A vault made on a disk that may lie, and cut.
fn making(chance: &mut Seeded, lies: Lies) -> Told<(u64, u64)> {
    making_on(&Faulty::default(), chance, lies)
}

fn making_on(disk: &Faulty, chance: &mut Seeded, lies: Lies) -> Told<(u64, u64)> {
    disk.lie(lies);
    let vault = make(&disk.medium()).unwrap();
    let end = disk.position();
    let wanted = take_inventory(&vault).unwrap().contents;
    vault.close().unwrap();
    cut(disk, (0, end), chance, |left, _| {
        let left = &left.medium();
        if let Some((found, _)) = contents_in(left, DATA)? {
            return is_one_of("the vault", &found, std::slice::from_ref(&wanted)).map(|()| true);
        }
        // What is left is in nobody's way.
        let again = make(left).and_then(|vault| vault.close());
        again.map_err(|error| format!("it is not made again: {error}"))?;
        let found = contents_in(left, DATA)?;
        found
            .map(|_| false)
            .ok_or_else(|| "it is not made again".into())
    })
}

/// Goal: C4 a power cut while a vault is made leaves a whole vault, or what is refused and made
/// again by the same command; never half of one. Method: the program's own steps, its directory's
/// name included, cut at every operation; open, and make again where nothing opens. Once more in a
/// directory that somebody has just made.
#[test]
fn c4_a_making_cut_short_leaves_a_vault_or_what_is_made_again() {
    let mut chance = Seeded::new("C4, making");
    let (there, absent) = making(&mut chance, Lies::None).unwrap_or_else(|what| panic!("{what}"));
    assert!(
        there > 0 && absent > 0,
        "{there} opened, {absent} made anew"
    );
    println!("C4: {there} vaults opened, {absent} were made anew");
    let disk = Faulty::default();
    disk.medium().make_directory(Path::new(DATA)).unwrap();
    making_on(&disk, &mut chance, Lies::None).unwrap_or_else(|what| panic!("{what}"));
}

/// A backup of a vault at work, on a disk that lies about it, and cut.
fn backing_up(chance: &mut Seeded, lies: Lies) -> Told<(u64, u64)> {
    let mut work = Work::new();
    let (wanted, begin) = (work.latest(), work.disk.position());
    work.disk.lie(lies);
    let vault = work.vault.clone();
    let mut users = ["dee", "eve", "fay"].into_iter();
    let made = vault.backup(&Caller::local(), Path::new(BACKUPS), &mut |_, _| {
        // The vault is at work meanwhile.
        users.next().into_iter().for_each(|user| work.store(user));
        Ok(())
    });
    let (made, end) = (made.unwrap(), work.disk.position());
    assert!(users.next().is_none() && work.latest() != wanted);
    vault.close().unwrap();
    cut(&work.disk, (begin, end), chance, |left, at| {
        let left = &left.medium();
        work.is_unharmed(left, at)?;
        let names = left.names(Path::new(BACKUPS)).unwrap();
        let name = made.file.file_name().expect("it has one");
        if names.iter().any(|other| other == name) {
            return backup_holds(left, &made, &wanted).map(|()| true);
        }
        let is_begun = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".partial");
        match names.iter().all(is_begun) {
            true => Ok(false),
            false => Err(format!("something else is there: {names:?}")),
        }
    })
}

/// Goal: C4 whenever the power goes, what has a backup's name opens and is the vault at the epoch
/// in it; a backup that was acknowledged is there; the vault is not harmed. Method: back up while
/// others write, cut at every operation, open both.
#[test]
fn c4_a_backup_cut_short_is_whole_or_has_no_backups_name() {
    let mut chance = Seeded::new("C4, backup, power");
    let cut = backing_up(&mut chance, Lies::None);
    let (there, absent) = cut.unwrap_or_else(|what| panic!("{what}"));
    assert!(there > 0 && absent > 0, "{there} there, {absent} not");
    println!("C4: {there} backups were there, {absent} were not");
}

/// A vault at work that is compacted, on a disk that lies about it, and cut.
fn compacting(chance: &mut Seeded, lies: Lies) -> Told<(u64, u64)> {
    let mut work = Work::new();
    let begin = work.disk.position();
    let file_of = |disk: &Faulty| disk.durable().names["data/vault.redb"];
    let old = file_of(&work.disk);
    work.disk.lie(lies);
    work.vault.start_compaction(&Caller::local()).unwrap();
    // These wait for it.
    work.store("dee");
    let end = work.disk.position();
    work.store("eve");
    let latest = work.vault.latest_compaction(&Caller::local()).unwrap();
    assert_eq!(latest.unwrap().state, CompactionState::Done);
    work.vault.close().unwrap();
    let partial = Path::new("data/vault.redb.partial");
    cut(&work.disk, (begin, end), chance, |left, at| {
        let stands = file_of(left) != old;
        work.is_unharmed(&left.medium(), at)?;
        if left.medium().has(partial) {
            // A server's start takes it away.
            contents_in(&left.medium(), DATA)?.ok_or("the vault is not there")?;
            if left.medium().has(partial) {
                return Err("the partial file stays".into());
            }
        }
        Ok(stands)
    })
}

/// Goal: C4 whenever the power goes, a compaction has left the vault's file as it was, or the new
/// one whole, with every write that was acknowledged, and nothing else that stays. Method: compact
/// while others want to write, cut at every operation, open.
#[test]
fn c4_a_compaction_cut_short_leaves_the_old_file_or_the_new_one() {
    let mut chance = Seeded::new("C4, compaction, power");
    let cut = compacting(&mut chance, Lies::None);
    let (there, absent) = cut.unwrap_or_else(|what| panic!("{what}"));
    assert!(there > 0 && absent > 0, "{there} new, {absent} old");
    println!("C4: {there} new files were there, {absent} old ones");
}

/// A disk with a vault that is closed and its backup, all of it durable; and what both hold.
fn backed_up() -> (Faulty, Backup, Contents) {
    let work = Work::new();
    let me = Caller::local();
    let made = work
        .vault
        .backup(&me, Path::new(BACKUPS), &mut |_, _| Ok(()))
        .unwrap();
    work.vault.close().unwrap();
    let disk = Faulty::holding(work.disk.durable());
    backup_holds(&disk.medium(), &made, &work.latest()).unwrap();
    (disk, made, work.latest())
}

/// A restore on a disk that lies about it, and cut.
fn restoring(chance: &mut Seeded, lies: Lies) -> Told<(u64, u64)> {
    let (disk, made, wanted) = backed_up();
    let before = Faulty::holding(disk.durable());
    disk.lie(lies);
    restore(&disk.medium(), &made.file).unwrap();
    let end = disk.position();
    cut(&disk, (0, end), chance, |left, _| {
        is_untouched(left, &before, "data/")?;
        is_untouched(left, &before, "backups/")?;
        let left = &left.medium();
        let first = contents_in(left, RESTORED)?;
        let stands = first.is_some();
        let found = match first {
            Some(found) => Some(found),
            None => {
                // What is left is in nobody's way.
                let again = restore(left, &made.file);
                again.map_err(|error| format!("it is not restored again: {error}"))?;
                contents_in(left, RESTORED)?
            }
        };
        let (found, paused) = found.ok_or("it is not restored again")?;
        is_one_of("what was restored", &found, std::slice::from_ref(&wanted))?;
        match paused {
            true => Ok(stands),
            false => Err("what was restored refreshes".into()),
        }
    })
}

fn restore(medium: &Arc<dyn Medium>, file: &Path) -> Result<Restored> {
    let to = Path::new(RESTORED);
    Vault::restore_on(medium, file, to, (&key(), clock()), &mut |_, _| Ok(()))
}

/// Goal: C4 whenever the power goes, a restore has left a whole vault that waits with refresh
/// paused, or what is refused and taken over by the next restore; vault and backup are not harmed.
/// Method: cut at every operation; open all three, and restore again where nothing opens.
#[test]
fn c4_a_restore_cut_short_leaves_a_whole_vault_or_what_is_restored_again() {
    let mut chance = Seeded::new("C4, restore, power");
    let cut = restoring(&mut chance, Lies::None);
    let (there, absent) = cut.unwrap_or_else(|what| panic!("{what}"));
    assert!(there > 0 && absent > 0, "{there} there, {absent} not");
    println!("C4: {there} were restored, {absent} were restored again");
}

/// Goal: C4 a restore that fails, and whose power goes while it takes away what it made, leaves no
/// half vault either. Method: a key that does not fit; cut at every operation; nothing may open.
#[test]
fn c4_a_restore_that_failed_before_the_cut_leaves_nothing_that_opens() {
    let mut chance = Seeded::new("C4, failed restore, power");
    let (disk, made, _) = backed_up();
    let to = Path::new(RESTORED);
    let failed = Vault::restore_on(
        &disk.medium(),
        &made.file,
        to,
        (&key_file("another"), clock()),
        &mut |_, _| Ok(()),
    );
    assert_eq!(failed.err(), Some(Error::UnlockFailed));
    assert!(!disk.medium().has(to), "it is left behind");
    for _ in 0..FAILED_ROUNDS {
        let cut = cut(&disk, (0, usize::MAX), &mut chance, |left, _| {
            Ok(contents_in(&left.medium(), RESTORED)?.is_some())
        });
        let (there, absent) = cut.unwrap_or_else(|what| panic!("{what}"));
        assert!(there == 0 && absent > 0, "{there} opened");
    }
}

/// Goal: the harness can see a fault. Method: a disk that says it synced, and did not, the new
/// vault's file, its directory, its directory's own name; a backup's file, its directory; a
/// compacted file, its directory; a restored vault's file, its directory, its directory's own
/// name.
#[test]
fn c4_a_disk_that_lies_about_upkeep_is_caught() {
    type Cut = fn(&mut Seeded, Lies) -> Told<(u64, u64)>;
    let plants: [(Cut, Lies); 10] = [
        (making, Lies::Named("data/vault.redb")),
        (making, Lies::Directory("data")),
        (making, Lies::Directory("")),
        (backing_up, Lies::Named(".partial")),
        (backing_up, Lies::Directory("backups")),
        (compacting, Lies::Named(".partial")),
        (compacting, Lies::Directory("data")),
        (restoring, Lies::Named("restored/vault.redb")),
        (restoring, Lies::Directory("restored")),
        (restoring, Lies::Directory("")),
    ];
    for (number, (cut, lies)) in plants.into_iter().enumerate() {
        let mut chance = Seeded::with("C4, planted", 0x5eed);
        let caught = cut(&mut chance, lies);
        let why = caught.expect_err(&format!("plant {number} was not caught"));
        println!("{lies:?}: {why}");
    }
}
