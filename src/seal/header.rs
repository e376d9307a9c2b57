//! The vault's header: key slots and key terms, authenticated as one.
//!
//! ```text
//! header := "STRONGRM" format:u16 vault_id:16 next_slot:u32
//!           slots:(u8 count, slot*)                       see `slot`
//!           current_term:u32 terms:(u8 count, term*)
//!           commitment:32 mac:32
//! term   := number:u32 created_ms:u64 wrapped:(24 nonce, 32 term key, 16 tag)
//! ```
//! Numbers are little-endian. `commitment` is HKDF of the root key and is compared first; `mac` is
//! HMAC under a subkey of the root key over everything before it.
//!
//! It promises: reading takes no memory and does no work beyond the limits, whatever the bytes say.
//! It never: tells a wrong key from a changed header (both are "does not open").

use super::primitives;
use super::slot::{KdfParams, Slot, SlotKind, WRAPPED_BYTES};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

const MAGIC: &[u8; 8] = b"STRONGRM";
/// The file format written by this version.
pub const FORMAT: u16 = 1;
const LABEL_BYTES_MAX: usize = 64;

/// A key term: one generation of the key that seals records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Term {
    /// Counts up from 1.
    pub number: u32,
    /// When it began.
    pub created_at: Timestamp,
    pub(super) wrapped: Vec<u8>,
}

/// The header, parsed. Its authenticity is known only once the root key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Random, made once: sealed records name it.
    pub vault_id: [u8; 16],
    pub(super) next_slot: u32,
    pub(super) slots: Vec<Slot>,
    pub(super) current_term: u32,
    pub(super) terms: Vec<Term>,
    pub(super) commitment: [u8; 32],
    pub(super) mac: [u8; 32],
}

impl Header {
    /// How every header begins.
    pub const MARK: &[u8] = MAGIC;

    /// Grows with what happened to a header, so that of two the newer one is told. A slot that was
    /// taken away makes it shorter.
    pub fn age(&self) -> (u32, u32, std::cmp::Reverse<usize>) {
        let slots = std::cmp::Reverse(self.slots.len());
        (self.current_term, self.next_slot, slots)
    }

    /// The slots, to show.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The terms: the current one, and while records are being resealed those before it.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The number of the term that records are sealed under.
    pub fn current_term(&self) -> u32 {
        self.current_term
    }

    /// The header as stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.authenticated_bytes();
        bytes.extend_from_slice(&self.mac);
        bytes
    }

    /// Everything the mac covers.
    pub(super) fn authenticated_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.vault_id);
        out.extend_from_slice(&self.next_slot.to_le_bytes());
        out.push(u8::try_from(self.slots.len()).expect("at most KEY_SLOTS_MAX"));
        for slot in &self.slots {
            slot.write_description(&mut out);
            out.extend_from_slice(&slot.salt);
            out.extend_from_slice(&slot.check);
            out.extend_from_slice(&slot.wrapped);
        }
        out.extend_from_slice(&self.current_term.to_le_bytes());
        out.push(u8::try_from(self.terms.len()).expect("at most KEY_TERMS_MAX"));
        for term in &self.terms {
            out.extend_from_slice(&term.number.to_le_bytes());
            out.extend_from_slice(&term.created_at.unix_ms().to_le_bytes());
            out.extend_from_slice(&term.wrapped);
        }
        out.extend_from_slice(&self.commitment);
        out
    }

    /// Reads a stored header.
    ///
    /// # Errors
    /// [`Error::TooNew`] for a later format, [`Error::Settings`] for a cost outside the bounds,
    /// [`Error::Damaged`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > limits::HEADER_BYTES_MAX {
            return Err(damaged("it is too long"));
        }
        let mut reader = Reader(bytes);
        let header = Self::read(&mut reader)?;
        if !reader.0.is_empty() {
            return Err(damaged("something follows it"));
        }
        Ok(header)
    }

    /// Reads a header that other bytes follow, as it lies in a damaged file.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn parse_first(bytes: &[u8]) -> Result<Self> {
        Self::read(&mut Reader(
            &bytes[..bytes.len().min(limits::HEADER_BYTES_MAX)],
        ))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        if &reader.array::<8>()? != MAGIC {
            return Err(damaged("it does not begin like one"));
        }
        let format = u16::from_le_bytes(reader.array()?);
        if format > FORMAT {
            return Err(Error::TooNew(format!(
                "the vault has file format {format}; this program knows formats up to {FORMAT}"
            )));
        }
        if format != FORMAT {
            return Err(damaged("its format is unknown"));
        }
        let vault_id = reader.array()?;
        let next_slot = reader.u32()?;
        let slots = reader.list(limits::KEY_SLOTS_MAX, Reader::slot)?;
        let current_term = reader.u32()?;
        let terms = reader.list(limits::KEY_TERMS_MAX, Reader::term)?;
        let commitment = reader.array()?;
        let mac = reader.array()?;
        Ok(Self {
            vault_id,
            next_slot,
            slots,
            current_term,
            terms,
            commitment,
            mac,
        })
    }
}

