//! What of a damaged file is taken: found by a scan, judged by tree and ledger.
//!
//! It promises: for one table and key the highest version that authenticates is the one taken.
//! It never: takes a record on the strength of where it lies.

use std::collections::{BTreeMap, HashMap};

use super::SalvageProgress;
use super::report::SalvagedTable;
use crate::error::Result;
use crate::seal::{Keyring, Sealed};
use crate::store::raw::{Place, Raw, Table, Tree};
use crate::store::{Index, Records};
use crate::vault::index::{PART, TOKEN_KEY};
use crate::vault::ledger::{self, Counted, Ledger};
use crate::vault::records::{Intent, decode};

/// A record that authenticates.
#[derive(Clone, Copy)]
pub(super) struct Best {
    pub(super) version: u64,
    pub(super) place: Place,
}

/// What a scan found.
pub(super) struct Found {
    /// The highest version of each.
    best: BTreeMap<(Records, Vec<u8>), Best>,
    /// The ledger with the highest epoch.
    pub(super) ledger: Option<Ledger>,
    /// The highest version of any record.
    highest: u64,
}

/// What is to be brought over, and how that is judged.
pub(super) struct Plan {
    /// Each record that is taken.
    pub(super) taken: Vec<(Records, Vec<u8>, Place)>,
    /// Each that the newest commit refers to and that came in no version, with where it lies.
    pub(super) lost: Vec<(Records, Vec<u8>, Place)>,
    pub(super) tables: Vec<SalvagedTable>,
    pub(super) ledger: Option<Ledger>,
    pub(super) highest: u64,
    /// The ledger proves which records there were.
    pub(super) proven: bool,
    /// What a person is told beside the counts.
    pub(super) notes: Vec<String>,
}

impl Found {
    /// Scans the file.
    pub(super) fn read(raw: &Raw, keys: &Keyring, progress: SalvageProgress<'_>) -> Result<Self> {
        let mut found = Self {
            best: BTreeMap::new(),
            ledger: None,
            highest: 0,
        };
        let length = raw.length();
        raw.scan(
            &|done| progress("reading the damaged file", done, length),
            &mut |pair| {
                if let Ok(sealed) = Sealed::parse(&pair.value) {
                    found.take(keys, pair.key, &sealed, pair.place);
                }
                Ok(())
            },
        )?;
        Ok(found)
    }

    fn take(&mut self, keys: &Keyring, key: Vec<u8>, sealed: &Sealed, place: Place) {
        let version = sealed.version();
        for table in Records::ALL.into_iter().filter(|table| fits(*table, &key)) {
            let known = self.best.get(&(table, key.clone()));
            if known.is_some_and(|best| best.version >= version)
                || !opens(keys, table, &key, sealed)
            {
                continue;
            }
            if table == Records::Meta && key == ledger::KEY {
                self.ledger = Ledger::open(keys, sealed).ok();
            } else {
                self.highest = self.highest.max(version);
            }
            self.best.insert((table, key), Best { version, place });
            // It is sealed for one table alone.
            return;
        }
    }

    /// Decides what is taken.
    pub(super) fn plan(self, raw: &Raw, keys: &Keyring) -> Plan {
        let epoch = self.ledger.as_ref().map(|ledger| ledger.epoch);
        let newest = raw
            .trees()
            .into_iter()
            .map(|tree| (ledger_of(raw, keys, &tree), tree))
            .filter_map(|(ledger, tree)| Some((ledger?, tree)))
            .find(|(ledger, _)| Some(ledger.epoch) == epoch);
        let mut notes = Vec::new();
        let judge = Judge::new(raw, keys, &newest, &self.best);
        if newest.is_none() {
            notes.push(
                "The newest commit's tree of pages cannot be found, so nothing tells what was \
                 removed: everything that authenticates was taken."
                    .to_owned(),
            );
        }
        let mut plan = Plan {
            taken: Vec::new(),
            lost: Vec::new(),
            tables: Vec::new(),
            proven: judge.proven,
            ledger: self.ledger.clone(),
            highest: self.highest,
            notes,
        };
        for table in Records::COUNTED {
            let referred = newest
                .as_ref()
                .and_then(|(_, tree)| tree.table(table.name()));
            let judged = self.table(raw, keys, &judge, (table, referred), &mut plan);
            plan.tables.push(judged);
        }
        plan
    }

    fn table(
        &self,
        raw: &Raw,
        keys: &Keyring,
        judge: &Judge,
        (table, referred): (Records, Option<&Table>),
        plan: &mut Plan,
    ) -> SalvagedTable {
        let mut judged = SalvagedTable::new(table.name());
        judged.checked = judge.tells_all(table);
        let pairs: HashMap<&[u8], Place> = referred
            .into_iter()
            .flat_map(|table| &table.pairs)
            .map(|(key, place)| (key.as_slice(), *place))
            .collect();
        for ((_, key), best) in self.of(table) {
            if table == Records::Intents && !self.still_goes_on(raw, keys, key, best) {
                judged.left_out += 1;
                continue;
            }
            match pairs.get(key.as_slice()) {
                Some(place) => {
                    let claimed = Sealed::parse(&raw.read(*place)).map(|sealed| sealed.version());
                    if claimed.map_or(true, |claimed| claimed > best.version) {
                        judged.older += 1;
                    }
                }
                None if judged.checked => {
                    judged.left_out += 1;
                    continue;
                }
                None => judged.not_referred += 1,
            }
            judged.came_through += 1;
            plan.taken.push((table, key.clone(), best.place));
        }
        for (key, place) in &pairs {
            if !self.best.contains_key(&(table, key.to_vec())) {
                judged.lost += 1;
                plan.lost.push((table, key.to_vec(), *place));
            }
        }
        let accounted = judged.came_through + judged.lost;
        let stated = referred.map_or(0, |table| table.stated);
        // Removed ones that came back hide as many that were lost.
        judged.lost_unnamed = stated.saturating_sub(accounted);
        judged
    }

