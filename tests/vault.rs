//! The vault as an embedding program uses it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use strongroom::clock::{Clock, Timestamp};
use strongroom::error::Error;
use strongroom::model::access::Caller;
use strongroom::model::app::{App, AppKind};
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{
    Ask, Found, KdfParams, NewCredential, NewToken, Settings, Unlocker, Vault,
};

const PASSPHRASE: &str = "violet harbour mumbles often";

fn api_key_app(id: &str) -> App {
    App {
        name: id.into(),
        return_urls: vec![],
        ..App::of(
            AppId::parse(id).unwrap(),
            AppKind::ApiKey,
            Timestamp::default(),
        )
    }
}

fn user(id: &str) -> Owner {
    Owner::User(UserId::parse(id).unwrap())
}

/// Goal: what is stored is there after a restart.
/// Method: create, store, close, open, unlock, fetch.
#[test]
fn what_is_stored_is_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let me = Caller::local();
    let new = Vault::create(
        &directory,
        Secret::new(PASSPHRASE.into()),
        KdfParams::FLOOR,
        Settings::default(),
        clock.clone(),
    )
    .unwrap();
    let vault = new.vault;
    vault
        .add_app(&me, api_key_app("maps"), None)
        .unwrap()
        .wait()
        .unwrap();
    let address = Address {
        app: AppId::parse("maps").unwrap(),
        owner: user("alice"),
        account: None,
        scopes: Scopes::default(),
    };
    let stored = vault
        .store_token(
            &me,
            NewToken::of(
                address.clone(),
                NewCredential::ApiKey(Secret::new("key-of-alice".into())),
            ),
        )
        .unwrap()
        .wait()
        .unwrap();
    vault.close().unwrap();
    drop(vault);

    let vault = Vault::open(&directory, Settings::default(), clock.clone()).unwrap();
    assert_eq!(
        vault
            .unlock(&Unlocker::Passphrase(Secret::new("wrong".into())), "")
            .unwrap_err(),
        Error::UnlockFailed
    );
    clock.advance(Duration::from_secs(60));
    vault
        .unlock(&Unlocker::Passphrase(Secret::new(PASSPHRASE.into())), "")
        .unwrap();
    let ask = Ask {
        app: address.app.clone(),
        owner: address.owner.clone(),
        account: None,
        scopes: None,
        min_ttl: Duration::ZERO,
        with_refresh_token: false,
    };
    let Found::Fresh(handed) = vault.fetch(&me, &ask).unwrap() else {
        panic!("not found")
    };
    assert_eq!(handed.id, stored.id);
    assert!(handed.value.equals(b"key-of-alice"));
    audit_is_whole(&vault, &me);
}

fn audit_is_whole(vault: &Vault, me: &Caller) {
    let verified = vault.verify_audit(me).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
    assert!(verified.entries > 5);
    let page = vault.audit(me, None, 3).unwrap();
    assert_eq!(page.entries.len(), 3);
    let next = vault.audit(me, page.cursor.as_deref(), 100).unwrap();
    assert_eq!(next.entries[0].seq + 1, page.entries[2].seq);
}
