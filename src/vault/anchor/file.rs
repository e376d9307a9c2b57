//! The anchor's file: two halves, written in turn, so that a torn write leaves the other.
//!
//! ```text
//! file := half pad half pad                    each at its own 4096 bytes
//! half := "SRANCHR1" vault_id:16 anchor_id:16 number:u64 epoch:u64 at_ms:u64 ledger:32 mac:32
//! ```
//! Numbers are little-endian; the MAC is over all before it, under the anchor's subkey.
//!
//! It promises: mode 0600 and exclusive creation; a symbolic link, a device, and a file of another
//! user or that others may write are refused before a byte is used; what is no anchor of this vault
//! is never written over.
//! It never: says which of two anchors is the right one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::{ANCHOR_ID, Mark};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::seal::{Keyring, Purpose};
use crate::secret::Secret;
use crate::store::{FileSystem, Medium};

const MAGIC: &[u8; 8] = b"SRANCHR1";
/// A half has a disk's sector of its own, the longest there are.
const STRIDE: u64 = 4096;
const MAC_AT: usize = 8 + 16 + ANCHOR_ID + 8 + 8 + 8 + 32;
pub(super) const HALF_BYTES: usize = MAC_AT + 32;

/// A half as it is written.
pub(super) type Half = [u8; HALF_BYTES];

/// What lies at the anchor's path.
pub(super) enum Found {
    Nothing,
    /// A file that was begun and never written.
    Blank(File),
    /// An anchor of this vault that cannot be read.
    Damaged(File),
    /// The newest mark and its number.
    Mark(File, u64, Mark),
}

/// Looks at what is there.
///
/// # Errors
/// [`Error::Settings`] for what must not be used or written over.
pub(super) fn look(path: &Path, keys: &Keyring) -> Result<Found> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(unusable(path, error)),
    };
    check(path, &file)?;
    let mut halves = Vec::new();
    for at in [0, STRIDE] {
        let mut half = [0; HALF_BYTES];
        match file.read_exact_at(&mut half, at) {
            Ok(()) => halves.push(half),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(unusable(path, error)),
        }
    }
    let marks = halves.iter().filter_map(|half| read(half, keys));
    if let Some((number, mark)) = marks.max_by_key(|(number, _)| *number) {
        return Ok(Found::Mark(file, number, mark));
    }
    let of_anchors = |half: &&Half| half.starts_with(MAGIC);
    match halves.iter().find(of_anchors) {
        Some(half) if half[8..24] == *keys.vault_id() => Ok(Found::Damaged(file)),
        Some(_) => Err(Error::Settings(format!(
            "{} is the anchor of another vault, and is left as it is; give this vault one of its \
             own",
            path.display()
        ))),
        None if is_blank(path, &file)? => Ok(Found::Blank(file)),
        None => Err(Error::Settings(format!(
            "{} is no anchor, and is left as it is; name a file that does not exist yet",
            path.display()
        ))),
    }
}

/// True where nothing was ever written to it.
fn is_blank(path: &Path, file: &File) -> Result<bool> {
    let about = file.metadata().map_err(|error| unusable(path, error))?;
    if about.len() > 2 * STRIDE {
        return Ok(false);
    }
    let mut bytes = vec![0; usize::try_from(about.len()).expect("two halves fit")];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|error| unusable(path, error))?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Refuses what another user owns or may write.
fn check(path: &Path, file: &File) -> Result<()> {
    let about = file.metadata().map_err(|error| unusable(path, error))?;
    let what = if !about.is_file() {
        "is not a regular file".to_owned()
    } else if about.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user".to_owned()
    } else if about.mode() & 0o022 != 0 {
        format!("may be written by others (mode {:o})", about.mode() & 0o777)
    } else {
        return Ok(());
    };
    let what = format!("the anchor {} {what}", path.display());
    Err(Error::Settings(what))
}

/// Makes a new, empty one, for us alone, and its name durable.
///
/// # Errors
/// [`Error::Settings`] where that cannot be done.
pub(super) fn create(path: &Path) -> Result<File> {
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| {
            file.set_len(2 * STRIDE)?;
            FileSystem.sync_directory(path.parent().unwrap_or(path))?;
            Ok(file)
        });
    made.map_err(|error| unusable(path, error))
}

/// Writes a half to its place. Not durable before a sync.
pub(super) fn write(file: &File, number: u64, half: &Half) -> io::Result<()> {
    if file.metadata()?.nlink() == 0 {
        return Err(io::Error::other("the file was removed"));
    }
    file.write_all_at(half, number % 2 * STRIDE)
}

/// A mark as a half.
pub(super) fn half(keys: &Keyring, number: u64, mark: &Mark) -> Half {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(keys.vault_id());
    bytes.extend_from_slice(&mark.anchor);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&mark.epoch.to_le_bytes());
    bytes.extend_from_slice(&mark.at.unix_ms().to_le_bytes());
    bytes.extend_from_slice(&mark.ledger);
    let mac = keys.hash(Purpose::Anchor, &[&bytes]);
    bytes.extend_from_slice(&mac);
    bytes.try_into().expect("the fields fill a half")
}

/// Reads a half; `None` where it is not one of this vault's.
fn read(half: &Half, keys: &Keyring) -> Option<(u64, Mark)> {
    let (bytes, presented) = half.split_at(MAC_AT);
    let expected = Secret::new(keys.hash(Purpose::Anchor, &[bytes]));
    if !bytes.starts_with(MAGIC) || !expected.equals(presented) {
        return None;
    }
    let number = |at: usize| {
        let bytes = bytes[at..at + 8].try_into().expect("8 bytes");
        u64::from_le_bytes(bytes)
    };
    let mark = Mark {
        anchor: bytes[24..40].try_into().expect("16 bytes"),
        epoch: number(48),
        at: Timestamp::from_unix_ms(number(56)),
        ledger: bytes[64..96].try_into().expect("32 bytes"),
    };
    Some((number(40), mark))
}

/// The anchor's disk refuses.
pub(super) fn unusable(path: &Path, error: io::Error) -> Error {
    Error::Settings(format!(
        "the anchor {} cannot be used: {error}",
        path.display()
    ))
}
