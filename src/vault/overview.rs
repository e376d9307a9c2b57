//! How the vault does, in numbers: what an operator's screen begins with.
//!
//! It promises: it costs the same at a million tokens as at ten.
//! It never: says whose a token is; that is what lists are for.

use super::Vault;
use super::index::from_due_key;
use super::unlock::FILE;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::store::{Index, Records, Scan, View};

/// How the vault does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Overview {
    /// Tokens there are.
    pub tokens: u64,
    /// Apps there are.
    pub apps: u64,
    /// When the next refresh falls due, or fell.
    pub due: Option<Timestamp>,
    /// Refreshes that are late; counted so far and no further.
    pub late: usize,
    /// Size of the vault's file, in bytes; `None` for a vault in memory.
    pub file_bytes: Option<u64>,
}

impl Vault {
    /// How the vault does, for who may see its status.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`], [`Error::Damaged`].
    pub fn overview(&self, caller: &Caller) -> Result<Overview> {
        self.may_see_status(caller)?;
        // The schedule's own look: it hands nothing out, and there is nothing to put on record.
        self.gate()
            .permit(&Caller::scheduler(), Action::Refresh, &Target::default())?;
        let late_before = self.clock().now().minus(limits::CONSOLE_LATE);
        let (mut due, mut late) = (None, 0);
        let view = self.store().read()?;
        view.scan_index(Index::Due, b"", None, &mut |key, _| {
            let damaged = || Error::Damaged("an entry of the due table cannot be read".into());
            let (at, _) = from_due_key(key).ok_or_else(damaged)?;
            due = due.or(Some(at));
            if at >= late_before || late == limits::CONSOLE_LATE_COUNTED {
                return Ok(Scan::Stop);
            }
            late += 1;
            Ok(Scan::Go)
        })?;
        let file = self.directory().map(|directory| directory.join(FILE));
        Ok(Overview {
            tokens: view.length(Records::Tokens)?,
            apps: view.length(Records::Apps)?,
            due,
            late,
            file_bytes: file.and_then(|file| self.medium().length(&file)),
        })
    }
}
