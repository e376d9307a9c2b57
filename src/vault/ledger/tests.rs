//! The sum itself (V1), and index entries changed under an open vault: refused, not followed.

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::model::access::Caller;
use crate::model::app::{App, AppKind};
use crate::model::{Address, AppId, Owner, Scopes, TenantId, TokenId};
use crate::seal::{KdfParams, RecoveryCode, Unlocker};
use crate::secret::Secret;
use crate::store::Scan;
use crate::vault::{Filter, NewCredential, NewToken, Vault};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// Goal: the sum does not depend on the order, goes back to where it was, and no two things count
/// alike. Method: count in and out in several orders; count each of several alone.
#[test]
fn v1_the_sum_is_of_a_set_and_tells_everything_apart() {
    let code = Unlocker::RecoveryCode(RecoveryCode::generate());
    let (keys, _) = Keyring::create(&[(&code, "")], KdfParams::FLOOR, NOW).unwrap();
    let things = [
        Counted::Record(Records::Tokens, b"ids", 0),
        Counted::Record(Records::Apps, b"ids", 0),
        Counted::Record(Records::Tokens, b"ids", 1),
        Counted::Entry(Index::Ids, b"ab", b"c"),
        Counted::Entry(Index::Ids, b"a", b"bc"),
        Counted::Entry(Index::Due, b"ab", b"c"),
        Counted::Entry(Index::Due, b"ab", b""),
        Counted::Entry(Index::Ids, b"ids", &[0; 8]),
    ];
    let (mut there, mut back) = (Ledger::default(), Ledger::default());
    for thing in things {
        there.add(&keys, thing);
    }
    for thing in things.into_iter().rev() {
        back.add(&keys, thing);
    }
    assert_eq!(there, back);
    for thing in things {
        there.take(&keys, thing);
    }
    assert_eq!(there, Ledger::default());
    let mut sums = things.map(|thing| {
        let mut alone = Ledger::default();
        alone.add(&keys, thing);
        alone.first
    });
    sums.sort_unstable();
    assert!(sums.windows(2).all(|pair| pair[0] != pair[1]));
}

/// A vault with an app and a key for each of three tenants; their ids.
fn three_tokens() -> (Vault, [TokenId; 3]) {
    let (vault, _) = Vault::in_memory(Clock::test(NOW)).unwrap();
    let me = Caller::local();
    let app = App {
        name: "maps".into(),
        return_urls: vec![],
        ..App::of(AppId::parse("maps").unwrap(), AppKind::ApiKey, NOW)
    };
    let added = vault.add_app(&me, app.clone(), None).unwrap();
    added.wait().unwrap();
    let ids = ["a", "b", "c"].map(|tenant| {
        let new = NewToken::of(
            Address {
                app: app.id.clone(),
                owner: Owner::new(Some(TenantId::parse(tenant).unwrap()), None).unwrap(),
                account: None,
                scopes: Scopes::default(),
            },
            NewCredential::ApiKey(Secret::new(tenant.to_owned())),
        );
        vault.store_token(&me, new).unwrap().wait().unwrap().id
    });
    (vault, ids)
}

/// Goal: an index entry that leads to another token is refused. Method: exchange an entry of `ids`,
/// shorten one, remove one; ask for each token by id.
#[test]
fn v1_a_token_id_that_leads_elsewhere_is_an_error_and_not_another_token() {
    let (vault, [first, second, third]) = three_tokens();
    let me = Caller::local();
    let place = |id: TokenId| {
        let view = vault.store().read().unwrap();
        view.entry(Index::Ids, id.as_bytes()).unwrap().unwrap()
    };
    let (one, two) = (place(first), place(second));
    let write = vault.store().write().unwrap();
    let put = |id: TokenId, place: &[u8]| write.put_entry(Index::Ids, id.as_bytes(), place);
    put(first, &two).unwrap();
    put(second, &one[..10]).unwrap();
    write.remove_entry(Index::Ids, third.as_bytes()).unwrap();
    let nobody = TokenId::new([9; 16]);
    put(nobody, &one).unwrap();
    write.commit().unwrap();
    let find = |id: TokenId| {
        [
            vault.token(&me, id).err(),
            vault.reveal(&me, id).err(),
            vault.remove_token(&me, id).err(),
        ]
    };
    for id in [first, second, nobody] {
        for outcome in find(id) {
            assert!(matches!(outcome, Some(Error::Damaged(_))), "{outcome:?}");
        }
    }
    assert_eq!(find(third), [const { Some(Error::NotFound("token")) }; 3]);
}

