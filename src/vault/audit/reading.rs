//! Reading the trail: pages from its end, and the whole of it to check the chain.
//!
//! It promises: what does not authenticate, or does not follow the entry before, is never shown as
//! an entry; a page takes the memory of its entries.
//! It never: writes.

use super::frames::{Frames, frame_bytes};
use super::medium::{Directory, Handle};
use super::segment::{HEAD_BYTES, Position, cut_or_changed, numbers, open, read_head, unavailable};
use super::{Entry, Head, Verified, open_entry};
use crate::error::{Error, Result};
use crate::seal::{Keyring, digest};

/// Problems a verification names before it says "and more".
const PROBLEMS_MAX: usize = 20;

/// Reads up to `limit` entries before `from`, newest first, and the place to go on from.
pub(super) fn read_back(
    directory: &Directory,
    keys: &Keyring,
    from: Position,
    limit: usize,
) -> Result<(Vec<Entry>, Option<Position>)> {
    let mut entries = Vec::new();
    let mut position = from;
    loop {
        let file = open(directory, position.segment, false)?;
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
        let file = open(directory, number, false)?;
        let offset = file.len().map_err(unavailable)?;
        position = Position {
            segment: number,
            offset,
        };
    }
}

/// Walks frames from the back.
struct Backward<'a> {
    file: &'a Handle,
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
        let damaged = || {
            let offset = self.offset;
            Error::Damaged(format!("the audit trail is damaged before byte {offset}"))
        };
        let mut frame = Frames::one_by_one(self.file, self.offset);
        let sealed = frame.at(start.ok_or_else(damaged)?)?;
        let sealed = sealed.ok_or_else(damaged)?.to_vec();
        self.offset -= bytes;
        Ok(Some(sealed))
    }
}

/// Reads every segment from the first and checks the chain.
pub(super) fn verify(directory: &Directory, keys: &Keyring, ledger: Head) -> Result<Verified> {
    let mut found = Verified::default();
    let mut head = Head::default();
    let mut ledger_seen = ledger == Head::default();
    for number in numbers(directory)? {
        let file = open(directory, number, false)?;
        let size = file.len().map_err(unavailable)?;
        let first = read_head(&file, keys, number)?;
        if first != head {
            found.problem(format!(
                "segment {number} begins behind entry {}, but the one before ends at {}",
                first.seq, head.seq
            ));
            head = first;
        }
        let mut offset = HEAD_BYTES;
        let mut frames = Frames::in_order(&file, size);
        while let Some(sealed) = frames.at(offset)? {
            match open_entry(keys, &head.hash, sealed) {
                Ok(entry) if entry.seq == head.seq + 1 => found.entries += 1,
                Ok(entry) => found.problem(format!("entry {} is out of order", entry.seq)),
                Err(error) => found.problem(format!("entry {}: {error}", head.seq + 1)),
            }
            head = Head {
                seq: head.seq + 1,
                hash: digest(&[sealed]),
            };
            ledger_seen |= head == ledger;
            offset += frame_bytes(sealed);
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
