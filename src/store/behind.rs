//! A file that is read before it is checked whole, and the check that comes behind.
//!
//! ```text
//! open_unchecked   the file is opened and locked as always; redb sees it through a layer in
//!                  memory (`disk`), and takes its pages on trust
//! check            the same file is opened beside it, without a layer, and checked whole
//! take             what was checked comes in the place of what was not, once nobody reads that
//! ```
//! redb verifies a page's checksum when it checks a file and at no other time. On a damaged page a
//! read finds nothing, finds what is not there, or panics. What is found was sealed by us, or it
//! does not open; that nothing is found says nothing.
//!
//! It promises: D6 a store that is not checked takes no write, and what redb writes by itself never
//! reaches the file; a read of it that panics, or goes round in a circle, ends with an error, and a
//! panic of who reads goes on; a check that is told to stop ends with the page it is at; what was
//! checked is put in place before anybody writes.
//! It never: calls a file sound that redb did not check.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use redb::ReadableDatabase;

use super::disk::Disk;
use super::medium::Medium;
use super::name::Name;
use super::seat::{Open, Place, Seat};
use super::view::{Visit, storage};
use super::{Read, Scan, Store, open_disk, unchecking_builder};
use crate::error::{Error, Result};

const GOES_ON: u8 = 0;
const STOPPED: u8 = 1;
const OVER: u8 = 2;

/// A check as it is watched, and told to stop.
#[derive(Debug, Default)]
pub struct Watch {
    state: AtomicU8,
    /// Bytes that were read, and bytes of the file.
    read: AtomicU64,
    length: AtomicU64,
    /// redb has done its part: what is read from here on is the entries.
    is_whole: AtomicBool,
}

impl Watch {
    /// Tells the check to stop. One that is over goes on being.
    pub fn stop(&self) {
        let _ = self.leave(STOPPED);
    }

    /// What was checked is, or is being, put in its place.
    #[cfg(test)]
    pub(crate) fn is_over(&self) -> bool {
        self.state.load(Ordering::Acquire) == OVER
    }

