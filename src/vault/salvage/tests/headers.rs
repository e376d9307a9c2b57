//! F5: headers with anything changed.
//!
//! It promises: a header that asks for more than the cap or less than the floor is refused while it
//! is read, when no key has been derived and no memory taken; every other change by unlocking, with
//! the one error.
//! It never: derives more keys than slots.

use super::seeded::Seeded;
use super::*;
use crate::limits;

const KEY_FILE: [u8; 32] = [7; 32];

/// A header with a recovery slot and two key files, so that trying costs no slow derivation; with
/// passphrase slots where asked.
fn header(passphrases: usize) -> (Header, Unlocker, String) {
    let code = RecoveryCode::generate();
    let text = code.to_text().expose().clone();
    let recovery = Unlocker::RecoveryCode(code);
    let file = || Unlocker::key_file(Secret::new(KEY_FILE.to_vec())).unwrap();
    let passphrase = Unlocker::Passphrase(Secret::new("violet harbour mumbles often".into()));
    let (one, two) = (file(), file());
    let mut slots = vec![(&recovery, "code"), (&one, "file"), (&two, "other file")];
    slots.extend((0..passphrases).map(|_| (&passphrase, "words")));
    let (_, header) = Keyring::create(&slots, KdfParams::FLOOR, NOW).unwrap();
    let unlocker = Unlocker::RecoveryCode(RecoveryCode::parse(&text).unwrap());
    (header, unlocker, text)
}

/// What comes of header bytes: `Ok` where they unlock.
fn outcome(bytes: &[u8], unlocker: &Unlocker) -> Result<()> {
    Keyring::unlock(&Header::parse(bytes)?, unlocker).map(|_| ())
}

/// Goal: no bit of a header can be changed. Method: flip bits in every byte, unlock by a slot that
/// was not touched and by one that was.
#[test]
fn f5_a_header_with_any_bit_changed_does_not_unlock() {
    let seeded = Seeded::new("F5");
    let (header, recovery, _) = header(0);
    let file = Unlocker::key_file(Secret::new(KEY_FILE.to_vec())).unwrap();
    let bytes = header.to_bytes();
    assert_eq!(outcome(&bytes, &recovery), Ok(()));
    assert_eq!(outcome(&bytes, &file), Ok(()));
    let length = bytes.len() as u64;
    let cases = seeded.runs(length);
    for case in 0..cases.max(length) {
        let at = usize::try_from(case % length).unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= 1 << seeded.case(case).rng().u8(..8);
        for unlocker in [&recovery, &file] {
            let refused = outcome(&changed, unlocker);
            let known = matches!(
                refused,
                Err(Error::UnlockFailed
                    | Error::Damaged(_)
                    | Error::TooNew(_)
                    | Error::Settings(_))
            );
            assert!(known, "{}: {refused:?}", seeded.at(&format!("byte {at}")));
        }
    }
}

/// Where the first passphrase slot's memory, passes and lanes stand.
fn costs_at(bytes: &[u8]) -> usize {
    let costs: Vec<u8> = [
        KdfParams::FLOOR.memory_kib(),
        KdfParams::FLOOR.passes(),
        KdfParams::FLOOR.lanes(),
    ]
    .iter()
    .flat_map(|cost| cost.to_le_bytes())
    .collect();
    let at = bytes.windows(12).position(|window| window == costs);
    at.expect("there is a passphrase slot")
}

