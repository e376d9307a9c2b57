//! An app that is removed step by step.

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::model::app::{AppKind, MetadataRead, OAuth};
use crate::model::url::WebUrl;
use crate::model::{Address, Owner, Scopes, TenantId};
use crate::vault::ledger::Ledger;
use crate::vault::{NewCredential, NewToken};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn app(id: &str) -> App {
    App {
        name: id.into(),
        return_urls: vec![],
        ..App::of(AppId::parse(id).unwrap(), AppKind::ApiKey, NOW)
    }
}

fn add(vault: &Vault, id: &str) -> Result<ShownApp> {
    vault.add_app(&Caller::local(), app(id), None)?.wait()
}

fn store(vault: &Vault, id: &str, tenant: &str) -> Result<()> {
    let new = NewToken::of(
        Address {
            app: AppId::parse(id).unwrap(),
            owner: Owner::new(Some(TenantId::parse(tenant).unwrap()), None).unwrap(),
            account: None,
            scopes: Scopes::default(),
        },
        NewCredential::ApiKey(Secret::new("key".into())),
    );
    let stored = vault.store_token(&Caller::local(), new)?;
    stored.wait().map(|_| ())
}

/// One step of at most `most` tokens: how many went, and whether there are more.
fn step(vault: &Vault, id: &str, most: usize) -> Result<(usize, bool)> {
    let id = AppId::parse(id).unwrap();
    let target = Target::app(&id);
    let permit = vault.gate().permit(&Caller::local(), Action::Apps, &target);
    let of = id.clone();
    let removed = permit?.write(None, move |tx| remove_some(tx, &of, most))?;
    let removed = removed.wait()?;
    assert_eq!(removed.app.app.id, id);
    Ok((removed.doomed.len(), removed.more))
}

/// Goal: an app with many tokens goes step by step, and from the first step on it takes nothing
/// new; nothing of another app goes with it. Method: five tokens, two a step; between the steps try
/// to store, change, add; in the end the ledger adds up and the id is free.
#[test]
fn v2_an_app_that_is_being_removed_takes_no_new_token_and_goes_in_bounded_steps() {
    let (vault, _) = Vault::in_memory(Clock::test(NOW)).unwrap();
    add(&vault, "maps").unwrap();
    add(&vault, "other").unwrap();
    for tenant in ["a", "b", "c", "d", "e"] {
        store(&vault, "maps", tenant).unwrap();
    }
    store(&vault, "other", "a").unwrap();
    let me = Caller::local();
    for _ in 0..2 {
        assert_eq!(step(&vault, "maps", 2), Ok((2, true)));
        let change = vault.change_app(&me, app("maps"), SecretChange::Keep);
        let refused = [
            store(&vault, "maps", "f"),
            add(&vault, "maps").map(|_| ()),
            change.unwrap().wait().map(|_| ()),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
        }
        assert_eq!(vault.apps(&me).unwrap().len(), 2);
    }
    // As after a restart: whoever asks next finishes it.
    let id = AppId::parse("maps").unwrap();
    let last = vault.remove_app(&me, &id).unwrap().wait().unwrap();
    assert_eq!((last.doomed.len(), last.more), (1, false));
    assert_eq!(step(&vault, "maps", 2), Err(Error::NotFound("app")));
    add(&vault, "maps").unwrap();
    store(&vault, "maps", "a").unwrap();
    let permit = vault.gate().permit(&me, Action::Lock, &Target::vault());
    let (permit, view) = (permit.unwrap(), vault.store().read().unwrap());
    let ledger = Ledger::read(permit.keys(), &view).unwrap();
    ledger.verify(permit.keys(), &view).unwrap();
    let left = vault.list(&me, &Default::default(), 10, None).unwrap();
    assert_eq!(left.tokens.len(), 2);
    // Exactly a step's worth needs no second step.
    assert_eq!(step(&vault, "other", 1), Ok((1, false)));
}

/// An app of an issuer whose metadata was read at this moment.
fn read_at(at: Option<Timestamp>) -> App {
    let oauth = OAuth {
        metadata: at.map(|at| MetadataRead::new(at, None)),
        ..OAuth::of("c")
    };
    App {
        kind: AppKind::OAuth(Box::new(oauth)),
        ..app("calendar")
    }
}

/// Goal: what was read of an issuer takes the place of the very app that it was judged by, with its
/// secret, and of no other. Method: the same step twice; an app that is gone.
#[test]
fn metadata_is_stored_only_over_the_app_that_it_was_judged_by() {
    let (vault, _) = Vault::in_memory(Clock::test(NOW)).unwrap();
    let me = Caller::local();
    let url = |text: &str| WebUrl::parse("url", text).unwrap();
    let with_endpoints = |mut app: App| {
        if let AppKind::OAuth(oauth) = &mut app.kind {
            oauth.discovered.authorization_url = Some(url("https://a.example/a"));
            oauth.discovered.token_url = Some(url("https://a.example/t"));
        }
        app
    };
    let (seen, next) = (
        with_endpoints(read_at(None)),
        with_endpoints(read_at(Some(NOW))),
    );
    let secret = Secret::new("secret of a client".to_owned());
    let added = vault.add_app(&me, seen.clone(), Some(secret)).unwrap();
    added.wait().unwrap();
    let keep = || {
        let kept = vault.keep_metadata(&seen, next.clone(), "metadata read");
        kept.unwrap().wait()
    };
    assert_eq!(keep(), Ok(next.clone()));
    assert!(matches!(keep(), Err(Error::Conflict(_))));
    let shown = vault.app(&me, &next.id).unwrap();
    assert!(shown.has_client_secret && shown.app == next);
    vault.remove_app(&me, &next.id).unwrap().wait().unwrap();
    assert!(matches!(keep(), Err(Error::NotFound(_))));
}

/// Goal: an app of before its metadata had a moment is read, and is written as it was. Method: its
/// record in words.
#[test]
fn an_app_whose_metadata_has_no_moment_is_read_and_written_as_it_was() {
    let old = read_at(None);
    let written = serde_json::to_string(&old).unwrap();
    assert!(!written.contains("\"metadata\""), "{written}");
    assert_eq!(serde_json::from_str::<App>(&written).unwrap(), old);
}
