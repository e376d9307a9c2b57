//! Index entries, followed to what they lead to.
//!
//! It promises: an entry that leads nowhere, or to another's record, is told.
//! It never: trusts an entry: the record that is found says whose it is.

use super::{Exam, unreadable};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits;
use crate::model::LinkId;
use crate::model::token::Record;
use crate::store::{Index, Records, Scan, View};
use crate::vault::index::{
    Indexer, PART, TOKEN_KEY, TokenKey, from_due_key, from_owners_key, id_key,
};
use crate::vault::ledger::Filled;
use crate::vault::{kept, links};

/// Bytes of a key of an index.
pub(super) fn key_bytes(index: Index) -> usize {
    match index {
        Index::Owners | Index::Users | Index::Waiting => TOKEN_KEY,
        Index::Ids => PART,
        Index::Due => 8 + TOKEN_KEY,
        Index::LinkOwners => 3 * PART,
    }
}

/// Where an entry of a token leads.
enum Led {
    /// To nothing.
    Nowhere,
    /// To a record that does not open, which is told already.
    Closed,
    /// To this token, which falls due then.
    To(Box<Record>, Option<Timestamp>),
}

impl Exam<'_, '_> {
    /// Follows every entry of an index.
    pub(super) fn index(&mut self, index: Index) -> Result<()> {
        let view = self.view;
        let mut entries = 0;
        let scanned = view.scan_index(index, b"", None, &mut |key, value| {
            self.step()?;
            entries += 1;
            let fault = match index {
                Index::Users | Index::Waiting => self.later_entry(index, key, value),
                Index::Owners => self.owners_entry(key, value),
                Index::Ids => self.ids_entry(key, value),
                Index::Due => self.due_entry(key, value),
                Index::LinkOwners => self.link_owners_entry(key, value),
            };
            if let Some(what) = fault? {
                self.report.found(index.name(), what);
            }
            Ok(Scan::Go)
        });
        self.report.entries.insert(index.name(), entries);
        unreadable(scanned, index.name(), &mut self.report)
    }

    fn owners_entry(&mut self, key: &[u8], value: &[u8]) -> Result<Option<&'static str>> {
        let Some(place) = from_owners_key(key).filter(|_| value.is_empty()) else {
            return Ok(Some("an entry has not the shape of one"));
        };
        if self.view.bytes_at(Records::Tokens, &place)?.is_none() {
            self.is_missing(place);
        }
        Ok(None)
    }

    fn ids_entry(&mut self, key: &[u8], value: &[u8]) -> Result<Option<&'static str>> {
        let (Ok(place), PART) = (TokenKey::try_from(value), key.len()) else {
            return Ok(Some("an entry has not the shape of one"));
        };
        match self.led(&place)? {
            Led::To(record, _) if id_key(record.id) != key => {
                Ok(Some("an id leads to another token"))
            }
            Led::To(..) | Led::Closed => Ok(None),
            Led::Nowhere => {
                self.is_missing(place);
                Ok(None)
            }
        }
    }

    fn due_entry(&mut self, key: &[u8], value: &[u8]) -> Result<Option<&'static str>> {
        let Some((at, place)) = from_due_key(key).filter(|_| value.is_empty()) else {
            return Ok(Some("an entry has not the shape of one"));
        };
        match self.led(&place)? {
            Led::To(_, due) if due != Some(at) => Ok(Some(
                "a token stands as due at a moment that is not its own",
            )),
            Led::To(..) | Led::Closed => Ok(None),
            Led::Nowhere => {
                self.is_missing(place);
                Ok(None)
            }
        }
    }

    fn later_entry(
        &mut self,
        index: Index,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<&'static str>> {
        // What an earlier version left there is cleared away before it counts.
        if self.filled == Filled::Not {
            return Ok(None);
        }
        let Some(place) = kept::token_key_of(index, key).filter(|_| value.is_empty()) else {
            return Ok(Some("an entry has not the shape of one"));
        };
        match self.led(&place)? {
            Led::To(record, _) => {
                let mut own = kept::later_entries(&place, &record);
                let is_own = own.any(|(of, own)| (of, &own[..]) == (index, key));
                Ok((!is_own).then_some("a token stands among those that it is none of"))
            }
            Led::Closed => Ok(None),
            Led::Nowhere => {
                self.is_missing(place);
                Ok(None)
            }
        }
    }

    fn link_owners_entry(&mut self, key: &[u8], value: &[u8]) -> Result<Option<&'static str>> {
        let Ok(id) = <[u8; PART]>::try_from(value) else {
            return Ok(Some("an entry has not the shape of one"));
        };
        let place = Indexer(self.keys).link(LinkId::new(id));
        let Some(bytes) = self.view.bytes_at(Records::Links, &place)? else {
            return Ok(Some("an entry leads to a connect link that is not there"));
        };
        // One that does not open is told already.
        let opened = crate::seal::Sealed::parse(&bytes)
            .and_then(|sealed| links::open_settings(self.keys, &place, &sealed));
        let Ok(link) = opened else { return Ok(None) };
        let indexer = Indexer(self.keys);
        let own = |app| indexer.link_owner(app, &link.owner) == key;
        let fits = link.apps.iter().any(|app| own(&app.app));
        Ok((!fits).then_some("an entry leads to another's connect link"))
    }

    fn led(&self, place: &TokenKey) -> Result<Led> {
        let Some(bytes) = self.view.bytes_at(Records::Tokens, place)? else {
            return Ok(Led::Nowhere);
        };
        let opened = crate::seal::Sealed::parse(&bytes)
            .and_then(|sealed| kept::open_hot(self.keys, place, &sealed));
        Ok(match opened {
            Ok((_, record, due)) => Led::To(Box::new(record), due),
            Err(_) => Led::Closed,
        })
    }

    fn is_missing(&mut self, place: TokenKey) {
        if self.missing.len() < limits::CHECK_PROBLEMS_MAX {
            self.missing.insert(place);
        } else if !self.missing.contains(&place) {
            self.report.more_problems += 1;
        }
    }
}
