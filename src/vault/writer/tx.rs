//! What an operation works on: it reads what was written before it, then stages changes.
//!
//! It promises: what an operation staged reaches the transaction as a whole, after it has ended
//! well, and the ledger with it.
//! It never: shows an operation its own changes, or commits.

use super::super::anchor::AnchorId;
use super::super::ledger::{Filled, Ledger};
use super::books::Books;
use crate::error::Result;
use crate::seal::{Context, Header, Keyring, Sealed};
use crate::store::{Index, Records, Scan, View, Write};

/// A change that is staged.
pub(super) enum Change {
    Put(Records, Vec<u8>, Sealed),
    Remove(Records, Vec<u8>),
    PutEntry(Index, Vec<u8>, Vec<u8>),
    RemoveEntry(Index, Vec<u8>),
    Header(Vec<u8>),
    Anchor(Option<AnchorId>),
    /// Of an index that is not kept.
    Clear(Index, Vec<u8>),
    Filled(Filled),
}

/// What an operation works on: it reads, then stages changes.
pub(in crate::vault) struct Tx<'a> {
    pub(super) write: &'a Write,
    pub(super) keys: &'a Keyring,
    pub(super) ledger: &'a mut Ledger,
    pub(super) staged: Vec<Change>,
}

impl Tx<'_> {
    pub(in crate::vault) fn keys(&self) -> &Keyring {
        self.keys
    }

    pub(in crate::vault) fn view(&self) -> &Write {
        self.write
    }

    /// Seals and stages a record; its version, which no other record has had, comes back.
    pub(in crate::vault) fn put(
        &mut self,
        table: Records,
        key: &[u8],
        parts: &[&[u8]],
    ) -> Result<u64> {
        let version = self.ledger.take_version();
        let context = Context {
            table: table.name(),
            identity: key,
            version,
        };
        let sealed = self.keys.seal(context, parts)?;
        self.staged.push(Change::Put(table, key.to_vec(), sealed));
        Ok(version)
    }

    pub(in crate::vault) fn remove(&mut self, table: Records, key: &[u8]) {
        self.staged.push(Change::Remove(table, key.to_vec()));
    }

    pub(in crate::vault) fn put_entry(&mut self, index: Index, key: &[u8], value: &[u8]) {
        self.staged
            .push(Change::PutEntry(index, key.to_vec(), value.to_vec()));
    }

    pub(in crate::vault) fn remove_entry(&mut self, index: Index, key: &[u8]) {
        self.staged.push(Change::RemoveEntry(index, key.to_vec()));
    }

    /// The vault's header, as this transaction sees it.
    ///
    /// # Errors
    /// [`crate::error::Error::Damaged`] where it was changed behind the vault's back.
    pub(in crate::vault) fn header(&self) -> Result<Vec<u8>> {
        let header = self.write.header()?;
        self.ledger.check_header(&header)?;
        Ok(header)
    }

    pub(in crate::vault) fn put_header(&mut self, header: &Header) {
        self.staged.push(Change::Header(header.to_bytes()));
    }

    /// Has the ledger name the anchor that holds it.
    pub(in crate::vault) fn set_anchor(&mut self, anchor: Option<AnchorId>) {
        self.staged.push(Change::Anchor(anchor));
    }

    /// How far the indexes that came later are filled.
    pub(in crate::vault) fn filled(&self) -> &Filled {
        self.ledger.filled()
    }

    /// Stages how far they are. The first word that they are kept counts from nothing: whoever
    /// gives it has cleared them.
    pub(in crate::vault) fn set_filled(&mut self, filled: Filled) {
        self.staged.push(Change::Filled(filled));
    }

    /// Stages the removal of what lies in an index that is not kept.
    pub(in crate::vault) fn clear_entry(&mut self, index: Index, key: &[u8]) {
        self.staged.push(Change::Clear(index, key.to_vec()));
    }

    /// How many records of `table` have keys that begin with `prefix`, counted up to `most`.
    pub(in crate::vault) fn count(
        &self,
        table: Records,
        prefix: &[u8],
        most: usize,
    ) -> Result<usize> {
        let mut count = 0;
        self.write.scan_records(table, prefix, None, &mut |_, _| {
            count += 1;
            Ok(if count < most { Scan::Go } else { Scan::Stop })
        })?;
        Ok(count)
    }

    /// Makes the changes, and counts them.
    pub(super) fn apply(self) -> Result<()> {
        let mut books = Books {
            write: self.write,
            keys: self.keys,
            ledger: self.ledger,
        };
        for change in self.staged {
            match change {
                Change::Put(table, key, sealed) => books.put(table, &key, &sealed)?,
                Change::Remove(table, key) => books.remove(table, &key)?,
                Change::PutEntry(index, key, value) => books.put_entry(index, &key, &value)?,
                Change::RemoveEntry(index, key) => books.remove_entry(index, &key)?,
                Change::Header(bytes) => {
                    books.ledger.set_header(&bytes);
                    books.write.put_header(&bytes)?;
                }
                Change::Anchor(anchor) => books.ledger.anchor = anchor,
                Change::Clear(index, key) => books.write.remove_entry(index, &key)?,
                Change::Filled(filled) => books.ledger.set_filled(filled),
            }
        }
        Ok(())
    }
}