    fn of(&self, table: Records) -> impl Iterator<Item = (&(Records, Vec<u8>), &Best)> {
        self.best
            .range((table, Vec::new())..)
            .take_while(move |((other, _), _)| *other == table)
    }

    /// Whether a refresh that had begun is of the token's version that is taken.
    fn still_goes_on(&self, raw: &Raw, keys: &Keyring, key: &[u8], intent: &Best) -> bool {
        let token = self.best.get(&(Records::Tokens, key.to_vec()));
        let planned = Sealed::parse(&raw.read(intent.place))
            .and_then(|sealed| keys.open(Records::Intents.name(), key, &sealed, 0))
            .and_then(|plain| decode::<Intent>(&plain));
        planned
            .ok()
            .zip(token)
            .is_some_and(|(planned, token)| planned.version == token.version)
    }
}

/// What the newest tree can be believed to tell.
struct Judge {
    proven: bool,
    /// Each counted table that is whole: whether everything of it authenticates.
    whole: BTreeMap<Records, bool>,
    /// Something of the tree is known to be damaged.
    hurt: bool,
}

impl Judge {
    fn new(
        raw: &Raw,
        keys: &Keyring,
        newest: &Option<(Ledger, Tree)>,
        best: &BTreeMap<(Records, Vec<u8>), Best>,
    ) -> Self {
        let mut judge = Self {
            proven: false,
            whole: BTreeMap::new(),
            hurt: true,
        };
        let Some((ledger, tree)) = newest else {
            return judge;
        };
        judge.proven = adds_up(raw, keys, ledger, tree).unwrap_or(false);
        for table in Records::COUNTED {
            if let Some(found) = tree.table(table.name()).filter(|found| found.whole) {
                let all = found
                    .pairs
                    .iter()
                    .all(|(key, _)| best.contains_key(&(table, key.clone())));
                judge.whole.insert(table, all);
            }
        }
        let whole = |index: Index| tree.table(index.name()).is_some_and(|found| found.whole);
        let mut indexes = from_the_beginning();
        judge.hurt = judge.whole.len() < Records::COUNTED.len()
            || judge.whole.values().any(|all| !all)
            || !indexes.all(whole);
        judge
    }

    /// Whether what is not in the tree's table was removed.
    fn tells_all(&self, table: Records) -> bool {
        // A tree in which nothing is hurt and which does not add up is not the newest one.
        self.proven || (self.hurt && self.whole.get(&table) == Some(&true))
    }
}

/// Whether what a tree refers to is what its ledger counts. `None`: a table cannot be found, or a
/// record has lost its shape.
fn adds_up(raw: &Raw, keys: &Keyring, ledger: &Ledger, tree: &Tree) -> Option<bool> {
    let mut found = Ledger::default();
    for table in Records::COUNTED {
        for (key, place) in &tree.table(table.name())?.pairs {
            let sealed = Sealed::parse(&raw.read(*place)).ok()?;
            found.add(keys, Counted::Record(table, key, sealed.version()));
        }
    }
    for index in from_the_beginning() {
        for (key, place) in &tree.table(index.name())?.pairs {
            found.add(keys, Counted::Entry(index, key, &raw.read(*place)));
        }
    }
    Some(ledger.proves(&found))
}

/// The indexes that every vault has. What came later tells of no record that the others do not.
fn from_the_beginning() -> impl Iterator<Item = Index> {
    Index::ALL.into_iter().filter(|index| !index.came_later())
}

fn ledger_of(raw: &Raw, keys: &Keyring, tree: &Tree) -> Option<Ledger> {
    let meta = tree.table(Records::Meta.name())?;
    let (_, place) = meta.pairs.iter().find(|(key, _)| key == ledger::KEY)?;
    let sealed = Sealed::parse(&raw.read(*place)).ok()?;
    Ledger::open(keys, &sealed).ok()
}

/// Whether a table has keys of this length: a derivation saved, the seal decides.
fn fits(table: Records, key: &[u8]) -> bool {
    match table {
        Records::Tokens | Records::Intents => key.len() == TOKEN_KEY,
        Records::Apps | Records::Keys | Records::Links => key.len() == PART,
        Records::Meta => true,
    }
}

fn opens(keys: &Keyring, table: Records, key: &[u8], sealed: &Sealed) -> bool {
    (0..sealed.parts()).all(|part| keys.open(table.name(), key, sealed, part).is_ok())
}
