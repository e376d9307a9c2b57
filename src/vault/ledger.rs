//! The ledger: how many sealed records and index entries there are, and a multiset hash over each
//! record's place and version and each entry's place and value, changed in the transaction that
//! changes them; and which header is the vault's.
//!
//! The indexes that came later are counted apart (`later`): a program of an earlier version knows
//! neither them nor their sum, and drops the sum with its first commit. So a vault goes back to it
//! unharmed, and comes again as one whose later indexes are to be filled anew.
//!
//! The hash is a sum modulo 2^256 of HMACs (MSet-Add-Hash, Clarke et al. 2003): adding and taking
//! out cost one HMAC, and without the key no second set with the same sum can be found.
//!
//! It promises: V1 a record or index entry that is missing, extra, or other than the last one
//! written does not add up, and unlocking says so; an older header does not come back to life, and
//! an older passphrase with it; nor does what the vault notes about itself.
//! It never: repairs.

mod adding;
mod later;
mod sum;

use serde::{Deserialize, Serialize};

pub(super) use self::later::Filled;
use self::later::{Later, StoredLater};
use self::sum::Sum;
use super::anchor::AnchorId;
use super::audit::Head;
use super::host::NOTES;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::seal::{Context, Hasher, Keyring, Purpose, Sealed, digest};
use crate::secret::{base64url, from_base64url};
use crate::store::{Index, Read, Records, View};

pub(super) const KEY: &[u8] = b"ledger";

/// What the ledger counts, each by what must not be changed behind it.
#[derive(Clone, Copy)]
pub(super) enum Counted<'a> {
    /// A sealed record: its table, key and version. The seal binds the rest.
    Record(Records, &'a [u8], u64),
    /// An index entry, which no seal binds: its index, key and value.
    Entry(Index, &'a [u8], &'a [u8]),
}

impl Counted<'_> {
    /// True for an entry of an index that came later.
    fn came_later(&self) -> bool {
        matches!(self, Self::Entry(index, ..) if index.came_later())
    }

    fn element(self, hash: impl Fn(&[&[u8]]) -> [u8; 32]) -> [u64; 4] {
        let hash = match self {
            Self::Record(table, key, version) => {
                let version = version.to_le_bytes();
                let parts: [&[u8]; 4] = [b"record", table.name().as_bytes(), key, &version];
                hash(&parts)
            }
            Self::Entry(index, key, value) => {
                let parts: [&[u8]; 4] = [b"entry", index.name().as_bytes(), key, value];
                hash(&parts)
            }
        };
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(hash.chunks_exact(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        }
        limbs
    }
}

/// What the sealed records and index entries add up to. The default is that of a new vault: it
/// counts nothing, and every index of it is whole.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ledger {
    /// Grows by one with every commit.
    pub(super) epoch: u64,
    /// Grows with every record written; the next record's version.
    pub(super) next_version: u64,
    /// The sealed records, and the entries of the indexes that were there from the beginning.
    first: Sum,
    /// The entries of those that came later.
    later: Later,
    /// The last audit entry known to be on the disk, and its hash.
    pub(super) audit_seq: u64,
    pub(super) audit_hash: [u8; 32],
    /// The hash of the header as it was last written.
    header: [u8; 32],
    /// The hash of what the vault notes about itself; `None` in older files.
    notes: Option<[u8; 32]>,
    /// The anchor that holds it.
    pub(super) anchor: Option<AnchorId>,
    /// When it was last written, by the clock of that time; `None` in older files.
    pub(super) written_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: u64,
    next_version: u64,
    count: u64,
    sum: [u64; 4],
    audit_seq: u64,
    audit_hash: String,
    header: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written_at: Option<Timestamp>,
    /// `None` where a program that does not know of them wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    later: Option<StoredLater>,
}

impl Ledger {
    /// One that counts nothing yet, and goes on from these numbers.
    pub(super) fn going_on(epoch: u64, next_version: u64) -> Self {
        Self {
            epoch,
            next_version,
            ..Self::default()
        }
    }

