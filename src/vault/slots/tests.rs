//! Slots that change while others are at work (S4).

use std::cell::Cell;

use super::*;
use crate::clock::Clock;

/// Goal: preparing a header holds up no writer, and of two changes at once one is told to ask
/// again. Method: change the slots while a change is being prepared, which needs the writer; store
/// the outer one then.
#[test]
fn s4_a_header_is_prepared_beside_the_writer_and_stored_only_where_nothing_changed() {
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let (vault, _) = Vault::in_memory(clock.clone()).unwrap();
    let me = Caller::local();
    let file = |byte| Unlocker::key_file(Secret::new(vec![byte; 32])).unwrap();
    let floor = KdfParams::FLOOR;
    let number = Cell::new(0);
    let outer = vault.change_header(&me, |keys, header| {
        number.set(vault.add_slot(&me, file(1), "inner", floor).unwrap());
        keys.add_slot(header, &file(2), "outer", floor, clock.now())
    });
    assert!(matches!(outer, Err(Error::Conflict(_))), "{outer:?}");
    let labels = || -> Vec<String> {
        let slots = vault.slots().unwrap().into_iter();
        slots.map(|slot| slot.label).collect()
    };
    assert_eq!(labels(), ["memory", "inner"]);
    assert!(vault.add_slot(&me, file(2), "outer", floor).unwrap() > number.get());
    assert_eq!(labels(), ["memory", "inner", "outer"]);
}
