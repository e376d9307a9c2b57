//! An older state of the vault is noticed where there is an anchor (V15; F4 of the catalogue).
//!
//! The attacker here holds the data directory while the vault is closed, and may put any earlier
//! state of it back, whole or in parts. The anchor is out of reach; what happens where it is not
//! is the last test.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use strongroom::error::{Error, Result};
use strongroom::model::access::Caller;
use strongroom::vault::{KdfParams, Settings, Vault};

use crate::ledger::{COUNTED, Change, is_noticed, rows, write, young_and_old};
use crate::seeded::Seeded;
use crate::support::*;

/// A vault with an anchor.
struct Held {
    disk: Disk,
    anchor: PathBuf,
    _elsewhere: tempfile::TempDir,
}

impl Held {
    fn create() -> (Self, Vault) {
        let elsewhere = tempfile::tempdir().unwrap();
        let anchor = elsewhere.path().join("vault.anchor");
        let (disk, vault) = Disk::create(Settings {
            anchor: Some(anchor.clone()),
            ..Settings::default()
        });
        add_apps(&vault);
        let held = Self {
            disk,
            anchor,
            _elsewhere: elsewhere,
        };
        (held, vault)
    }

    fn unlock(&self, anchor: Option<&PathBuf>, accept_rollback: bool) -> Result<Vault> {
        let settings = Settings {
            anchor: anchor.cloned(),
            accept_rollback,
            ..Settings::default()
        };
        let vault = Vault::open(&self.disk.directory, settings, self.disk.clock.clone())?;
        let outcome = vault.unlock(&recovery(&self.disk.recovery), "");
        let status = vault.status();
        assert_eq!(status.locked, outcome.is_err());
        let code = outcome.as_ref().err().map(Error::code);
        assert_eq!(status.locked_because, code, "the status says why");
        outcome.map(|()| vault)
    }

    fn anchored(&self) -> Result<Vault> {
        self.unlock(Some(&self.anchor), false)
    }

    /// Why it is refused.
    fn refused(&self, anchor: Option<&PathBuf>) -> String {
        match self.unlock(anchor, false).err() {
            Some(Error::RolledBack(why)) => why,
            Some(other) => panic!("{other}"),
            None => panic!("it was let in"),
        }
    }

    /// Puts `old` in the place of the data directory.
    fn put_back(&self, old: &Disk) {
        std::fs::remove_dir_all(&self.disk.directory).unwrap();
        copy_directory(&old.directory, &self.disk.directory);
    }

    /// What the trail says was accepted, newest first.
    fn accepted(vault: &Vault) -> Vec<String> {
        let page = vault.audit(&Caller::local(), None, 50).unwrap();
        let outcomes = page.entries.into_iter().map(|entry| entry.outcome);
        outcomes
            .filter(|outcome| outcome.starts_with("accepted on the operator's word"))
            .collect()
    }
}

fn put_one(vault: &Vault, name: &str, mark: &str) {
    let credential = granted(&format!("{mark} of {name}"), Some("refresh"));
    store(vault, address("mail", &owner("", name)), credential);
}

/// Closes the vault; the number of its last commit, which closing makes, for the trail's end.
fn closed(vault: &Vault) -> u64 {
    let epoch = vault.status().epoch.unwrap();
    vault.close().unwrap();
    epoch + 1
}

/// Goal: an older file, alone or with its trail, stays locked and says why; the operator's word
/// lets it in once, on record with both commits. Method: keep a copy, go on, put it back.
#[test]
fn v15_an_older_copy_stays_locked_until_it_is_accepted() {
    for with_trail in [false, true] {
        let (held, vault) = Held::create();
        put_one(&vault, "ann", "first");
        let old_epoch = closed(&vault);
        let old = held.disk.copy();
        let vault = held.anchored().unwrap();
        put_one(&vault, "ann", "second");
        closed(&vault);
        let epoch = closed(&held.anchored().unwrap());

        match with_trail {
            true => held.put_back(&old),
            false => drop(std::fs::copy(old.file(), held.disk.file()).unwrap()),
        }
        for _ in 0..2 {
            let why = held.refused(Some(&held.anchor));
            let both = why.contains(&format!("commit {old_epoch},"))
                && why.contains(&format!("commit {epoch} "));
            assert!(both, "{why}");
        }
        let vault = held.unlock(Some(&held.anchor), true).unwrap();
        let accepted = Held::accepted(&vault);
        let both = accepted[0].contains(&format!("commit {old_epoch},"))
            && accepted[0].contains(&format!("commit {epoch} "));
        assert!(both && accepted.len() == 1, "{accepted:?}");
        let status = vault.status();
        assert_eq!(status.anchor.unwrap().epoch, status.epoch.unwrap());
        // The word holds once: the same process asks again.
        vault.lock(&Caller::local()).unwrap();
        vault.unlock(&recovery(&held.disk.recovery), "").unwrap();
        closed(&vault);
        let vault = held.anchored().expect("accepted once is accepted");
        assert_eq!(Held::accepted(&vault).len(), 1);
        closed(&vault);
    }
}

