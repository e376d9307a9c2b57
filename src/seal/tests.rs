//! Known answers of format 1, made by another program (Python's `hmac` and `cryptography`), and
//! what a changed or exchanged part comes to (S1, S5).

use super::*;
use crate::secret::hex;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Keys of a fixed root, vault and term.
fn keyring() -> Keyring {
    let root: [u8; 32] = std::array::from_fn(|at| at as u8);
    let mut keys = Keyring::from_root(&[0x11; 16], &root).unwrap();
    keys.take_term(1, &[0x22; 32], Timestamp::default());
    keys
}

const IDENTITY: &[u8] = &[0x44; 64];

/// Goal: every subkey is what format 1 says. Method: a keyed hash under each, as Python computes
/// it.
#[test]
fn s1_subkeys_and_keyed_hashes_give_the_known_answers() {
    let keys = keyring();
    let parts: [&[u8]; 3] = [b"app", b"is", b"mail"];
    let known = [
        (
            Purpose::Index,
            "6702026873ca86c0cfec9a0db66dec73845cc78d4b3faf4f1735d6e8d2b595c0",
        ),
        (
            Purpose::Audit,
            "271ae48cd58cfa998f994265b9a51c60eaba6fbf7a2b37dbcfc6b46bc5ea476c",
        ),
        (
            Purpose::AccessKeys,
            "d72330c21a8b9c765ebc436144db93eca3ebe8afd1f7c431a897fdab6ac7da2c",
        ),
        (
            Purpose::Cookie,
            "7397765a9f77d172c5a1012912e01b99fb8298917b1ce3c8a7d33b6ee1c25c00",
        ),
        (
            Purpose::State,
            "dceb6926641d9599c09452af7dbcedd5f07f7bc391c1991cde8cfb3e0955d97b",
        ),
        (
            Purpose::Ledger,
            "fd0c496c26b0b8528a9ae82951868789faccfe5c49109c4cd8c8a64049976d22",
        ),
    ];
    for (purpose, wanted) in known {
        assert_eq!(hex(&keys.hash(purpose, &parts)), wanted);
    }
    let root: [u8; 32] = std::array::from_fn(|at| at as u8);
    assert_eq!(
        hex(&commitment(&root)),
        "2b18dd4cd36d68d14778d59a3c3cb75eb2ebf1dce5b4e1469e05e5c46f48579e"
    );
    assert_eq!(
        hex(&digest(&[b"ab", b"c"])),
        "43ee655579de01ca739b3f95c1c2d3f46d353b2c0df818064ea594506cdb2617"
    );
}

/// Goal: a record of format 1 opens for ever. Method: one that Python sealed, nonces and all.
#[test]
fn s1_a_record_sealed_elsewhere_by_the_drawing_opens() {
    let keys = keyring();
    let record = bytes(
        "01010000000500000000000000022b0000003333333333333333333333333333333333333333333333333e\
         0981c2bcbd746a1b70cd4d63792d836ab7182c0000005555555555555555555555555555555555555555555\
         55555d0a2c093cd65f11974041ec32d1c923471b66832",
    );
    let sealed = Sealed::parse(&record).unwrap();
    assert_eq!(sealed.version(), 5);
    let open = |part| keys.open("tokens", IDENTITY, &sealed, part).unwrap();
    assert_eq!(open(0).as_slice(), b"hot");
    assert_eq!(open(1).as_slice(), b"cold");
    let apart = bytes(
        "666666666666666666666666666666666666666666666666a8225a670d3d6add6664885acb25e38bc1602f14",
    );
    let plain = keys.open_apart(Purpose::Audit, b"where", &apart).unwrap();
    assert_eq!(plain.as_slice(), b"what");
    assert!(keys.open_apart(Purpose::Audit, b"here", &apart).is_none());
    assert!(keys.open_apart(Purpose::State, b"where", &apart).is_none());
}

fn sealed(keys: &Keyring, version: u64) -> Sealed {
    let context = Context {
        table: "tokens",
        identity: IDENTITY,
        version,
    };
    keys.seal(context, &[b"hot part", b"cold part"]).unwrap()
}