/// The fields of a header, for harnesses that tamper with them.
#[cfg(test)]
pub(crate) struct Rebuilt<'a> {
    pub(crate) vault_id: &'a mut [u8; 16],
    pub(crate) slots: &'a mut Vec<Slot>,
    pub(crate) current_term: &'a mut u32,
    pub(crate) terms: &'a mut Vec<Term>,
    pub(crate) commitment: &'a mut [u8; 32],
    pub(crate) mac: &'a mut [u8; 32],
}

#[cfg(test)]
impl Header {
    /// Its fields, to be changed behind the keys' back.
    pub(crate) fn rebuilt(&mut self) -> Rebuilt<'_> {
        Rebuilt {
            vault_id: &mut self.vault_id,
            slots: &mut self.slots,
            current_term: &mut self.current_term,
            terms: &mut self.terms,
            commitment: &mut self.commitment,
            mac: &mut self.mac,
        }
    }
}

impl Term {
    /// What a term's wrapping is bound to.
    pub(super) fn associated(&self, vault_id: &[u8; 16]) -> Vec<u8> {
        let mut bytes = b"strongroom 1 term".to_vec();
        bytes.extend_from_slice(vault_id);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.created_at.unix_ms().to_le_bytes());
        bytes
    }

    /// Wraps a term key under the root key's wrapping subkey.
    pub(super) fn wrap(
        number: u32,
        key: &[u8; 32],
        wrapping: &[u8; 32],
        vault_id: &[u8; 16],
        now: Timestamp,
    ) -> Self {
        let mut term = Self {
            number,
            created_at: now,
            wrapped: Vec::new(),
        };
        term.wrapped = primitives::seal(wrapping, &term.associated(vault_id), key);
        term
    }
}

/// The error of a header that was changed behind the vault's back.
pub(super) fn changed() -> Error {
    Error::Damaged("the vault's header was changed".into())
}

fn damaged(why: &str) -> Error {
    Error::Damaged(format!("the vault's header cannot be read: {why}"))
}

/// Reads fields off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| damaged("it ends early"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn timestamp(&mut self) -> Result<Timestamp> {
        let unix_ms = u64::from_le_bytes(self.array()?);
        let moment = Timestamp::from_unix_ms(unix_ms);
        // Cut to what can be shown, a header would not be written as it was read, and what the mac
        // covers would not be what is stored.
        if moment.unix_ms() == unix_ms {
            Ok(moment)
        } else {
            Err(damaged("a time is out of range"))
        }
    }

    fn text(&mut self) -> Result<String> {
        let [length] = self.array::<1>()?;
        let length = usize::from(length);
        if length > LABEL_BYTES_MAX || length > self.0.len() {
            return Err(damaged("a label is too long"));
        }
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(head.to_vec()).map_err(|_| damaged("a label is not text"))
    }

    fn list<T>(&mut self, most: usize, read: fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let [count] = self.array::<1>()?;
        if usize::from(count) > most {
            return Err(damaged("a list is too long"));
        }
        (0..count).map(|_| read(self)).collect()
    }

    fn slot(&mut self) -> Result<Slot> {
        let number = self.u32()?;
        let kind = match self.array::<1>()? {
            [1] => SlotKind::Passphrase,
            [2] => SlotKind::Recovery,
            [3] => SlotKind::KeyFile,
            _ => return Err(damaged("a slot is of an unknown kind")),
        };
        let created_at = self.timestamp()?;
        let label = self.text()?;
        let (memory_kib, passes, lanes) = (self.u32()?, self.u32()?, self.u32()?);
        let kdf = match kind {
            SlotKind::Passphrase => Some(KdfParams::new(memory_kib, passes, lanes)?),
            _ if (memory_kib, passes, lanes) == (0, 0, 0) => None,
            _ => return Err(damaged("a slot has a cost it should not have")),
        };
        Ok(Slot {
            number,
            kind,
            created_at,
            label,
            kdf,
            salt: self.array()?,
            check: self.array()?,
            wrapped: self.array::<WRAPPED_BYTES>()?.to_vec(),
        })
    }

    fn term(&mut self) -> Result<Term> {
        Ok(Term {
            number: self.u32()?,
            created_at: self.timestamp()?,
            wrapped: self.array::<WRAPPED_BYTES>()?.to_vec(),
        })
    }
}

/// Checks a slot's label.
///
/// # Errors
/// [`Error::Invalid`] where it is too long or unprintable.
pub(super) fn check_label(label: &str) -> Result<()> {
    if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        return Err(Error::invalid(
            "a slot's label has at most 64 printable bytes",
        ));
    }
    Ok(())
}
