//! A damaged file, read without redb, which opens nothing that is not whole.
//!
//! redb's file is pages of 4096 bytes. A pair of key and value lies in a leaf, which begins on a
//! page and may run over several (numbers are little-endian, ends count from the leaf's start):
//!
//! ```text
//! leaf := 1:u8 0:u8 n:u16 (key end:u32)*n (value end:u32)*n key*n value*n
//! ```
//! What a commit no longer needs stays in the file until its pages are used again, so a scan finds
//! older values and removed ones too; [`Raw::trees`] tells what the last two commits refer to.
//!
//! It promises: the file is opened for reading alone, and not beside a process that has it open;
//! every number read is checked before it is used; one pass over the file, and memory for one leaf.
//! It never: believes a checksum or an order. What is genuine is the keyring's to say.

mod tree;

use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

pub use self::tree::{Table, Tree};

use crate::error::{Error, Result};
use crate::limits;

const PAGE: usize = 4096;
const LEAF: u8 = 1;
const LEAF_HEAD: usize = 4;

/// A file, read as it is.
pub struct Raw {
    source: Source,
    length: u64,
    /// Pages that the disk did not give.
    unreadable: Cell<u64>,
}

enum Source {
    File(File),
    #[cfg(test)]
    Image(Vec<u8>),
}

/// Where a value lies in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    at: u64,
    bytes: usize,
}

/// A pair that was found.
pub struct Pair {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// Where the value lies.
    pub place: Place,
}

impl Raw {
    /// Opens a file to be read, and to be left as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InUse`] where another process has it open;
    /// [`Error::Settings`] where it is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let settings =
            |what: String| Error::Settings(format!("cannot read {}: {what}", path.display()));
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
            .open(path)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Error::NotFound("vault in this directory"),
                _ => settings(error.to_string()),
            })?;
        let about = file
            .metadata()
            .map_err(|error| settings(error.to_string()))?;
        if !about.is_file() {
            return Err(settings("it is not a regular file".into()));
        }
        // A file that changes while it is read would be read as damaged.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => return Err(Error::InUse),
            // A file system without locks has nobody else's either.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        Ok(Self {
            source: Source::File(file),
            length: about.len(),
            unreadable: Cell::new(0),
        })
    }

    /// An image of a file.
    #[cfg(test)]
    pub(crate) fn of(image: Vec<u8>) -> Self {
        Self {
            length: image.len() as u64,
            source: Source::Image(image),
            unreadable: Cell::new(0),
        }
    }

    /// How long the file is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads that the disk refused so far; what they were to bring counts as zeros.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.get()
    }

    /// The bytes of a place; fewer where the file ends early.
    pub fn read(&self, place: Place) -> Vec<u8> {
        self.window(place.at, place.bytes)
    }

    /// Shows every pair of every leaf, whole or not, in the order of the file; after each stretch
    /// of it `progress` hears how many bytes are done.
    ///
    /// # Errors
    /// The visitor's.
    pub fn scan(
        &self,
        progress: &dyn Fn(u64),
        visit: &mut dyn FnMut(Pair) -> Result<()>,
    ) -> Result<()> {
        for at in (0..self.length).step_by(PAGE) {
            for pair in self.leaf(at).pairs {
                visit(pair)?;
            }
            progress(at);
        }
        progress(self.length);
        Ok(())
    }

    /// What follows each place where `mark` stands, the mark included, at most `bytes` of it; the
    /// first `most` of them.
    pub fn marked(&self, mark: &[u8], bytes: usize, most: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for at in (0..self.length).step_by(limits::SALVAGE_STRETCH_BYTES) {
            // One that begins in this stretch may end in the next.
            let stretch = self.window(at, limits::SALVAGE_STRETCH_BYTES + mark.len() - 1);
            for (offset, _) in stretch
                .windows(mark.len())
                .enumerate()
                .filter(|(_, bytes)| *bytes == mark)
            {
                if found.len() == most {
                    return found;
                }
                found.push(self.window(at + offset as u64, bytes));
            }
        }
        found
    }

    /// Bytes of the file; fewer where it ends early, zeros where the disk refuses.
    fn window(&self, at: u64, bytes: usize) -> Vec<u8> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut out = vec![0; bytes.min(left)];
        match &self.source {
            Source::File(file) => {
                if file.read_exact_at(&mut out, at).is_err() {
                    // Once more by pages, so that one bad sector takes no more than its page.
                    for (number, page) in out.chunks_mut(PAGE).enumerate() {
                        if file
                            .read_exact_at(page, at + (number * PAGE) as u64)
                            .is_err()
                        {
                            page.fill(0);
                            self.unreadable.set(self.unreadable.get() + 1);
                        }
                    }
                }
            }
            #[cfg(test)]
            Source::Image(image) => {
                let start = usize::try_from(at)
                    .expect("an image is small")
                    .min(image.len());
                let length = out.len();
                out.copy_from_slice(&image[start..start + length]);
            }
        }
        out
    }

    /// The pairs of the leaf that begins at `at`, as far as there is one.
    fn leaf(&self, at: u64) -> Leaf {
        let mut page = self.window(at, PAGE);
        let mut best = Leaf::default();
        for count in counts(&page) {
            let ends = ends(&page, count);
            let last = ends.last().copied().unwrap_or(0);
            if (page.len() + 1..=limits::SALVAGE_LEAF_BYTES_MAX).contains(&last) {
                page = self.window(at, last);
            }
            let mut found = Leaf::read(&page, at, &ends);
            found.whole &= page[0] == LEAF && stated(&page) == count;
            if found.whole {
                return found;
            }
            if found.pairs.len() > best.pairs.len() {
                best = found;
            }
        }
        best
    }
}

