//! Key terms: what opens under which, and when no more (S1, S4).

use super::*;
use crate::seal::{KdfParams, RecoveryCode, Unlocker};

const PLACE: (&str, &[u8]) = ("tokens", &[7; 64]);

fn made() -> (Keyring, Header, Unlocker) {
    let code = Unlocker::RecoveryCode(RecoveryCode::generate());
    let now = Timestamp::default();
    let (keys, header) = Keyring::create(&[(&code, "")], KdfParams::FLOOR, now).unwrap();
    (keys, header, code)
}

fn sealed(keys: &Keyring) -> Sealed {
    let context = Context {
        table: PLACE.0,
        identity: PLACE.1,
        version: 42,
    };
    keys.seal(context, &[b"hot", b"cold"]).unwrap()
}

fn opens(keys: &Keyring, sealed: &Sealed) -> bool {
    let parts = [0, 1].map(|part| keys.open(PLACE.0, PLACE.1, sealed, part).ok());
    match parts {
        [Some(hot), Some(cold)] => {
            assert_eq!(
                (hot.as_slice(), cold.as_slice()),
                (&b"hot"[..], &b"cold"[..])
            );
            true
        }
        [None, None] => false,
        _ => panic!("one part opens and the other does not"),
    }
}

fn take_up(keys: &Keyring, header: &Header) {
    keys.take_up(keys.terms_of(header).unwrap());
}

/// Goal: a term seals when it is taken up and not before, and the old one opens until it is
/// forgotten and not after, in this process and the next. Method: one rotation, step by step; a
/// record of each term is tried at each.
#[test]
fn s4_a_new_term_seals_once_it_is_taken_up_and_an_old_one_opens_until_it_is_forgotten() {
    let (keys, header, code) = made();
    let old = sealed(&keys);
    let added = keys.add_term(&header, Timestamp::from_unix_ms(5)).unwrap();
    assert_eq!(Sealed::term_of(sealed(&keys).as_bytes()), Some(1));
    take_up(&keys, &added);
    assert_eq!(keys.current_term(), (2, Timestamp::from_unix_ms(5)));
    let new = sealed(&keys);
    assert_eq!(Sealed::term_of(new.as_bytes()), Some(2));
    assert!(opens(&keys, &old) && opens(&keys, &new));

    let again = Keyring::unlock(&added, &code).unwrap();
    assert!(opens(&again, &old) && opens(&again, &new));
    assert_eq!(again.current_term().0, 2);

    let dropped = keys.drop_old_terms(&added);
    assert_eq!(dropped.terms().len(), 1);
    take_up(&keys, &dropped);
    assert!(opens(&keys, &old), "a reader may be at it");
    keys.forget_old_terms();
    assert!(!opens(&keys, &old) && opens(&keys, &new));
    let later = Keyring::unlock(&dropped, &code).unwrap();
    assert!(!opens(&later, &old) && opens(&later, &new));
}

/// Goal: resealing changes the term and nothing that counts. Method: reseal; compare version,
/// parts and length; a record that was changed is refused.
#[test]
fn s1_a_resealed_record_keeps_its_version_and_its_parts() {
    let (keys, header, _) = made();
    let old = sealed(&keys);
    take_up(
        &keys,
        &keys.add_term(&header, Timestamp::default()).unwrap(),
    );
    let new = keys.reseal(PLACE.0, PLACE.1, &old).unwrap();
    let shape = |sealed: &Sealed| (sealed.version(), sealed.parts(), sealed.as_bytes().len());
    assert_eq!(shape(&new), shape(&old));
    assert_eq!(Sealed::term_of(new.as_bytes()), Some(2));
    assert!(opens(&keys, &new));
    let mut bytes = old.as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = Sealed::parse(&bytes).unwrap();
    let refused = keys.reseal(PLACE.0, PLACE.1, &changed);
    assert!(matches!(refused, Err(Error::Damaged(_))));
}

/// Goal: terms have an end, and each its own number. Method: add until refused.
#[test]
fn s4_terms_are_counted_up_and_have_an_end() {
    let (keys, mut header, code) = made();
    let mut records = vec![sealed(&keys)];
    for number in 2..=limits::KEY_TERMS_MAX as u32 {
        header = keys.add_term(&header, Timestamp::default()).unwrap();
        assert_eq!(header.current_term(), number);
        take_up(&keys, &header);
        records.push(sealed(&keys));
    }
    let refused = keys.add_term(&header, Timestamp::default());
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let again = Keyring::unlock(&header, &code).unwrap();
    assert!(records.iter().all(|record| opens(&again, record)));
    take_up(&keys, &keys.drop_old_terms(&header));
    keys.forget_old_terms();
    let (last, older) = records.split_last().unwrap();
    assert!(opens(&keys, last) && !older.iter().any(|record| opens(&keys, record)));
}

/// Goal: a header that others wrote gives no terms. Method: one of another vault, and ours with
/// another current term.
#[test]
fn s4_terms_are_taken_from_a_signed_header_alone() {
    let (keys, header, _) = made();
    let (_, other, _) = made();
    let mut changed = keys.add_term(&header, Timestamp::default()).unwrap();
    changed.current_term = 1;
    for header in [other, changed] {
        let refused = keys.terms_of(&header).err();
        assert!(matches!(refused, Some(Error::Damaged(_))), "{refused:?}");
    }
}
