//! A backup is whole and verified (V16), and a restored one is a vault that waits (V17, V12).

use std::path::{Path, PathBuf};

use strongroom::error::{Error, Result};
use strongroom::model::access::{Action, Caller, Grant};
use strongroom::vault::{Backup, BackupState, Pause, Report, Restored, Settings, Unlocker, Vault};

use crate::support::*;

pub fn quiet(_: u64, _: u64) -> Result<()> {
    Ok(())
}

/// A vault with apps and some tokens, and a directory for backups.
pub fn furnished() -> (Disk, Vault, tempfile::TempDir) {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    for name in ["ann", "bob", "cay"] {
        let credential = granted(&format!("token of {name}"), Some("refresh"));
        store(&vault, address("mail", &owner("acme", name)), credential);
    }
    (disk, vault, tempfile::tempdir().unwrap())
}

pub fn back_up(vault: &Vault, to: &Path) -> Result<Backup> {
    vault.backup(&Caller::local(), to, &mut quiet)
}

/// Restores into a new directory beside the backup.
pub fn restore(disk: &Disk, file: &Path, to: &Path) -> Result<Restored> {
    Vault::restore(
        file,
        to,
        &recovery(&disk.recovery),
        disk.clock.clone(),
        &mut quiet,
    )
}

pub fn check(disk: &Disk, place: &Path) -> Result<Report> {
    Vault::check_at(place, Some(&recovery(&disk.recovery)), &mut quiet)
}

