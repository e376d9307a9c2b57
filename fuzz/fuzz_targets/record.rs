//! Sealed records: parsing any bytes, and opening a real one with any change in it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use strongroom::clock::Timestamp;
use strongroom::seal::{Context, KdfParams, Keyring, RecoveryCode, Sealed, Unlocker};

const PLAIN: [&[u8]; 2] = [b"the hot part", b"the cold part, which is longer"];

fn genuine() -> &'static (Keyring, Sealed) {
    static GENUINE: OnceLock<(Keyring, Sealed)> = OnceLock::new();
    GENUINE.get_or_init(|| {
        let code = Unlocker::RecoveryCode(RecoveryCode::generate());
        let now = Timestamp::from_unix_ms(0);
        let (keys, _) = Keyring::create(&[(&code, "fuzz")], KdfParams::FLOOR, now).unwrap();
        let context = Context {
            table: "tokens",
            identity: b"identity",
            version: 7,
        };
        let sealed = keys.seal(context, &PLAIN).unwrap();
        (keys, sealed)
    })
}

fuzz_target!(|data: &[u8]| {
    let (keys, sealed) = genuine();
    if let Ok(parsed) = Sealed::parse(data) {
        assert_eq!(parsed.as_bytes(), data, "what is parsed is what is stored");
        assert!((1..=4).contains(&parsed.parts()));
        let _ = parsed.version();
        for part in 0..=u8::MAX {
            assert!(keys.open("tokens", b"identity", &parsed, part).is_err());
        }
    }
    // The same bytes as changes of a real record: place, then what is XORed in.
    let mut bytes = sealed.as_bytes().to_vec();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] ^= change[2];
    }
    let Ok(changed) = Sealed::parse(&bytes) else {
        return;
    };
    for (part, plain) in (0..).zip(PLAIN) {
        if let Ok(opened) = keys.open("tokens", b"identity", &changed, part) {
            // A change in one part leaves the other whole: what opens is what was sealed.
            assert_eq!(opened.as_slice(), plain, "a changed record opened");
        }
    }
});