    /// Counts something in.
    pub(super) fn add(&mut self, keys: &Keyring, one: Counted<'_>) {
        self.add_with(one, |parts| keys.hash(Purpose::Ledger, parts));
    }

    /// [`Self::add`], by who adds up a lot in one go, with the ledger's hasher.
    fn add_by(&mut self, hasher: &Hasher, one: Counted<'_>) {
        self.add_with(one, |parts| hasher.hash(parts));
    }

    fn add_with(&mut self, one: Counted<'_>, hash: impl Fn(&[&[u8]]) -> [u8; 32]) {
        let element = one.element(hash);
        self.sum_of(&one).add(element);
    }

    /// Counts in what another has counted.
    fn add_all(&mut self, other: &Self) {
        self.first.add_all(&other.first);
        self.later.sum.add_all(&other.later.sum);
    }

    /// Counts something out.
    pub(super) fn take(&mut self, keys: &Keyring, one: Counted<'_>) {
        let element = one.element(|parts| keys.hash(Purpose::Ledger, parts));
        self.sum_of(&one).take(element);
    }

    fn sum_of(&mut self, one: &Counted<'_>) -> &mut Sum {
        match one.came_later() {
            false => &mut self.first,
            true => &mut self.later.sum,
        }
    }

    /// Sealed records and index entries.
    pub(super) fn count(&self) -> u64 {
        self.first.count + self.later.sum.count
    }

    /// True where what is written of this index is kept and counted.
    pub(super) fn keeps(&self, index: Index) -> bool {
        !index.came_later() || self.later.filled != Filled::Not
    }

    /// How far the indexes that came later are filled.
    pub(super) fn filled(&self) -> &Filled {
        &self.later.filled
    }

    /// Remembers how far they are.
    pub(super) fn set_filled(&mut self, filled: Filled) {
        self.later.filled = filled;
    }

    /// Remembers the header that is written with it.
    pub(super) fn set_header(&mut self, header: &[u8]) {
        self.header = digest(&[header]);
    }

    /// Remembers what the vault notes about itself, as `view` shows it.
    pub(super) fn set_notes(&mut self, view: &impl View) -> Result<()> {
        self.notes = Some(hash_of_notes(view)?);
        Ok(())
    }