/// What a leaf holds.
#[derive(Default)]
struct Leaf {
    pairs: Vec<Pair>,
    /// Nothing in it contradicts itself.
    whole: bool,
}

impl Leaf {
    /// Takes each pair whose own ends are sound: one that is not costs its neighbour, no more.
    fn read(page: &[u8], at: u64, ends: &[usize]) -> Self {
        let (key_ends, value_ends) = ends.split_at(ends.len() / 2);
        let first_key = LEAF_HEAD + 4 * ends.len();
        let first_value = key_ends.last().copied().unwrap_or(0);
        let starts = |first: usize, ends: &[usize], n: usize| match n {
            0 => first,
            _ => ends[n - 1],
        };
        let mut found = Self {
            pairs: Vec::new(),
            whole: !key_ends.is_empty(),
        };
        // A leaf that lies about its ends must not be made to give more than it holds.
        let mut left = page.len();
        for n in 0..key_ends.len() {
            let key = starts(first_key, key_ends, n)..key_ends[n];
            let value = starts(first_value, value_ends, n)..value_ends[n];
            let sound = key.start >= first_key
                && key.len() <= limits::SALVAGE_KEY_BYTES_MAX
                && value.start >= first_key
                && value.len() <= limits::HEADER_BYTES_MAX.max(limits::RECORD_BYTES_MAX);
            let taken = page.get(key.clone()).zip(page.get(value.clone()));
            let Some((key, bytes)) = taken.filter(|_| sound && left >= key.len() + value.len())
            else {
                found.whole = false;
                continue;
            };
            left -= key.len() + bytes.len();
            found.whole &= found
                .pairs
                .last()
                .is_none_or(|before| before.key[..] < *key);
            found.pairs.push(Pair {
                key: key.to_vec(),
                value: bytes.to_vec(),
                place: Place {
                    at: at + value.start as u64,
                    bytes: bytes.len(),
                },
            });
        }
        found
    }
}

/// How many pairs a leaf says that it has.
fn stated(page: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([page[2], page[3]]))
}

/// How many pairs a page may hold as a leaf: what it says; what its first two key ends say, where
/// its keys are of one length, as ours are; and one, which is what a long value has.
fn counts(page: &[u8]) -> Vec<usize> {
    if page.len() < LEAF_HEAD + 8 {
        return Vec::new();
    }
    let (first, second) = (number(page, LEAF_HEAD), number(page, LEAF_HEAD + 4));
    let key = second.checked_sub(first);
    let implied = key
        .and_then(|key| first.checked_sub(LEAF_HEAD + key))
        .filter(|ends| ends % 8 == 0)
        .map(|ends| ends / 8);
    let mut counts = vec![stated(page)];
    for other in implied.into_iter().chain([1]) {
        if !counts.contains(&other) {
            counts.push(other);
        }
    }
    counts.retain(|count| (1..=(page.len() - LEAF_HEAD) / 8).contains(count));
    counts
}

/// The ends of `count` keys and as many values.
fn ends(page: &[u8], count: usize) -> Vec<usize> {
    (0..2 * count)
        .map(|n| number(page, LEAF_HEAD + 4 * n))
        .collect()
}

/// The number at an offset that is known to be within the page.
fn number(page: &[u8], at: usize) -> usize {
    let bytes = page[at..at + 4].try_into().expect("4 bytes");
    u32::from_le_bytes(bytes) as usize
}

#[cfg(test)]
mod tests;
