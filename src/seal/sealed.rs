//! The bytes of a sealed record, and their shape.
//!
//! It promises: a value of this type has the shape drawn below, with nothing behind its last part.
//! It never: opens anything; whether a record is genuine is the keyring's to say.

use crate::error::{Error, Result};
use crate::limits;

/// A sealed record:
///
/// ```text
/// sealed := format:u8 term:u32 version:u64 parts:u8 part*
/// part   := length:u32 (24 nonce, ciphertext, 16 tag)
/// ```
///
/// `Sealed<&[u8]>` lends bytes that lie elsewhere.
#[derive(Clone, Eq, PartialEq)]
pub struct Sealed<B = Vec<u8>>(B);

pub(super) const RECORD_FORMAT: u8 = 1;
const SEALED_HEAD_BYTES: usize = 14;
pub(super) const PARTS_MAX: u8 = 4;

impl Sealed {
    /// Takes what [`super::Keyring::seal`] wrote.
    pub(super) fn made(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Takes stored bytes. Their shape is checked here, their authenticity by
    /// [`super::Keyring::open`].
    ///
    /// # Errors
    /// [`Error::Damaged`] where they are no sealed record.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::take(bytes.to_vec())
    }

    /// [`Sealed::parse`] of bytes that need not be copied.
    ///
    /// # Errors
    /// As [`Sealed::parse`].
    pub fn take(bytes: Vec<u8>) -> Result<Self> {
        check_shape(&bytes)?;
        Ok(Self(bytes))
    }

    /// The record version that stored bytes claim, without a copy of them.
    ///
    /// # Errors
    /// As [`Sealed::parse`].
    pub fn version_of(bytes: &[u8]) -> Result<u64> {
        check_shape(bytes)?;
        Ok(version_in(bytes))
    }

    /// The key term that stored bytes say they are sealed under; `None` where they are too short
    /// to say one.
    pub fn term_of(bytes: &[u8]) -> Option<u32> {
        let (_, rest) = bytes.split_first()?;
        rest.first_chunk().copied().map(u32::from_le_bytes)
    }
}

impl<'a> Sealed<&'a [u8]> {
    /// [`Sealed::parse`] without a copy.
    ///
    /// # Errors
    /// As [`Sealed::parse`].
    pub fn lend(bytes: &'a [u8]) -> Result<Self> {
        check_shape(bytes)?;
        Ok(Self(bytes))
    }

    /// A copy of its own.
    pub fn kept(self) -> Sealed {
        Sealed(self.0.to_vec())
    }
}

impl<B: AsRef<[u8]>> Sealed<B> {
    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// The record version it claims, which opening it proves.
    pub fn version(&self) -> u64 {
        version_in(self.as_bytes())
    }

    pub(super) fn term(&self) -> u32 {
        Sealed::term_of(self.as_bytes()).expect("the shape was checked")
    }

    /// How many parts it has; bound into each of them.
    pub fn parts(&self) -> u8 {
        self.as_bytes()[13]
    }

    pub(super) fn part(&self, wanted: u8) -> Option<&[u8]> {
        let mut rest = self.as_bytes().get(SEALED_HEAD_BYTES..)?;
        for _ in 0..wanted {
            (_, rest) = split_part(rest)?;
        }
        split_part(rest).map(|(part, _)| part)
    }
}

/// Refuses bytes that have not the shape of a sealed record.
fn check_shape(bytes: &[u8]) -> Result<()> {
    let sound = bytes.len() >= SEALED_HEAD_BYTES
        && bytes.len() <= limits::RECORD_BYTES_MAX
        && bytes[0] == RECORD_FORMAT
        && (1..=PARTS_MAX).contains(&bytes[13])
        && is_filled_by_parts(&bytes[SEALED_HEAD_BYTES..], bytes[13]);
    match sound {
        true => Ok(()),
        false => Err(Error::Damaged("a stored record is not one of ours".into())),
    }
}

/// True where so many parts fill the bytes: nothing rides behind them.
fn is_filled_by_parts(mut rest: &[u8], parts: u8) -> bool {
    for _ in 0..parts {
        match split_part(rest) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

/// The first part, and what is behind it.
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn version_in(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[5..13].try_into().expect("the shape was checked"))
}
