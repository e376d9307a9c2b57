//! F5: headers with anything changed.
//!
//! It promises: a header that asks for more than the cap or less than the floor is refused while it
//! is read, when no key has been derived and no memory taken; every other change by unlocking, with
//! the one error.
//! It never: derives more keys than slots.

use super::*;
use crate::limits;

const KEY_FILE: [u8; 32] = [7; 32];

/// A header with a recovery slot and two key files, so that trying costs no slow derivation.
fn header() -> (Header, Unlocker) {
    let code = RecoveryCode::generate();
    let text = code.to_text().expose().clone();
    let recovery = Unlocker::RecoveryCode(code);
    let (one, two) = (key_file(), key_file());
    let slots = [(&recovery, "code"), (&one, "file"), (&two, "other file")];
    let (_, header) = Keyring::create(&slots, KdfParams::FLOOR, NOW).unwrap();
    let unlocker = Unlocker::RecoveryCode(RecoveryCode::parse(&text).unwrap());
    (header, unlocker)
}

fn key_file() -> Unlocker {
    Unlocker::key_file(Secret::new(KEY_FILE.to_vec())).unwrap()
}

/// What comes of header bytes: `Ok` where they unlock.
fn outcome(bytes: &[u8], unlocker: &Unlocker) -> Result<()> {
    Keyring::unlock(&Header::parse(bytes)?, unlocker).map(|_| ())
}

/// The bits that can be changed without an error, of all bits of a header; an error that is none of
/// those that a changed header has is one of them too.
fn bits_that_pass(bytes: &[u8], outcome: &dyn Fn(&[u8]) -> Result<()>) -> Vec<(usize, u8)> {
    let mut passed = Vec::new();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << bit;
            let known = matches!(
                outcome(&changed),
                Err(Error::UnlockFailed
                    | Error::Damaged(_)
                    | Error::TooNew(_)
                    | Error::Settings(_))
            );
            if !known {
                passed.push((at, bit));
            }
        }
    }
    passed
}

/// Goal: no bit of a header can be changed. Method: flip all eight of every byte, unlock by each
/// slot: one that was not touched, mostly, and one that was.
#[test]
fn f5_a_header_with_any_bit_changed_does_not_unlock() {
    let (header, recovery) = header();
    let file = key_file();
    let bytes = header.to_bytes();
    for unlocker in [&recovery, &file] {
        assert_eq!(outcome(&bytes, unlocker), Ok(()));
        let passed = bits_that_pass(&bytes, &|changed| outcome(changed, unlocker));
        assert_eq!(passed, []);
    }
    println!("F5: {} bits by two slots, all refused", bytes.len() * 8);
}

/// Goal: the harness sees a reader that forgets the header's signature. Method: plant one, which
/// lets the keys sign whatever the header says before it unlocks.
#[test]
fn f5_the_harness_sees_a_reader_that_forgets_the_signature() {
    let (header, recovery) = header();
    let bytes = header.to_bytes();
    let keys = Keyring::unlock(&header, &recovery).unwrap();
    let file = key_file();
    let forgetful = |changed: &[u8]| {
        let changed = Header::parse(changed)?;
        // A slot comes and goes, and what is left is signed.
        let more = keys.add_slot(&changed, &file, "", KdfParams::FLOOR, NOW)?;
        let number = more.slots().last().expect("the one that came").number;
        let signed = keys.remove_slot(&more, number)?;
        Keyring::unlock(&signed, &recovery).map(drop)
    };
    assert_eq!(forgetful(&bytes), Ok(()));
    let passed = bits_that_pass(&bytes, &forgetful);
    // Of the other slots nothing but their shape is looked at, and of the signature nothing.
    let signature = bytes.len() - 32;
    assert!(passed.contains(&(signature, 0)), "{passed:?}");
    assert!(passed.iter().any(|(at, _)| *at < signature), "{passed:?}");
}

/// A cost that can be lowered within the bounds as well as raised: memory, passes, lanes.
const BASE: [u32; 3] = [limits::KDF_MEMORY_KIB_MIN + 4096, 4, 2];

/// A header like [`header`]'s, with a passphrase slot at [`BASE`], and where its cost stands.
fn with_passphrase() -> (Vec<u8>, usize, Unlocker, Unlocker) {
    let code = RecoveryCode::generate();
    let text = code.to_text().expose().clone();
    let recovery = Unlocker::RecoveryCode(code);
    let passphrase = Unlocker::Passphrase(Secret::new("violet harbour mumbles often".into()));
    let slots = [(&recovery, "code"), (&passphrase, "words")];
    let [memory, passes, lanes] = BASE;
    let kdf = KdfParams::new(memory, passes, lanes).unwrap();
    let (_, header) = Keyring::create(&slots, kdf, NOW).unwrap();
    let recovery = Unlocker::RecoveryCode(RecoveryCode::parse(&text).unwrap());
    let bytes = header.to_bytes();
    let costs = BASE.map(u32::to_le_bytes).concat();
    let at = bytes.windows(12).position(|window| window == costs);
    let at = at.expect("there is a passphrase slot");
    (bytes, at, passphrase, recovery)
}

