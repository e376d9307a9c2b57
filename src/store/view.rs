//! Reading and writing transactions.
//!
//! It promises: a [`Write`] shows what it has written so far; dropped without a commit it leaves
//! nothing behind.
//! It never: keeps a table open longer than a call.

use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, TableError, WriteTransaction};

use super::readers::Reading;
use super::{Definition, HEADER, HEADER_KEY, Index, Records};
use crate::error::{Error, Result};
use crate::seal::Sealed;

/// What a scan's visitor wants next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scan {
    /// The next entry.
    Go,
    /// No more.
    Stop,
}

/// A visitor of entries: key and value.
type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<Scan> + 'v;

/// Reads by address.
pub trait View {
    /// Bytes of one entry.
    #[doc(hidden)]
    fn bytes(&self, table: Definition, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Visits entries whose key begins with `prefix`, in order, from after `after` if given.
    #[doc(hidden)]
    fn visit(
        &self,
        table: Definition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()>;

    /// One sealed record.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is none of ours; [`Error::Storage`] where the disk fails.
    fn record(&self, table: Records, key: &[u8]) -> Result<Option<Sealed>> {
        self.bytes(table.definition(), key)?
            .map(Sealed::take)
            .transpose()
    }

    /// One index entry.
    ///
    /// # Errors
    /// [`Error::Storage`] where the disk fails.
    fn entry(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.bytes(index.definition(), key)
    }

    /// Visits the sealed records whose key begins with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// The visitor's, and those of [`View::record`].
    fn scan_records(
        &self,
        table: Records,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Sealed) -> Result<Scan>,
    ) -> Result<()> {
        self.visit(table.definition(), prefix, after, &mut |key, value| {
            visit(key, Sealed::parse(value)?)
        })
    }

    /// One record as it lies, whatever its shape: for whoever looks for damage.
    ///
    /// # Errors
    /// [`Error::Storage`] where the disk fails.
    fn bytes_at(&self, table: Records, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.bytes(table.definition(), key)
    }

    /// Visits the bytes of every record of a table as they are stored, whole or not, in the order
    /// of their keys: for whoever must not stop at a damaged one.
    ///
    /// # Errors
    /// The visitor's, and [`Error::Storage`].
    fn scan_bytes(
        &self,
        table: Records,
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.visit(table.definition(), b"", after, visit)
    }

    /// Visits index entries whose key begins with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// The visitor's, and [`Error::Storage`].
    fn scan_index(
        &self,
        index: Index,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.visit(index.definition(), prefix, after, visit)
    }
}

/// A view of what was committed when it was made.
pub struct Read(
    ReadTransaction,
    #[expect(dead_code, reason = "counted for as long as it lives")] Reading,
);

impl Read {
    pub(super) fn new(transaction: ReadTransaction, reading: Reading) -> Self {
        Self(transaction, reading)
    }

    /// The vault's header, as this view sees it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where there is none: this is not one of our files, or was emptied.
    pub fn header(&self) -> Result<Vec<u8>> {
        self.bytes(HEADER, HEADER_KEY)?
            .ok_or_else(|| Error::Damaged("the file has no vault header".into()))
    }

    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.0
    }
}

impl View for Read {
    fn bytes(&self, table: Definition, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = match self.0.open_table(table) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(storage(error)),
        };
        bytes_of(&table, key)
    }

    fn visit(
        &self,
        table: Definition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        match self.0.open_table(table) {
            Ok(table) => visit_table(&table, prefix, after, visit),
            Err(TableError::TableDoesNotExist(_)) => Ok(()),
            Err(error) => Err(storage(error)),
        }
    }
}

/// A transaction.
pub struct Write(WriteTransaction);

impl Write {
    pub(super) fn new(transaction: WriteTransaction) -> Self {
        Self(transaction)
    }

    /// Stores a sealed record.
    ///
    /// # Errors
    /// [`Error::Storage`]; the transaction is then to be dropped.
    pub fn put_record(&self, table: Records, key: &[u8], sealed: &Sealed) -> Result<()> {
        self.insert(table.definition(), key, sealed.as_bytes())
    }

    /// Stores an index entry.
    ///
    /// # Errors
    /// [`Error::Storage`]; the transaction is then to be dropped.
    pub fn put_entry(&self, index: Index, key: &[u8], value: &[u8]) -> Result<()> {
        self.insert(index.definition(), key, value)
    }

    /// Removes a sealed record.
    ///
    /// # Errors
    /// [`Error::Storage`]; the transaction is then to be dropped.
    pub fn remove_record(&self, table: Records, key: &[u8]) -> Result<()> {
        self.remove(table.definition(), key)
    }

    /// Removes an index entry.
    ///
    /// # Errors
    /// [`Error::Storage`]; the transaction is then to be dropped.
    pub fn remove_entry(&self, index: Index, key: &[u8]) -> Result<()> {
        self.remove(index.definition(), key)
    }

