//! Records and index entries that are missing, extra, moved or rolled back are noticed at unlock
//! (V1), and so is an old header.
//!
//! The attacker here holds the data directory while the vault is closed, and writes with redb.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use strongroom::error::Error;
use strongroom::model::access::{Action, Caller, Grant};
use strongroom::model::link::{LinkApp, LinkAppState, Proof};
use strongroom::vault::{Filter, KdfParams, NewLink, RefreshAsk, Settings, Vault};

use crate::support::*;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;
/// A key and what is to stand there; `None` is nothing.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

fn table(name: &'static str) -> Table {
    TableDefinition::new(name)
}

/// Every entry of a table.
pub fn rows(disk: &Disk, name: &'static str) -> Rows {
    let database = Database::open(disk.file()).unwrap();
    let read = database.begin_read().unwrap();
    let table = read.open_table(table(name)).unwrap();
    let entries = table.iter().unwrap().map(|entry| entry.unwrap());
    entries
        .map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
        .collect()
}

/// Writes entries.
pub fn write(disk: &Disk, name: &'static str, changes: &[Change<'_>]) {
    let database = Database::open(disk.file()).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(table(name)).unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => drop(table.insert(*key, *value).unwrap()),
                None => drop(table.remove(*key).unwrap()),
            }
        }
    }
    write.commit().unwrap();
}

/// A vault with at least one record in every counted table and three tokens, closed; and a copy of
/// it from before its tokens were stored again.
pub fn young_and_old() -> (Disk, Disk) {
    let (disk, vault) = Disk::create(Settings::default());
    let me = Caller::local();
    add_apps(&vault);
    let names = ["ann", "bob", "cay"];
    let put = |vault: &Vault, mark: &str| {
        for name in names {
            let credential = granted(&format!("{mark} of {name}"), Some("refresh"));
            store(vault, address("mail", &owner("", name)), credential);
        }
    };
    put(&vault, "first");
    key_with(&vault, vec![Grant::everywhere([Action::List].into())]);
    for name in ["ann", "bob"] {
        let link = NewLink {
            apps: vec![LinkApp {
                app: app_id("mail"),
                scopes: scopes(&[]),
                account: None,
                hints: Default::default(),
                variables: Default::default(),
                state: LinkAppState::Waiting,
            }],
            owner: owner("", name),
            proof: Proof::None,
            return_url: None,
            opener_origin: None,
            life: std::time::Duration::from_secs(600),
        };
        vault.make_link(&me, link).unwrap().wait().unwrap();
    }
    vault.close().unwrap();
    drop(vault);
    let young = disk.copy();
    let vault = disk.unlocked().unwrap();
    put(&vault, "second");
    for found in vault
        .list(&me, &Filter::default(), 10, None)
        .unwrap()
        .tokens
    {
        let ask = RefreshAsk {
            id: found.id,
            rejected: None,
        };
        vault.begin_refresh(&me, ask).unwrap().wait().unwrap();
    }
    vault.close().unwrap();
    (young, disk)
}

pub fn is_noticed(disk: &Disk, what: &str) {
    match disk.unlocked() {
        Err(Error::Damaged(why)) => {
            assert!(why.contains("do not add up"), "{what}: {why}");
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} was not noticed"),
    }
}

pub const COUNTED: [&str; 5] = ["tokens", "apps", "keys", "links", "intents"];

