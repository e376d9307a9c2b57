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

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Entry, Head, Verified, open_entry, seal_entry};
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::{Keyring, digest};

const MAGIC: &[u8; 8] = b"SRAUDIT1";
const HEAD_BYTES: u64 = 8 + 16 + 8 + 8 + 32;
/// Problems a verification names before it says "and more".
const PROBLEMS_MAX: usize = 20;

/// A place in the trail: behind a frame of a segment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    segment: u64,
    offset: u64,
}

impl Position {
    /// Reads a cursor.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (segment, offset) = text.split_once('.')?;
        Some(Self {
            segment: segment.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.segment, self.offset)
    }
}

/// The segment that is written to.
pub(super) struct Segment {
    file: File,
    number: u64,
    length: u64,
    given_up: bool,
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
        if size < HEAD_BYTES {
            // Torn while it was begun: it holds no entry yet.
            let before = head_before(directory, keys, number)?;
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
            file,
            number,
            length,
            given_up: false,
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
            file,
            number,
            length: HEAD_BYTES,
            given_up: false,
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
        if let Err(error) = self.file.write_all(&frame) {
            if self.file.set_len(self.length).is_err() {
                self.given_up = true;
            }
            return Err(unavailable(error));
        }
        self.length += frame.len() as u64;
        Ok(head)
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| {
            self.given_up = true;
            unavailable(error)
        })
    }

    /// A second handle, to sync by.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// No entry goes to this file any more.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// True where the next entry belongs to a new segment.
    pub(super) fn is_full(&self) -> bool {
        self.given_up || self.length >= limits::AUDIT_SEGMENT_BYTES_MAX
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

/// Reads up to `limit` entries before `from`, newest first, and the place to go on from.
pub(super) fn read_back(
    directory: &Path,
    keys: &Keyring,
    from: Position,
    limit: usize,
) -> Result<(Vec<Entry>, Option<Position>)> {
    let mut entries = Vec::new();
    let mut position = from;
    loop {
        let file = open(&path(directory, position.segment), false)?;
        let first = read_head(&file, keys, position.segment)?;
        let mut frames = Backward {
            file: &file,
            offset: position.offset,
        };
        let mut sealed = frames.step()?;
        while let Some(current) = sealed {
            let before = frames.step()?;
            let before_hash = before
                .as_deref()
                .map_or(first.hash, |before| digest(&[before]));
            let entry = open_entry(keys, &before_hash, &current)?;
            position.offset -= frame_bytes(&current);
            entries.push(entry);
            if entries.len() == limit {
                let more = before.is_some() || first.seq > 0;
                return Ok((entries, more.then_some(position)));
            }
            sealed = before;
        }
        if first.seq == 0 {
            return Ok((entries, None));
        }
        let number = position.segment - 1;
        let file = open(&path(directory, number), false)?;
        let offset = file.metadata().map_err(unavailable)?.len();
        position = Position {
            segment: number,
            offset,
        };
    }
}

/// Walks frames from the back.
struct Backward<'a> {
    file: &'a File,
    offset: u64,
}

impl Backward<'_> {
    fn step(&mut self) -> Result<Option<Vec<u8>>> {
        if self.offset <= HEAD_BYTES {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.file
            .read_exact_at(&mut length, self.offset - 4)
            .map_err(unavailable)?;
        let bytes = u64::from(u32::from_le_bytes(length)) + 8;
        let start = self
            .offset
            .checked_sub(bytes)
            .filter(|start| *start >= HEAD_BYTES);
        let frame = start
            .map(|start| read_frame(self.file, start, self.offset))
            .transpose()?;
        let sealed = frame.flatten().ok_or_else(|| {
            Error::Damaged(format!(
                "the audit trail is damaged before byte {}",
                self.offset
            ))
        })?;
        self.offset -= bytes;
        Ok(Some(sealed))
    }
}

/// Reads every segment from the first and checks the chain.
pub(super) fn verify(directory: &Path, keys: &Keyring, ledger: Head) -> Result<Verified> {
    let mut found = Verified::default();
    let mut head = Head::default();
    let mut ledger_seen = ledger == Head::default();
    for number in numbers(directory)? {
        let file = open(&path(directory, number), false)?;
        let size = file.metadata().map_err(unavailable)?.len();
        let first = read_head(&file, keys, number)?;
        if first != head {
            found.problem(format!(
                "segment {number} begins behind entry {}, but the one before ends at {}",
                first.seq, head.seq
            ));
            head = first;
        }
        let mut offset = HEAD_BYTES;
        while let Some(sealed) = read_frame(&file, offset, size)? {
            match open_entry(keys, &head.hash, &sealed) {
                Ok(entry) if entry.seq == head.seq + 1 => found.entries += 1,
                Ok(entry) => found.problem(format!("entry {} is out of order", entry.seq)),
                Err(error) => found.problem(format!("entry {}: {error}", head.seq + 1)),
            }
            head = Head {
                seq: head.seq + 1,
                hash: digest(&[&sealed]),
            };
            ledger_seen |= head == ledger;
            offset += frame_bytes(&sealed);
        }
        if offset < size {
            found.problem(format!(
                "segment {number} ends in {} stray bytes",
                size - offset
            ));
        }
    }
    found.last_seq = head.seq;
    if !ledger_seen {
        found.problem(cut_or_changed(ledger));
    }
    Ok(found)
}

impl Verified {
    fn problem(&mut self, what: String) {
        match self.problems.len() {
            PROBLEMS_MAX => self.problems.push("and more".into()),
            few if few < PROBLEMS_MAX => self.problems.push(what),
            _ => {}
        }
    }
}

fn frame_bytes(sealed: &[u8]) -> u64 {
    sealed.len() as u64 + 8
}

/// Reads the frame at `offset`; `None` where there is no whole one before `end`.
fn read_frame(file: &File, offset: u64, end: u64) -> Result<Option<Vec<u8>>> {
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

fn read_head(file: &File, keys: &Keyring, number: u64) -> Result<Head> {
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

/// The last entry before segment `number`.
fn head_before(directory: &Path, keys: &Keyring, number: u64) -> Result<Head> {
    let Some(previous) = numbers(directory)?
        .into_iter()
        .rfind(|&other| other < number)
    else {
        return Ok(Head::default());
    };
    let file = open(&path(directory, previous), false)?;
    let first = read_head(&file, keys, previous)?;
    last_whole(&file, first, |_| {}).map(|(head, _)| head)
}

/// Walks a segment that begins behind `first` to its last whole frame: that entry, and where it
/// ends. Shows each head on the way, `first` included.
fn last_whole(file: &File, first: Head, mut show: impl FnMut(Head)) -> Result<(Head, u64)> {
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

fn cut_or_changed(remembered: Head) -> String {
    format!(
        "the ledger remembers entry {}, which is not in the trail: its end was cut or changed",
        remembered.seq
    )
}

fn numbers(directory: &Path) -> Result<Vec<u64>> {
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

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.seg"))
}

fn open(path: &Path, to_append: bool) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .append(to_append)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags fit"))
        .open(path)
        .map_err(unavailable)
}

fn unavailable(error: io::Error) -> Error {
    Error::AuditUnavailable(error.to_string())
}
