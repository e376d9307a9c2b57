//! Many at once: nothing acknowledged is lost, nothing is half done (V2, V3, D1).

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom::error::Error;
use strongroom::model::access::Caller;
use strongroom::vault::{NewCredential, NewToken, Settings, Vault};

use crate::support::*;

const THREADS: usize = 64;
const WRITES: usize = 8;

fn put(vault: &Vault, user: &str, value: &str) -> Result<(), Error> {
    let new = NewToken::of(
        address("maps", &owner("", user)),
        NewCredential::ApiKey(secret(value)),
    );
    vault.store_token(&Caller::local(), new)?.wait().map(|_| ())
}

fn value_of(vault: &Vault, user: &str) -> String {
    let ask = ask(&address("maps", &owner("", user)));
    said(&vault.fetch(&Caller::local(), &ask).unwrap())
}

/// Goal: what was acknowledged is there, whoever else wrote at the same time. Method: 64 threads
/// store eight tokens each, waiting for each; restart, which adds up the ledger; fetch them all.
#[test]
fn v3_what_64_threads_were_told_is_stored_is_there_after_a_restart() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    let epoch = vault.status().epoch.unwrap();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (vault, start) = (&vault, &start);
            scope.spawn(move || {
                start.wait();
                for write in 0..WRITES {
                    let user = format!("user {thread} {write}");
                    put(vault, &user, &user).unwrap();
                    assert_eq!(value_of(vault, &user), format!("fresh {user}"));
                }
            });
        }
    });
    let commits = vault.status().epoch.unwrap() - epoch;
    assert!(
        commits < (THREADS * WRITES) as u64,
        "no two shared a commit"
    );
    vault.close().unwrap();
    drop(vault);
    let vault = disk.unlocked().unwrap();
    for thread in 0..THREADS {
        for write in 0..WRITES {
            let user = format!("user {thread} {write}");
            assert_eq!(value_of(&vault, &user), format!("fresh {user}"));
        }
    }
    let verified = vault.verify_audit(&Caller::local()).unwrap();
    assert_eq!(verified.problems, [""; 0]);
}

/// Goal: writers on one record take turns. Method: all threads write the same token; what stands at
/// the end is one of the values, whole, and the ledger adds up.
#[test]
fn v2_writers_on_one_record_take_turns() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    let start = Barrier::new(16);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (vault, start) = (&vault, &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..4 {
                    put(vault, "one", &format!("value {thread}")).unwrap();
                }
            });
        }
    });
    vault.close().unwrap();
    drop(vault);
    let vault = disk.unlocked().unwrap();
    let value = value_of(&vault, "one");
    assert!(value.starts_with("fresh value "), "{value}");
}

/// Goal: locking loses no acknowledged write. Method: threads write numbered values as fast as they
/// are told, the vault is locked under them, each remembers its last acknowledged one; unlock and
/// compare: what stands is that value, or the one after, whose answer was lost.
#[test]
fn v3_locking_loses_no_acknowledged_write() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    let written = AtomicUsize::new(0);
    let last: BTreeMap<usize, usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (vault, written) = (&vault, &written);
                scope.spawn(move || {
                    for number in 1.. {
                        let (user, value) = (format!("user {thread}"), number.to_string());
                        match put(vault, &user, &value) {
                            Ok(()) => drop(written.fetch_add(1, Ordering::SeqCst)),
                            Err(Error::Locked | Error::ShuttingDown | Error::Storage(_)) => {
                                return (thread, number - 1);
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    unreachable!("it is locked in the end")
                })
            })
            .collect();
        while written.load(Ordering::SeqCst) < 50 {
            std::thread::yield_now();
        }
        vault.lock(&Caller::local()).unwrap();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    drop(vault);
    let vault = disk.unlocked().unwrap();
    for (thread, acknowledged) in last {
        let found = value_of(&vault, &format!("user {thread}"));
        let fits = [acknowledged, acknowledged + 1]
            .map(|number| format!("fresh {number}"))
            .contains(&found);
        let nothing_yet = acknowledged == 0 && found == "missing";
        assert!(
            fits || nothing_yet,
            "{thread}: {acknowledged} became {found}"
        );
    }
    let verified = vault.verify_audit(&Caller::local()).unwrap();
    assert_eq!(verified.problems, [""; 0]);
}

/// Goal: a permit that outlives a lock writes nothing behind the next unlock's back. Method:
/// readers go on fetching while the vault is locked and unlocked twenty times; the trail's chain
/// holds.
#[test]
fn a3_locking_and_unlocking_under_load_keeps_the_trail_whole() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    put(&vault, "one", "value").unwrap();
    let ending = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (vault, ending) = (&vault, &ending);
            scope.spawn(move || {
                let ask = ask(&address("maps", &owner("", "one")));
                while !ending.load(Ordering::SeqCst) {
                    match vault.fetch(&Caller::local(), &ask) {
                        Ok(found) => assert_eq!(said(&found), "fresh value"),
                        Err(error) => assert_eq!(error, Error::Locked),
                    }
                }
            });
        }
        for _ in 0..20 {
            vault.lock(&Caller::local()).unwrap();
            vault.unlock(&recovery(&disk.recovery), "").unwrap();
        }
        ending.store(true, Ordering::SeqCst);
    });
    let verified = vault.verify_audit(&Caller::local()).unwrap();
    assert_eq!(verified.problems, [""; 0]);
}
