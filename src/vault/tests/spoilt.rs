//! A record that does not open, under an open vault: it keeps nobody else's token from being
//! refreshed.
//!
//! It promises: the record is spoilt behind the ledger's back, as whoever has the file can do it.
//! It never: spoils what the store itself would refuse.

use super::super::*;
use super::given::{app_of, clock, oauth, owner};
use crate::model::token::Grant;
use crate::model::{Address, AppId, TokenId};
use crate::seal::Sealed;
use crate::store::{Records, Scan, View};

fn store(vault: &Vault, user: &str) -> TokenId {
    let grant = Grant {
        access_token: Secret::new(format!("access-{user}")),
        refresh_token: Some(Secret::new(format!("refresh-{user}"))),
        id_token: None,
        token_type: "Bearer".into(),
        expires_in_s: Some(1),
        scopes: None,
        subject: None,
        brought: Default::default(),
    };
    let address = Address {
        app: AppId::parse("mail").unwrap(),
        owner: owner(user),
        account: None,
        scopes: Scopes::default(),
    };
    let credential = NewCredential::Granted(grant);
    let new = NewToken::of(address, credential);
    let stored = vault.store_token(&Caller::local(), new).unwrap();
    stored.wait().unwrap().id
}

fn begin(vault: &Vault, id: TokenId) {
    let ask = RefreshAsk { id, rejected: None };
    let begun = vault.begin_refresh(&Caller::scheduler(), ask).unwrap();
    assert!(matches!(begun.wait().unwrap(), Begin::Go(_)));
}

/// Changes a byte of the first token's hot part, behind the vault's back and beside its ledger.
fn spoil_one(vault: &Vault) {
    let mut first = None;
    let view = vault.store().read().unwrap();
    view.scan_records(Records::Tokens, b"", None, &mut |key, sealed| {
        first = Some((key.to_vec(), sealed.as_bytes().to_vec()));
        Ok(Scan::Stop)
    })
    .unwrap();
    let (key, mut bytes) = first.unwrap();
    bytes[60] ^= 1;
    let write = vault.store().write().unwrap();
    let spoilt = Sealed::parse(&bytes).unwrap();
    write.put_record(Records::Tokens, &key, &spoilt).unwrap();
    write.commit().unwrap();
}

/// Goal: one damaged token is passed over by all that the schedule looks at, and the others are
/// not. Method: three tokens that are due, their refreshes begun; spoil one; ask what is due, what
/// was interrupted, what can be brought forward or dated anew, and which links are over.
#[test]
fn a_damaged_record_keeps_nobody_elses_token_from_being_refreshed() {
    let clock = clock();
    let (vault, _) = Vault::in_memory(clock.clone()).unwrap();
    let (me, scheduler) = (Caller::local(), Caller::scheduler());
    let mail = app_of("mail", oauth());
    vault.add_app(&me, mail, None).unwrap().wait().unwrap();
    let ids = ["a", "b", "c"].map(|user| store(&vault, user));
    for id in ids {
        begin(&vault, id);
    }
    clock.advance(std::time::Duration::from_secs(10));
    let due = || vault.due(&scheduler, clock.now(), 10).unwrap().0.len();
    assert_eq!(due(), 3);
    spoil_one(&vault);
    assert_eq!(due(), 2);
    assert_eq!(vault.interrupted(&scheduler).unwrap().len(), 2);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let app = AppId::parse("mail").unwrap();
    runtime.block_on(vault.hasten(&scheduler, &app)).unwrap();
    runtime.block_on(vault.redate(&scheduler)).unwrap();
    vault.forget_links(&scheduler).unwrap().wait().unwrap();
    let sound = ids.iter().filter(|id| vault.token(&me, **id).is_ok());
    assert_eq!(sound.count(), 2, "whoever asks for it is told");
}
