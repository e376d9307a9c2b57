//! Vaults of an earlier version: filled while they serve, in a process that dies, on a disk that
//! fails (V20).

use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::store::Write;
use crate::store::faulty::Faulty;
use crate::vault::Filter;
use crate::vault::check::Report;
use crate::vault::tests::crowd::{
    Crowd, as_an_earlier_version, everything, filled_on, fits, ids, let_in, opened,
};

const PATIENCE: Duration = Duration::from_secs(180);
/// Two batches and a half.
const TOKENS: usize = limits::FILL_BATCH_MAX * 5 / 2;
const WAITING: usize = 20;

fn me() -> Caller {
    Caller::local()
}

/// A disk with a vault of an earlier version, which nobody has open.
fn earlier(tokens: usize, stale: &dyn Fn(&Write)) -> Faulty {
    let disk = Faulty::default();
    let mut crowd = Crowd::on(&disk, fastrand::Rng::with_seed(5));
    let ids = crowd.store_many(tokens);
    let waiting = ids.iter().step_by((tokens / WAITING).max(1));
    waiting.for_each(|id| crowd.kill(*id));
    crowd.vault.close().unwrap();
    as_an_earlier_version(&disk, stale);
    assert_eq!(filled_on(&disk), Filled::Not);
    disk
}

fn until_whole(vault: &Vault) {
    let clock = Clock::system();
    let begun = clock.now();
    while !vault.0.filler.is_whole() {
        assert!(clock.now().since(begun) < PATIENCE, "it is never filled");
        std::thread::yield_now();
    }
}

fn check(vault: &Vault) -> Report {
    vault.check(&me(), &mut |_, _| Ok(())).unwrap()
}

/// What lists by user and by state must show; what does not fit, in words.
fn fault(vault: &Vault) -> String {
    let tokens = everything(vault, &Filter::default());
    let users = (0..9).map(|number| Filter {
        user: Some(crate::model::UserId::parse(format!("user-{number}")).unwrap()),
        ..Filter::default()
    });
    let waiting = Filter {
        active: Some(false),
        ..Filter::default()
    };
    for filter in users.chain([waiting]) {
        let wanted = ids(tokens.iter().filter(|token| fits(&filter, token)));
        let found = ids(&everything(vault, &filter));
        if found != wanted {
            return format!("{filter:?}: {} of {}", found.len(), wanted.len());
        }
    }
    let problems = check(vault).problems;
    match problems.first() {
        Some(problem) => problem.what.clone(),
        None => String::new(),
    }
}

/// Goal: V20 a vault of an earlier version answers alike before, while and after it is filled, a
/// check says how it stands, and what is written meanwhile is entered, wherever it lies. Method:
/// batch by batch, with random work of every kind between them.
#[test]
fn v20_a_vault_of_an_earlier_version_is_filled_while_it_serves() {
    let disk = earlier(TOKENS, &|_| {});
    let mut crowd = Crowd::of(let_in(&disk), fastrand::Rng::with_seed(6));
    let mut filling = Filling {
        vault: Arc::downgrade(&crowd.vault.0),
        word: Arc::default(),
        looked: 0,
        damaged: 0,
    };
    let mut batches = 0;
    loop {
        (0..5).for_each(|_| crowd.work());
        assert_eq!(fault(&crowd.vault), "", "before batch {batches}");
        assert_eq!(check(&crowd.vault).not_filled, ["users", "waiting"]);
        batches += 1;
        if filling.step(&crowd.vault).unwrap() {
            break;
        }
    }
    assert!(batches >= 3, "{batches}");
    assert_eq!(fault(&crowd.vault), "");
    assert_eq!(check(&crowd.vault).not_filled, [""; 0]);
    (0..5).for_each(|_| crowd.work());
    assert_eq!(fault(&crowd.vault), "");
    crowd.vault.close().unwrap();
    assert_eq!(filled_on(&disk), Filled::Whole);
}

