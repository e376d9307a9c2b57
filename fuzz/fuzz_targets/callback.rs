//! The query a provider sends a browser back with, and the cookie that comes with it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "shared/endpoint.rs"]
mod endpoint;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let query = parts.next().unwrap_or_default();
    let cookie = parts.next().unwrap_or_default();
    let is_text = |bytes: &[u8]| bytes.iter().all(|byte| (0x21..0x7f).contains(byte));
    if !is_text(query) || !cookie.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return;
    }
    let request = [
        b"GET /callback/demo?".as_slice(),
        query,
        b" HTTP/1.1\r\nhost: ",
        endpoint::HOST.as_bytes(),
        b"\r\ncookie: ",
        cookie,
        b"\r\nconnection: close\r\n\r\n",
    ]
    .concat();
    endpoint::with(|endpoint| {
        let answer = endpoint.send(&request);
        endpoint::check(&answer);
        let status = answer.get(9..12).unwrap_or_default();
        // No link was begun, so whatever comes back is refused: nobody is sent on.
        assert!(
            !matches!(status, b"200" | b"302" | b"303" | b"307"),
            "a callback was taken"
        );
    });
});
