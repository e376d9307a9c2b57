//! Rotating the keys while the vault serves (V14): nobody waits, nothing is lost.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use strongroom::error::Error;
use strongroom::model::access::{Action, Caller, Grant};
use strongroom::model::plan::Verdict;
use strongroom::vault::{
    Begin, Filter, Finish, KdfParams, NewToken, RefreshAsk, Settings, Unlocker, Vault,
};

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(180);

fn ended(vault: &Vault) {
    let begun = Instant::now();
    while let Some(rotation) = vault.status().rotation {
        assert!(begun.elapsed() < PATIENCE, "{rotation:?}");
        std::thread::yield_now();
    }
}

fn term(vault: &Vault) -> u32 {
    vault.status().key_term.unwrap().number
}

/// Stores so many API keys in few commits.
fn store_many(vault: &Vault, count: usize) {
    let receipts: Vec<_> = (0..count)
        .map(|user| {
            let new = NewToken::of(
                address("maps", &owner("", &format!("user-{user}"))),
                api_key(&format!("value-{user}")),
            );
            vault.store_token(&Caller::local(), new)
        })
        .map(|receipt| receipt.unwrap())
        .collect();
    for receipt in receipts {
        receipt.wait().unwrap();
    }
}

fn api_key(value: &str) -> strongroom::vault::NewCredential {
    strongroom::vault::NewCredential::ApiKey(secret(value))
}

fn value_of(vault: &Vault, user: usize) -> String {
    let ask = ask(&address("maps", &owner("", &format!("user-{user}"))));
    fresh(vault, &ask).value.expose().clone()
}

/// Goal: V14 a refresh that is in flight across a whole rotation is stored, since resealing keeps
/// the version its intent names. Method: begin a refresh, rotate to the end, finish it, unlock
/// anew.
#[test]
fn v14_a_refresh_in_flight_across_a_rotation_is_not_lost() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    let place = address("mail", &owner("", "alice"));
    let token = store(&vault, place.clone(), granted("old", Some("refresh-1")));
    let asked = RefreshAsk {
        id: token.id,
        rejected: None,
    };
    let me = Caller::local();
    let begun = vault.begin_refresh(&me, asked).unwrap().wait().unwrap();
    let Begin::Go(job) = begun else {
        panic!("it may begin");
    };
    vault.rotate_keys(&me).unwrap();
    ended(&vault);
    let renewed = Verdict::Renewed(grant("new", Some("refresh-2")));
    let finish = vault.finish_refresh(&me, &job, renewed).unwrap().wait();
    assert_eq!(finish, Ok(Finish::Stored));
    assert_eq!(fresh(&vault, &ask(&place)).value.expose(), "new");
    vault.close().unwrap();
    drop(vault);
    let vault = disk.unlocked().unwrap();
    assert_eq!(fresh(&vault, &ask(&place)).value.expose(), "new");
    assert_eq!(term(&vault), 2);
}

/// Goal: V14 under a mixed load every call is answered as without a rotation, and what was stored
/// last is there. Method: rotate again and again beside callers that fetch, list, store and delete,
/// each on users of its own, until each has done its rounds; then unlock anew, which adds the
/// ledger up.
#[test]
fn v14_callers_at_work_notice_nothing_of_a_rotation() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    store_many(&vault, 120);
    let me = Caller::local();
    let over = AtomicBool::new(false);
    let rounds = 6;
    let rotations = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (vault, me) = (&vault, &me);
                scope.spawn(move || {
                    for round in 0..rounds {
                        for user in (worker * 30)..(worker * 30 + 30) {
                            work(vault, me, user, round);
                        }
                        let all = vault.list(me, &Filter::default(), 1000, None).unwrap();
                        assert!(all.tokens.len() >= 30, "a list is whole");
                    }
                })
            })
            .collect();
        let rotating = scope.spawn(|| {
            let mut rotations = 0;
            while !over.load(Ordering::Acquire) {
                vault.rotate_keys(&me).unwrap();
                ended(&vault);
                rotations += 1;
            }
            rotations
        });
        for worker in workers {
            worker.join().unwrap();
        }
        over.store(true, Ordering::Release);
        rotating.join().unwrap()
    });
    assert!(rotations >= 1);
    vault.close().unwrap();
    drop(vault);
    let vault = disk.unlocked().unwrap();
    assert_eq!(term(&vault), 1 + rotations);
    for user in 0..120 {
        assert_eq!(
            value_of(&vault, user),
            format!("value-{user}-{}", rounds - 1)
        );
    }
}

