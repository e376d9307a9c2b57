//! What came of a salvage, to be told.
//!
//! It promises: every record that is known to be lost is counted; what may be otherwise than it was
//! is counted apart.
//! It never: holds a secret.

use serde::Serialize;

/// What came of a salvage.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Salvaged {
    /// By table.
    pub tables: Vec<SalvagedTable>,
    /// The lost records that are known one by one, the first thousand of them.
    pub lost: Vec<Lost>,
    /// Everything that the newest commit held came through, as it was last written, and nothing
    /// else.
    pub complete: bool,
    /// The ledger proves which records there were.
    pub proven: bool,
    /// The new vault's epoch.
    pub epoch: u64,
    /// Files of the old audit trail that were copied.
    pub trail_files: u64,
    /// What else there is to know, in sentences.
    pub notes: Vec<String>,
}

/// What came of one table.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct SalvagedTable {
    /// Its name.
    pub table: &'static str,
    /// Records in the new vault.
    pub came_through: u64,
    /// Of these: older than the one last written, which is damaged.
    pub older: u64,
    /// Of these: not referred to by what can be read of the newest commit, so removed perhaps.
    pub not_referred: u64,
    /// Removed or replaced records that still lie in the file, and stay out.
    pub left_out: u64,
    /// Records that are there and do not authenticate, in no version.
    pub lost: u64,
    /// Records that the table had besides, of which not even the key is left.
    pub lost_unnamed: u64,
    /// It is known which records the table had.
    pub checked: bool,
}

/// A record that is lost, as far as it can be named.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Lost {
    /// The table.
    pub table: &'static str,
    /// The app, where other records tell its name.
    pub app: Option<String>,
    /// The owner's tenant, likewise.
    pub tenant: Option<String>,
    /// The owner's user, likewise.
    pub user: Option<String>,
}

impl SalvagedTable {
    pub(super) fn new(table: &'static str) -> Self {
        Self {
            table,
            ..Self::default()
        }
    }

    /// As it was, and known to be.
    pub(super) fn is_as_it_was(&self) -> bool {
        self.checked && self.older + self.not_referred + self.lost + self.lost_unnamed == 0
    }
}

impl Salvaged {
    /// Records in the new vault.
    pub fn came_through(&self) -> u64 {
        self.tables.iter().map(|table| table.came_through).sum()
    }

    /// Records known to be lost.
    pub fn lost_in_all(&self) -> u64 {
        let lost = |table: &SalvagedTable| table.lost + table.lost_unnamed;
        self.tables.iter().map(lost).sum()
    }

    /// Records that are older than the one last written.
    pub fn older(&self) -> u64 {
        self.tables.iter().map(|table| table.older).sum()
    }

    /// Records that may have been removed, or be older than the one last written.
    pub fn not_referred(&self) -> u64 {
        self.tables.iter().map(|table| table.not_referred).sum()
    }

    pub(super) fn judge(&mut self) {
        self.complete = self.tables.iter().all(SalvagedTable::is_as_it_was);
    }

    /// The counts in one line, for the audit trail.
    pub(super) fn in_short(&self) -> String {
        format!(
            "salvaged from a damaged file: {} records came through, {} of them older than the last \
             written, {} perhaps removed before; {} known to be lost",
            self.came_through(),
            self.older(),
            self.not_referred(),
            self.lost_in_all(),
        )
    }
}
