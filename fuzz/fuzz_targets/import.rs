//! A batch of tokens to take in, a line each: what was taken is what is handed out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[path = "shared/endpoint.rs"]
mod endpoint;

use endpoint::Endpoint;

/// Lines of one input that are tried.
const LINES_MAX: usize = 8;

/// Stores a line, and asks for what it stored.
fn take_in(endpoint: &Endpoint, line: &[u8]) {
    let (status, stored) = endpoint.call("PUT", "/v1/tokens", line);
    assert_ne!(status, 500, "{stored}");
    if status != 200 {
        assert!(stored["error"]["code"].is_string(), "{stored}");
        return;
    }
    let sent: Value = serde_json::from_slice(line).expect("what was taken is JSON");
    let ask = json!({
        "app": sent["app"], "user": sent["user"], "tenant": sent["tenant"],
        "account": sent["account"], "scopes": sent["scopes"],
    });
    let (status, handed) = endpoint.call("POST", "/v1/token", ask.to_string().as_bytes());
    if status != 200 {
        return;
    }
    if handed["token_id"] == stored["id"] {
        let value = &handed["access_token"];
        let known = *value == sent["api_key"] || *value == sent["access_token"];
        assert!(known, "another value was handed out");
        return;
    }
    // Several fit where no account or no scopes are asked for. They are of one owner and app.
    let path = format!("/v1/tokens/{}", handed["token_id"].as_str().unwrap());
    let (_, other) = endpoint.call("GET", &path, b"");
    for field in ["app", "user", "tenant"] {
        assert_eq!(other[field], stored[field], "another's was handed out");
    }
}

fuzz_target!(|data: &[u8]| {
    endpoint::with(|endpoint| {
        for line in data.split(|byte| *byte == b'\n').take(LINES_MAX) {
            take_in(endpoint, line);
        }
    });
});