    /// Stores the vault's header.
    ///
    /// # Errors
    /// [`Error::Storage`]; the transaction is then to be dropped.
    pub fn put_header(&self, header: &[u8]) -> Result<()> {
        self.insert(HEADER, HEADER_KEY, header)
    }

    /// The vault's header, as this transaction sees it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where there is none.
    pub fn header(&self) -> Result<Vec<u8>> {
        self.bytes(HEADER, HEADER_KEY)?
            .ok_or_else(|| Error::Damaged("the file has no vault header".into()))
    }

    /// Makes everything written durable, or nothing.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`]: a commit that failed may be in the file all the same.
    pub fn commit(self) -> Result<()> {
        self.0
            .commit()
            .map_err(|error| Error::OutcomeUnknown(error.to_string()))
    }

    pub(super) fn create_tables(&self) -> Result<()> {
        let records = Records::COUNTED.into_iter().chain([Records::Meta]);
        let definitions = records
            .map(Records::definition)
            .chain(Index::ALL.into_iter().map(Index::definition));
        for definition in definitions {
            self.0.open_table(definition).map_err(storage)?;
        }
        Ok(())
    }

    pub(super) fn insert(&self, table: Definition, key: &[u8], value: &[u8]) -> Result<()> {
        let mut table = self.0.open_table(table).map_err(storage)?;
        table.insert(key, value).map_err(storage)?;
        Ok(())
    }

    fn remove(&self, table: Definition, key: &[u8]) -> Result<()> {
        let mut table = self.0.open_table(table).map_err(storage)?;
        table.remove(key).map_err(storage)?;
        Ok(())
    }
}

impl View for Write {
    fn bytes(&self, table: Definition, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self.0.open_table(table).map_err(storage)?;
        bytes_of(&table, key)
    }

    fn visit(
        &self,
        table: Definition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let table = self.0.open_table(table).map_err(storage)?;
        visit_table(&table, prefix, after, visit)
    }
}

fn bytes_of(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>> {
    let value = table.get(key).map_err(storage)?;
    Ok(value.map(|value| value.value().to_vec()))
}

fn visit_table(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    after: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let start = after.unwrap_or(prefix);
    // With an end of its own the walk does not look into the page behind the last entry.
    let end = behind(prefix);
    if end.as_deref().is_some_and(|end| start >= end) {
        return Ok(());
    }
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let range = table.range::<&[u8]>((Bound::Included(start), end));
    for entry in range.map_err(storage)? {
        let (key, value) = entry.map_err(storage)?;
        let key = key.value();
        if !key.starts_with(prefix) {
            return Ok(());
        }
        if after == Some(key) {
            continue;
        }
        if visit(key, value.value())? == Scan::Stop {
            return Ok(());
        }
    }
    Ok(())
}

/// The first key behind all that begin with `prefix`; `None` where nothing is.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Sorts redb's errors: damage apart from trouble with the disk.
pub(super) fn storage(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Corrupted(what) => Error::Damaged(format!("the vault's file: {what}")),
        redb::Error::UpgradeRequired(version) => {
            Error::TooNew(format!("the vault's file has store format {version}"))
        }
        other => Error::Storage(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// Goal: a walk shows what begins with its prefix and lies behind its cursor, all of it and
    /// nothing else, where the last byte has no next as well. Method: every prefix, and every
    /// cursor in it or behind it, over keys of extreme bytes, compared with a filter.
    #[test]
    fn a_walk_shows_what_has_its_prefix_and_lies_behind_its_cursor() {
        let store = Store::in_memory(b"a header").unwrap();
        let bytes = [0_u8, 1, 254, 255];
        let pairs = || {
            bytes
                .into_iter()
                .flat_map(|one| bytes.map(|two| vec![one, two]))
        };
        let write = store.write().unwrap();
        for key in pairs() {
            write.put_entry(Index::Owners, &key, b"").unwrap();
        }
        write.commit().unwrap();
        let view = store.read().unwrap();
        let single = bytes.into_iter().map(|one| vec![one]);
        for prefix in std::iter::once(vec![]).chain(single).chain(pairs()) {
            let cursors = pairs().filter(|cursor| *cursor >= prefix).map(Some);
            for after in std::iter::once(None).chain(cursors) {
                let mut shown = Vec::new();
                view.scan_index(Index::Owners, &prefix, after.as_deref(), &mut |key, _| {
                    shown.push(key.to_vec());
                    Ok(Scan::Go)
                })
                .unwrap();
                let fits = |key: &Vec<u8>| key.starts_with(&prefix) && Some(key) > after.as_ref();
                let wanted: Vec<Vec<u8>> = pairs().filter(fits).collect();
                assert_eq!(shown, wanted, "{prefix:?} behind {after:?}");
            }
        }
    }
}
