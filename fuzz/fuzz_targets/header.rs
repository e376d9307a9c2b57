//! The vault's header with its slots: parsing any bytes, in bounds, without a loss.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::limits;
use strongroom::seal::{Header, Keyring, RecoveryCode, Unlocker};

fuzz_target!(|data: &[u8]| {
    let Ok(header) = Header::parse(data) else {
        return;
    };
    assert_eq!(header.to_bytes(), data, "what is parsed is what is stored");
    let mut has_passphrase = false;
    for slot in header.slots() {
        let Some(kdf) = slot.kdf else { continue };
        has_passphrase = true;
        let memory = kdf.memory_kib();
        let bounds = limits::KDF_MEMORY_KIB_MIN..=limits::KDF_MEMORY_KIB_MAX;
        assert!(bounds.contains(&memory), "{memory} KiB");
    }
    // A wrong code costs what a wrong passphrase costs, which is too slow to be tried here.
    if !has_passphrase {
        let code = Unlocker::RecoveryCode(RecoveryCode::generate());
        assert!(Keyring::unlock(&header, &code).is_err());
    }
});