/// Deletes every third user's key, stores a new one for all, and reads it back.
fn work(vault: &Vault, me: &Caller, user: usize, round: usize) {
    let place = address("maps", &owner("", &format!("user-{user}")));
    value_of(vault, user);
    if user.is_multiple_of(3) {
        let token = fresh(vault, &ask(&place)).id;
        vault.remove_token(me, token).unwrap().wait().unwrap();
    }
    let value = format!("value-{user}-{round}");
    store(vault, place, api_key(&value));
    assert_eq!(value_of(vault, user), value);
}

/// Goal: V14 one rotation at a time, whoever asks. Method: eight ask at one moment; each one told
/// yes is a term, the others are told what is under way.
#[test]
fn v14_of_rotations_at_one_time_one_begins() {
    let (_disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    store_many(&vault, 50);
    let start = Barrier::new(8);
    let begun: u32 = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    match vault.rotate_keys(&Caller::local()) {
                        Ok(_) => 1,
                        Err(Error::Conflict(why)) => {
                            assert!(why.contains("under way"), "{why}");
                            0
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).sum()
    });
    ended(&vault);
    assert!(begun >= 1);
    assert_eq!(term(&vault), 1 + begun);
}

/// Goal: V14 ten thousand records are resealed in bounded time, and fetches and stores are answered
/// meanwhile. Method: count what is answered before the rotation has ended.
#[test]
fn v14_ten_thousand_records_are_resealed_while_callers_are_served() {
    let (vault, _clock) = memory();
    store_many(&vault, 8000);
    store_many_more(&vault, 2000);
    let me = Caller::local();
    let begun = Instant::now();
    vault.rotate_keys(&me).unwrap();
    let (mut served, mut stored) = (0, 0);
    while let Some(rotation) = vault.status().rotation {
        assert!(begun.elapsed() < PATIENCE, "{rotation:?}");
        assert_eq!(
            value_of(&vault, served % 8000),
            format!("value-{}", served % 8000)
        );
        served += 1;
        if served % 64 == 0 {
            let place = address("maps", &owner("", "meanwhile"));
            store(&vault, place, api_key("meanwhile"));
            stored += 1;
        }
    }
    println!("{served} fetches, {stored} stores in {:?}", begun.elapsed());
    assert!(served > 10, "{served} fetches were answered meanwhile");
    assert_eq!(term(&vault), 2);
    let trail = vault.audit(&me, None, 1000).unwrap().entries;
    let said = trail
        .iter()
        .find(|entry| entry.outcome.contains("key rotation ended"));
    let said = &said.expect("it is on record").outcome;
    assert!(said.contains("term 2 alone is left, 1 went"), "{said}");
}

fn store_many_more(vault: &Vault, count: usize) {
    let receipts: Vec<_> = (0..count)
        .map(|user| {
            let new = NewToken::of(
                address("mail", &owner("acme", &format!("user-{user}"))),
                granted(&format!("access-{user}"), Some("refresh")),
            );
            vault.store_token(&Caller::local(), new).unwrap()
        })
        .collect();
    for receipt in receipts {
        receipt.wait().unwrap();
    }
}

/// Goal: rotating and changing slots are for who may lock the vault, and a change of slots asks for
/// what opens it. Method: keys with every right but that one; then proofs, wrong and right, and the
/// wait between.
#[test]
fn v14_rotating_takes_the_right_to_lock_and_slots_take_a_proof_besides() {
    let (disk, vault) = Disk::create(Settings::default());
    let others = Action::ALL
        .into_iter()
        .filter(|action| *action != Action::Lock);
    let most = key_with(&vault, vec![Grant::everywhere(others.collect())]);
    assert_eq!(vault.rotate_keys(&most).err(), Some(Error::Denied));
    let right = recovery(&disk.recovery);
    let refused = vault.with_proof(&most, &right, || Ok(()));
    assert_eq!(refused, Err(Error::Denied));

    let locker = key_with(&vault, vec![Grant::everywhere([Action::Lock].into())]);
    let file = |byte| Unlocker::key_file(strongroom::secret::Secret::new(vec![byte; 32])).unwrap();
    let add = || vault.add_slot(&locker, file(1), "mine", KdfParams::FLOOR);
    let wrong = vault.with_proof(&locker, &file(1), add);
    assert_eq!(wrong, Err(Error::UnlockFailed));
    let early = vault.with_proof(&locker, &right, add);
    assert!(matches!(early, Err(Error::Busy(_))), "{early:?}");
    assert_eq!(vault.slots().unwrap().len(), 2);
    disk.clock.advance(Duration::from_secs(1));
    assert!(vault.with_proof(&locker, &right, add).is_ok());
    assert_eq!(vault.slots().unwrap().len(), 3);
    vault.rotate_keys(&locker).unwrap();
    ended(&vault);
}
