//! Audit segments on the disk.
//!
//! ```text
//! audit/0000000001.seg := head frame*
//! head  := "SRAUDIT1" vault_id:16 number:u64 before_seq:u64 before_hash:32
//! frame := length:u32 sealed:(24 nonce, entry as JSON, 16 tag) length:u32
//! ```
//! Numbers are little-endian. The length stands on both sides so that the trail is read from either
//! end. `before` is the last entry of the segment before; an entry's associated data names the
//! entry before it, so the head needs no seal of its own.
//!
//! It promises: an append is one `write(2)`; one that fails leaves the file as it was.
//! It never: reads a frame longer than the limit, whatever the bytes say.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;

use super::{Entry, Head, seal_entry};
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::{Keyring, Purpose, digest};
use crate::secret::{Secret, base64url, from_base64url};

const MAGIC: &[u8; 8] = b"SRAUDIT1";
pub(super) const HEAD_BYTES: u64 = 8 + 16 + 8 + 8 + 32;

/// A place in the trail: behind a frame of a segment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Position {
    /// Reads a cursor, which only we can make: one that points into a frame would make the trail
    /// look damaged.
    pub(super) fn parse(keys: &Keyring, text: &str) -> Option<Self> {
        let (place, presented) = text.rsplit_once('.')?;
        let (segment, offset) = place.split_once('.')?;
        let position = Self {
            segment: segment.parse().ok()?,
            offset: offset.parse().ok()?,
        };
        let expected = Secret::new(position.check(keys));
        expected
            .equals(&from_base64url(presented)?)
            .then_some(position)
    }

    /// Makes a cursor.
    pub(super) fn to_cursor(self, keys: &Keyring) -> String {
        let check = base64url(&self.check(keys));
        format!("{}.{}.{check}", self.segment, self.offset)
    }

    fn check(self, keys: &Keyring) -> [u8; 16] {
        let (segment, offset) = (self.segment.to_le_bytes(), self.offset.to_le_bytes());
        let hash = keys.hash(Purpose::State, &[b"audit cursor", &segment, &offset]);
        *hash.first_chunk().expect("a hash has 32 bytes")
    }
}

/// The segment that is written to.
pub(super) struct Segment {
    body: Arc<Body>,
    number: u64,
    length: u64,
}

/// A segment's file, shared with whoever syncs it.
pub(super) struct Body {
    file: File,
    // One sync at a time: the kernel tells of a failure once, and all who wait must hear of it.
    turn: Mutex<()>,
    given_up: AtomicBool,
}

impl Body {
    fn new(file: File) -> Arc<Self> {
        Arc::new(Self {
            file,
            turn: Mutex::new(()),
            given_up: AtomicBool::new(false),
        })
    }

    /// Makes everything written durable. A failure is for ever.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`]; what was written since the last success may be lost.
    pub(super) fn sync(&self) -> Result<()> {
        let _turn = self.turn.lock().expect("no holder panics");
        if self.is_given_up() {
            let why = "the segment was given up after an earlier error";
            return Err(Error::AuditUnavailable(why.into()));
        }
        self.file.sync_data().map_err(|error| {
            self.give_up();
            unavailable(error)
        })
    }

    /// No entry goes to this file any more, and no sync of it counts.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

impl Segment {
    /// Opens the newest segment, cutting a torn end, or begins the first. What is wrong with the
    /// trail's end comes back: `remembered` is the entry that the ledger knows to be on the disk.
    pub(super) fn open_last(
        directory: &Path,
        keys: &Keyring,
        remembered: Head,
    ) -> Result<(Self, Head, Option<String>)> {
        let Some(number) = numbers(directory)?.pop() else {
            let head = Head::default();
            let fault = (remembered != head).then(|| cut_or_changed(remembered));
            return Ok((Self::begin(directory, keys, 1, head)?, head, fault));
        };
        let file = open(&path(directory, number), true)?;
        let size = file.metadata().map_err(unavailable)?.len();
        if let Some(before) = begun_in_vain(directory, keys, (number, &file), size)? {
            let fault = (before.seq < remembered.seq).then(|| cut_or_changed(remembered));
            drop(file);
            std::fs::remove_file(path(directory, number)).map_err(unavailable)?;
            return Ok((Self::begin(directory, keys, number, before)?, before, fault));
        }
        let first = read_head(&file, keys, number)?;
        let mut seen = false;
        let (head, length) = last_whole(&file, first, |head| seen |= head == remembered)?;
        // An entry of an earlier segment is for `verify` to look for.
        let fault = if !seen && remembered.seq >= first.seq {
            // Kept as it was found: what is cut below may be what was done to it.
            let aside = path(directory, number).with_extension("damaged");
            std::fs::copy(path(directory, number), aside).map_err(unavailable)?;
            Some(cut_or_changed(remembered))
        } else {
            (length < size).then(|| format!("a torn end of {} bytes was cut off", size - length))
        };
        if length < size {
            file.set_len(length).map_err(unavailable)?;
        }
        // What a killed process left to the operating system counts as durable from here on.
        file.sync_data().map_err(unavailable)?;
        let segment = Self {
            body: Body::new(file),
            number,
            length,
        };
        Ok((segment, head, fault))
    }