fn with_costs(bytes: &[u8], at: usize, costs: [u32; 3]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at..at + 12].copy_from_slice(&costs.map(u32::to_le_bytes).concat());
    changed
}

/// [`BASE`] with one parameter changed.
fn one_changed(which: usize, to: u32) -> [u32; 3] {
    let mut costs = BASE;
    costs[which] = to;
    costs
}

/// Goal: no cost outside floor and cap is ever worked off: it is refused before anybody is asked
/// for a passphrase, so that no derivation can have begun. Method: each parameter raised and
/// lowered to beyond each bound, and the largest product, in a header and in a vault's file:
/// reading the one and opening the other must refuse. At the bounds themselves reading must not.
#[test]
fn f5_a_cost_below_the_floor_or_above_the_cap_is_refused_while_the_header_is_read() {
    let (bytes, at, ..) = with_passphrase();
    let bounds = [
        (limits::KDF_MEMORY_KIB_MIN, limits::KDF_MEMORY_KIB_MAX),
        (limits::KDF_PASSES_MIN, limits::KDF_PASSES_MAX),
        (1, limits::KDF_LANES_MAX),
    ];
    let work = u32::try_from(limits::KDF_WORK_KIB_PASSES_MAX / 4).unwrap();
    let mut outside = vec![
        [work + 1, 4, 2],
        [limits::KDF_MEMORY_KIB_MAX, limits::KDF_PASSES_MAX, 1],
        [u32::MAX, u32::MAX, u32::MAX],
        [0, 0, 0],
    ];
    for (which, (floor, cap)) in bounds.into_iter().enumerate() {
        for to in [0, floor - 1, cap + 1, 1 << 31, u32::MAX] {
            outside.push(one_changed(which, to));
        }
        for to in [floor, cap] {
            let inside = with_costs(&bytes, at, one_changed(which, to));
            assert!(Header::parse(&inside).is_ok(), "parameter {which}: {to}");
        }
    }
    let disk = Faulty::default();
    let store = Store::on_backend(&disk, Some(&bytes)).unwrap();
    for costs in outside {
        let changed = with_costs(&bytes, at, costs);
        let refused = Header::parse(&changed).err();
        let refuses = |error| matches!(error, Some(Error::Settings(_)));
        assert!(refuses(refused), "{costs:?}");
        let write = store.write().unwrap();
        write.put_header(&changed).unwrap();
        write.commit().unwrap();
        let opened = Vault::open_on_disk(
            &Faulty::of(disk.image()),
            Settings::default(),
            Clock::test(NOW),
        );
        assert!(refuses(opened.err()), "{costs:?}");
    }
}

/// Goal: within the bounds no cost can be changed either, and the words are always the same.
/// Method: raise and lower each, by the least and by more; unlock by the passphrase, which derives
/// at the changed cost, and by a slot that was not touched, which the signature alone stops.
#[test]
fn f5_a_cost_raised_or_lowered_within_the_bounds_does_not_unlock() {
    let (bytes, at, passphrase, recovery) = with_passphrase();
    for unlocker in [&passphrase, &recovery] {
        assert_eq!(outcome(&bytes, unlocker), Ok(()));
    }
    let [memory, passes, lanes] = BASE;
    let changes = [
        (0, [memory - 1, memory + 1, memory - 4096, memory + 4096]),
        (1, [passes - 1, passes + 1, passes + 2, passes + 3]),
        (2, [lanes - 1, lanes + 1, lanes + 2, lanes + 6]),
    ];
    for (which, values) in changes {
        for to in values {
            let changed = with_costs(&bytes, at, one_changed(which, to));
            for unlocker in [&passphrase, &recovery] {
                let refused = outcome(&changed, unlocker);
                assert_eq!(refused, Err(Error::UnlockFailed), "{which} to {to}");
            }
        }
    }
}

/// Goal: nor can a salt, a label, or what is wrapped. Method: change each in the passphrase's slot.
#[test]
fn f5_a_passphrase_slot_that_was_changed_does_not_unlock() {
    let (bytes, at, passphrase, recovery) = with_passphrase();
    // After the costs: salt, check, nonce, root key, tag. Before them: the label.
    for place in [
        at - 1,
        at + 12,
        at + 27,
        at + 28,
        at + 60,
        at + 84,
        at + 131,
    ] {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        for unlocker in [&passphrase, &recovery] {
            let refused = outcome(&changed, unlocker);
            assert_eq!(refused, Err(Error::UnlockFailed), "{}", place - at);
        }
    }
}

/// Goal: slots and terms are one list, authenticated: none can be moved, doubled, taken away, or
/// carried over from another vault. Method: rebuild the header so, and unlock by a slot that was
/// not touched.
#[test]
fn f5_slots_and_terms_cannot_be_moved_doubled_or_taken_away() {
    let (whole, recovery) = header();
    let (other, _) = header();
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
        (
            "a slot doubled in its place",
            made(&|h| h.slots.insert(0, h.slots[0].clone())),
        ),
        (
            "a slot put over another",
            made(&|h| h.slots[2] = h.slots[1].clone()),
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