/// Goal: no byte of a record can be changed. Method: flip each in three ways: what is still a
/// record by its shape does not open in the part that holds the byte, nor anywhere where it is in
/// the head.
#[test]
fn s1_a_record_with_any_byte_changed_does_not_open() {
    let keys = keyring();
    let whole = sealed(&keys, 7);
    let bytes = whole.as_bytes();
    let second = bytes.len() - whole.part(1).unwrap().len() - 4;
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            let Ok(changed) = Sealed::parse(&changed) else {
                continue;
            };
            let opens = |part| keys.open("tokens", IDENTITY, &changed, part).is_ok();
            let (hot, cold) = match at {
                head if head < 14 => (false, false),
                part if part < second => (false, true),
                _ => (true, false),
            };
            assert_eq!((opens(0), opens(1)), (hot, cold), "byte {at} by {flip:#x}");
        }
    }
}

/// Goal: parts cannot be exchanged, doubled, dropped, or taken from another write of the same
/// record. Method: put records together from pieces of two.
#[test]
fn s1_parts_of_a_record_cannot_be_put_together_anew() {
    let keys = keyring();
    let (old, new) = (sealed(&keys, 7), sealed(&keys, 8));
    let piece = |sealed: &Sealed, part: u8| {
        let bytes = sealed.part(part).unwrap();
        [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
    };
    let build = |count: u8, pieces: &[Vec<u8>]| {
        let head = [&new.as_bytes()[..13], &[count]].concat();
        Sealed::parse(&[head, pieces.concat()].concat()).unwrap()
    };
    let opens = |record: &Sealed, part| keys.open("tokens", IDENTITY, record, part).is_ok();
    let (hot, cold) = (piece(&new, 0), piece(&new, 1));
    let same = build(2, &[hot.clone(), cold.clone()]);
    assert!(opens(&same, 0) && opens(&same, 1));
    let exchanged = build(2, &[cold.clone(), hot.clone()]);
    assert!(!opens(&exchanged, 0) && !opens(&exchanged, 1));
    let mixed = build(2, &[hot.clone(), piece(&old, 1)]);
    assert!(opens(&mixed, 0) && !opens(&mixed, 1));
    let mixed = build(2, &[piece(&old, 0), cold.clone()]);
    assert!(!opens(&mixed, 0) && opens(&mixed, 1));
    let alone = build(1, std::slice::from_ref(&hot));
    assert!(!opens(&alone, 0) && !opens(&alone, 1));
    let more = build(3, &[hot.clone(), cold, hot]);
    assert!((0..4).all(|part| !opens(&more, part)));
}

/// Goal: a record says its term, and opens under no other. Method: two terms, and a record that
/// names the other one, or none of ours.
#[test]
fn s1_a_record_opens_under_the_term_it_was_sealed_with_alone() {
    let mut keys = keyring();
    let first = sealed(&keys, 7);
    keys.take_term(2, &[0x23; 32], Timestamp::default());
    keys.terms.get_mut().unwrap().now.make_current(2);
    let second = sealed(&keys, 7);
    let opens = |record: &Sealed| keys.open("tokens", IDENTITY, record, 0).is_ok();
    assert!(opens(&first) && opens(&second));
    for (record, claims) in [(&first, 2_u32), (&second, 1), (&first, 3), (&first, 0)] {
        let mut bytes = record.as_bytes().to_vec();
        bytes[1..5].copy_from_slice(&claims.to_le_bytes());
        assert!(!opens(&Sealed::parse(&bytes).unwrap()), "claims {claims}");
    }
}

/// Goal: a record has an end. Method: as long as the limit, and a byte longer.
#[test]
fn s5_a_record_longer_than_the_limit_is_not_sealed() {
    let keys = keyring();
    let context = Context {
        table: "tokens",
        identity: IDENTITY,
        version: 1,
    };
    let most = limits::RECORD_BYTES_MAX - 14 - 4 - 40;
    let fits = keys.seal(context, &[&vec![0; most]]).unwrap();
    assert!(Sealed::parse(fits.as_bytes()).is_ok());
    let refused = keys.seal(context, &[&vec![0; most + 1]]);
    assert!(matches!(refused.err(), Some(Error::TooLarge(_))));
}