    /// Refuses notes of the vault about itself that are not those last written.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(super) fn check_notes(&self, view: &impl View) -> Result<()> {
        match self.notes {
            Some(known) if known != hash_of_notes(view)? => Err(Error::Damaged(
                "what the vault notes about itself (its host, that it was restored) is not what \
                 was last written"
                    .into(),
            )),
            _ => Ok(()),
        }
    }

    /// True where both were written with the same header.
    pub(super) fn has_header_of(&self, other: &Self) -> bool {
        self.header == other.header
    }

    /// Compares a stored header with the one last written. An older one has a good signature too,
    /// and opens with whatever opened the vault then.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is another.
    pub(super) fn check_header(&self, header: &[u8]) -> Result<()> {
        if self.header == digest(&[header]) {
            return Ok(());
        }
        Err(Error::Damaged(
            "the vault's header is not the one last written: an older one was put in its place, \
             or the ledger's"
                .into(),
        ))
    }

    /// True where what was counted into `found` is what this ledger counts.
    pub(super) fn adds_up_to(&self, found: &Self) -> bool {
        // What lies in an index that is not kept yet is cleared away before it is.
        let is_kept = self.later.filled != Filled::Not;
        self.proves(found) && (!is_kept || self.later.sum == found.later.sum)
    }

    /// [`Self::adds_up_to`], as far as it tells which records there are: from the indexes that came
    /// later nobody learns of one.
    pub(super) fn proves(&self, found: &Self) -> bool {
        self.first == found.first
    }

    /// A version that no record has had.
    pub(super) fn take_version(&mut self) -> u64 {
        self.next_version += 1;
        self.next_version
    }

    pub(super) fn seal(&self, keys: &Keyring) -> Result<Sealed> {
        let stored = Stored {
            epoch: self.epoch,
            next_version: self.next_version,
            count: self.first.count,
            sum: self.first.limbs,
            audit_seq: self.audit_seq,
            audit_hash: base64url(&self.audit_hash),
            header: base64url(&self.header),
            notes: self.notes.map(|hash| base64url(&hash)),
            anchor: self.anchor.map(|id| base64url(&id)),
            written_at: self.written_at,
            later: self.later.stored(),
        };
        let plain = serde_json::to_vec(&stored).expect("plain data");
        let context = Context {
            table: Records::Meta.name(),
            identity: KEY,
            version: self.epoch,
        };
        keys.seal(context, &[&plain])
    }

    /// Reads the ledger.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is gone or does not authenticate.
    pub(super) fn read(keys: &Keyring, view: &impl View) -> Result<Self> {
        Self::read_with_digest(keys, view).map(|(ledger, _)| ledger)
    }

    /// [`Self::read`], and the hash of its sealed bytes, which no other commit shares.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_with_digest(keys: &Keyring, view: &impl View) -> Result<(Self, [u8; 32])> {
        let damaged = || Error::Damaged("the vault's ledger is missing or cannot be read".into());
        let sealed = view.record(Records::Meta, KEY)?.ok_or_else(damaged)?;
        let ledger = Self::open(keys, &sealed)?;
        Ok((ledger, digest(&[sealed.as_bytes()])))
    }

    /// Opens a sealed ledger.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it does not authenticate.
    pub(super) fn open(keys: &Keyring, sealed: &Sealed) -> Result<Self> {
        let damaged = || Error::Damaged("the vault's ledger is missing or cannot be read".into());
        let plain = keys.open(Records::Meta.name(), KEY, sealed, 0)?;
        let stored: Stored = serde_json::from_slice(&plain).map_err(|_| damaged())?;
        let hash = |text: &str| {
            from_base64url(text)
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
                .ok_or_else(damaged)
        };
        let anchor = stored.anchor.map(|text| {
            let bytes = from_base64url(&text).and_then(|bytes| AnchorId::try_from(bytes).ok());
            bytes.ok_or_else(damaged)
        });
        Ok(Self {
            epoch: stored.epoch,
            next_version: stored.next_version,
            first: Sum {
                count: stored.count,
                limbs: stored.sum,
            },
            later: Later::of(stored.later).ok_or_else(damaged)?,
            audit_seq: stored.audit_seq,
            audit_hash: hash(&stored.audit_hash)?,
            header: hash(&stored.header)?,
            notes: stored.notes.as_deref().map(hash).transpose()?,
            anchor: anchor.transpose()?,
            written_at: stored.written_at,
        })
    }

    /// The last audit entry known to be on the disk.
    pub(super) fn audit_head(&self) -> Head {
        Head {
            seq: self.audit_seq,
            hash: self.audit_hash,
        }
    }

    /// Adds up every record and index entry of the file and compares.
    ///
    /// # Errors
    /// [`Error::Damaged`] where they do not add up.
    pub(super) fn verify(&self, keys: &Keyring, view: &Read) -> Result<()> {
        self.verify_watched(keys, view, &mut |_| Ok(()))
    }

    /// [`Self::verify`], which tells `tick` now and then how many it has added up.
    ///
    /// # Errors
    /// As [`Self::verify`]; what `tick` answers.
    pub(super) fn verify_watched(
        &self,
        keys: &Keyring,
        view: &Read,
        tick: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        self.check_notes(view)?;
        let found = adding::add_up(keys, view, tick)?;
        if self.adds_up_to(&found) {
            return Ok(());
        }
        Err(Error::Damaged(format!(
            "the records do not add up: the ledger counts {} records and index entries, the file \
             holds {}, and at least one is missing, extra or other than the last one written",
            self.count(),
            found.count()
        )))
    }
}

fn hash_of_notes(view: &impl View) -> Result<[u8; 32]> {
    let mut noted = Vec::new();
    for name in NOTES {
        if let Some(sealed) = view.record(Records::Meta, name)? {
            noted.push((name, sealed));
        }
    }
    let parts = noted
        .iter()
        .flat_map(|(name, sealed)| [*name, sealed.as_bytes()]);
    Ok(digest(&parts.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests;
