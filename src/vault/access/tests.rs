//! The gate while an unlock is not on record yet (V4).

use super::*;
use crate::clock::Timestamp;
use crate::vault::Vault;

/// Goal: nobody but the vault itself is let in before an unlock is on record. Method: hold the gate
/// as an unlock does; ask as a stranger, as a key, as the scheduler; let go and ask again.
#[test]
fn v4_nobody_is_let_in_before_the_unlock_is_on_record() {
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let (vault, key) = Vault::in_memory(clock).unwrap();
    let caller = vault.authenticate(Some(&key), "test").unwrap();
    let ask = |caller: &Caller| {
        let permit = vault.gate().permit(caller, Action::Keys, &Target::vault());
        permit.map(|_| ())
    };
    vault.gate().hold(true);
    let refused = vault.authenticate(Some(&key), "test").err();
    assert_eq!(refused, Some(Error::Locked));
    assert_eq!(ask(&caller), Err(Error::Locked));
    assert_eq!(ask(&Caller::scheduler()), Err(Error::Locked));
    assert_eq!(ask(&Caller::local()), Ok(()));
    vault.gate().hold(false);
    assert!(vault.authenticate(Some(&key), "test").is_ok());
    assert_eq!(ask(&caller), Ok(()));
}
