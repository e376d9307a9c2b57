//! Power cuts at every operation of a log, and judges of what they leave.
//!
//! It promises: a vault is opened as a server does it, and read whole, its trail too; a backup is
//! opened as a restore does it; what panics is told like any other fault.
//! It never: knows what was done to the disk; that is for who knows what should be there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::super::audit::AuditMode;
use super::super::ledger::Ledger;
use super::super::*;
use super::contents::{Contents, difference, inventory_of, take_inventory};
use super::given::{FIRST_SLOT, clock, key_file, settings};
use super::image::Told;
use crate::error::Error;
use crate::seal::{Header, Keyring};
use crate::seeded::Seeded;
use crate::store::faulty::{Faulty, Op, Tree};

/// Images of each moment.
const OF_ONE_MOMENT: u64 = 4;
/// How many times as many before the sync of a directory: names come and go each by itself.
const AT_SYNCS: u64 = 12;

/// Cuts the power at every operation from `begin` on, and has what is left judged: whether that
/// which was made stands there. How often it did comes back, and how often not.
pub(super) fn cut(
    disk: &Faulty,
    (begin, end): (usize, usize),
    chance: &mut Seeded,
    judge: impl Fn(&Faulty, usize) -> Told<bool>,
) -> Told<(u64, u64)> {
    let mut replay = disk.replay();
    let images = chance.runs(OF_ONE_MOMENT);
    let (mut there, mut absent) = (0, 0);
    loop {
        let images = match replay.next() {
            _ if replay.at() < begin => 0,
            // Most names wait for a sync just before one; everything was acknowledged at the end.
            Some(Op::SyncDirectory(_)) | None => AT_SYNCS * images,
            Some(_) => images,
        };
        for _ in 0..images {
            let left = Faulty::holding(replay.image(chance.rng()));
            let judged = catch_unwind(AssertUnwindSafe(|| judge(&left, replay.at())));
            let judged = judged.unwrap_or_else(|_| Err("it panics".into()));
            let judged = judged.and_then(|stands| match stands || replay.at() < end {
                true => Ok(stands),
                false => Err("it was acknowledged, and is not there".into()),
            });
            let stands = judged.map_err(|what| {
                let at = format!("operation {} ({:?})", replay.at(), replay.next());
                format!("{what}: {}", chance.at(&at))
            })?;
            there += u64::from(stands);
            absent += u64::from(!stands);
        }
        if !replay.advance() {
            return Ok((there, absent));
        }
    }
}

/// What opens every vault here.
pub(super) fn key() -> Unlocker {
    key_file(FIRST_SLOT)
}

/// Whether a vault stands in a directory. It is opened as a server does it, and read whole, its
/// trail too; `None` where it is not there, or was never finished.
pub(super) fn contents_in(
    medium: &Arc<dyn Medium>,
    directory: &str,
) -> Told<Option<(Contents, bool)>> {
    let settings = settings(AuditMode::Strict);
    let vault = match Vault::open_on(medium, Path::new(directory), settings, clock()) {
        Ok(vault) => vault,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(Error::Settings(why)) if why.contains("never finished") => return Ok(None),
        Err(error) => return Err(format!("{directory} does not open: {error}")),
    };
    let read = || -> Result<(Contents, Vec<String>)> {
        vault.unlock(&key(), "test")?;
        let contents = take_inventory(&vault)?.contents;
        let verified = vault.verify_audit(&Caller::local())?;
        Ok((contents, verified.problems))
    };
    let (contents, problems) = read().map_err(|error| format!("{directory}: {error}"))?;
    if !problems.is_empty() {
        return Err(format!("{directory}, its trail: {}", problems.join("; ")));
    }
    let paused = vault.is_refresh_paused();
    vault
        .close()
        .map_err(|error| format!("{directory}: {error}"))?;
    Ok(Some((contents, paused)))
}

/// Refuses contents that are none of `wanted`.
pub(super) fn is_one_of(what: &str, found: &Contents, wanted: &[Contents]) -> Told<()> {
    match wanted.contains(found) {
        true => Ok(()),
        false => Err(format!("{what}: {}", difference(found, &wanted[0]))),
    }
}

/// What a store holds: it opens, its header is the one last written, and it adds up.
pub(super) fn read_whole(store: &Store) -> Result<(Keyring, Ledger, Contents)> {
    let header = store.header()?;
    let keys = Keyring::unlock(&Header::parse(&header)?, &key())?;
    let view = store.read()?;
    let ledger = Ledger::read(&keys, &view)?;
    ledger.check_header(&header)?;
    ledger.verify(&keys, &view)?;
    let contents = inventory_of(&keys, store)?.contents;
    Ok((keys, ledger, contents))
}

/// Opens what has a backup's name and reads it whole.
pub(super) fn backup_holds(medium: &Arc<dyn Medium>, made: &Backup, wanted: &Contents) -> Told<()> {
    let read = Store::open_aside(&**medium, &made.file).and_then(|store| read_whole(&store));
    let (_, ledger, contents) = read.map_err(|error| format!("the backup: {error}"))?;
    if ledger.epoch != made.epoch {
        return Err(format!(
            "the backup is of epoch {}, not {}",
            ledger.epoch, made.epoch
        ));
    }
    is_one_of("the backup", &contents, std::slice::from_ref(wanted))
}

/// Refuses a disk on which anything in `directory` is not as it was.
pub(super) fn is_untouched(left: &Faulty, before: &Faulty, directory: &str) -> Told<()> {
    let (left, before) = (left.durable(), before.durable());
    let inside = |tree: &Tree| -> Vec<(String, Arc<Vec<u8>>)> {
        let names = tree.names.iter();
        let names = names.filter(|(name, _)| name.starts_with(directory));
        names
            .map(|(name, file)| (name.clone(), Arc::clone(&tree.files[file])))
            .collect()
    };
    match inside(&left) == inside(&before) {
        true => Ok(()),
        false => Err(format!("{directory} was touched")),
    }
}