/// Goal: V20 an unlock fills such a vault, on record, and the next one has nothing to do. Method:
/// unlock it twice.
#[test]
fn v20_an_unlock_fills_a_vault_once() {
    let disk = earlier(30, &|_| {});
    let told = |vault: &Vault| {
        let trail = vault.audit(&me(), None, 1000).unwrap().entries;
        let mut told: Vec<String> = trail.into_iter().map(|entry| entry.outcome).collect();
        told.retain(|outcome| outcome.contains("filled"));
        told
    };
    let vault = opened(&disk).unwrap();
    until_whole(&vault);
    assert_eq!(fault(&vault), "");
    let being = "the indexes of lists are being filled";
    let are = "the indexes of lists are filled: 30 tokens since the unlock";
    assert_eq!(told(&vault), [are, being]);
    vault.close().unwrap();
    assert_eq!(filled_on(&disk), Filled::Whole);
    let vault = opened(&disk).unwrap();
    assert!(vault.0.filler.is_whole());
    assert_eq!(told(&vault), [""; 0]);
    vault.close().unwrap();
}

/// Goal: V20 whenever the process dies, nothing is lost, the ledger adds up, and the next unlock
/// goes on from where it was. Method: let each change of the disk in turn be the last that
/// succeeds, cut the power, look at how far it was, open again.
#[test]
fn v20_a_filling_that_is_killed_goes_on_from_where_it_was() {
    let image = earlier(TOKENS, &|_| {}).image();
    let (mut on_the_way, mut deaths) = (0, 0);
    for changes in (0..).step_by(3) {
        let disk = Faulty::of(image.clone());
        let Ok(vault) = opened(&disk) else { panic!() };
        disk.fail_after(changes);
        let clock = Clock::system();
        let begun = clock.now();
        // Until it is whole, or meets the fault.
        while !vault.0.filler.is_whole() && disk.failures() == 0 {
            assert!(clock.now().since(begun) < PATIENCE);
            std::thread::yield_now();
        }
        let died = disk.failures() > 0;
        let _ = vault.close();
        drop(vault);
        disk.mend();
        disk.cut_power();
        let filled = filled_on(&disk);
        on_the_way += usize::from(matches!(filled, Filled::UpTo(Some(_))));
        let vault = opened(&disk).unwrap();
        until_whole(&vault);
        assert_eq!(fault(&vault), "", "after {changes} changes: {filled:?}");
        vault.close().unwrap();
        if !died {
            break;
        }
        deaths += 1;
    }
    assert!(on_the_way > 2 && deaths > 4, "{on_the_way} of {deaths}");
}

/// Goal: V20 a disk that is in trouble and well again ends in a whole index without an unlock.
/// Method: one change fails, at several moments.
#[test]
fn v20_a_filling_waits_for_a_disk_in_trouble() {
    let image = earlier(TOKENS, &|_| {}).image();
    for changes in [0, 5, 11] {
        let disk = Faulty::of(image.clone());
        let vault = opened(&disk).unwrap();
        disk.fail_once_after(changes);
        until_whole(&vault);
        assert_eq!(fault(&vault), "", "{changes}");
        vault.close().unwrap();
        assert_eq!(filled_on(&disk), Filled::Whole);
    }
}

/// Goal: V20 what an earlier version left behind counts for nothing: tokens that it removed, moved
/// or mended do not stand in a list for ever. Method: entries that lead nowhere and to tokens of
/// others, more than are cleared at once; a check before and after.
#[test]
fn v20_what_an_earlier_version_left_in_the_indexes_is_cleared_away() {
    let left = |write: &Write| {
        for number in 0..limits::FILL_BATCH_MAX as u64 + 9 {
            let mut key = [7; 64];
            key[..8].copy_from_slice(&number.to_be_bytes());
            for index in Index::LATER {
                write.put_entry(index, &key, b"").unwrap();
            }
        }
    };
    let disk = earlier(30, &left);
    let vault = opened(&disk).unwrap();
    assert_eq!(fault(&vault), "");
    until_whole(&vault);
    assert_eq!(fault(&vault), "");
    let entries = check(&vault).entries;
    assert_eq!((entries["users"], entries["waiting"]), (22, 30));
    vault.close().unwrap();
}