/// Goal: entries of `owners` and `due` that lead nowhere are refused. Method: add such entries,
/// list the tenant, ask what is due.
#[test]
fn v1_an_index_entry_that_leads_nowhere_is_an_error() {
    let (vault, _) = three_tokens();
    let mut owners = Vec::new();
    let view = vault.store().read().unwrap();
    view.scan_index(Index::Owners, b"", None, &mut |key, _| {
        owners.push(key.to_vec());
        Ok(Scan::Go)
    })
    .unwrap();
    let write = vault.store().write().unwrap();
    for mut key in owners {
        key[63] ^= 1;
        write.put_entry(Index::Owners, &key, b"").unwrap();
    }
    write.put_entry(Index::Due, &[0; 72], b"").unwrap();
    write.commit().unwrap();
    let filter = Filter {
        tenant: Some(TenantId::parse("a").unwrap()),
        ..Filter::default()
    };
    let outcome = vault.list(&Caller::local(), &filter, 10, None).err();
    assert!(matches!(outcome, Some(Error::Damaged(_))), "{outcome:?}");
    // The schedule passes it over: it keeps nobody else's token from being refreshed.
    let (due, _) = vault.due(&Caller::scheduler(), NOW, 10).unwrap();
    assert_eq!(due, []);
}

/// Goal: adding up by parts counts each thing once, as the ledger did when it was written, tells
/// how far it is, and ends where it is told to. Method: a store with keys of every first byte in
/// each table, more than are told of at once; the ledger that counted them in; a `tick` that
/// refuses.
#[test]
fn v1_every_part_of_the_file_is_added_up_once() {
    let code = Unlocker::RecoveryCode(RecoveryCode::generate());
    let (keys, header) = Keyring::create(&[(&code, "")], KdfParams::FLOOR, NOW).unwrap();
    let store = crate::store::Store::in_memory(&header.to_bytes()).unwrap();
    let write = store.write().unwrap();
    let mut ledger = Ledger::default();
    let keys_of_chance = (0_u32..700).map(|number| number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    let mut places: Vec<Vec<u8>> = keys_of_chance.map(|key| key.to_vec()).collect();
    places.extend([vec![], vec![0], vec![255], vec![255; 80]]);
    for key in places {
        for table in Records::COUNTED {
            let version = ledger.take_version();
            let context = Context {
                table: table.name(),
                identity: &key,
                version,
            };
            let sealed = keys.seal(context, &[b"something"]).unwrap();
            write.put_record(table, &key, &sealed).unwrap();
            ledger.add(&keys, Counted::Record(table, &key, version));
        }
        for index in Index::ALL {
            write.put_entry(index, &key, b"value").unwrap();
            ledger.add(&keys, Counted::Entry(index, &key, b"value"));
        }
    }
    write.commit().unwrap();
    let view = store.read().unwrap();
    let mut told = Vec::new();
    let found = adding::add_up(&keys, &view, &mut |count| {
        told.push(count);
        Ok(())
    });
    assert!(ledger.adds_up_to(&found.unwrap()));
    assert!(
        told.iter().all(|count| *count <= ledger.count()),
        "{told:?}"
    );
    // Whoever is to tell may find that others have done it all.
    let refused = (0..1000).any(|_| {
        adding::add_up(&keys, &view, &mut |_| Err(Error::ShuttingDown)) == Err(Error::ShuttingDown)
    });
    assert!(refused);
}
