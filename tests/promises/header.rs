//! The header and its slots as stored bytes (S2, S3, S4), and known answers of format 1.

use strongroom::clock::Timestamp;
use strongroom::error::Error;
use strongroom::seal::{Header, KdfParams, Keyring, RecoveryCode, Sealed, SlotKind, Unlocker};
use strongroom::secret::{Secret, hex};

use crate::support::*;

const CODE: &str = "SR-0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ-0123-4567-89AB-CDEF-GHJ0";
const LABEL: &str = "label";
/// Offsets in a header whose labels are all [`LABEL`].
const SLOTS_AT: usize = 8 + 2 + 16 + 4;
const KDF_AT: usize = 4 + 1 + 8 + 1 + LABEL.len();
const SLOT_BYTES: usize = KDF_AT + 12 + 16 + 32 + 72;

fn key_file() -> Unlocker {
    Unlocker::key_file(Secret::new(vec![7; 64])).unwrap()
}

/// A header with a recovery slot and a key-file slot, which cost no time to try.
fn quick() -> Vec<u8> {
    let (code, file) = (recovery(CODE), key_file());
    let slots = [(&code, LABEL), (&file, LABEL)];
    let (_, header) = Keyring::create(&slots, KdfParams::FLOOR, NOW).unwrap();
    header.to_bytes()
}

/// A header with a passphrase slot alone, at this cost.
fn slow(kdf: KdfParams) -> Vec<u8> {
    let passphrase = passphrase(PASSPHRASE);
    let (_, header) = Keyring::create(&[(&passphrase, LABEL)], kdf, NOW).unwrap();
    header.to_bytes()
}

fn unlock(header: &[u8], unlocker: &Unlocker) -> Result<(), Error> {
    Keyring::unlock(&Header::parse(header)?, unlocker).map(|_| ())
}

fn slot(header: &[u8], number: usize) -> &[u8] {
    let start = SLOTS_AT + 1 + number * SLOT_BYTES;
    &header[start..start + SLOT_BYTES]
}

/// The header with these slots in the place of its own.
fn with_slots(header: &[u8], count: usize, slots: &[&[u8]]) -> Vec<u8> {
    let mut changed = header[..SLOTS_AT].to_vec();
    changed.push(u8::try_from(slots.len()).unwrap());
    changed.extend(slots.concat());
    changed.extend_from_slice(&header[SLOTS_AT + 1 + count * SLOT_BYTES..]);
    changed
}

/// Goal: the test's offsets are the header's. Method: take it apart and put it together again.
#[test]
fn s4_a_header_that_is_put_together_as_it_was_opens() {
    let header = quick();
    let same = with_slots(&header, 2, &[slot(&header, 0), slot(&header, 1)]);
    assert_eq!(header, same);
    assert_eq!(unlock(&same, &recovery(CODE)), Ok(()));
    assert_eq!(unlock(&same, &key_file()), Ok(()));
    let parsed = Header::parse(&header).unwrap();
    assert_eq!(parsed.to_bytes(), header);
    let kinds: Vec<SlotKind> = parsed.slots().iter().map(|slot| slot.kind).collect();
    assert_eq!(kinds, [SlotKind::Recovery, SlotKind::KeyFile]);
}

/// Goal: a cost outside floor and cap is refused while reading, before memory is taken. Method:
/// write each bound's neighbour into the stored slot, and read.
#[test]
fn s3_a_stored_cost_outside_floor_and_cap_is_refused_on_reading() {
    let header = slow(KdfParams::FLOOR);
    let at = SLOTS_AT + 1 + KDF_AT;
    let (memory, passes, lanes) = (at, at + 4, at + 8);
    let mib = 1024;
    let cases: [(usize, &[u32]); 3] = [
        (memory, &[0, 1, 64 * mib - 1, 4096 * mib + 1, u32::MAX]),
        (passes, &[0, 1, 2, 65, u32::MAX]),
        (lanes, &[0, 17, u32::MAX]),
    ];
    for (place, values) in cases {
        for value in values {
            let mut changed = header.clone();
            changed[place..place + 4].copy_from_slice(&value.to_le_bytes());
            let outcome = Header::parse(&changed);
            let refused = matches!(outcome, Err(Error::Settings(_)));
            assert!(refused, "{value} at {place} was taken");
        }
    }
    // Each within its bounds, and too much work together.
    let mut changed = header;
    changed[memory..memory + 4].copy_from_slice(&(4096 * mib).to_le_bytes());
    changed[passes..passes + 4].copy_from_slice(&5_u32.to_le_bytes());
    assert!(matches!(Header::parse(&changed), Err(Error::Settings(_))));
}

