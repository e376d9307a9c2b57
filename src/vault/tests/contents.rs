//! What a vault holds, in plain words, read straight from its records.
//!
//! It promises: two vaults with the same contents answer alike; every value is compared whole; the
//! indexes that came later are held against the records.
//! It never: trusts an index: records are walked, and an intent without its token shows.

use std::collections::{BTreeMap, BTreeSet};

use super::super::kept::{later_entries, open_cold, open_hot};
use super::super::keys as access_keys;
use super::super::records::{Intent, decode};
use super::super::*;
use crate::error::{Error, Result};
use crate::model::app::App;
use crate::model::{Owner, TokenId};
use crate::seal::{Header, Keyring};
use crate::store::{Index, Read, Records, Scan, View};

/// What there is, by kind and name.
pub(super) type Contents = BTreeMap<String, String>;

/// A change of the contents.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Put.
    Put(String, String),
    /// Take away.
    Remove(String),
}

impl Edit {
    pub(super) fn put(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Put(name.into(), value.into())
    }

    pub(super) fn remove(name: impl Into<String>) -> Self {
        Self::Remove(name.into())
    }

    /// What it is about: a token and its intent are one thing.
    pub(super) fn thing(&self) -> &str {
        let (Self::Put(name, _) | Self::Remove(name)) = self;
        name.split_once(' ').map_or(name, |(_, thing)| thing)
    }
}

/// `contents`, changed.
pub(super) fn edited(contents: &Contents, edits: &[Edit]) -> Contents {
    let mut contents = contents.clone();
    for edit in edits {
        match edit {
            Edit::Put(name, value) => contents.insert(name.clone(), value.clone()),
            Edit::Remove(name) => contents.remove(name),
        };
    }
    contents
}

/// The names that differ, for a message.
pub(super) fn difference(found: &Contents, wanted: &Contents) -> String {
    let names = found.keys().chain(wanted.keys());
    let mut lines: Vec<String> = names
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| {
            let (found, wanted) = (found.get(name), wanted.get(name));
            format!("{name}: {found:?} instead of {wanted:?}")
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines.join("; ")
}

/// What was read, and what goes by an id.
pub(super) struct Inventory {
    pub(super) contents: Contents,
    pub(super) tokens: BTreeMap<String, TokenId>,
    pub(super) keys: BTreeMap<String, String>,
    pub(super) slots: BTreeMap<String, u32>,
}

/// Reads all that an unlocked vault holds.
pub(super) fn take_inventory(vault: &Vault) -> Result<Inventory> {
    let permit = vault
        .gate()
        .permit(&Caller::local(), Action::Keys, &Target::vault())?;
    inventory_of(permit.keys(), vault.store())
}

/// Reads all that a store holds.
pub(super) fn inventory_of(keys: &Keyring, store: &Store) -> Result<Inventory> {
    let view = store.read()?;
    let mut all = Inventory {
        contents: Contents::new(),
        tokens: BTreeMap::new(),
        keys: BTreeMap::new(),
        slots: BTreeMap::new(),
    };
    read_tokens(keys, &view, &mut all)?;
    let mut links = 0;
    view.scan_records(Records::Links, b"", None, &mut |key, sealed| {
        keys.open("links", key, &sealed, 0)?;
        links += 1;
        Ok(Scan::Go)
    })?;
    all.contents.insert("links".into(), links.to_string());
    view.scan_records(Records::Apps, b"", None, &mut |key, sealed| {
        let app: App = decode(&keys.open("apps", key, &sealed, 0)?)?;
        all.contents.insert(format!("app {}", app.id), app.name);
        Ok(Scan::Go)
    })?;
    for kept in access_keys::load(keys, &view)?.values() {
        let key = &kept.key;
        all.keys.insert(key.name.clone(), key.id.clone());
        all.contents
            .insert(format!("key {}", key.name), String::new());
    }
    for slot in Header::parse(&store.header()?)?.slots() {
        all.slots.insert(slot.label.clone(), slot.number);
        all.contents
            .insert(format!("slot {}", slot.label), slot.kind.as_str().into());
    }
    Ok(all)
}

/// Reads tokens and intents.
fn read_tokens(keys: &Keyring, view: &Read, all: &mut Inventory) -> Result<()> {
    let mut places = BTreeMap::new();
    let mut entries = BTreeSet::new();
    view.scan_records(Records::Tokens, b"", None, &mut |key, sealed| {
        let (place, record, _) = open_hot(keys, key, &sealed)?;
        let cold = open_cold(keys, &place, &sealed)?;
        let later = later_entries(&place, &record);
        entries.extend(later.map(|(index, key)| (index.name(), key.to_vec())));
        let user = match &record.address.owner {
            Owner::User(user) => user.to_string(),
            _ => "-".into(),
        };
        let name = format!("{}/{user}", record.address.app);
        let text = |secret: &Option<Secret<String>>| {
            secret
                .as_ref()
                .map_or("-".to_owned(), |secret| secret.expose().clone())
        };
        let value = format!("{}|{}", text(&record.value), text(&cold.refresh_token));
        all.tokens.insert(name.clone(), record.id);
        all.contents.insert(format!("token {name}"), value);
        places.insert(key.to_vec(), name);
        Ok(Scan::Go)
    })?;
    let mut found = BTreeSet::new();
    for index in Index::LATER {
        view.scan_index(index, b"", None, &mut |key, _| {
            found.insert((index.name(), key.to_vec()));
            Ok(Scan::Go)
        })?;
    }
    if found != entries {
        return Err(Error::Damaged(
            "an index is not what the records say".into(),
        ));
    }
    view.scan_records(Records::Intents, b"", None, &mut |key, sealed| {
        let intent: Intent = decode(&keys.open("intents", key, &sealed, 0)?)?;
        let name = places
            .get(key)
            .ok_or_else(|| Error::Damaged("an intent without a token".into()))?;
        all.contents
            .insert(format!("intent {name}"), intent.attempt.to_string());
        Ok(Scan::Go)
    })
}