    /// Refuses to go on once it was told to stop.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub fn may_go_on(&self) -> Result<()> {
        match self.state.load(Ordering::Acquire) {
            STOPPED => Err(Error::Locked),
            _ => Ok(()),
        }
    }

    /// How much of the file was read, of how much, in bytes. A page may be read again.
    pub fn progress(&self) -> (u64, u64) {
        let length = self.length.load(Ordering::Relaxed);
        match self.is_whole.load(Ordering::Acquire) {
            true => (length, length),
            false => (self.read.load(Ordering::Relaxed).min(length), length),
        }
    }

    /// Counts what is about to be read of the file.
    pub(super) fn reads(&self, bytes: usize) -> std::io::Result<()> {
        match self.state.load(Ordering::Acquire) {
            GOES_ON if !self.is_whole.load(Ordering::Acquire) => {
                let before = self.read.fetch_add(bytes as u64, Ordering::Relaxed);
                let length = self.length.load(Ordering::Relaxed).max(1);
                let tenths = |read: u64| read.saturating_mul(10) / length;
                let now = tenths(before + bytes as u64);
                if now != tenths(before) && now <= 10 {
                    tracing::info!(percent = now * 10, "the store checks the vault's file");
                }
                Ok(())
            }
            STOPPED => Err(std::io::Error::other("the check was told to stop")),
            _ => Ok(()),
        }
    }

    /// It is over, unless it was told to stop: the two exclude each other.
    fn end(&self) -> Result<()> {
        let left = self.leave(OVER);
        left.map(drop).map_err(|_| Error::Locked)
    }

    fn leave(&self, state: u8) -> std::result::Result<u8, u8> {
        self.state
            .compare_exchange(GOES_ON, state, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// A file that was checked whole and is not in use yet.
pub struct Checked(Seat);

impl Checked {
    /// A view of what it holds.
    ///
    /// # Errors
    /// [`Error::Storage`] where the disk fails.
    pub fn read(&self) -> Result<Read> {
        self.0.read()
    }
}

impl Store {
    /// Opens an existing file without checking it: to be read, until [`Store::check`] has said that
    /// it is sound and [`Store::take`] has put what was checked in its place.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_unchecked(medium: &dyn Medium, path: &Path) -> Result<Self> {
        let looked_at = medium.open(path, false);
        let place = Place::Disk {
            file: medium.store_file(path, false)?,
            name: Name::of(medium, path),
            cache_bytes: medium.cache_bytes(),
        };
        let open = guarded(true, || open_aside(&place))?;
        let store = Self::seated(place, open);
        super::still_named(looked_at, path).map(|()| store)
    }

    /// True until the file was checked whole.
    pub fn is_unchecked(&self) -> bool {
        let seat = self.seat.read().expect("no holder panics");
        seat.open.as_ref().is_some_and(|open| !open.is_checked)
    }

    /// Opens the same file beside this store and checks it whole. Nobody waits for it, and nobody
    /// may write meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is; [`Error::Storage`] where the disk fails; [`Error::Locked`]
    /// where it was told to stop.
    pub fn check(&self, watch: &Arc<Watch>) -> Result<Checked> {
        let place = self.seat.read().expect("no holder panics").place.clone();
        let Place::Disk { file, name, .. } = &place else {
            return Err(Error::invalid("a store in memory has no file to check"));
        };
        let length = file.len();
        let length = length.map_err(|error| Error::Storage(format!("cannot look at it: {error}")));
        watch.length.store(length?, Ordering::Relaxed);
        let disk = Disk::watched(Arc::clone(file), Arc::clone(name), Arc::clone(watch));
        let opened = guarded(true, || open_disk(disk, place.cache_bytes()));
        // Whatever the store makes of a disk that gives it no page more.
        watch.may_go_on()?;
        let opened = opened?;
        watch.is_whole.store(true, Ordering::Release);
        Ok(Checked(Seat::new(place, opened)))
    }

    /// Has what was checked in the place of what was not, from here on for everybody. The check
    /// cannot be told to stop any more.
    ///
    /// # Errors
    /// [`Error::Locked`] where it was told to stop: then nothing has changed.
    pub fn take(&self, checked: Checked, watch: &Watch) -> Result<()> {
        watch.end()?;
        let mut old = checked.0;
        std::mem::swap(&mut *self.seat.write().expect("no holder panics"), &mut old);
        // Whoever reads it on would soon read over what is written.
        old.drained();
        let _ = old.end();
        Ok(())
    }
}

/// The file of a place, seen through a layer and not checked.
fn open_aside(place: &Place) -> Result<Open> {
    let Place::Disk {
        file,
        name,
        cache_bytes,
    } = place
    else {
        return Err(Error::invalid("a store in memory is never unchecked"));
    };
    let disk = Disk::aside(Arc::clone(file), Arc::clone(name));
    let disk = disk.map_err(|error| Error::Storage(format!("cannot read it: {error}")))?;
    let database = unchecking_builder(*cache_bytes)
        .create_with_backend(disk)
        .map_err(super::opening)?;
    Ok(Open {
        database,
        refuses: None,
        is_checked: false,
    })
}

/// Why a store that is not checked takes no write.
pub(super) fn unchecked() -> Error {
    Error::Storage("the vault's file is not checked yet; nothing is written until it is".into())
}

/// Does what redb may panic at where it takes pages on trust.
pub(super) fn guarded<T>(is_unchecked: bool, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !is_unchecked {
        return work();
    }
    // What it panicked at is reported by the panic hook.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::Damaged(
            "the vault's file: the store cannot make sense of a page".into(),
        ))
    })
}

/// Walks through a table that is not checked: `walk` is given a visitor that stands for `visit`.
pub(super) fn walk_guarded(
    visit: &mut Visit<'_>,
    walk: impl FnOnce(&mut Visit<'_>) -> Result<()>,
) -> Result<()> {
    let mut panicked = None;
    let mut last: Option<Vec<u8>> = None;
    let outcome = guarded(true, || {
        walk(&mut |key, value| {
            // A page that leads back to one before it would have no end.
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(Error::Damaged(
                    "the vault's file: keys of a table are not in their order".into(),
                ));
            }
            last = Some(key.to_vec());
            catch_unwind(AssertUnwindSafe(|| visit(key, value))).unwrap_or_else(|panic| {
                panicked = Some(panic);
                Ok(Scan::Stop)
            })
        })
    });
    match panicked {
        Some(panic) => resume_unwind(panic),
        None => outcome,
    }
}

impl Seat {
    /// A view of what is committed now, shared with those who read between the same commits.
    pub(super) fn read(&self) -> Result<Read> {
        let open = self.open.as_ref().ok_or_else(super::closed)?;
        let is_unchecked = !open.is_checked;
        self.shared.get(|| {
            let begin = || open.database.begin_read().map_err(storage);
            let transaction = guarded(is_unchecked, begin)?;
            Ok(Read::new(transaction, self.readers.enter(), is_unchecked))
        })
    }
}

#[cfg(test)]
mod tests;
