//! The crypto room: what is sealed, under which key, bound to what.
//!
//! It promises:
//! * S1 A sealed part opens only with the same vault id, table, identity, part, number of parts,
//!   key term and record version it was sealed with, each length-prefixed in the associated data.
//! * S2 Unlocking compares a commitment first and says one thing whatever is wrong; a wrong secret
//!   costs what a wrong passphrase costs.
//! * S3 Parameters of the header outside floor and cap are refused before memory is taken.
//! * S4 Slots, terms and the current term are authenticated together under the root key.
//! * S5 [`Sealed`] is made by sealing or by parsing stored bytes, and by nothing else.
//!
//! It never: knows what a token is, reads a file, or hands out a key.

mod header;
mod memory;
mod primitives;
mod sealed;
mod slot;
mod terms;

use std::sync::RwLock;

use zeroize::Zeroizing;

#[cfg(test)]
pub(crate) use self::header::Rebuilt;
pub use self::header::{FORMAT, Header, Term};
pub use self::primitives::Hasher;
pub use self::sealed::Sealed;
pub use self::slot::{KdfParams, RecoveryCode, Slot, SlotKind, Unlocker, check_passphrase};
pub use self::terms::Terms;

use self::memory::KeyPage;
use self::sealed::{PARTS_MAX, RECORD_FORMAT};
use self::terms::Held;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::secret::{Secret, random};

/// What a sealed record is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The table it lies in.
    pub table: &'static str,
    /// Its full identity within the table: the key, which is a keyed hash of the plain identity.
    pub identity: &'a [u8],
    /// Grows with every write of the vault, so that no two writes share it.
    pub version: u64,
}

/// Subkeys, each for one purpose, derived from the root key.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// Index keys of the tables.
    Index = 1,
    /// Audit segments.
    Audit = 2,
    /// Hashes of access keys.
    AccessKeys = 3,
    /// Console cookies.
    Cookie = 4,
    /// States, tickets, codes and browser cookies of connect links.
    State = 5,
    /// The ledger's multiset hash.
    Ledger = 6,
    /// The anchor outside the vault.
    Anchor = 9,
}

const PURPOSES: [(Purpose, &[u8]); 7] = [
    (Purpose::Index, b"strongroom 1 index"),
    (Purpose::Audit, b"strongroom 1 audit"),
    (Purpose::AccessKeys, b"strongroom 1 access keys"),
    (Purpose::Cookie, b"strongroom 1 console cookie"),
    (Purpose::State, b"strongroom 1 state"),
    (Purpose::Ledger, b"strongroom 1 ledger"),
    (Purpose::Anchor, b"strongroom 1 anchor"),
];

/// The deepest stack that making and opening keys takes, and some more, in bytes.
const STACK_BYTES: usize = 128 * 1024;

const ROOT: usize = 0;
const HEADER_MAC: usize = 7;
const WRAPPING: usize = 8;

/// The keys of an unlocked vault.
pub struct Keyring {
    vault_id: [u8; 16],
    page: KeyPage,
    /// Held for the length of one record; written only to exchange the terms.
    terms: RwLock<Held>,
}

impl Keyring {
    /// Makes the keys and the header of a new vault, with a slot for each unlocker.
    ///
    /// # Errors
    /// [`Error::Settings`] where a derivation cannot be done.
    pub fn create(
        slots: &[(&Unlocker, &str)],
        kdf: KdfParams,
        now: Timestamp,
    ) -> Result<(Self, Header)> {
        let made = Self::make(slots, kdf, now);
        memory::wipe_stack::<STACK_BYTES>();
        made
    }

    // Never inlined, so that its frames lie where the stack is wiped.
    #[inline(never)]
    fn make(slots: &[(&Unlocker, &str)], kdf: KdfParams, now: Timestamp) -> Result<(Self, Header)> {
        let vault_id = random();
        let root = Zeroizing::new(random::<32>());
        let mut keyring = Self::from_root(&vault_id, &root)?;
        let term_key = Zeroizing::new(random::<32>());
        let term = Term::wrap(1, &term_key, keyring.page.key(WRAPPING), &vault_id, now);
        keyring.take_term(1, &term_key, now);
        let mut header = Header {
            vault_id,
            next_slot: 1,
            slots: Vec::new(),
            current_term: 1,
            terms: vec![term],
            commitment: commitment(&root),
            mac: [0; 32],
        };
        for (unlocker, label) in slots {
            header = keyring.add_slot(&header, unlocker, label, kdf, now)?;
        }
        keyring.sign(&mut header);
        Ok((keyring, header))
    }

    /// Opens the keys with a passphrase, recovery code or key file.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] whatever does not fit; [`Error::Settings`] for want of memory.
    pub fn unlock(header: &Header, unlocker: &Unlocker) -> Result<Self> {
        let opened = Self::try_unlock(header, unlocker);
        memory::wipe_stack::<STACK_BYTES>();
        opened
    }

