//! A vault that wakes up elsewhere (V12).

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;
use crate::vault::{KdfParams, NewVault, RecoveryCode, Settings, Unlocker};

/// Makes the vault believe that it lived on another host.
fn move_home(vault: &Vault) {
    let permit = vault
        .gate()
        .permit(&Caller::local(), Action::Lock, &Target::vault())
        .unwrap();
    let home = Home {
        host: "another".into(),
    };
    let write = permit.write(None, move |tx| {
        tx.put(Records::Meta, HOME, &[&encode(&home)]).map(|_| ())
    });
    write.unwrap().wait().unwrap();
}

/// Goal: a copied vault starts with refresh paused until told that it is at home. Method: exchange
/// the host it remembers; restart it without and with the operator's word, and without it again.
#[test]
fn v12_a_vault_that_was_copied_starts_with_refresh_paused_until_told() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let NewVault {
        vault,
        recovery_code,
        ..
    } = Vault::create(
        &directory,
        Secret::new("violet harbour mumbles often".into()),
        KdfParams::FLOOR,
        Settings::default(),
        clock.clone(),
    )
    .unwrap();
    assert!(!vault.is_refresh_paused());
    move_home(&vault);
    vault.close().unwrap();
    drop(vault);
    let code = || Unlocker::RecoveryCode(RecoveryCode::parse(recovery_code.expose()).unwrap());
    for (accept_host, paused) in [(false, true), (false, true), (true, false), (false, false)] {
        let settings = Settings {
            accept_host,
            ..Settings::default()
        };
        let vault = Vault::open(&directory, settings, clock.clone()).unwrap();
        vault.unlock(&code(), "").unwrap();
        assert_eq!(vault.is_refresh_paused(), paused);
        assert_eq!(vault.status().refresh_paused, paused);
        let page = vault.audit(&Caller::local(), None, 3).unwrap();
        let told = page.entries.iter();
        let told = told.filter(|entry| entry.outcome.starts_with("refresh paused"));
        assert_eq!(told.count(), usize::from(paused));
        vault.close().unwrap();
    }
}
