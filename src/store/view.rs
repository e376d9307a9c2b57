//! Reading and writing transactions.
//!
//! It promises: a [`Write`] shows what it has written so far; dropped without a commit it leaves
//! nothing behind. A [`Read`] shows what was committed when it was asked for, or a commit that
//! returned since: those who read between two commits share one.
//! It never: shares a view any longer once a commit has returned.

use std::ops::Bound;
use std::sync::{Arc, Mutex, OnceLock};

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableError, TableHandle,
    WriteTransaction,
};

use super::behind::{guarded, walk_guarded};
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
pub(super) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<Scan> + 'v;

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

    /// Visits the bytes of the records whose key begins with `prefix` as they are stored, whole or
    /// not, in the order of their keys: for whoever must not stop at a damaged one, or needs no
    /// copy of it.
    ///
    /// # Errors
    /// The visitor's, and [`Error::Storage`].
    fn scan_bytes(
        &self,
        table: Records,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.visit(table.definition(), prefix, after, visit)
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

/// A table that is open to read.
pub(super) type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A view of what was committed when it was made. Its copies see the same.
#[derive(Clone)]
pub struct Read(Arc<Opened>);

/// What a view has open.
struct Opened {
    transaction: ReadTransaction,
    /// The table that is read with every fetch; `None` in a file that has none.
    tokens: OnceLock<Option<Table>>,
    #[expect(dead_code, reason = "counted for as long as it lives")]
    reading: Reading,
    /// The file was not checked when it was made.
    is_unchecked: bool,
}

impl Read {
    pub(super) fn new(transaction: ReadTransaction, reading: Reading, is_unchecked: bool) -> Self {
        Self(Arc::new(Opened {
            transaction,
            tokens: OnceLock::new(),
            reading,
            is_unchecked,
        }))
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
        &self.0.transaction
    }

    /// A table, where the file has it: an older one may not.
    /// How many records of a table there are. Costs the same however many.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn length(&self, table: Records) -> Result<u64> {
        match self.table(table.definition())? {
            Some(table) => table.len().map_err(storage),
            None => Ok(0),
        }
    }

    pub(super) fn table(&self, definition: Definition) -> Result<Option<Table>> {
        match self.0.transaction.open_table(definition) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(storage(error)),
        }
    }

    /// Has `look` look at a table, where the file has it.
    fn look<T>(
        &self,
        definition: Definition,
        look: impl FnOnce(&Table) -> Result<T>,
    ) -> Result<Option<T>> {
        if definition.name() != Records::Tokens.name() {
            return self.table(definition)?.as_ref().map(look).transpose();
        }
        let tokens = match self.0.tokens.get() {
            Some(tokens) => tokens,
            None => {
                let table = self.table(definition)?;
                self.0.tokens.get_or_init(|| table)
            }
        };
        tokens.as_ref().map(look).transpose()
    }
}

/// The view that those who read between two commits share.
#[derive(Default)]
pub(super) struct SharedView(Mutex<Option<Read>>);

impl SharedView {
    /// The one there is, or one that `make` makes.
    pub(super) fn get(&self, make: impl FnOnce() -> Result<Read>) -> Result<Read> {
        // Made under the lock: what is made from what was there before a commit is put here before
        // that commit returns, or not at all.
        let mut shared = self.0.lock().expect("no holder panics");
        match &*shared {
            Some(view) => Ok(view.clone()),
            None => Ok(shared.insert(make()?).clone()),
        }
    }

    /// Shares it no longer. Whoever has it reads on.
    pub(super) fn forget(&self) {
        drop(self.0.lock().expect("no holder panics").take());
    }
}

impl View for Read {
    fn bytes(&self, table: Definition, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let look = || self.look(table, |table| bytes_of(table, key));
        Ok(guarded(self.0.is_unchecked, look)?.flatten())
    }

    fn visit(
        &self,
        table: Definition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let walk = |visit: &mut Visit<'_>| {
            self.look(table, |table| visit_table(table, prefix, after, visit))
                .map(|_| ())
        };
        match self.0.is_unchecked {
            true => walk_guarded(visit, walk),
            false => walk(visit),
        }
    }
}

/// A transaction.
pub struct Write(WriteTransaction, Arc<SharedView>);

impl Write {
    pub(super) fn new(transaction: WriteTransaction, shared: Arc<SharedView>) -> Self {
        Self(transaction, shared)
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
        // While it is there the pages it sees cannot be used again.
        self.1.forget();
        let committed = self.0.commit();
        self.1.forget();
        committed.map_err(|error| Error::OutcomeUnknown(error.to_string()))
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
mod tests;