/// Opens and unlocks a restored vault.
pub fn open(disk: &Disk, directory: &Path, accept_rollback: bool) -> Vault {
    let settings = Settings {
        accept_rollback,
        ..Settings::default()
    };
    let vault = Vault::open(directory, settings, disk.clock.clone()).unwrap();
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
    vault
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What the trail says, newest first.
fn told(vault: &Vault) -> Vec<String> {
    let page = vault.audit(&Caller::local(), None, 50).unwrap();
    page.entries
        .into_iter()
        .map(|entry| entry.outcome)
        .collect()
}

/// Goal: a backup is one file, named by its epoch, for its owner alone, and comes back as the vault
/// of that moment. Method: back up, change the vault, restore, compare.
#[test]
fn v16_a_backup_comes_back_as_the_vault_of_its_moment() {
    use std::os::unix::fs::PermissionsExt;
    let (disk, vault, home) = furnished();
    let epoch = vault.status().epoch.unwrap();
    let made = back_up(&vault, home.path()).unwrap();
    assert_eq!((made.state, made.epoch), (BackupState::Done, epoch));
    assert_eq!(made.done, made.total);
    let name = format!("strongroom-epoch-{epoch:010}.redb");
    assert_eq!(names(home.path()), [name.as_str()]);
    assert_eq!(made.file, home.path().join(name));
    let mode = std::fs::metadata(&made.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let outcomes = told(&vault);
    assert!(outcomes[0].starts_with(&format!("done for epoch {epoch}")));
    assert!(outcomes[1].starts_with(&format!("begins for epoch {epoch}")));

    let later = address("mail", &owner("acme", "ann"));
    store(&vault, later.clone(), granted("token of later", None));
    let to = home.path().join("restored");
    let restored = restore(&disk, &made.file, &to).unwrap();
    assert_eq!(restored.epoch, epoch);
    let report = check(&disk, &to).unwrap();
    assert!(report.is_whole(), "{report:?}");
    let back = open(&disk, &to, true);
    for name in ["ann", "bob", "cay"] {
        let handed = fresh(&back, &ask(&address("mail", &owner("acme", name))));
        assert_eq!(handed.value.expose(), &format!("token of {name}"));
    }
    assert_eq!(fresh(&vault, &ask(&later)).value.expose(), "token of later");
}

/// Goal: V12 a restored vault begins a trail of its own, which says where it comes from, and does
/// not refresh until it is told once that it is the one to go on with.
/// Method: open it without, with and without the operator's word; read trail and status.
#[test]
fn v12_a_restored_vault_waits_with_refresh_paused_until_told_once() {
    let (disk, vault, home) = furnished();
    let made = back_up(&vault, home.path()).unwrap();
    let seq = vault.status().audit_seq.unwrap();
    vault.close().unwrap();
    let to = home.path().join("restored");
    let restored = restore(&disk, &made.file, &to).unwrap();
    // What was not on the disk yet when the last commit was made is not known to it.
    assert!(restored.audit_seq <= seq);
    for (accept, paused) in [(false, true), (false, true), (true, false), (false, false)] {
        let back = open(&disk, &to, accept);
        let status = back.status();
        assert_eq!(status.refresh_paused, paused);
        let because = paused.then_some(Pause::Restored);
        assert_eq!(status.refresh_paused_because, because);
        let outcomes = told(&back);
        let first = outcomes.last().unwrap();
        let from = format!("restored from epoch {} of strongroom-epoch-", made.epoch);
        assert!(first.starts_with(&from), "{first}");
        assert!(first.contains(&format!("ended at entry {}", restored.audit_seq)));
        assert!(
            !outcomes.iter().any(|told| told.contains("cut")),
            "{outcomes:?}"
        );
        let goes_on = outcomes
            .iter()
            .filter(|told| told.starts_with("refresh goes on"));
        assert_eq!(goes_on.count(), usize::from(!paused));
        let verified = back.verify_audit(&Caller::local()).unwrap();
        assert_eq!(verified.problems, [""; 0]);
        back.close().unwrap();
    }
}

/// Goal: nothing is put in another's place, and where a backup cannot be, there is none.
/// Method: the same epoch twice; places that are no directory of ours; each leaves no file.
#[test]
fn v16_a_backup_that_cannot_be_leaves_nothing() {
    let (disk, vault, home) = furnished();
    let made = back_up(&vault, home.path()).unwrap();
    let bytes = std::fs::read(&made.file).unwrap();
    assert!(matches!(
        back_up(&vault, home.path()),
        Err(Error::Conflict(_))
    ));
    assert_eq!(std::fs::read(&made.file).unwrap(), bytes);
    let invalid = [
        PathBuf::from("relative"),
        home.path().join("missing"),
        made.file.clone(),
        disk.directory.clone(),
        disk.directory.join("audit"),
        PathBuf::from(format!("/{}", "x".repeat(5000))),
    ];
    for place in invalid {
        let refused = back_up(&vault, &place);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{place:?}");
    }
    // A directory in which nobody can make a file.
    let refused = back_up(&vault, Path::new("/proc"));
    assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
    let latest = vault.latest_backup(&Caller::local()).unwrap().unwrap();
    assert_eq!(latest.state, BackupState::Failed);
    assert!(latest.error.is_some());
    assert_eq!(names(home.path()).len(), 1);
    assert!(told(&vault)[0].starts_with("failed: storage"));
}

/// Goal: what a killed backup left is no hindrance, and is never taken for a backup.
/// Method: half a file under the name a backup has while it is written.
#[test]
fn v16_what_a_killed_backup_left_gives_way() {
    let (disk, vault, home) = furnished();
    let elsewhere = tempfile::tempdir().unwrap();
    let made = back_up(&vault, elsewhere.path()).unwrap();
    let whole = std::fs::read(&made.file).unwrap();
    let name = made.file.file_name().unwrap().to_str().unwrap();
    let partial = home.path().join(format!("{name}.partial"));
    std::fs::write(&partial, &whole[..whole.len() / 2]).unwrap();
    let made = back_up(&vault, home.path()).unwrap();
    assert!(check(&disk, &made.file).unwrap().is_whole());
    assert_eq!(names(home.path()), [name]);
}

/// Goal: the keys do not outlive a lock by the length of a backup. Method: lock in the middle.
#[test]
fn v10_locking_gives_a_backup_up() {
    let (disk, vault, home) = furnished();
    for step in 0..4 {
        let (me, mut left) = (Caller::local(), step);
        let made = vault.backup(&me, home.path(), &mut |_, _| {
            left -= 1;
            if left < 0 && !vault.status().locked {
                vault.lock(&me)?;
            }
            Ok(())
        });
        assert_eq!(made, Err(Error::Locked), "at step {step}");
        assert_eq!(names(home.path()), [""; 0]);
        vault.unlock(&recovery(&disk.recovery), "").unwrap();
    }
    assert!(back_up(&vault, home.path()).is_ok());
}

/// Goal: backups are for those who may make them, and so is what is said of them. Method: a caller
/// with every right but that one, and one with no other.
#[test]
fn v4_a_backup_takes_the_right_to_make_one() {
    let (_disk, vault, home) = furnished();
    let mut others: std::collections::BTreeSet<Action> = Action::ALL.into();
    others.remove(&Action::Backup);
    let stranger = key_with(&vault, vec![Grant::everywhere(others)]);
    let keeper = key_with(&vault, vec![Grant::everywhere([Action::Backup].into())]);
    let try_as = |who: &Caller| vault.backup(who, home.path(), &mut quiet).map(|_| ());
    assert_eq!(try_as(&stranger), Err(Error::Denied));
    assert_eq!(vault.check(&stranger, &mut quiet), Err(Error::Denied));
    assert_eq!(try_as(&keeper), Ok(()));
    assert_eq!(vault.latest_backup(&stranger), Ok(None));
    assert!(vault.latest_backup(&keeper).unwrap().is_some());
    assert!(vault.check(&keeper, &mut quiet).unwrap().is_whole());
}

/// Goal: a backup on a thread of its own tells how it ends. Method: begin one, and ask until it has
/// ended.
#[test]
fn v16_a_backup_in_the_background_tells_how_it_ends() {
    let (disk, vault, home) = furnished();
    let me = Caller::local();
    let begun = vault.start_backup(&me, home.path()).unwrap();
    let patience = std::time::Instant::now();
    let ended = loop {
        let latest = vault.latest_backup(&me).unwrap().unwrap();
        if latest.state != BackupState::Running {
            break latest;
        }
        assert!(patience.elapsed().as_secs() < 60, "it does not end");
        std::thread::yield_now();
    };
    assert_eq!((ended.state, &ended.file), (BackupState::Done, &begun.file));
    assert!(check(&disk, &ended.file).unwrap().is_whole());
    vault.close().unwrap();
}

/// Goal: V17 a restore makes a vault or nothing. Method: into what is there; of what is none, what
/// is damaged, with what does not open it; after each the place is as it was.
#[test]
fn v17_a_restore_that_fails_leaves_nothing_behind() {
    let (disk, vault, home) = furnished();
    let made = back_up(&vault, home.path()).unwrap();
    let before = names(home.path());
    let over = restore(&disk, &made.file, &disk.directory);
    assert!(matches!(over, Err(Error::Conflict(_))), "{over:?}");
    assert!(over.unwrap_err().to_string().contains("not empty"));
    let to = home.path().join("to");
    let missing = restore(&disk, &home.path().join("none"), &to);
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let wrong = Unlocker::RecoveryCode(strongroom::vault::RecoveryCode::generate());
    let refused = Vault::restore(&made.file, &to, &wrong, disk.clock.clone(), &mut quiet);
    assert_eq!(refused, Err(Error::UnlockFailed));
    let live = restore(&disk, &disk.file(), &to);
    assert!(matches!(live, Err(Error::InUse)), "{live:?}");
    for bytes in [0, 100, 20_000] {
        let short = tempfile::tempdir().unwrap();
        let file = short.path().join("short");
        let whole = std::fs::read(&made.file).unwrap();
        std::fs::write(&file, &whole[..bytes]).unwrap();
        let refused = restore(&disk, &file, &to);
        assert!(refused.is_err(), "{bytes} bytes were restored");
    }
    let mut steps = 0;
    loop {
        let mut left = steps;
        let code = recovery(&disk.recovery);
        let given_up = Vault::restore(&made.file, &to, &code, disk.clock.clone(), &mut |_, _| {
            left -= 1;
            if left < 0 {
                Err(Error::ShuttingDown)
            } else {
                Ok(())
            }
        });
        if given_up.is_ok() {
            break;
        }
        assert_eq!(names(home.path()), before, "at step {steps}");
        steps += 1;
    }
    assert!(steps > 2);
    // An empty directory that was there stays, empty.
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(restore(&disk, &home.path().join("none"), &empty).is_err());
    assert_eq!(names(&empty), [""; 0]);
    assert!(restore(&disk, &made.file, &empty).is_ok());
}

/// Goal: V17 what a killed restore left is refused by everybody, with what to do, and the next
/// restore takes it over. Method: a directory as such a kill leaves it; open, check, restore.
#[test]
fn v17_what_a_killed_restore_left_is_refused() {
    let (disk, vault, home) = furnished();
    let made = back_up(&vault, home.path()).unwrap();
    let to = home.path().join("to");
    restore(&disk, &made.file, &to).unwrap();
    std::fs::write(to.join("unfinished"), "restore").unwrap();
    let refusals = [
        Vault::open(&to, Settings::default(), disk.clock.clone()).map(|_| ()),
        check(&disk, &to).map(|_| ()),
    ];
    for refused in refusals {
        let why = refused.unwrap_err().to_string();
        assert!(
            why.contains("run `strongroom restore` into it again"),
            "{why}"
        );
    }
    restore(&disk, &made.file, &to).unwrap();
    assert!(check(&disk, &to).unwrap().is_whole());
    assert_eq!(names(&to), ["audit", "vault.redb"]);
}