    #[inline(never)]
    fn try_unlock(header: &Header, unlocker: &Unlocker) -> Result<Self> {
        let mut root = None;
        let candidates = header
            .slots
            .iter()
            .filter(|slot| slot.kind == unlocker.kind());
        let mut untried = None;
        for slot in candidates {
            match slot.unwrap(unlocker, &header.vault_id) {
                Ok(Some(found)) => {
                    root = Some(found);
                    break;
                }
                Ok(None) => {}
                // A slot whose memory cannot be had here must not hide the ones after it.
                Err(error) => untried = Some(error),
            }
        }
        let Some(root) = root else {
            if let Some(error) = untried {
                return Err(error);
            }
            // S2: a wrong code or key file costs what a wrong passphrase costs.
            if unlocker.kind() != SlotKind::Passphrase {
                let passphrase = Unlocker::Passphrase(Secret::new(String::new()));
                for slot in header.slots.iter().filter(|slot| slot.kdf.is_some()) {
                    slot.unwrap(&passphrase, &header.vault_id)?;
                }
            }
            return Err(Error::UnlockFailed);
        };
        if !Secret::new(header.commitment).equals(&commitment(&root)) {
            return Err(Error::UnlockFailed);
        }
        let mut keyring = Self::from_root(&header.vault_id, &root)?;
        let mac = keyring.header_mac(header);
        if !Secret::new(header.mac).equals(&mac) {
            return Err(Error::UnlockFailed);
        }
        let terms = Terms::of(header, keyring.page.key(WRAPPING))?;
        keyring.terms = RwLock::new(Held::new(terms));
        Ok(keyring)
    }

    /// The keys with the terms of another header that they signed.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] where it is not theirs; [`Error::Settings`] for want of memory.
    pub fn under(&self, header: &Header) -> Result<Self> {
        if !self.signed(header) {
            return Err(Error::UnlockFailed);
        }
        let mut keyring = Self::from_root(&header.vault_id, self.page.key(ROOT))?;
        let terms = Terms::of(header, keyring.page.key(WRAPPING))?;
        keyring.terms = RwLock::new(Held::new(terms));
        Ok(keyring)
    }

    fn from_root(vault_id: &[u8; 16], root: &[u8; 32]) -> Result<Self> {
        let mut page = KeyPage::new()?;
        page.put(ROOT, root);
        for (purpose, info) in PURPOSES {
            page.put(purpose as usize, &primitives::hkdf(root, vault_id, info));
        }
        page.put(
            HEADER_MAC,
            &primitives::hkdf(root, vault_id, b"strongroom 1 header"),
        );
        page.put(
            WRAPPING,
            &primitives::hkdf(root, vault_id, b"strongroom 1 wrapping"),
        );
        Ok(Self {
            vault_id: *vault_id,
            page,
            terms: RwLock::new(Held::new(Terms::none()?)),
        })
    }

    fn take_term(&mut self, number: u32, term_key: &[u8; 32], began_at: Timestamp) {
        let held = self.terms.get_mut().expect("no holder panics");
        held.now.take(number, began_at, term_key, &self.vault_id);
    }

    /// Adds a slot; the header that comes back is to be stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are too many slots or the label is wrong.
    pub fn add_slot(
        &self,
        header: &Header,
        unlocker: &Unlocker,
        label: &str,
        kdf: KdfParams,
        now: Timestamp,
    ) -> Result<Header> {
        if header.slots.len() >= limits::KEY_SLOTS_MAX {
            return Err(Error::invalid(format!(
                "a vault has at most {} key slots; remove one first",
                limits::KEY_SLOTS_MAX
            )));
        }
        header::check_label(label)?;
        let mut header = header.clone();
        let new = slot::NewSlot {
            number: header.next_slot,
            unlocker,
            label,
            kdf,
        };
        let slot = Slot::wrap(new, &header.vault_id, self.page.key(ROOT), now)?;
        header.next_slot += 1;
        header.slots.push(slot);
        self.sign(&mut header);
        Ok(header)
    }

    /// Puts one new slot in the place of all of the unlocker's kind, in one step; the header that
    /// comes back is to be stored.
    ///
    /// # Errors
    /// As [`Self::add_slot`], the slots that go not counted.
    pub fn replace_slots(
        &self,
        header: &Header,
        unlocker: &Unlocker,
        label: &str,
        kdf: KdfParams,
        now: Timestamp,
    ) -> Result<Header> {
        let mut kept = header.clone();
        kept.slots.retain(|slot| slot.kind != unlocker.kind());
        self.add_slot(&kept, unlocker, label, kdf, now)
    }