    /// Begins segment `number` behind `before`.
    pub(super) fn begin(
        directory: &Path,
        keys: &Keyring,
        number: u64,
        before: Head,
    ) -> Result<Self> {
        remove_begun(directory, number)?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(keys.vault_id());
        head.extend_from_slice(&number.to_le_bytes());
        head.extend_from_slice(&before.seq.to_le_bytes());
        head.extend_from_slice(&before.hash);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path(directory, number))
            .map_err(unavailable)?;
        let written = file
            .write_all(&head)
            .and_then(|()| file.sync_data())
            .and_then(|()| File::open(directory)?.sync_all());
        if let Err(error) = written {
            // Left behind, it would stand in the way of the next try.
            let _ = std::fs::remove_file(path(directory, number));
            return Err(unavailable(error));
        }
        Ok(Self {
            body: Body::new(file),
            number,
            length: HEAD_BYTES,
        })
    }

    /// Seals and writes an entry behind `before`.
    pub(super) fn append(&mut self, keys: &Keyring, before: Head, entry: &Entry) -> Result<Head> {
        let (sealed, head) = seal_entry(keys, before, entry);
        if sealed.len() > limits::AUDIT_ENTRY_BYTES_MAX {
            return Err(Error::AuditUnavailable("the entry is too long".into()));
        }
        let length = u32::try_from(sealed.len())
            .expect("within the limit")
            .to_le_bytes();
        let frame = [length.as_slice(), &sealed, &length].concat();
        if let Err(error) = (&self.body.file).write_all(&frame) {
            if self.body.file.set_len(self.length).is_err() {
                self.body.give_up();
            }
            return Err(unavailable(error));
        }
        self.length += frame.len() as u64;
        Ok(head)
    }

    /// The file, to sync it by.
    pub(super) fn body(&self) -> &Arc<Body> {
        &self.body
    }

    /// Writes go nowhere and syncs fail from here on, as on a disk that breaks.
    #[cfg(test)]
    pub(super) fn break_disk(&mut self) {
        let file = OpenOptions::new().append(true).open("/dev/null");
        self.body = Body::new(file.expect("there is one"));
    }

