//! A vault on a real disk whose file is checked behind the first answers (V19): its anchor, its
//! lock, and a program that lets go of it.

use strongroom::error::{Error, Result};
use strongroom::model::access::Caller;
use strongroom::vault::{Settings, Vault};

use crate::support::*;

const MANY: usize = 300;

/// A vault with some tokens and an anchor, closed.
fn furnished() -> (Disk, Settings, tempfile::TempDir) {
    let elsewhere = tempfile::tempdir().unwrap();
    let anchored = Settings {
        anchor: Some(elsewhere.path().join("vault.anchor")),
        ..Settings::default()
    };
    let (disk, vault) = Disk::create(anchored.clone());
    add_apps(&vault);
    for number in 0..MANY {
        put(&vault, number, "first");
    }
    vault.close().unwrap();
    (disk, anchored, elsewhere)
}

fn user(number: usize) -> strongroom::model::Address {
    address("maps", &owner("acme", &format!("user{number}")))
}

fn put(vault: &Vault, number: usize, value: &str) {
    let key = strongroom::vault::NewCredential::ApiKey(secret(&format!("{value} {number}")));
    store(vault, user(number), key);
}

fn open(disk: &Disk, settings: &Settings, check_behind: bool) -> Result<Vault> {
    let settings = Settings {
        check_behind,
        ..settings.clone()
    };
    let vault = Vault::open(&disk.directory, settings, disk.clock.clone())?;
    vault.unlock(&recovery(&disk.recovery), "")?;
    Ok(vault)
}

/// Goal: V19 no other process gets the file before, while or after it is checked; what is written
/// behind the check is there. Method: open a second time at each; write; open again.
#[test]
fn v19_the_file_is_locked_before_and_behind_the_check() {
    let (disk, anchored, _elsewhere) = furnished();
    let vault = open(&disk, &anchored, true).unwrap();
    let in_use = |when: &str| {
        for check_behind in [false, true] {
            let again = open(&disk, &anchored, check_behind).err();
            assert_eq!(again, Some(Error::InUse), "{when}");
        }
    };
    assert_eq!(fresh(&vault, &ask(&user(1))).value.expose(), "first 1");
    in_use("in mid-check, or soon after");
    vault.wait_for_check().unwrap();
    in_use("behind the check");
    put(&vault, MANY, "second");
    assert!(!vault.status().anchor.unwrap().behind);
    vault.close().unwrap();
    let vault = open(&disk, &anchored, false).unwrap();
    let handed = fresh(&vault, &ask(&user(MANY)));
    assert_eq!(handed.value.expose(), &format!("second {MANY}"));
}

/// Goal: V15 an older copy is noticed before the first answer, though the check comes behind; an
/// anchor that is missing too. Method: put an older file back; take the anchor away.
#[test]
fn v19_an_older_copy_is_noticed_before_anything_is_served() {
    let (disk, anchored, _elsewhere) = furnished();
    let old = disk.copy();
    let vault = open(&disk, &anchored, true).unwrap();
    vault.wait_for_check().unwrap();
    put(&vault, 1, "second");
    vault.close().unwrap();
    std::fs::copy(old.file(), disk.file()).unwrap();
    let refused = |settings: &Settings| {
        let settings = Settings {
            check_behind: true,
            ..settings.clone()
        };
        let vault = Vault::open(&disk.directory, settings, disk.clock.clone()).unwrap();
        let refused = vault.unlock(&recovery(&disk.recovery), "").err();
        assert!(matches!(refused, Some(Error::RolledBack(_))), "{refused:?}");
        assert_eq!(vault.status().locked_because, Some("rolled_back"));
        let fetched = vault.fetch(&Caller::local(), &ask(&user(1))).err();
        assert_eq!(fetched, Some(Error::Locked));
    };
    refused(&anchored);
    refused(&Settings::default());
    // The operator's word is taken once the file was checked.
    let accepted = Settings {
        accept_rollback: true,
        ..anchored.clone()
    };
    let vault = open(&disk, &accepted, true).unwrap();
    assert_eq!(vault.status().checking, None);
    assert_eq!(fresh(&vault, &ask(&user(1))).value.expose(), "first 1");
    vault.close().unwrap();
    // A first anchor is begun behind the check.
    let elsewhere = tempfile::tempdir().unwrap();
    let (disk, vault) = Disk::create(Settings::default());
    vault.close().unwrap();
    let anchored = Settings {
        anchor: Some(elsewhere.path().join("new.anchor")),
        ..Settings::default()
    };
    drop(open(&disk, &anchored, true).unwrap());
    let vault = open(&disk, &anchored, true).unwrap();
    vault.wait_for_check().unwrap();
    vault.close().unwrap();
    let unanchored = open(&disk, &Settings::default(), true).err();
    assert!(matches!(unanchored, Some(Error::RolledBack(_))));
    open(&disk, &anchored, false).unwrap();
}

/// Goal: V19 a program that drops a vault in mid-check has let go of it. Method: drop it at once,
/// open it again, over and over.
#[test]
fn v19_a_vault_that_is_dropped_in_mid_check_is_let_go_of() {
    let (disk, anchored, _elsewhere) = furnished();
    for round in 0..8 {
        let vault = open(&disk, &anchored, round % 2 == 0).unwrap();
        assert_eq!(
            fresh(&vault, &ask(&user(round))).id,
            fresh(&vault, &ask(&user(round))).id
        );
        drop(vault);
    }
    let vault = open(&disk, &anchored, true).unwrap();
    vault.lock(&Caller::local()).unwrap();
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
    vault.wait_for_check().unwrap();
    put(&vault, 0, "second");
}