    /// Removes a slot; the header that comes back is to be stored.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of that number; [`Error::Invalid`] for the last one.
    pub fn remove_slot(&self, header: &Header, number: u32) -> Result<Header> {
        let mut header = header.clone();
        let before = header.slots.len();
        header.slots.retain(|slot| slot.number != number);
        if header.slots.len() == before {
            return Err(Error::NotFound("key slot"));
        }
        if header.slots.is_empty() {
            return Err(Error::invalid(
                "the last key slot stays: nothing else opens the vault",
            ));
        }
        self.sign(&mut header);
        Ok(header)
    }

    /// True where the stored header is the one these keys signed.
    pub fn signed(&self, header: &Header) -> bool {
        Secret::new(header.mac).equals(&self.header_mac(header))
    }

    fn sign(&self, header: &mut Header) {
        header.mac = self.header_mac(header);
    }

    fn header_mac(&self, header: &Header) -> [u8; 32] {
        primitives::hmac(self.page.key(HEADER_MAC), &[&header.authenticated_bytes()])
    }

    /// Seals the parts of one record under the current term.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the record would be longer than the limit.
    pub fn seal(&self, context: Context<'_>, parts: &[&[u8]]) -> Result<Sealed> {
        let count = u8::try_from(parts.len()).expect("a record has a few parts");
        assert!(
            (1..=PARTS_MAX).contains(&count),
            "a record has 1 to {PARTS_MAX} parts"
        );
        let held = self.terms.read().expect("no holder panics");
        let (term, key) = held.now.current();
        let mut bytes = vec![RECORD_FORMAT];
        bytes.extend_from_slice(&term.to_le_bytes());
        bytes.extend_from_slice(&context.version.to_le_bytes());
        bytes.push(count);
        for (part, plain) in (0_u8..).zip(parts) {
            let place = (part, count);
            let sealed = primitives::seal(key, &self.associated(context, term, place), plain);
            let length = u32::try_from(sealed.len()).map_err(|_| too_long())?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&sealed);
        }
        if bytes.len() > limits::RECORD_BYTES_MAX {
            return Err(too_long());
        }
        Ok(Sealed::made(bytes))
    }

    /// Opens one part of a record.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it was changed, moved, rolled back apart from its version, or
    /// sealed under a term that is gone.
    pub fn open(
        &self,
        table: &'static str,
        identity: &[u8],
        sealed: &Sealed<impl AsRef<[u8]>>,
        part: u8,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let term = sealed.term();
        let context = Context {
            table,
            identity,
            version: sealed.version(),
        };
        let held = self.terms.read().expect("no holder panics");
        held.key(term)
            .zip(sealed.part(part))
            .and_then(|(key, bytes)| {
                let associated = self.associated(context, term, (part, sealed.parts()));
                primitives::open(key, &associated, bytes)
            })
            .ok_or_else(|| Error::Damaged(format!("a record in `{table}` does not authenticate")))
    }

    /// What a part is bound to; `place` is its number and how many there are.
    fn associated(&self, context: Context<'_>, term: u32, place: (u8, u8)) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        let version = context.version.to_le_bytes();
        for field in [
            b"strongroom record".as_slice(),
            &[RECORD_FORMAT],
            &self.vault_id,
            context.table.as_bytes(),
            context.identity,
            &[place.0, place.1],
            &term.to_le_bytes(),
            &version,
        ] {
            out.extend_from_slice(&(field.len() as u32).to_le_bytes());
            out.extend_from_slice(field);
        }
        out
    }

    /// Seals bytes that lie outside the store, under a purpose's subkey, bound to `associated`.
    pub fn seal_apart(&self, purpose: Purpose, associated: &[u8], plain: &[u8]) -> Vec<u8> {
        primitives::seal(self.page.key(purpose as usize), associated, plain)
    }

    /// Opens what [`Self::seal_apart`] sealed; `None` where anything differs.
    pub fn open_apart(
        &self,
        purpose: Purpose,
        associated: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        primitives::open(self.page.key(purpose as usize), associated, sealed)
    }

    /// A keyed hash of `parts` for a purpose.
    pub fn hash(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        primitives::hmac(self.page.key(purpose as usize), parts)
    }

    /// [`Self::hash`], for who hashes a lot in one go.
    pub fn hasher(&self, purpose: Purpose) -> Hasher {
        Hasher::new(self.page.key(purpose as usize))
    }

    /// The vault these keys belong to.
    pub fn vault_id(&self) -> &[u8; 16] {
        &self.vault_id
    }

    /// Whether the keys are locked out of swap.
    pub fn is_locked_in_memory(&self) -> bool {
        self.page.is_locked() && self.terms.read().expect("no holder panics").is_locked()
    }
}

/// An unkeyed hash of `parts`, for chains and fingerprints of what is secret already.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    primitives::sha256(parts)
}

fn commitment(root: &[u8; 32]) -> [u8; 32] {
    *primitives::hkdf(root, b"", b"strongroom 1 commitment")
}

fn too_long() -> Error {
    Error::TooLarge(format!(
        "a record has at most {} bytes",
        limits::RECORD_BYTES_MAX
    ))
}

#[cfg(test)]
mod tests;
