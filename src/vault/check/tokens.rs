//! Tokens and the refreshes begun on them, looked at one by one; and whose the damaged ones are.
//!
//! It promises: a token that cannot be opened is named by what its key shares with tokens that can.
//! It never: shows a secret: the parts that hold one are opened and dropped.

use std::collections::{BTreeMap, BTreeSet};

use super::{Exam, Problem};
use crate::error::{Error, Result};
use crate::model::token::Record;
use crate::seal::Sealed;
use crate::store::{Index, Records, Scan, View};
use crate::vault::index::{Indexer, PART, TokenKey, due_key, id_key, owners_key};
use crate::vault::kept;
use crate::vault::records::{Intent, decode};

impl Exam<'_, '_> {
    /// A token: both parts, where it lies, and its entries in every index.
    pub(super) fn token(&mut self, key: &[u8], sealed: &Sealed) -> Result<()> {
        let (place, record, due) = kept::open_hot(self.keys, key, sealed)?;
        kept::open_cold(self.keys, &place, sealed)?;
        let mut faults = Vec::new();
        if Indexer(self.keys).token(&record.address) != place {
            faults.push("lies where another's belongs");
        }
        if self
            .view
            .entry(Index::Owners, &owners_key(&place))?
            .is_none()
        {
            faults.push("has no entry among its owner's");
        }
        let by_id = self.view.entry(Index::Ids, &id_key(record.id))?;
        if by_id.as_deref() != Some(&place) {
            faults.push("is not found by its id");
        }
        if let Some(due) = due
            && self
                .view
                .entry(Index::Due, &due_key(due, &place))?
                .is_none()
        {
            faults.push("would never be found due for a refresh");
        }
        if self.filled.reaches(&place) {
            for (index, key) in kept::later_entries(&place, &record) {
                if self.view.entry(index, &key)?.is_none() {
                    faults.push(match index {
                        Index::Users => "has no entry among its user's",
                        _ => "has no entry among those that wait",
                    });
                }
            }
        }
        for fault in faults {
            let what = format!("token {} {fault}", record.id);
            self.report.problem(of_record(&record, what));
        }
        Ok(())
    }

    /// A refresh that has begun: it names a token.
    pub(super) fn intent(&mut self, key: &[u8], sealed: &Sealed) -> Result<()> {
        let plain = self.keys.open(Records::Intents.name(), key, sealed, 0)?;
        decode::<Intent>(&plain)?;
        if self.view.bytes_at(Records::Tokens, key)?.is_none() {
            return Err(Error::Damaged(
                "a refresh has begun of a token that is not there".into(),
            ));
        }
        Ok(())
    }

    /// Says of each damaged or missing token whose it is. Names are known by the parts of the keys
    /// of tokens that open; the scan is made only where there is something to name.
    pub(super) fn name_the_nameless(&mut self) -> Result<()> {
        for place in std::mem::take(&mut self.missing) {
            let what = "a token is missing: index entries lead to it, and it is not there";
            self.nameless.entry(place).or_insert(what.into());
        }
        if self.nameless.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<[u8; PART]> = self
            .nameless
            .keys()
            .flat_map(|place| [part(place, 1), part(place, 2)])
            .collect();
        let mut names: BTreeMap<[u8; PART], Option<String>> = BTreeMap::new();
        let (view, keys) = (self.view, self.keys);
        let scanned = view.scan_bytes(Records::Tokens, b"", None, &mut |key, value| {
            let opened = Sealed::parse(value).and_then(|it| kept::open_hot(keys, key, &it));
            let Ok((place, record, _)) = opened else {
                return Ok(Scan::Go);
            };
            let owner = &record.address.owner;
            let known = [
                (part(&place, 1), owner.tenant().map(ToString::to_string)),
                (part(&place, 2), owner.user().map(ToString::to_string)),
            ];
            names.extend(known.into_iter().filter(|(part, _)| wanted.contains(part)));
            Ok(if names.len() == wanted.len() {
                Scan::Stop
            } else {
                Scan::Go
            })
        });
        super::unreadable(scanned, Records::Tokens.name(), &mut self.report)?;
        for (place, what) in std::mem::take(&mut self.nameless) {
            let app = self.apps.get(&part(&place, 0));
            let name = |at| names.get(&part(&place, at)).cloned().flatten();
            self.report.problem(Problem {
                part: Records::Tokens.name(),
                what,
                app: app.map(ToString::to_string),
                tenant: name(1),
                user: name(2),
            });
        }
        Ok(())
    }
}

fn part(place: &TokenKey, at: usize) -> [u8; PART] {
    *place[at * PART..]
        .first_chunk()
        .expect("a token key has four parts")
}

fn of_record(record: &Record, what: String) -> Problem {
    let address = &record.address;
    Problem {
        part: Records::Tokens.name(),
        what,
        app: Some(address.app.to_string()),
        tenant: address.owner.tenant().map(ToString::to_string),
        user: address.owner.user().map(ToString::to_string),
    }
}
