//! Audit segments on the disk.
//!
//! ```text
//! audit/0000000001.seg := head frame*
//! head  := "SRAUDIT1" vault_id:16 number:u64 before_seq:u64 before_hash:32
//! frame := length:u32 sealed:(24 nonce, entry as JSON, 16 tag) length:u32      (`frames`)
//! ```
//! Numbers are little-endian. The length stands on both sides so that the trail is read from either
//! end. `before` is the last entry of the segment before; an entry's associated data names the
//! entry before it, so the head needs no seal of its own.
//!
//! It promises: an append is one `write(2)`; one that fails leaves the file as it was.
//! It never: reads a frame longer than the limit, whatever the bytes say.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::frames::{Frames, frame_bytes};
use super::medium::{Directory, Handle};
use super::{Entry, Head, open_entry, seal_entry};
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
    length_max: u64,
}

/// A segment's file, shared with whoever syncs it.
pub(super) struct Body {
    file: Handle,
    // One sync at a time: the kernel tells of a failure once, and all who wait must hear of it.
    turn: Mutex<()>,
    given_up: AtomicBool,
}

impl Body {
    fn new(file: Handle) -> Arc<Self> {
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
        self.file.sync().map_err(|error| {
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
        directory: &Directory,
        keys: &Keyring,
        remembered: Head,
    ) -> Result<(Self, Head, Option<String>)> {
        let Some(number) = numbers(directory)?.pop() else {
            let head = Head::default();
            let fault = (remembered != head).then(|| cut_or_changed(remembered));
            return Ok((Self::begin(directory, keys, 1, head)?, head, fault));
        };
        let file = open(directory, number, true)?;
        file.settle().map_err(unavailable)?;
        let size = file.len().map_err(unavailable)?;
        if let Some(before) =
            begun_in_vain(directory, (keys, remembered.seq), (number, &file), size)?
        {
            let fault = (before.seq < remembered.seq).then(|| cut_or_changed(remembered));
            drop(file);
            directory.remove(number).map_err(unavailable)?;
            return Ok((Self::begin(directory, keys, number, before)?, before, fault));
        }
        let first = read_head(&file, keys, number)?;
        let mut seen = false;
        let known = (keys, remembered.seq);
        let (head, length, end) =
            last_whole(&file, known, first, |head| seen |= head == remembered)?;
        let cut = size - length;
        // An entry of an earlier segment is for `verify` to look for.
        let fault = if !seen && remembered.seq >= first.seq {
            Some(cut_or_changed(remembered))
        } else if end == End::Changed {
            Some(format!(
                "{cut} bytes behind entry {} are no entries, as after a power cut: they were kept \
                 aside and cut off",
                head.seq
            ))
        } else {
            (cut > 0).then(|| format!("a torn end of {cut} bytes was cut off"))
        };
        if end == End::Changed || (!seen && remembered.seq >= first.seq) {
            // Kept as it was found: what is cut below may be what was done to it.
            directory.set_aside(number).map_err(unavailable)?;
        }
        if length < size {
            file.cut(length).map_err(unavailable)?;
        }
        // What a killed process left to the operating system counts as durable from here on.
        file.sync().map_err(unavailable)?;
        let segment = Self {
            body: Body::new(file),
            number,
            length,
            length_max: directory.segment_bytes_max(),
        };
        Ok((segment, head, fault))
    }

    /// Begins segment `number` behind `before`.
    pub(super) fn begin(
        directory: &Directory,
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
        let file = directory.create(number).map_err(unavailable)?;
        let written = file
            .append(&head)
            .and_then(|()| file.sync())
            .and_then(|()| directory.sync());
        if let Err(error) = written {
            // Left behind, it would stand in the way of the next try.
            let _ = directory.remove(number);
            return Err(unavailable(error));
        }
        Ok(Self {
            body: Body::new(file),
            number,
            length: HEAD_BYTES,
            length_max: directory.segment_bytes_max(),
        })
    }

    /// Seals and writes an entry behind `before`.
    pub(super) fn append(
        &mut self,
        keys: &Keyring,
        before: Head,
        entry: &Entry<&str>,
    ) -> Result<Head> {
        let (sealed, head) = seal_entry(keys, before, entry);
        if sealed.len() > limits::AUDIT_ENTRY_BYTES_MAX {
            return Err(Error::AuditUnavailable("the entry is too long".into()));
        }
        let length = u32::try_from(sealed.len())
            .expect("within the limit")
            .to_le_bytes();
        let frame = [length.as_slice(), &sealed, &length].concat();
        if let Err(error) = self.body.file.append(&frame) {
            if self.body.file.cut(self.length).is_err() {
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
        let file = std::fs::OpenOptions::new().append(true).open("/dev/null");
        self.body = Body::new(Handle::from(file.expect("there is one")));
    }

    /// True where the next entry belongs to a new segment.
    pub(super) fn is_full(&self) -> bool {
        self.body.is_given_up() || self.length >= self.length_max
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

pub(super) fn read_head(file: &Handle, keys: &Keyring, number: u64) -> Result<Head> {
    let mut bytes = [0; HEAD_BYTES as usize];
    let damaged = || Error::Damaged(format!("audit segment {number} is not one of this vault's"));
    // A disk that fails says nothing of what is on it.
    file.read_exact_at(&mut bytes, 0)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(),
            _ => unavailable(error),
        })?;
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

/// The keys, and the number up to which the ledger vouches for the entries: later ones were perhaps
/// not on the disk yet when the power went.
type Known<'a> = (&'a Keyring, u64);

/// How a segment ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// With a whole entry.
    Whole,
    /// With a part of one.
    Torn,
    /// With what has the form of an entry and is none.
    Changed,
}

/// The last entry before the newest segment, where that one was torn while it was begun: it holds
/// no entry then. A power cut leaves a part of the head, or all of its length with some of its
/// bytes, those that name the segment or those that name the entry before; the latter two behind a
/// segment that is not whole are not taken for that.
fn begun_in_vain(
    directory: &Directory,
    known: Known<'_>,
    (number, file): (u64, &Handle),
    size: u64,
) -> Result<Option<Head>> {
    let is_long = size >= HEAD_BYTES;
    if size > HEAD_BYTES {
        return Ok(None);
    }
    let head = match is_long.then(|| read_head(file, known.0, number)) {
        Some(Err(Error::Damaged(_))) | None => None,
        Some(head) => Some(head?),
    };
    let (before, is_whole) = head_before(directory, known, number)?;
    // Torn, it names no later entry than was written: one that does follows an entry whose sync
    // failed, which is lost.
    let is_sound = head.is_some_and(|head| head == before || head.seq > before.seq);
    Ok(Some(before).filter(|_| !is_sound && (is_whole || !is_long)))
}

/// The last entry before segment `number`, and whether nothing stray follows it.
fn head_before(directory: &Directory, known: Known<'_>, number: u64) -> Result<(Head, bool)> {
    let Some(previous) = numbers(directory)?
        .into_iter()
        .rfind(|&other| other < number)
    else {
        return Ok((Head::default(), true));
    };
    let file = open(directory, previous, false)?;
    let first = read_head(&file, known.0, previous)?;
    let (head, _, end) = last_whole(&file, known, first, |_| {})?;
    Ok((head, end == End::Whole))
}

/// Walks a segment that begins behind `first` to its last whole entry: that entry, where it ends,
/// and what follows. Shows each head on the way, `first` included.
///
/// The lengths on both sides of an entry do not make it whole: of what was not synced a power cut
/// leaves any part. So entries that the ledger does not vouch for are opened.
fn last_whole(
    file: &Handle,
    (keys, vouched): Known<'_>,
    first: Head,
    mut show: impl FnMut(Head),
) -> Result<(Head, u64, End)> {
    let size = file.len().map_err(unavailable)?;
    let (mut head, mut offset) = (first, HEAD_BYTES);
    show(head);
    let mut frames = Frames::in_order(file, size);
    while let Some(sealed) = frames.at(offset)? {
        let follows = |entry: Entry| entry.seq == head.seq + 1;
        if head.seq >= vouched && !open_entry(keys, &head.hash, sealed).is_ok_and(follows) {
            return Ok((head, offset, End::Changed));
        }
        offset += frame_bytes(sealed);
        head = Head {
            seq: head.seq + 1,
            hash: digest(&[sealed]),
        };
        show(head);
    }
    let end = if offset == size {
        End::Whole
    } else {
        End::Torn
    };
    Ok((head, offset, end))
}

pub(super) fn cut_or_changed(remembered: Head) -> String {
    format!(
        "the ledger remembers entry {}, which is not in the trail: its end was cut or changed",
        remembered.seq
    )
}

/// Takes away what an earlier try to begin segment `number` left, which holds no entry.
fn remove_begun(directory: &Directory, number: u64) -> Result<()> {
    match directory.length(number) {
        Some(length) if length <= HEAD_BYTES => directory.remove(number).map_err(unavailable),
        // Whatever else is there is in the way, which creating says.
        _ => Ok(()),
    }
}

pub(super) fn numbers(directory: &Directory) -> Result<Vec<u64>> {
    directory.numbers().map_err(unavailable)
}

pub(super) fn open(directory: &Directory, number: u64, to_append: bool) -> Result<Handle> {
    directory.open(number, to_append).map_err(unavailable)
}

pub(super) fn unavailable(error: io::Error) -> Error {
    Error::AuditUnavailable(error.to_string())
}