/// Goal: no cost outside floor and cap is ever worked off, whatever else the header says. Method:
/// each parameter alone at every edge, and the largest product; reading alone must refuse.
#[test]
fn f5_a_cost_below_the_floor_or_above_the_cap_is_refused_while_the_header_is_read() {
    let (header, ..) = header(1);
    let bytes = header.to_bytes();
    let at = costs_at(&bytes);
    let (floor, cap) = (limits::KDF_MEMORY_KIB_MIN, limits::KDF_MEMORY_KIB_MAX);
    let with = |costs: [u32; 3]| {
        let mut changed = bytes.clone();
        for (n, cost) in costs.iter().enumerate() {
            changed[at + 4 * n..at + 4 * n + 4].copy_from_slice(&cost.to_le_bytes());
        }
        changed
    };
    for costs in [
        [0, 3, 1],
        [8, 3, 1],
        [floor - 1, 3, 1],
        [cap + 1, 3, 1],
        [u32::MAX, 3, 1],
        [floor, 0, 1],
        [floor, 1, 1],
        [floor, 2, 1],
        [floor, limits::KDF_PASSES_MAX + 1, 1],
        [floor, u32::MAX, 1],
        [floor, 3, 0],
        [floor, 3, limits::KDF_LANES_MAX + 1],
        [floor, 3, u32::MAX],
        [cap, limits::KDF_PASSES_MAX, 1],
        [u32::MAX, u32::MAX, u32::MAX],
    ] {
        let refused = Header::parse(&with(costs)).err();
        assert!(
            matches!(refused, Some(Error::Settings(_))),
            "{costs:?}: {refused:?}"
        );
    }
    assert!(Header::parse(&with([floor, 3, 1])).is_ok());
}

/// Goal: within the bounds no cost, salt or label can be changed either, and the words are always
/// the same. Method: raise each, change each, and unlock by the passphrase.
#[test]
fn f5_a_passphrase_slot_that_was_changed_within_the_bounds_does_not_unlock() {
    let (header, ..) = header(1);
    let passphrase = Unlocker::Passphrase(Secret::new("violet harbour mumbles often".into()));
    let bytes = header.to_bytes();
    let at = costs_at(&bytes);
    // Memory by 1 KiB, passes from 3 to 4 (two bits), lanes from 1 to 3, label, salt, check, key.
    let changes: [&[(usize, u8)]; 7] = [
        &[(at, 1)],
        &[(at + 4, 7)],
        &[(at + 8, 2)],
        &[(at - 1, 1)],
        &[(at + 12, 1)],
        &[(at + 28, 1)],
        &[(at + 60, 1)],
    ];
    for change in changes {
        let mut changed = bytes.clone();
        for (at, by) in change {
            changed[*at] ^= by;
        }
        let refused = outcome(&changed, &passphrase);
        assert_eq!(refused, Err(Error::UnlockFailed), "{change:?}");
    }
}

/// Goal: slots and terms are one list, authenticated: none can be moved, doubled, taken away, or
/// carried over from another vault. Method: rebuild the header so, and unlock by a slot that was
/// not touched.
#[test]
fn f5_slots_and_terms_cannot_be_moved_doubled_or_taken_away() {
    let (whole, recovery, _) = header(0);
    let (other, ..) = header(0);
    let made = |change: &dyn Fn(&mut crate::seal::Rebuilt<'_>)| {
        let mut changed = whole.clone();
        change(&mut changed.rebuilt());
        changed.to_bytes()
    };
    let tries = [
        ("order of slots", made(&|h| h.slots.swap(1, 2))),
        ("first slot last", made(&|h| h.slots.rotate_left(1))),
        (
            "a slot doubled",
            made(&|h| h.slots.push(h.slots[1].clone())),
        ),
        ("a slot taken away", made(&|h| drop(h.slots.pop()))),
        (
            "another's slot",
            made(&|h| h.slots[1] = other.slots()[1].clone()),
        ),
        ("a label", made(&|h| h.slots[2].label = "friend".into())),
        ("a number", made(&|h| h.slots[2].number = 9)),
        (
            "a term doubled",
            made(&|h| h.terms.push(h.terms[0].clone())),
        ),
        ("no term", made(&|h| h.terms.clear())),
        ("a term's number", made(&|h| h.terms[0].number = 2)),
        ("the current term", made(&|h| *h.current_term = 2)),
        ("the commitment", made(&|h| h.commitment[31] ^= 1)),
        ("the vault's id", made(&|h| h.vault_id[0] ^= 1)),
        ("the signature", made(&|h| h.mac[0] ^= 1)),
    ];
    for (what, bytes) in tries {
        assert_eq!(
            outcome(&bytes, &recovery),
            Err(Error::UnlockFailed),
            "{what}"
        );
    }
    let mut newer = whole.to_bytes();
    newer[8] = 2;
    assert!(matches!(outcome(&newer, &recovery), Err(Error::TooNew(_))));
    newer[8] = 0;
    assert!(matches!(outcome(&newer, &recovery), Err(Error::Damaged(_))));
}