/// Goal: a cost changed within the bounds does not open either. Method: raise one, lower another.
#[test]
fn s4_a_cost_changed_within_the_bounds_does_not_open() {
    let at = SLOTS_AT + 1 + KDF_AT;
    let write = |mut header: Vec<u8>, place: usize, value: u32| {
        header[place..place + 4].copy_from_slice(&value.to_le_bytes());
        unlock(&header, &passphrase(PASSPHRASE))
    };
    let (floor, more) = (64 * 1024, 65 * 1024);
    let raised = slow(KdfParams::FLOOR);
    assert_eq!(unlock(&raised, &passphrase(PASSPHRASE)), Ok(()));
    assert_eq!(write(raised, at, more), Err(Error::UnlockFailed));
    let lowered = slow(KdfParams::new(more, 3, 1).unwrap());
    assert_eq!(write(lowered.clone(), at, floor), Err(Error::UnlockFailed));
    assert_eq!(write(lowered.clone(), at + 4, 4), Err(Error::UnlockFailed));
    assert_eq!(write(lowered, at + 8, 2), Err(Error::UnlockFailed));
}

/// Goal: no byte of a header can be changed, cut or added. Method: flip each in three ways, cut at
/// each length, append; try every way in; only the documented errors may come back.
#[test]
fn s4_a_header_with_any_byte_changed_never_opens() {
    let header = quick();
    let ways = [recovery(CODE), key_file()];
    let refused = |bytes: &[u8], what: &str| {
        for way in &ways {
            let documented = matches!(
                unlock(bytes, way),
                Err(Error::UnlockFailed
                    | Error::Damaged(_)
                    | Error::TooNew(_)
                    | Error::Settings(_))
            );
            assert!(documented, "{what} opened, or failed otherwise");
        }
    };
    for at in 0..header.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = header.clone();
            changed[at] ^= flip;
            refused(&changed, &format!("byte {at} changed by {flip:#x}"));
        }
        refused(&header[..at], &format!("cut at {at}"));
    }
    refused(&[header.as_slice(), &[0]].concat(), "a byte more");
    refused(&vec![0; 1 << 20], "a megabyte of zeros");
}

/// Goal: the same for a passphrase slot, where each try costs a derivation. Method: one byte of
/// each of its fields.
#[test]
fn s4_a_passphrase_slot_with_a_changed_field_never_opens() {
    let header = slow(KdfParams::FLOOR);
    let start = SLOTS_AT + 1;
    let after = start + KDF_AT + 12;
    let fields = [
        ("vault id", 10),
        ("next slot", 26),
        ("number", start),
        ("created", start + 5),
        ("label", start + 14),
        ("salt", after),
        ("check", after + 16),
        ("nonce", after + 48),
        ("root key", after + 72),
        ("tag", after + 119),
        ("commitment", header.len() - 64),
        ("mac", header.len() - 1),
    ];
    for (field, at) in fields {
        let mut changed = header.clone();
        changed[at] ^= 1;
        let outcome = unlock(&changed, &passphrase(PASSPHRASE));
        assert_eq!(outcome, Err(Error::UnlockFailed), "{field}");
    }
}

/// Goal: slots, terms and commitment are authenticated together. Method: reorder, remove, duplicate
/// and exchange them between two vaults with the same secrets.
#[test]
fn s4_slots_terms_and_commitment_belong_together() {
    let (header, other) = (quick(), quick());
    let (first, second) = (slot(&header, 0), slot(&header, 1));
    let foreign = slot(&other, 0);
    let tail = header.len() - 64;
    let commitment = [
        &header[..tail],
        &other[tail..tail + 32],
        &header[tail + 32..],
    ]
    .concat();
    let terms_at = SLOTS_AT + 1 + 2 * SLOT_BYTES;
    let terms = [&header[..terms_at], &other[terms_at..tail], &header[tail..]].concat();
    let vault_id = [&header[..10], &other[10..26], &header[26..]].concat();
    let cases = [
        ("order", with_slots(&header, 2, &[second, first])),
        ("first alone", with_slots(&header, 2, &[first])),
        ("second alone", with_slots(&header, 2, &[second])),
        ("none", with_slots(&header, 2, &[])),
        ("twice", with_slots(&header, 2, &[first, first, second])),
        (
            "one more",
            with_slots(&header, 2, &[first, second, foreign]),
        ),
        ("another's", with_slots(&header, 2, &[foreign, second])),
        ("commitment", commitment),
        ("terms", terms),
        ("vault id", vault_id),
    ];
    for (what, bytes) in cases {
        for way in [recovery(CODE), key_file()] {
            assert_eq!(unlock(&bytes, &way), Err(Error::UnlockFailed), "{what}");
        }
    }
}

