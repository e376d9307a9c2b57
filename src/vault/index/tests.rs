//! Nothing moves (S1): records under real keys, exchanged between every two places.

use std::collections::HashSet;

use super::*;
use crate::clock::Timestamp;
use crate::seal::{Context, KdfParams, RecoveryCode, Sealed, Unlocker};

fn keyring() -> Keyring {
    let code = Unlocker::RecoveryCode(RecoveryCode::generate());
    let now = Timestamp::default();
    let (keys, _) = Keyring::create(&[(&code, "")], KdfParams::FLOOR, now).unwrap();
    keys
}

fn owner(tenant: &str, user: &str) -> Owner {
    let tenant = (!tenant.is_empty()).then(|| TenantId::parse(tenant).unwrap());
    let user = (!user.is_empty()).then(|| UserId::parse(user).unwrap());
    Owner::new(tenant, user).unwrap()
}

/// Addresses that differ in one of app, tenant, user, account, scopes, or in several.
fn addresses() -> Vec<Address> {
    let owners = [("", "a"), ("a", ""), ("a", "a"), ("a", "b"), ("b", "a")];
    let mut all = Vec::new();
    for app in ["mail", "maps"] {
        for (tenant, user) in owners {
            for account in [None, Some("a"), Some("none")] {
                for scopes in [&[] as &[&str], &["a"], &["a", "b"], &["a b"]] {
                    all.push(Address {
                        app: AppId::parse(app).unwrap(),
                        owner: owner(tenant, user),
                        account: account.map(|name| Account::parse(name).unwrap()),
                        scopes: Scopes::parse(scopes.iter().copied()).unwrap(),
                    });
                }
            }
        }
    }
    all
}

/// A place of a record, and the record that belongs there.
struct Place {
    vault: usize,
    table: &'static str,
    key: TokenKey,
    version: u64,
    sealed: Sealed,
}

/// Goal: a record opens where it was sealed and nowhere else. Method: a record for each of two
/// vaults, two tables, versions and many addresses; each one's bytes at each one's place; both
/// parts. The version is the record's own word: at its own place it opens, and the ledger knows it
/// is old.
#[test]
fn s1_a_record_moved_to_any_other_place_does_not_open() {
    let vaults = [keyring(), keyring()];
    let mut places = Vec::new();
    for address in addresses().iter().step_by(2) {
        for (vault, keys) in vaults.iter().enumerate() {
            let key = Indexer(keys).token(address);
            for (table, version) in [("tokens", 1), ("tokens", 2), ("intents", 1)] {
                let context = Context {
                    table,
                    identity: &key,
                    version,
                };
                let sealed = keys.seal(context, &[b"hot", b"cold"]).unwrap();
                places.push(Place {
                    vault,
                    table,
                    key,
                    version,
                    sealed,
                });
            }
        }
    }
    let same = |a: &Place, b: &Place| (a.vault, a.table, a.key) == (b.vault, b.table, b.key);
    let mut pairs = 0;
    for (at, place) in places.iter().enumerate() {
        for (from, record) in places.iter().enumerate() {
            let keys = &vaults[place.vault];
            let mut opened = [0, 1].map(|part| {
                let opened = keys.open(place.table, &place.key, &record.sealed, part);
                opened.is_ok()
            });
            if same(place, record) {
                assert_eq!(record.sealed.version(), record.version);
                opened = opened.map(|opens| !opens);
            }
            assert_eq!(opened, [false; 2], "{from} at {at}");
            pairs += 1;
        }
    }
    assert!(pairs > 100_000, "only {pairs} pairs");
}

/// Goal: a record does not open under another version than its own. Method: write another one into
/// it.
#[test]
fn s1_a_record_that_claims_another_version_does_not_open() {
    let keys = keyring();
    let key = Indexer(&keys).token(&addresses()[0]);
    let context = |version| Context {
        table: "tokens",
        identity: &key,
        version,
    };
    let (one, two) = (
        keys.seal(context(1), &[b"hot"]).unwrap(),
        keys.seal(context(2), &[b"hot"]).unwrap(),
    );
    for (record, claims) in [(one.clone(), 2_u64), (two, 1), (one, 0)] {
        let mut bytes = record.as_bytes().to_vec();
        bytes[5..13].copy_from_slice(&claims.to_le_bytes());
        let record = Sealed::parse(&bytes).unwrap();
        assert_eq!(record.version(), claims);
        assert!(keys.open("tokens", &key, &record, 0).is_err());
    }
}

/// Goal: no two addresses share a key, in one vault or two; ranges hold what they should. Method:
/// all of them, in a set; each prefix against the words it stands for.
#[test]
fn s1_every_address_has_a_key_of_its_own_and_ranges_hold_their_own() {
    let (one, two) = (keyring(), keyring());
    let all = addresses();
    let keys: HashSet<TokenKey> = [&one, &two]
        .iter()
        .flat_map(|keys| all.iter().map(|address| Indexer(keys).token(address)))
        .collect();
    assert_eq!(keys.len(), 2 * all.len());
    let indexer = Indexer(&one);
    for address in &all {
        let key = indexer.token(address);
        assert_eq!(from_owners_key(&owners_key(&key)), Some(key));
        let at = Timestamp::from_unix_ms(1_800_000_000_123);
        assert_eq!(from_due_key(&due_key(at, &key)), Some((at, key)));
        for other in &all {
            let key = indexer.token(other);
            let of_owner = indexer.of_owner(&address.app, &address.owner);
            let wanted = (&address.app, &address.owner) == (&other.app, &other.owner);
            assert_eq!(key.starts_with(&of_owner), wanted);
            let of_app = indexer.of_app(&address.app, address.owner.tenant());
            let tenant_fits = address
                .owner
                .tenant()
                .is_none_or(|tenant| other.owner.tenant() == Some(tenant));
            let wanted = address.app == other.app && tenant_fits;
            assert_eq!(key.starts_with(&of_app), wanted);
            let owners = indexer.owner(&address.owner);
            let wanted = address.owner == other.owner;
            assert_eq!(owners_key(&key).starts_with(&owners), wanted);
        }
    }
}

/// Goal: the key of what falls due earlier comes first. Method: times around every byte's border.
#[test]
fn s1_due_keys_are_in_the_order_of_time() {
    let key = [0xff; TOKEN_KEY];
    let times = [
        0,
        1,
        255,
        256,
        65_535,
        65_536,
        1 << 32,
        (1 << 40) - 1,
        1 << 40,
    ];
    let keys = times.map(|at| due_key(Timestamp::from_unix_ms(at), &key));
    assert!(keys.is_sorted());
    assert!(from_due_key(&keys[0][..71]).is_none());
    assert!(from_owners_key(&keys[0]).is_none());
}
