//! What goes on beside a rotation: trouble with the disk, locks, slots, readers (V14).
//!
//! It promises: each test makes its own moment; none waits for luck.
//! It never: asks how long something took.

use std::sync::mpsc::channel;

use super::*;

/// A rotation has begun, and not one of its batches can be stored.
fn in_trouble(vault: &Vault, disk: &Faulty) {
    begin_term(vault);
    let release = hold(vault);
    vault.resume_rotation().unwrap();
    disk.fail_after(0);
    release();
}

/// Holds the writer until told.
fn hold(vault: &Vault) -> impl FnOnce() + use<> {
    let (release, held) = channel::<()>();
    let (entered, inside) = channel::<()>();
    let permit = vault
        .gate()
        .permit(&me(), Action::Lock, &Target::vault())
        .unwrap();
    let receipt = permit.write_step(move |_| {
        let _ = entered.send(());
        let _ = held.recv();
        Ok(())
    });
    inside.recv().unwrap();
    move || {
        drop(release);
        receipt.unwrap().wait().unwrap();
    }
}

/// Goal: V14 a full disk is waited for and said, writes that need none of it are answered, and it
/// ends by itself. Method: begin a term, fail the disk before the first
/// batch; look; mend.
#[test]
fn v14_trouble_with_the_disk_is_said_and_waited_for() {
    let disk = Faulty::default();
    let (vault, _) = filled(&disk);
    let before = records(&vault);
    in_trouble(&vault, &disk);
    let waiting = until("it says that it waits", || {
        let rotation = vault.status().rotation?;
        (rotation.state == RotationState::Waiting).then_some(rotation)
    });
    let why = waiting.error.expect("why it waits");
    assert!(
        matches!(why, Error::Storage(_) | Error::OutcomeUnknown(_)),
        "{why:?}"
    );
    let refused = vault.rotate_keys(&me());
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    disk.mend();
    ended(&vault);
    assert_eq!(fault(&vault, 2, &before), "");
}

/// Goal: V14 slots that change while a rotation begins or ends are not undone, nor is the rotation.
/// Method: begin or end one while a slot is being prepared; both must be in the header.
#[test]
fn v14_a_slot_and_a_term_that_change_together_both_stay() {
    let disk = Faulty::default();
    let (vault, clock) = filled(&disk);
    let file = |byte| Unlocker::key_file(Secret::new(vec![byte; 32])).unwrap();
    let rotated = std::cell::Cell::new(false);
    let changed = vault.change_header(&me(), |keys, header| {
        if !rotated.replace(true) {
            vault.rotate_keys(&me()).unwrap();
            until("the old term goes", || (terms(&vault) == [2]).then_some(()));
        }
        keys.add_slot(header, &file(9), "beside", KdfParams::FLOOR, NOW)
    });
    assert!(changed.is_ok(), "{changed:?}");
    assert_eq!(terms(&vault), [2]);
    let vault = restarted(vault, &disk, &clock).unwrap();
    vault.lock(&me()).unwrap();
    vault.unlock(&file(9), "test").unwrap();
    assert_eq!(vault.status().key_term.unwrap().number, 2);
}

/// Goal: V14 whoever read a record before the old term went can open it; afterwards nobody can.
/// Method: keep a permit over a whole rotation; the old term must open with it, and the rotation
/// must not be over; let it go.
#[test]
fn v14_a_reader_at_work_keeps_the_old_term_until_it_is_done() {
    let disk = Faulty::default();
    let (vault, _) = filled(&disk);
    let before = records(&vault);
    let (place, bytes) = before
        .iter()
        .find(|(place, _)| place.0 == "tokens")
        .unwrap();
    let permit = vault
        .gate()
        .permit(&me(), Action::Lock, &Target::vault())
        .unwrap();
    vault.rotate_keys(&me()).unwrap();
    until("the header is without the old term", || {
        (terms(&vault) == [2]).then_some(())
    });
    let sealed = Sealed::parse(bytes).unwrap();
    assert!(permit.keys().open(place.0, &place.1, &sealed, 0).is_ok());
    assert!(vault.status().rotation.is_some());
    drop(permit);
    ended(&vault);
    assert_eq!(fault(&vault, 2, &before), "");
}

/// Goal: V14 a lock in the middle waits for nothing but the batch, and the next unlock goes on.
/// Method: lock while the disk is in trouble, which would be waited for; unlock.
#[test]
fn v14_a_lock_in_the_middle_ends_the_worker_and_an_unlock_goes_on() {
    let disk = Faulty::default();
    let (vault, _) = filled(&disk);
    let before = records(&vault);
    in_trouble(&vault, &disk);
    until("it says that it waits", || {
        let rotation = vault.status().rotation?;
        (rotation.state == RotationState::Waiting).then_some(())
    });
    vault.lock(&me()).unwrap();
    assert_eq!(vault.status().rotation, None);
    disk.mend();
    until("it unlocks", || vault.unlock(&key_file(), "test").ok());
    ended(&vault);
    assert_eq!(fault(&vault, 2, &before), "");
}
