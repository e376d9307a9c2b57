//! Key terms of an unlocked vault: the generations of the key that seals records.
//!
//! It promises: records are sealed under the term that the stored header names as current, and a
//! keyring's terms are exchanged as one; a term's key that goes is wiped with its page; resealing
//! changes a record's term, nonces and ciphertext and nothing else.
//! It never: makes a term current that no header on the disk holds (the writer takes up what it
//! has committed, and that alone).

use zeroize::Zeroizing;

use super::memory::{KEYS_MAX, KeyPage};
use super::{Context, Header, Keyring, Sealed, Term, WRAPPING, header, primitives};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::secret::random;

const _: () = assert!(limits::KEY_TERMS_MAX <= KEYS_MAX);

/// The keys of some terms, in a page of their own.
pub struct Terms {
    page: KeyPage,
    /// Number and beginning of each, in the order of their keys in the page.
    known: Vec<(u32, Timestamp)>,
    current: usize,
}

impl Terms {
    /// A place for the terms of a header.
    ///
    /// # Errors
    /// [`Error::Settings`] where the system gives no page.
    pub(super) fn none() -> Result<Self> {
        Ok(Self {
            page: KeyPage::new()?,
            known: Vec::new(),
            current: 0,
        })
    }

    /// Unwraps every term of a header whose signature was checked.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] where one does not open or the current one is missing.
    pub(super) fn of(header: &Header, wrapping: &[u8; 32]) -> Result<Self> {
        let mut terms = Self::none()?;
        for term in &header.terms {
            let associated = term.associated(&header.vault_id);
            let key = primitives::open(wrapping, &associated, &term.wrapped)
                .and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok())
                .map(Zeroizing::new)
                .ok_or(Error::UnlockFailed)?;
            terms.take(term.number, term.created_at, &key, &header.vault_id);
        }
        terms.current = terms
            .place(header.current_term)
            .ok_or(Error::UnlockFailed)?;
        Ok(terms)
    }

    /// Takes one term's key in.
    pub(super) fn take(
        &mut self,
        number: u32,
        began_at: Timestamp,
        term_key: &[u8; 32],
        vault_id: &[u8; 16],
    ) {
        let key = primitives::hkdf(term_key, vault_id, b"strongroom 1 records");
        self.page.put(self.known.len(), &key);
        self.known.push((number, began_at));
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.known.iter().position(|(known, _)| *known == number)
    }

    /// The key that opens records of a term.
    pub(super) fn key(&self, number: u32) -> Option<&[u8; 32]> {
        self.place(number).map(|place| self.page.key(place))
    }

    /// The current term, and the key that seals under it.
    pub(super) fn current(&self) -> (u32, &[u8; 32]) {
        (self.known[self.current].0, self.page.key(self.current))
    }

    #[cfg(test)]
    pub(super) fn make_current(&mut self, number: u32) {
        self.current = self.place(number).expect("it was taken in");
    }

    fn holds_all_of(&self, other: &Self) -> bool {
        let mut others = other.known.iter();
        others.all(|(number, _)| self.place(*number).is_some())
    }
}

/// The terms in use, and those that are on their way out.
pub(super) struct Held {
    pub(super) now: Terms,
    /// What went with the last exchange: whoever read a record before it may still open it, until
    /// [`Keyring::forget_old_terms`].
    before: Option<Terms>,
}

impl Held {
    pub(super) fn new(now: Terms) -> Self {
        Self { now, before: None }
    }

    /// The key that opens records of a term.
    pub(super) fn key(&self, number: u32) -> Option<&[u8; 32]> {
        let before = || self.before.as_ref().and_then(|terms| terms.key(number));
        self.now.key(number).or_else(before)
    }

    pub(super) fn is_locked(&self) -> bool {
        self.now.page.is_locked()
    }
}

impl Keyring {
    /// Adds a new term and makes it current; the header that comes back is to be stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are too many terms already.
    pub fn add_term(&self, header: &Header, now: Timestamp) -> Result<Header> {
        let newest = header.terms.iter().map(|term| term.number).max();
        let number = newest.unwrap_or(0).checked_add(1);
        let (Some(number), true) = (number, header.terms.len() < limits::KEY_TERMS_MAX) else {
            return Err(Error::invalid(format!(
                "a vault has at most {} key terms; the rotation that is under way ends first",
                limits::KEY_TERMS_MAX
            )));
        };
        let mut header = header.clone();
        let key = Zeroizing::new(random::<32>());
        let wrapping = self.page.key(WRAPPING);
        let term = Term::wrap(number, &key, wrapping, &header.vault_id, now);
        header.terms.push(term);
        header.current_term = number;
        self.sign(&mut header);
        Ok(header)
    }

    /// Takes every term but the current one away; the header that comes back is to be stored.
    pub fn drop_old_terms(&self, header: &Header) -> Header {
        let mut header = header.clone();
        let current = header.current_term;
        header.terms.retain(|term| term.number == current);
        self.sign(&mut header);
        header
    }

    /// The terms of a header that these keys signed.
    ///
    /// # Errors
    /// [`Error::Damaged`] where they did not sign it.
    pub fn terms_of(&self, header: &Header) -> Result<Terms> {
        if !self.signed(header) {
            return Err(header::changed());
        }
        Terms::of(header, self.page.key(WRAPPING)).map_err(|error| match error {
            Error::UnlockFailed => header::changed(),
            other => other,
        })
    }

    /// Seals under these terms from now on. To be called when the header they are of is committed.
    pub fn take_up(&self, terms: Terms) {
        let mut held = self.terms.write().expect("no holder panics");
        let before = std::mem::replace(&mut held.now, terms);
        if !held.now.holds_all_of(&before) {
            held.before = Some(before);
        }
    }

    /// Wipes the terms that went: nobody who read a record before they did is at work any more.
    pub fn forget_old_terms(&self) {
        self.terms.write().expect("no holder panics").before = None;
    }

    /// The current term, and when it began.
    pub fn current_term(&self) -> (u32, Timestamp) {
        let held = self.terms.read().expect("no holder panics");
        held.now.known[held.now.current]
    }

    /// The record sealed anew under the current term: same identity, version and parts.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a part does not open.
    pub fn reseal(&self, table: &'static str, identity: &[u8], sealed: &Sealed) -> Result<Sealed> {
        let opened = (0..sealed.parts())
            .map(|part| self.open(table, identity, sealed, part))
            .collect::<Result<Vec<_>>>()?;
        let parts: Vec<&[u8]> = opened.iter().map(|part| part.as_slice()).collect();
        let context = Context {
            table,
            identity,
            version: sealed.version(),
        };
        self.seal(context, &parts)
    }
}

#[cfg(test)]
mod tests;
