//! A disk that fails while the vault is compacted (D1, D3).
//!
//! It promises: every operation of a compaction fails, alone and with all that follow; the vault
//! goes on with the old file or the new one.
//! It never: tells which of the two it is.

use super::*;

/// Operations of a compaction that fail to one vault: its disk's log is read over and over.
const OF_ONE_VAULT: usize = 8;

/// Compacts once for each operation of a compaction, which fails, alone or with all that follow.
/// How many failed comes back.
fn fail_at_every_number_of_a_compaction(trouble: impl Fn(u64) -> Trouble) -> u64 {
    let mut sum = 0;
    for first in (0..).step_by(OF_ONE_VAULT) {
        let (failures, is_last) = fail_at_some_numbers_of_a_compaction(first, &trouble);
        sum += failures;
        if is_last {
            break;
        }
    }
    sum
}

fn fail_at_some_numbers_of_a_compaction(
    first: u64,
    trouble: impl Fn(u64) -> Trouble,
) -> (u64, bool) {
    let mut bench = Bench::new(AuditMode::Strict, fastrand::Rng::with_seed(4));
    (0..6).for_each(|_| bench.calm().unwrap());
    let mut rng = fastrand::Rng::with_seed(5);
    let mut is_last = false;
    for number in first..first + OF_ONE_VAULT as u64 {
        let failures = bench.failures;
        for once in [true, false] {
            let trouble = Trouble {
                after: number,
                once,
                io: number.is_multiple_of(2),
                ..trouble(number)
            };
            let told = bench.troubled_in(trouble, Load::compact);
            let told = told.and_then(|()| bench.cut(&mut rng));
            told.unwrap_or_else(|what| panic!("operation {number}, once: {once}: {what}"));
        }
        if bench.failures == failures {
            is_last = true;
            break;
        }
    }
    all_done(&bench.load.compact()).unwrap();
    let names = bench.load.disk.durable().names;
    assert!(!names.keys().any(|name| name.ends_with(".partial")));
    (bench.failures, is_last)
}

/// Goal: whichever operation of the disk fails while the vault is compacted, once or from then on,
/// the vault goes on with the old file or the new one, nothing is lost, and the next compaction
/// succeeds. Method: let the first, second, ... operation of a compaction fail, reads included.
#[test]
fn d1_whatever_operation_of_a_compaction_fails_nothing_is_lost() {
    let failures = fail_at_every_number_of_a_compaction(|number| Trouble {
        reads: true,
        half: number % 3 == 0,
        ..Trouble::default()
    });
    assert!(failures > 100, "only {failures} failures");
    println!("D1: {failures} compactions failed");
}

/// Goal: the same of syncs that fail and lose what waited for them. Method: the first, second, ...
/// sync of a compaction.
#[test]
fn d3_a_sync_of_a_compaction_that_fails_loses_nothing() {
    let failures = fail_at_every_number_of_a_compaction(|_| Trouble {
        syncs_only: true,
        loses: true,
        ..Trouble::default()
    });
    assert!(failures > 20, "only {failures} failures");
    println!("D3: {failures} compactions failed");
}
