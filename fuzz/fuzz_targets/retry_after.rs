//! `Retry-After` and dates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::clock::Timestamp;
use strongroom::limits;
use strongroom::provider::classify::read_retry_after;

fuzz_target!(|data: &[u8]| {
    let Some((now, text)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let now = Timestamp::from_unix_ms(u64::from_le_bytes(*now));
    if let Some(wait) = read_retry_after(text, now) {
        assert!(!wait.is_zero() && wait <= limits::RETRY_AFTER_MAX);
    }
    assert_eq!(Timestamp::parse(&now.to_string()), Some(now), "{now}");
    if let Some(moment) = Timestamp::parse(text) {
        assert!(moment <= Timestamp::MAX);
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
    }
});