    /// True where the next entry belongs to a new segment.
    pub(super) fn is_full(&self) -> bool {
        self.body.is_given_up() || self.length >= limits::AUDIT_SEGMENT_BYTES_MAX
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The place behind the last entry.
    pub(super) fn end(&self) -> Position {
        Position {
            segment: self.number,
            offset: self.length,
        }
    }
}

pub(super) fn frame_bytes(sealed: &[u8]) -> u64 {
    sealed.len() as u64 + 8
}

/// Reads the frame at `offset`; `None` where there is no whole one before `end`.
pub(super) fn read_frame(file: &File, offset: u64, end: u64) -> Result<Option<Vec<u8>>> {
    if end < offset + 8 {
        return Ok(None);
    }
    let mut length = [0; 4];
    file.read_exact_at(&mut length, offset)
        .map_err(unavailable)?;
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > limits::AUDIT_ENTRY_BYTES_MAX || end < offset + 8 + bytes as u64 {
        return Ok(None);
    }
    let mut rest = vec![0; bytes + 4];
    file.read_exact_at(&mut rest, offset + 4)
        .map_err(unavailable)?;
    let tail = rest.split_off(bytes);
    Ok((tail == length).then_some(rest))
}

pub(super) fn read_head(file: &File, keys: &Keyring, number: u64) -> Result<Head> {
    let mut bytes = [0; HEAD_BYTES as usize];
    let damaged = || Error::Damaged(format!("audit segment {number} is not one of this vault's"));
    file.read_exact_at(&mut bytes, 0).map_err(|_| damaged())?;
    let fits = &bytes[..8] == MAGIC
        && &bytes[8..24] == keys.vault_id()
        && bytes[24..32] == number.to_le_bytes();
    if !fits {
        return Err(damaged());
    }
    let seq = u64::from_le_bytes(bytes[32..40].try_into().expect("8 bytes"));
    Ok(Head {
        seq,
        hash: bytes[40..].try_into().expect("32 bytes"),
    })
}

/// The last entry before the newest segment, where that one was torn while it was begun: it holds
/// no entry then. A power cut leaves a part of the head, or all of its length in zeros; zeros
/// behind a segment that is not whole are not taken for that.
fn begun_in_vain(
    directory: &Path,
    keys: &Keyring,
    (number, file): (u64, &File),
    size: u64,
) -> Result<Option<Head>> {
    let mut head = [0; HEAD_BYTES as usize];
    let zeros = size == HEAD_BYTES && {
        file.read_exact_at(&mut head, 0).map_err(unavailable)?;
        head.iter().all(|byte| *byte == 0)
    };
    if size >= HEAD_BYTES && !zeros {
        return Ok(None);
    }
    let (before, is_whole) = head_before(directory, keys, number)?;
    Ok(Some(before).filter(|_| is_whole || !zeros))
}

/// The last entry before segment `number`, and whether nothing stray follows it.
fn head_before(directory: &Path, keys: &Keyring, number: u64) -> Result<(Head, bool)> {
    let Some(previous) = numbers(directory)?
        .into_iter()
        .rfind(|&other| other < number)
    else {
        return Ok((Head::default(), true));
    };
    let file = open(&path(directory, previous), false)?;
    let first = read_head(&file, keys, previous)?;
    let (head, end) = last_whole(&file, first, |_| {})?;
    let size = file.metadata().map_err(unavailable)?.len();
    Ok((head, end == size))
}

/// Walks a segment that begins behind `first` to its last whole frame: that entry, and where it
/// ends. Shows each head on the way, `first` included.
pub(super) fn last_whole(
    file: &File,
    first: Head,
    mut show: impl FnMut(Head),
) -> Result<(Head, u64)> {
    let size = file.metadata().map_err(unavailable)?.len();
    let (mut head, mut offset) = (first, HEAD_BYTES);
    show(head);
    while let Some(sealed) = read_frame(file, offset, size)? {
        offset += frame_bytes(&sealed);
        head = Head {
            seq: head.seq + 1,
            hash: digest(&[&sealed]),
        };
        show(head);
    }
    Ok((head, offset))
}

pub(super) fn cut_or_changed(remembered: Head) -> String {
    format!(
        "the ledger remembers entry {}, which is not in the trail: its end was cut or changed",
        remembered.seq
    )
}

/// Takes away what an earlier try to begin segment `number` left, which holds no entry.
fn remove_begun(directory: &Path, number: u64) -> Result<()> {
    let path = path(directory, number);
    match std::fs::symlink_metadata(&path) {
        Ok(about) if about.is_file() && about.len() <= HEAD_BYTES => {
            std::fs::remove_file(path).map_err(unavailable)
        }
        // Whatever else is there is in the way, which creating says.
        _ => Ok(()),
    }
}

pub(super) fn numbers(directory: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(directory).map_err(unavailable)? {
        let name = file.map_err(unavailable)?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".seg")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.seg"))
}

pub(super) fn open(path: &Path, to_append: bool) -> Result<File> {
    // A pipe must not make us wait for whoever opens its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .append(to_append)
        .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
        .open(path)
        .map_err(unavailable)?;
    if !file.metadata().map_err(unavailable)?.is_file() {
        let what = format!("{} is not a regular file", path.display());
        return Err(Error::AuditUnavailable(what));
    }
    Ok(file)
}

pub(super) fn unavailable(error: io::Error) -> Error {
    Error::AuditUnavailable(error.to_string())
}
