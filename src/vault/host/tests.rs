//! A vault that wakes up elsewhere (V12).

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::limits;
use crate::model::app::{App, AppKind};
use crate::model::{Address, AppId, Owner, Scopes, TenantId};
use crate::secret::Secret;
use crate::vault::{
    Begin, KdfParams, NewCredential, NewToken, NewVault, RecoveryCode, RefreshAsk, Settings,
    Unlocker,
};

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

/// Goal: what keeps a copied or restored vault from refreshing cannot be taken out of its file, nor
/// an older word put back. Method: each row of that, removed and exchanged behind the vault's back.
#[test]
fn v12_what_a_vault_notes_about_itself_is_not_changed_unseen() {
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let file = || Unlocker::key_file(Secret::new(vec![7; 32])).unwrap();
    for is_removed in [true, false] {
        let disk = crate::store::faulty::Faulty::default();
        let slots = [(&file(), "file")];
        let made = Vault::create_on_disk(&disk, &slots, Settings::default(), clock.clone());
        let (vault, _) = made.unwrap();
        let older = vault.store().read().unwrap().record(Records::Meta, HOME);
        let older = older.unwrap().unwrap();
        move_home(&vault);
        vault.close().unwrap();
        let vault = Vault::open_on_disk(&disk, Settings::default(), clock.clone()).unwrap();
        let write = vault.store().write().unwrap();
        match is_removed {
            true => write.remove_record(Records::Meta, HOME).unwrap(),
            false => write.put_record(Records::Meta, HOME, &older).unwrap(),
        }
        write.commit().unwrap();
        let refused = vault.unlock(&file(), "test");
        assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
    }
}

/// Goal: no refresh begins while refreshing is paused, whoever asks. Method: ask for one of a token
/// that has nothing to refresh with: paused, that is not even looked at.
#[test]
fn v12_no_refresh_begins_while_paused() {
    let now = Timestamp::from_unix_ms(1_800_000_000_000);
    let (vault, _) = Vault::in_memory(Clock::test(now)).unwrap();
    let me = Caller::local();
    let app = App {
        name: "maps".into(),
        return_urls: vec![],
        ..App::of(AppId::parse("maps").unwrap(), AppKind::ApiKey, now)
    };
    let address = Address {
        app: app.id.clone(),
        owner: Owner::new(Some(TenantId::parse("t").unwrap()), None).unwrap(),
        account: None,
        scopes: Scopes::default(),
    };
    vault.add_app(&me, app, None).unwrap().wait().unwrap();
    let new = NewToken::of(address, NewCredential::ApiKey(Secret::new("key".into())));
    let id = vault.store_token(&me, new).unwrap().wait().unwrap().id;
    let begin = || {
        let ask = RefreshAsk { id, rejected: None };
        let begun = vault.begin_refresh(&Caller::scheduler(), ask).unwrap();
        begun.wait().unwrap()
    };
    assert!(matches!(begin(), Begin::Hopeless));
    vault.0.refresh_paused.store(true, Ordering::Release);
    let Begin::Wait(until) = begin() else {
        panic!("a refresh began")
    };
    assert_eq!(until, now.plus(limits::BACKOFF_MAX));
    vault.0.refresh_paused.store(false, Ordering::Release);
    assert!(matches!(begin(), Begin::Hopeless));
}
