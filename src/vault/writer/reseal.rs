//! Resealing within a transaction: what a rotation of the keys does to records.
//!
//! It promises: a record keeps its place, its version and its parts, so that a refresh in flight
//! finds the version its intent names and the ledger's sum stays; what was removed or written anew
//! meanwhile is seen as it is, since the transaction is the only writer; the old terms go in a
//! transaction that has itself looked at every record.
//! It never: reseals more at one time than the limits say, or stops at a record that is damaged.

use super::super::rotation::under_way;
use super::tx::Change;
use super::{Ledger, Tx, Worker, ledger};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::{Header, Sealed, Terms};
use crate::store::{Records, Scan, View, Write};

/// What one batch came to.
#[derive(Debug, Default)]
pub(in crate::vault) struct Batch {
    /// The last key looked at; `None` where the table is at its end.
    pub(in crate::vault) next: Option<Vec<u8>>,
    /// Records now of the current term.
    pub(in crate::vault) resealed: u64,
    /// Records that do not open.
    pub(in crate::vault) damaged: u64,
}

/// How an end of a rotation went.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::vault) enum Ending {
    /// These terms are gone, now or by an earlier try whose outcome was not known.
    Gone(Vec<u32>),
    /// So many records are of an older term.
    Left(u64),
}

impl Tx<'_> {
    /// Seals anew what is not of the current term, from after `after`, and stages it.
    ///
    /// # Errors
    /// Those of the store.
    pub(in crate::vault) fn reseal(
        &mut self,
        table: Records,
        after: Option<&[u8]>,
    ) -> Result<Batch> {
        let (current, _) = self.keys.current_term();
        let (mut looked, mut bytes) = (0, 0);
        let mut batch = Batch::default();
        let mut old = Vec::new();
        self.write
            .scan_bytes(table, b"", after, &mut |key, value| {
                looked += 1;
                if is_old(table, key, value, current) {
                    bytes += value.len();
                    old.push((key.to_vec(), value.to_vec()));
                }
                let full = looked >= limits::RESEAL_LOOK_MAX
                    || old.len() >= limits::RESEAL_BATCH_MAX
                    || bytes >= limits::RESEAL_BATCH_BYTES_MAX;
                if !full {
                    return Ok(Scan::Go);
                }
                batch.next = Some(key.to_vec());
                Ok(Scan::Stop)
            })?;
        for (key, value) in old {
            let resealed = Sealed::parse(&value)
                .and_then(|sealed| self.keys.reseal(table.name(), &key, &sealed));
            match resealed {
                Ok(sealed) => {
                    batch.resealed += 1;
                    self.staged.push(Change::Put(table, key, sealed));
                }
                Err(Error::Damaged(_)) => batch.damaged += 1,
                Err(other) => return Err(other),
            }
        }
        Ok(batch)
    }

    /// Stages a header with a new term, which is current from the commit on; its number comes back.
    ///
    /// # Errors
    /// [`Error::Conflict`] while records of an older term are being resealed.
    pub(in crate::vault) fn add_term(&mut self, now: Timestamp) -> Result<u32> {
        let header = Header::parse(&self.header()?)?;
        if header.terms().len() > 1 {
            return Err(under_way(header.current_term()));
        }
        let header = self.keys.add_term(&header, now)?;
        self.put_header(&header);
        Ok(header.current_term())
    }

    /// Stages a header without the old terms, where no record is of one.
    ///
    /// # Errors
    /// Those of the store.
    pub(in crate::vault) fn drop_old_terms(&mut self) -> Result<Ending> {
        let header = Header::parse(&self.header()?)?;
        let (current, _) = self.keys.current_term();
        if header.current_term() != current {
            return Err(Error::Damaged(
                "the vault's header names another key term than its writer uses".into(),
            ));
        }
        let (_, left) = count(self.write, current)?;
        if left > 0 {
            return Ok(Ending::Left(left));
        }
        let terms = header.terms().iter().map(|term| term.number);
        let old: Vec<u32> = terms.filter(|number| *number != current).collect();
        if !old.is_empty() {
            let header = self.keys.drop_old_terms(&header);
            self.put_header(&header);
        }
        Ok(Ending::Gone(old))
    }
}

impl Worker {
    /// The terms that are to be taken up once `write` is committed. What is committed counts: a
    /// term that no header on the disk holds would seal what nobody opens again.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the header to be written is not ours.
    pub(super) fn new_terms(&self, write: &Write, ledger: &Ledger) -> Result<Option<Terms>> {
        if self.ledger.has_header_of(ledger) {
            return Ok(None);
        }
        let header = Header::parse(&write.header()?)?;
        self.keys.terms_of(&header).map(Some)
    }

    /// Takes up the terms of the stored header: after a commit whose outcome is unknown it may be
    /// either of two.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is not ours; [`Error::Storage`].
    pub(super) fn take_up_stored_terms(&self) -> Result<()> {
        let header = Header::parse(&self.store.header()?)?;
        self.keys.take_up(self.keys.terms_of(&header)?);
        Ok(())
    }
}

/// How many records there are, and how many of them are not of the term `current`.
///
/// # Errors
/// [`Error::Storage`].
pub(in crate::vault) fn count(view: &impl View, current: u32) -> Result<(u64, u64)> {
    let (mut all, mut old) = (0, 0);
    for table in tables() {
        view.scan_bytes(table, b"", None, &mut |key, value| {
            all += 1;
            old += u64::from(is_old(table, key, value, current));
            Ok(Scan::Go)
        })?;
    }
    Ok((all, old))
}

/// Every table whose values are sealed.
pub(in crate::vault) fn tables() -> impl Iterator<Item = Records> {
    Records::COUNTED.into_iter().chain([Records::Meta])
}

/// True for a record that is to be resealed. The ledger is not: it is sealed anew with every
/// commit, the one that drops the old terms included.
fn is_old(table: Records, key: &[u8], value: &[u8], current: u32) -> bool {
    Sealed::term_of(value) != Some(current) && !(table == Records::Meta && key == ledger::KEY)
}
