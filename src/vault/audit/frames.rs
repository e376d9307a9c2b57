//! The frames of a segment: each entry between its length and its length again.
//!
//! It promises: what is not whole before the end that was named is no frame; a walk over a segment
//! reads it in pieces, since every unlock walks over the last one.
//! It never: opens an entry.

use super::medium::Handle;
use super::segment::unavailable;
use crate::error::Result;
use crate::limits;

/// Nonce and tag; an entry has some text besides.
const ENTRY_BYTES_MIN: usize = 24 + 16;

/// How much is read at one time by a walk.
const PIECE_BYTES: u64 = 64 * 1024;

/// The bytes an entry takes in its segment.
pub(super) fn frame_bytes(sealed: &[u8]) -> u64 {
    sealed.len() as u64 + 8
}

/// The frames of a file up to an end, by where they begin.
pub(super) struct Frames<'a> {
    file: &'a Handle,
    end: u64,
    piece_bytes: u64,
    /// What was read, and from where on.
    held: Vec<u8>,
    held_from: u64,
}

impl<'a> Frames<'a> {
    /// Frames that are asked for one after the other, from front to back.
    pub(super) fn in_order(file: &'a Handle, end: u64) -> Self {
        Self::read_by(file, end, PIECE_BYTES)
    }

    /// Frames of which one is asked for.
    pub(super) fn one_by_one(file: &'a Handle, end: u64) -> Self {
        Self::read_by(file, end, 0)
    }

    fn read_by(file: &'a Handle, end: u64, piece_bytes: u64) -> Self {
        Self {
            file,
            end,
            piece_bytes,
            held: Vec::new(),
            held_from: 0,
        }
    }

    /// The entry of the frame at `offset`, sealed; `None` where there is no whole one.
    pub(super) fn at(&mut self, offset: u64) -> Result<Option<&[u8]>> {
        if self.end < offset + 8 {
            return Ok(None);
        }
        let length = self.bytes(offset, 4)?;
        let length: [u8; 4] = length.try_into().expect("4 bytes");
        let bytes = u32::from_le_bytes(length) as usize;
        // Shorter than any entry are the zeros of a file that has its length and not its bytes.
        let fits = (ENTRY_BYTES_MIN..=limits::AUDIT_ENTRY_BYTES_MAX).contains(&bytes);
        if !fits || self.end < offset + 8 + bytes as u64 {
            return Ok(None);
        }
        let (sealed, tail) = self.bytes(offset + 4, bytes + 4)?.split_at(bytes);
        Ok((tail == length).then_some(sealed))
    }

    /// Bytes that end before the end.
    fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8]> {
        let held_to = self.held_from + self.held.len() as u64;
        if offset < self.held_from || offset + count as u64 > held_to {
            let most = self.piece_bytes.min(self.end - offset);
            let wanted = usize::try_from(most).unwrap_or(usize::MAX).max(count);
            self.held.clear();
            self.held.resize(wanted, 0);
            self.held_from = offset;
            let read = self.file.read_exact_at(&mut self.held, offset);
            // What was not read is not there to be shown.
            read.inspect_err(|_| self.held.clear())
                .map_err(unavailable)?;
        }
        let start = (offset - self.held_from) as usize;
        Ok(&self.held[start..start + count])
    }
}