/// The keys of an index, in order.
fn keys_of(vault: &Vault, index: Index) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let view = vault.store().read().unwrap();
    view.scan_index(index, b"", None, &mut |key, _| {
        keys.push(key.to_vec());
        Ok(Scan::Go)
    })
    .unwrap();
    keys
}

/// What a check says once the file was changed behind the vault.
fn told(vault: &Vault, change: &dyn Fn(&Write) -> Result<()>) -> String {
    let write = vault.store().write().unwrap();
    change(&write).unwrap();
    write.commit().unwrap();
    let problems = check(vault).problems.into_iter();
    problems
        .map(|problem| problem.what)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Goal: a check, and the ledger, miss an entry of a whole index and notice one too many. Method:
/// take one away, add one that leads nowhere, behind the vault.
#[test]
fn a_check_names_a_missing_and_an_extra_entry() {
    let disk = earlier(30, &|_| {});
    let vault = opened(&disk).unwrap();
    until_whole(&vault);
    for (index, missing) in [
        (Index::Users, "has no entry among its user's"),
        (Index::Waiting, "has no entry among those that wait"),
    ] {
        let key = keys_of(&vault, index).remove(0);
        let said = told(&vault, &|write| write.remove_entry(index, &key));
        assert!(said.contains(missing), "{said}");
        assert!(said.contains("do not add up"), "{said}");
        let said = told(&vault, &|write| write.put_entry(index, &key, b""));
        assert_eq!(said, "");
        let mut other = key.clone();
        other[63] ^= 1;
        let said = told(&vault, &|write| write.put_entry(index, &other, b""));
        assert!(said.contains("a token is missing"), "{said}");
        let said = told(&vault, &|write| write.remove_entry(index, &other));
        assert_eq!(said, "");
    }
    let _ = vault.close();
}

/// Goal: a token that is there, and stands among those that it is none of, is named. Method: one of
/// a user alone among those of tenants' users, and one that is in use among those that wait.
#[test]
fn a_check_names_a_token_among_those_that_it_is_none_of() {
    let disk = earlier(2 * WAITING, &|_| {});
    let vault = opened(&disk).unwrap();
    until_whole(&vault);
    let owners = keys_of(&vault, Index::Owners);
    // Of `tenant user app last`: as keys of `users`, and as token keys.
    let part = |key: &[u8], at: usize| key[at * 16..][..16].to_vec();
    let turned = |key: &Vec<u8>, order: [usize; 4]| order.map(|at| part(key, at)).concat();
    for (index, order) in [(Index::Users, [1, 0, 2, 3]), (Index::Waiting, [2, 0, 1, 3])] {
        let known = keys_of(&vault, index);
        let mut keys = owners.iter().map(|key| turned(key, order));
        let stranger = keys.find(|key| !known.contains(key)).unwrap();
        let said = told(&vault, &|write| write.put_entry(index, &stranger, b""));
        assert!(said.contains("among those that it is none of"), "{said}");
        let said = told(&vault, &|write| write.remove_entry(index, &stranger));
        assert_eq!(said, "");
    }
    let _ = vault.close();
}

/// Goal: V20 a token that is damaged is passed over, and the others are entered. Method: change a
/// byte of one in a vault of an earlier version.
#[test]
fn v20_a_damaged_token_is_passed_over() {
    let disk = earlier(30, &|write| {
        let mut first = Vec::new();
        write
            .scan_bytes(Records::Tokens, b"", None, &mut |key, value| {
                first = vec![key.to_vec(), value.to_vec()];
                Ok(Scan::Stop)
            })
            .unwrap();
        // Of the hot part, behind all that says how long it is.
        first[1][60] ^= 1;
        let sealed = Sealed::parse(&first[1]).unwrap();
        write
            .put_record(Records::Tokens, &first[0], &sealed)
            .unwrap();
    });
    let vault = opened(&disk).unwrap();
    until_whole(&vault);
    let report = check(&vault);
    assert_eq!(report.not_filled, [""; 0]);
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(vault.waiting(&me(), 100).unwrap().tokens >= 20);
    vault.close().unwrap();
}
