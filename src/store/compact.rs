//! Compaction: everything copied in the order of its keys into a new file, which takes the old
//! one's place under it.
//!
//! ```text
//! vault.redb.partial   made, filled, closed, synced
//!                      opened as a vault's file is: locked, checked whole
//!                      compared with the old one, entry by entry
//! vault.redb           is its name from here on; the directory is synced
//!                      the store has it; the old one is closed once nobody reads it
//! ```
//! The new file is locked before it has the name, and the old one until the store has the new one:
//! no other process finds a vault that nobody has. Whoever opened the old one by its name, and got
//! the lock when it was let go, sees that it has no name any more ([`Store::open`]).
//!
//! A read that began on the old file and lasts a second longer ends with an error.
//!
//! It promises: D5 under the vault's name there is the old file or the new one, whole, with the
//! same entries, at any moment and whatever a power cut leaves of it; a failure leaves the old one,
//! in use as before, and no partial one; nothing that is written to the new one counts before its
//! name is durable (`name`).
//! It never: goes on where a second name of the file would be left with the old one.

use std::path::{Path, PathBuf};

use redb::TableHandle;

use super::copy::tables;
use super::medium::{Medium, take_away};
use super::seat::Place;
use super::view::{Table, storage};
use super::{Progress, Read, Store};
use crate::error::{Error, Result};
use crate::limits;

/// The file that is to take this one's place.
fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Takes away what a compaction of this file, cut short, left. To be called by who has the file.
///
/// # Errors
/// [`Error::Storage`].
pub fn clear_partial(medium: &dyn Medium, path: &Path) -> Result<()> {
    let partial = partial_of(path);
    match medium.has(&partial) {
        false => Ok(()),
        true => medium
            .remove(&partial)
            .map_err(|error| trouble("remove", &partial, &error)),
    }
}

impl Store {
    /// Puts a file with the same entries and no room to spare in the place of the file at `path`,
    /// which this store has. Nobody may write meanwhile; who reads reads on. `check` is given the
    /// new one before it takes its place. Each entry is counted twice by `progress`.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the file has a second name; [`Error::TooNew`] where it holds a
    /// table that is not known here; [`Error::Damaged`]; [`Error::Storage`]; what `progress` and
    /// `check` answer. Nothing has changed then, but where the new file has its name and that is
    /// not durable yet: no commit counts before it is.
    pub fn compact(
        &self,
        medium: &dyn Medium,
        path: &Path,
        progress: &mut Progress<'_>,
        check: &mut dyn FnMut(&Read) -> Result<()>,
    ) -> Result<()> {
        self.may_be_replaced(medium, path)?;
        clear_partial(medium, path)?;
        let partial = partial_of(path);
        let old = self.read()?;
        let entries = old.copy_to(medium, &partial, &mut |done, total| {
            leave_room(medium, path)?;
            progress(done, total.saturating_mul(2))
        })?;
        let mut finish = || -> Result<Self> {
            let new = Self::open(medium, &partial)?;
            let view = new.read()?;
            compare(&old, &view, &mut |done| {
                progress(entries + done, entries.saturating_mul(2))
            })?;
            check(&view)?;
            rename(medium, &partial, path)?;
            Ok(new)
        };
        let new = finish().inspect_err(|_| take_away(medium, &partial))?;
        drop(old);
        self.have(&new);
        // From here on `new` is the store of the old file.
        let durable = self.settle_name();
        new.seat.read().expect("no holder panics").drained();
        if let Err(error) = new.close() {
            // Nobody needs it any more.
            tracing::debug!(%error, "the old file did not close well");
        }
        durable.map_err(|error| trouble("sync the directory of", path, &error))
    }