/// Goal: what is missing, doubled or exchanged shows. Method: in each counted table: remove a
/// record, copy one to a key that was free, overwrite one with another, exchange two.
#[test]
fn v1_a_record_that_is_removed_doubled_or_exchanged_is_noticed() {
    let (_, disk) = young_and_old();
    assert!(disk.unlocked().is_ok());
    for name in COUNTED {
        let rows = rows(&disk, name);
        let [(first, one), (second, two)] = &rows[..2] else {
            panic!("{name} is short")
        };
        let mut free = first.clone();
        free[0] ^= 1;
        let attacks: [(&str, Vec<Change<'_>>); 4] = [
            ("removed", vec![(first, None)]),
            ("doubled", vec![(&free, Some(one))]),
            ("overwritten", vec![(first, Some(two))]),
            ("exchanged", vec![(first, Some(two)), (second, Some(one))]),
        ];
        for (what, changes) in attacks {
            let disk = disk.copy();
            write(&disk, name, &changes);
            is_noticed(&disk, &format!("{what} in {name}"));
        }
    }
}

/// Goal: an older record in a newer's place shows. Method: take each token back to its first
/// version; then all of them; then the ledger alone; then ledger and tokens but not the rest.
#[test]
fn v1_a_record_that_is_rolled_back_is_noticed() {
    let (young, old) = young_and_old();
    let first = rows(&young, "tokens");
    let changes: Vec<Change<'_>> = first
        .iter()
        .map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
        .collect();
    for (at, change) in changes.iter().enumerate() {
        let disk = old.copy();
        write(&disk, "tokens", &[*change]);
        is_noticed(&disk, &format!("token {at} rolled back"));
    }
    let disk = old.copy();
    write(&disk, "tokens", &changes);
    is_noticed(&disk, "every token rolled back");
    let ledger = rows(&young, "meta");
    let ledger = ledger.iter().find(|(key, _)| key == b"ledger").unwrap();
    write(&disk, "meta", &[(b"ledger", Some(&ledger.1))]);
    is_noticed(&disk, "every token and the ledger rolled back");
    let disk = old.copy();
    write(&disk, "meta", &[(b"ledger", Some(&ledger.1))]);
    is_noticed(&disk, "the ledger rolled back");
}

/// Goal: there is no vault without its ledger. Method: remove it, exchange it with another record,
/// flip its bytes.
#[test]
fn v1_a_ledger_that_is_missing_or_changed_is_noticed() {
    let (_, old) = young_and_old();
    let meta = rows(&old, "meta");
    let (_, ledger) = meta.iter().find(|(key, _)| key == b"ledger").unwrap();
    let foreign = &rows(&old, "apps")[0].1;
    let mut flipped = ledger.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let cases: [(&str, Option<&[u8]>); 4] = [
        ("removed", None),
        ("another record", Some(foreign)),
        ("flipped", Some(&flipped)),
        ("empty", Some(b"")),
    ];
    for (what, value) in cases {
        let disk = old.copy();
        write(&disk, "meta", &[(b"ledger", value)]);
        let outcome = disk.unlocked().err();
        assert!(
            matches!(outcome, Some(Error::Damaged(_))),
            "{what}: {outcome:?}"
        );
    }
}

/// Goal: a record whose bytes were changed is never served. Method: flip a byte of a token's
/// ciphertext, which keeps its version, unlock, fetch.
#[test]
fn s1_a_token_whose_bytes_were_changed_is_not_served() {
    let (_, disk) = young_and_old();
    let (key, mut value) = rows(&disk, "tokens").swap_remove(0);
    value[60] ^= 1;
    write(&disk, "tokens", &[(&key, Some(&value))]);
    let vault = disk.unlocked().unwrap();
    let outcomes = ["ann", "bob", "cay"].map(|name| {
        let ask = ask(&address("mail", &owner("", name)));
        vault
            .fetch(&Caller::local(), &ask)
            .map(|found| said(&found))
    });
    let damaged = outcomes
        .iter()
        .filter(|one| matches!(one, Err(Error::Damaged(_))));
    assert_eq!(damaged.count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|one| one.is_ok()).count(), 2);
}

const INDEXES: [&str; 4] = ["owners", "ids", "due", "link_owners"];

/// Goal: an index entry that is missing, extra or other shows. Method: in each index: remove an
/// entry, copy one to a key that was free, change a value, exchange two.
#[test]
fn v1_an_index_entry_that_is_removed_added_or_changed_is_noticed() {
    let (_, disk) = young_and_old();
    for name in INDEXES {
        let rows = rows(&disk, name);
        let [(first, one), (second, two)] = &rows[..2] else {
            panic!("{name} is short")
        };
        let mut free = first.clone();
        free[0] ^= 1;
        let longer = [one.as_slice(), &[0]].concat();
        let mut attacks: Vec<(&str, Vec<Change<'_>>)> = vec![
            ("removed", vec![(first, None)]),
            ("added", vec![(&free, Some(one))]),
            ("moved", vec![(first, None), (&free, Some(one))]),
            ("changed", vec![(first, Some(&longer))]),
        ];
        if one != two {
            attacks.push(("exchanged", vec![(first, Some(two)), (second, Some(one))]));
        }
        for (what, changes) in attacks {
            let disk = disk.copy();
            write(&disk, name, &changes);
            is_noticed(&disk, &format!("{what} in {name}"));
        }
    }
}

/// Goal: an old passphrase does not come back to life with the old header. Method: change the
/// passphrase, put back the header from before, and try the old passphrase, the new one and the
/// recovery code.
#[test]
fn v1_an_old_header_that_is_put_back_is_refused() {
    let (disk, vault) = Disk::create(Settings::default());
    vault.close().unwrap();
    drop(vault);
    let young = disk.copy();
    let vault = disk.unlocked().unwrap();
    let new = "seven otters juggle marmalade";
    vault
        .change_passphrase(&Caller::local(), secret(new), KdfParams::FLOOR)
        .unwrap();
    vault.close().unwrap();
    drop(vault);
    assert!(disk.unlocked().is_ok());
    let old = rows(&young, "header").swap_remove(0);
    write(&disk, "header", &[(&old.0, Some(&old.1))]);
    for unlocker in [passphrase(PASSPHRASE), recovery(&disk.recovery)] {
        let refused = disk.open().unlock(&unlocker, "").unwrap_err();
        let Error::Damaged(why) = refused else {
            panic!("{refused}")
        };
        assert!(why.contains("header"), "{why}");
    }
    let refused = disk.open().unlock(&passphrase(new), "");
    assert_eq!(refused, Err(Error::UnlockFailed));
}

/// Goal: the header's change is noticed while the vault is open. Method: it cannot be changed then,
/// since the file is locked against a second process.
#[test]
fn d2_a_file_that_is_in_use_is_not_opened_twice() {
    let (disk, vault) = Disk::create(Settings::default());
    let second = Vault::open(&disk.directory, Settings::default(), disk.clock.clone());
    assert!(matches!(second.err(), Some(Error::InUse)));
    assert!(Database::open(disk.file()).is_err());
    vault.close().unwrap();
    assert!(disk.unlocked().is_ok());
}
