//! What the owner of a link has of an app already, for the page to say so.
//!
//! It promises: the person of a link learns of its own owner's tokens of its own apps and of no
//! others, and of those no more than whose account it is.
//! It never: opens the part of a record that a fetch does not.

use crate::error::Result;
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::model::link::{Link, LinkApp};
use crate::model::token::TokenState;
use crate::seal::Sealed;
use crate::store::{Records, Scan, View};
use crate::vault::Vault;
use crate::vault::index::Indexer;
use crate::vault::kept::open_hot;

/// What was connected before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Before {
    /// What people know the account by, where the service says.
    pub label: Option<String>,
}

impl Vault {
    /// The newest usable token that the owner of `link` has of the app and account of `entry`.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`], [`crate::error::Error::Damaged`].
    pub fn connected_before(
        &self,
        caller: &Caller,
        link: &Link,
        entry: &LinkApp,
    ) -> Result<Option<Before>> {
        let target = Target::of(&entry.app, &link.owner);
        let permit = self.gate().permit(caller, Action::Store, &target)?;
        let prefix = Indexer(permit.keys()).of_owner(&entry.app, &link.owner);
        let mut newest = None;
        let mut scanned = 0;
        self.store()
            .read()?
            .scan_bytes(Records::Tokens, &prefix, None, &mut |key, bytes| {
                let sealed = Sealed::lend(bytes)?;
                let (_, record, _) = open_hot(permit.keys(), key, &sealed)?;
                let is_it = record.address.account == entry.account
                    && record.state == TokenState::Active
                    && !record.beside.is_second;
                let obtained_at = record.obtained_at;
                if is_it && newest.as_ref().is_none_or(|(at, _)| obtained_at > *at) {
                    let label = record.beside.label.or(record.subject);
                    newest = Some((obtained_at, Before { label }));
                }
                scanned += 1;
                Ok(match scanned < limits::LIST_SCAN_MAX {
                    true => Scan::Go,
                    false => Scan::Stop,
                })
            })?;
        Ok(newest.map(|(_, before)| before))
    }
}