    /// Refuses where the file is not to be replaced.
    fn may_be_replaced(&self, medium: &dyn Medium, path: &Path) -> Result<()> {
        // A disk that refuses writes says so, and so does one that failed before.
        drop(self.write()?);
        let names = medium.names_of(path);
        let names = names.map_err(|error| trouble("look at", path, &error))?;
        if names != 1 {
            return Err(Error::Conflict(format!(
                "{} has {names} names (hard links); the others would be left with the old file, a \
                 second vault: remove them",
                path.display()
            )));
        }
        let read = self.read()?;
        let known: Vec<String> = tables().map(|table| table.name().to_owned()).collect();
        let mut all = read.transaction().list_tables().map_err(storage)?;
        match all.find(|table| !known.iter().any(|known| known == table.name())) {
            None => Ok(()),
            Some(table) => Err(Error::TooNew(format!(
                "the vault's file holds a table `{}` that is not known here",
                table.name()
            ))),
        }
    }

    /// Takes over what another store has, which has from then on what this one had.
    fn have(&self, other: &Self) {
        let mut ours = self.seat.write().expect("no holder panics");
        let mut theirs = other.seat.write().expect("no holder panics");
        if let Place::Disk { name, .. } = &theirs.place {
            name.changed();
        }
        std::mem::swap(&mut *ours, &mut *theirs);
    }

    fn settle_name(&self) -> std::io::Result<()> {
        let seat = self.seat.read().expect("no holder panics");
        match &seat.place {
            Place::Disk { name, .. } => name.settle(),
            Place::Memory => Ok(()),
        }
    }
}

/// Gives the new file the old one's name. An error after which the old one has none is no failure.
fn rename(medium: &dyn Medium, partial: &Path, path: &Path) -> Result<()> {
    let old = medium.open(path, false);
    let old = old.map_err(|error| trouble("look at", path, &error))?;
    match medium.replace(partial, path) {
        Err(error) if old.is_named().unwrap_or(true) => Err(trouble("replace", path, &error)),
        _ => Ok(()),
    }
}

/// Refuses to fill the disk: what is left is for the trail, which nothing is done without.
fn leave_room(medium: &dyn Medium, path: &Path) -> Result<()> {
    let room = medium.room(path.parent().unwrap_or(path));
    match room.filter(|room| *room < limits::COMPACT_ROOM_LEFT_BYTES_MIN) {
        None => Ok(()),
        Some(room) => Err(Error::Storage(format!(
            "there is no room for a compacted file beside the old one: {room} bytes are left on \
             the disk, and {} are left alone",
            limits::COMPACT_ROOM_LEFT_BYTES_MIN
        ))),
    }
}

/// Refuses a copy that has not exactly the entries of its original.
fn compare(old: &Read, new: &Read, tick: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
    let mut done = 0;
    for definition in tables() {
        let (old, new) = (old.table(definition)?, new.table(definition)?);
        let mut old = entries(old.as_ref())?;
        let mut new = entries(new.as_ref())?;
        loop {
            let (old, new) = (old.next().transpose(), new.next().transpose());
            let is_same = match (old.map_err(storage)?, new.map_err(storage)?) {
                (None, None) => break,
                (Some((key, value)), Some((other, copied))) => {
                    (key.value(), value.value()) == (other.value(), copied.value())
                }
                _ => false,
            };
            if !is_same {
                return Err(Error::Damaged(format!(
                    "the compacted file is not what was read: its table `{}` differs",
                    definition.name()
                )));
            }
            done += 1;
            if done % limits::LEDGER_TELL_EVERY == 0 {
                tick(done)?;
            }
        }
    }
    tick(done)
}

type Entry = (
    redb::AccessGuard<'static, &'static [u8]>,
    redb::AccessGuard<'static, &'static [u8]>,
);

fn entries(
    table: Option<&Table>,
) -> Result<impl Iterator<Item = std::result::Result<Entry, redb::StorageError>>> {
    let range = table.map(|table| table.range::<&[u8]>(..)).transpose();
    Ok(range.map_err(storage)?.into_iter().flatten())
}

fn trouble(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Storage(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
