//! The header while the vault is open (S4).

use super::*;
use crate::clock::Timestamp;
use crate::seal::KdfParams;
use crate::secret::Secret;

/// Goal: a header that was changed behind the vault's back is not signed anew. Method: write a
/// changed one through the store, then ask for each change that would sign it.
#[test]
fn s4_a_header_changed_behind_an_open_vault_is_refused_and_not_signed_anew() {
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let (vault, _) = Vault::in_memory(clock).unwrap();
    let me = Caller::local();
    let file = || Unlocker::key_file(Secret::new(vec![7; 32])).unwrap();
    let number = vault
        .add_slot(&me, file(), "file", KdfParams::FLOOR)
        .unwrap();
    let mut header = vault.store().header().unwrap();
    let commitment = header.len() - 64;
    header[commitment] ^= 1;
    let write = vault.store().write().unwrap();
    write.put_header(&header).unwrap();
    write.commit().unwrap();
    let new = Secret::new("seven otters juggle marmalade".to_owned());
    let outcomes = [
        vault
            .add_slot(&me, file(), "file", KdfParams::FLOOR)
            .map(|_| ()),
        vault.remove_slot(&me, number),
        vault.change_passphrase(&me, new, KdfParams::FLOOR),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(Error::Damaged(_))), "{outcome:?}");
    }
    assert_eq!(vault.store().header().unwrap(), header);
}

/// Goal: a vault is made in an empty directory of its own, for its owner alone. Method: directories
/// that are none of these, for making and for opening.
#[test]
fn d2_a_directory_that_is_shared_or_in_use_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let make = |directory: &Path| {
        let passphrase = Secret::new("violet harbour mumbles often".to_owned());
        let settings = Settings::default();
        let made = Vault::create(
            directory,
            passphrase,
            KdfParams::FLOOR,
            settings,
            clock.clone(),
        );
        made.map(|new| new.vault)
    };
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let open =
        |directory: &Path| Vault::open(directory, Settings::default(), clock.clone()).map(|_| ());
    let directory = home.path().join("data");
    assert_eq!(
        open(&directory),
        Err(Error::NotFound("vault in this directory"))
    );
    std::fs::create_dir(&directory).unwrap();
    mode(&directory, 0o750);
    assert!(matches!(make(&directory).err(), Some(Error::Settings(_))));
    mode(&directory, 0o700);
    let vault = make(&directory).unwrap();
    assert!(matches!(make(&directory).err(), Some(Error::Conflict(_))));
    vault.close().unwrap();
    drop(vault);
    assert_eq!(open(&directory), Ok(()));
    let file = directory.join(FILE);
    mode(&file, 0o640);
    assert!(matches!(open(&directory), Err(Error::Settings(_))));
    mode(&file, 0o600);
    mode(&directory, 0o701);
    assert!(matches!(open(&directory), Err(Error::Settings(_))));
    mode(&directory, 0o700);
    let aside = home.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    assert_eq!(
        open(&directory),
        Err(Error::NotFound("vault in this directory"))
    );
    std::os::unix::fs::symlink(&aside, &file).unwrap();
    assert!(matches!(open(&directory), Err(Error::Settings(_))));
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, b"").unwrap();
    mode(&file, 0o600);
    assert!(matches!(open(&directory), Err(Error::Damaged(_))));
    std::fs::write(&file, vec![0xa5; 100_000]).unwrap();
    assert!(open(&directory).is_err());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(open(&directory).is_err());
}