/// Goal: every earlier state of a vault is told from its last. Method: seeded writes, restarts and
/// snapshots; each snapshot is put back, refused, and the last one put back and let in.
#[test]
fn f4_every_earlier_state_is_noticed() {
    let chance = Seeded::new("F4");
    for case in 0..chance.runs(2) {
        let mut chance = chance.case(case);
        let (held, vault) = Held::create();
        let mut last = closed(&vault);
        drop(vault);
        let mut snapshots = vec![(last, held.disk.copy())];
        for step in 0..6 {
            let vault = held.anchored().unwrap();
            for _ in 0..chance.rng().u32(0..3) {
                let name = ["ann", "bob", "cay"][chance.rng().usize(0..3)];
                put_one(&vault, name, &format!("step {step}"));
            }
            let epoch = closed(&vault);
            if epoch > last {
                snapshots.push((epoch, held.disk.copy()));
            }
            last = epoch;
        }
        for (epoch, snapshot) in &snapshots {
            held.put_back(snapshot);
            let is_noticed = matches!(held.anchored(), Err(Error::RolledBack(_)));
            let at = chance.at(&format!("commit {epoch} of {last}"));
            assert_eq!(is_noticed, *epoch < last, "{at}");
        }
    }
}

/// Goal: a table put back as a whole is noticed, by the ledger, without an anchor. Method: each
/// counted table in turn, taken from an older copy.
#[test]
fn f4_a_table_that_is_rolled_back_is_noticed_without_an_anchor() {
    let (young, disk) = young_and_old();
    for name in COUNTED {
        let (before, now) = (rows(&young, name), rows(&disk, name));
        if before == now {
            continue;
        }
        let gone = now.iter().map(|(key, _)| (key.as_slice(), None));
        let back = before
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        let changes: Vec<Change<'_>> = gone.chain(back).collect();
        let disk = disk.copy();
        write(&disk, name, &changes);
        is_noticed(&disk, &format!("table {name} rolled back"));
    }
}

/// Goal: an old header and an old ledger, put back together between two commits, add up with the
/// records and so pass the ledger; the anchor notices them, and with them the old passphrase.
/// Method: change the passphrase, which changes no record, and put both back.
#[test]
fn v15_an_old_header_with_its_old_ledger_is_noticed() {
    let (held, vault) = Held::create();
    closed(&vault);
    drop(vault);
    let old = held.disk.copy();
    let vault = held.anchored().unwrap();
    let me = Caller::local();
    let new = "seven otters juggle marmalade";
    vault
        .change_passphrase(&me, secret(new), KdfParams::FLOOR)
        .unwrap();
    closed(&vault);
    drop(vault);
    for table in ["header", "meta"] {
        let rows = rows(&old, table);
        let back: Vec<Change<'_>> = rows
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
            .collect();
        write(&held.disk, table, &back);
    }
    let why = held.refused(Some(&held.anchor));
    assert!(why.contains("older copy"), "{why}");
    // Without the anchor nothing would be amiss: the plant is good.
    let vault = held.unlock(None, true).unwrap();
    vault.lock(&me).unwrap();
    assert_eq!(vault.unlock(&passphrase(PASSPHRASE), ""), Ok(()));
    closed(&vault);
}

/// Goal: two branches of the same age are told apart. Method: copy the vault, let both go on by as
/// many commits, and put the one that the anchor has not seen in the place of the other.
#[test]
fn v15_a_branch_of_the_same_age_is_noticed() {
    let (held, vault) = Held::create();
    closed(&vault);
    let (fork, memory) = (held.disk.copy(), std::fs::read(&held.anchor).unwrap());
    let vault = held.anchored().unwrap();
    put_one(&vault, "ann", "ours");
    let ours = closed(&vault);
    let seen = std::fs::read(&held.anchor).unwrap();
    // The other branch, with an anchor as it was then.
    held.put_back(&fork);
    std::fs::write(&held.anchor, memory).unwrap();
    let vault = held.anchored().unwrap();
    put_one(&vault, "ann", "theirs");
    assert_eq!(closed(&vault), ours);
    std::fs::write(&held.anchor, seen).unwrap();
    let why = held.refused(Some(&held.anchor));
    assert!(why.contains("another branch"), "{why}");
}