/// Goal: more slots or terms than the limit are refused while reading. Method: write the counts.
#[test]
fn s3_more_slots_than_the_limit_are_refused_on_reading() {
    let header = quick();
    let first = slot(&header, 0);
    let nine = with_slots(&header, 2, &[first; 9]);
    assert!(matches!(Header::parse(&nine), Err(Error::Damaged(_))));
    let eight = with_slots(&header, 2, &[first; 8]);
    assert!(Header::parse(&eight).is_ok());
}

/// Goal: format 1 is written as it was on the day it was fixed. Method: the drawing of the header
/// in bytes, every field with a value of its own, read and written again.
#[test]
fn s4_the_header_of_format_1_is_laid_out_as_drawn() {
    let mut bytes = b"STRONGRM".to_vec();
    bytes.extend([1, 0]);
    bytes.extend([0x11; 16]);
    bytes.extend(3_u32.to_le_bytes());
    bytes.push(2);
    for (number, kind, kdf) in [(1_u32, 1_u8, [65536_u32, 3, 1]), (2, 2, [0, 0, 0])] {
        bytes.extend(number.to_le_bytes());
        bytes.push(kind);
        bytes.extend(1_800_000_000_000_u64.to_le_bytes());
        bytes.extend([2, b'o', b'k']);
        bytes.extend(kdf.map(u32::to_le_bytes).concat());
        bytes.extend([0x22; 16]);
        bytes.extend([0x33; 32]);
        bytes.extend([0x44; 72]);
    }
    bytes.extend(1_u32.to_le_bytes());
    bytes.push(1);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(1_800_000_000_000_u64.to_le_bytes());
    bytes.extend([0x55; 72]);
    bytes.extend([0x66; 32]);
    bytes.extend([0x77; 32]);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.to_bytes(), bytes);
    assert_eq!(header.vault_id, [0x11; 16]);
    let [one, two] = header.slots() else {
        panic!("two slots")
    };
    assert_eq!((one.number, one.kdf), (1, Some(KdfParams::FLOOR)));
    assert_eq!((two.label.as_str(), two.kdf), ("ok", None));
    assert_eq!(two.created_at, Timestamp::from_unix_ms(1_800_000_000_000));
}

/// Goal: what is read is what is stored, to the byte, since the mac covers what was read. Method: a
/// time that no calendar holds, where reading could have cut it to one that it does.
#[test]
fn s4_a_time_out_of_range_is_refused_and_not_cut() {
    let mut header = quick();
    let created_at = SLOTS_AT + 1 + 4 + 1;
    header[created_at..created_at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(Header::parse(&header), Err(Error::Damaged(_))));
}

/// Goal: the record format stays what it is. Method: a record by hand, and what each byte says.
#[test]
fn s5_the_sealed_record_of_format_1_is_laid_out_as_drawn() {
    let mut bytes = vec![1];
    bytes.extend(7_u32.to_le_bytes());
    bytes.extend(0x0102_0304_0506_0708_u64.to_le_bytes());
    bytes.push(2);
    for part in [vec![0xaa; 40], vec![0xbb; 44]] {
        bytes.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
        bytes.extend(part);
    }
    let sealed = Sealed::parse(&bytes).unwrap();
    assert_eq!(hex(sealed.as_bytes()), hex(&bytes));
    assert_eq!(sealed.version(), 0x0102_0304_0506_0708);
    let shapes: [(&str, Vec<u8>); 6] = [
        ("nothing", vec![]),
        ("cut", bytes[..bytes.len() - 1].to_vec()),
        ("longer", [bytes.as_slice(), &[0]].concat()),
        ("another format", [&[2], &bytes[1..]].concat()),
        ("no parts", [&bytes[..13], &[0], &bytes[14..]].concat()),
        ("one part less", [&bytes[..13], &[1], &bytes[14..]].concat()),
    ];
    for (what, shape) in shapes {
        assert!(Sealed::parse(&shape).is_err(), "{what}");
    }
}

/// Goal: a printed code means the same bytes for ever. Method: the slot it opens is the check;
/// here, that reading is stable in every spelling.
#[test]
fn s2_a_recovery_code_is_one_code_in_every_spelling() {
    for typed in [
        CODE.to_owned(),
        CODE.to_lowercase(),
        CODE.replace('-', ""),
        CODE.replace('-', " "),
        CODE.replace('0', "O").replace('1', "l"),
    ] {
        let code = RecoveryCode::parse(&typed).unwrap();
        assert_eq!(code.to_text().expose(), CODE);
    }
}
