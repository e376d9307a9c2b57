//! Changes as they reach the transaction, and the ledger with them.
//!
//! It promises: a record or an index entry that comes, goes or changes is counted in the same
//! transaction; of an index that is not kept yet nothing is written.
//! It never: commits.

use super::super::ledger::{Counted, Ledger};
use crate::error::Result;
use crate::seal::{Keyring, Sealed};
use crate::store::{Index, Records, View, Write};

/// Writes, and keeps the ledger: what was there is counted out, what comes is counted in.
pub(in crate::vault) struct Books<'a> {
    pub(in crate::vault) write: &'a Write,
    pub(in crate::vault) keys: &'a Keyring,
    pub(in crate::vault) ledger: &'a mut Ledger,
}

impl Books<'_> {
    pub(in crate::vault) fn put(
        &mut self,
        table: Records,
        key: &[u8],
        sealed: &Sealed,
    ) -> Result<()> {
        self.count_out(table, key)?;
        if table != Records::Meta {
            let new = Counted::Record(table, key, sealed.version());
            self.ledger.add(self.keys, new);
        }
        self.write.put_record(table, key, sealed)
    }

    pub(super) fn remove(&mut self, table: Records, key: &[u8]) -> Result<()> {
        self.count_out(table, key)?;
        self.write.remove_record(table, key)
    }

    fn count_out(&mut self, table: Records, key: &[u8]) -> Result<()> {
        if table != Records::Meta
            && let Some(old) = self.write.record(table, key)?
        {
            let old = Counted::Record(table, key, old.version());
            self.ledger.take(self.keys, old);
        }
        Ok(())
    }

    pub(in crate::vault) fn put_entry(
        &mut self,
        index: Index,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        if !self.ledger.keeps(index) {
            return Ok(());
        }
        let old = self.write.entry(index, key)?;
        // A token that is stored again keeps most of its entries.
        if old.as_deref() == Some(value) {
            return Ok(());
        }
        if let Some(old) = &old {
            self.ledger.take(self.keys, Counted::Entry(index, key, old));
        }
        self.ledger
            .add(self.keys, Counted::Entry(index, key, value));
        self.write.put_entry(index, key, value)
    }

    pub(super) fn remove_entry(&mut self, index: Index, key: &[u8]) -> Result<()> {
        if !self.ledger.keeps(index) {
            return Ok(());
        }
        let Some(old) = self.write.entry(index, key)? else {
            return Ok(());
        };
        self.ledger
            .take(self.keys, Counted::Entry(index, key, &old));
        self.write.remove_entry(index, key)
    }
}