/// Goal: a vault with an anchor is not unlocked without, nor with another; an anchor that is lost,
/// damaged or given up needs the operator's word, and each says what it is. Method: one by one.
#[test]
fn v15_each_misfit_has_its_own_words_and_needs_the_operators() {
    let (held, vault) = Held::create();
    closed(&vault);
    let saved = std::fs::read(&held.anchor).unwrap();
    let is_refused = |anchor: Option<&PathBuf>, words: &str| {
        let why = held.refused(anchor);
        assert!(why.contains(words), "{why}");
        let vault = held.unlock(anchor, true).unwrap();
        let accepted = Held::accepted(&vault);
        assert!(accepted[0].contains(words), "{accepted:?}");
        closed(&vault);
        let vault = held.unlock(anchor, false).expect("it was accepted");
        closed(&vault);
    };
    std::fs::remove_file(&held.anchor).unwrap();
    is_refused(Some(&held.anchor), "there is no file");
    let new = std::fs::read(&held.anchor).unwrap();
    assert_ne!(saved, new);
    let mut bad = new.clone();
    (bad[127], bad[4096 + 127]) = (bad[127] ^ 1, bad[4096 + 127] ^ 1);
    std::fs::write(&held.anchor, bad).unwrap();
    is_refused(Some(&held.anchor), "is damaged");
    // The lost one turns up again.
    std::fs::write(&held.anchor, saved).unwrap();
    is_refused(Some(&held.anchor), "another anchor");
    is_refused(None, "none was given");
    // Given up, it was run without; the anchor notices.
    is_refused(Some(&held.anchor), "or with none");
}

/// Goal: what must not be an anchor is refused before it is used, and left as it is, whatever the
/// operator's word. Method: a link, one that others may write, one in the data directory, another
/// vault's, a directory, a text.
#[test]
fn v15_what_must_not_be_an_anchor_is_refused() {
    let (held, vault) = Held::create();
    closed(&vault);
    let (other, vault) = Held::create();
    closed(&vault);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(&held.anchor, &link).unwrap();
    let open = elsewhere.path().join("open");
    std::fs::copy(&held.anchor, &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o622)).unwrap();
    let inside = held.disk.directory.join("anchor");
    let text = elsewhere.path().join("text");
    std::fs::write(&text, "a letter").unwrap();
    for path in [
        &link,
        &open,
        &inside,
        &other.anchor,
        &text,
        &elsewhere.path().into(),
    ] {
        let before = std::fs::read(path).ok();
        for accept in [false, true] {
            let refused = held.unlock(Some(path), accept).err();
            assert!(
                matches!(refused, Some(Error::Settings(_))),
                "{}",
                path.display()
            );
        }
        assert_eq!(std::fs::read(path).ok(), before, "{}", path.display());
    }
    let mode = std::fs::metadata(&held.anchor)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(held.anchored().is_ok_and(|vault| vault.close().is_ok()));
}

/// Goal: an existing vault gets an anchor by being given one, and a commit that the anchor missed
/// does no harm. Method: a vault without; then with; then its anchor put back by its last commits,
/// as a power cut leaves it.
#[test]
fn v15_an_anchor_that_is_a_little_behind_lets_the_vault_in() {
    let (held, vault) = Held::create();
    closed(&vault);
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    closed(&vault);
    let held = Held {
        disk,
        anchor: held.anchor.with_extension("new"),
        ..held
    };
    let vault = held.anchored().unwrap();
    let behind = std::fs::read(&held.anchor).unwrap();
    put_one(&vault, "ann", "first");
    let epoch = closed(&vault);
    std::fs::write(&held.anchor, behind).unwrap();
    let vault = held.anchored().unwrap();
    assert_eq!(vault.status().anchor.unwrap().epoch, epoch);
    closed(&vault);
}

/// Goal: the limit is known: who puts back the anchor as well is not noticed. Method: do so. It
/// shows besides that nothing but the anchor notices in the tests above.
#[test]
fn f4_a_copy_put_back_with_its_anchor_is_not_noticed() {
    let (held, vault) = Held::create();
    closed(&vault);
    let (old, anchor) = (held.disk.copy(), std::fs::read(&held.anchor).unwrap());
    let vault = held.anchored().unwrap();
    put_one(&vault, "ann", "first");
    closed(&vault);
    held.put_back(&old);
    std::fs::write(&held.anchor, anchor).unwrap();
    assert!(held.anchored().is_ok_and(|vault| vault.close().is_ok()));
}
