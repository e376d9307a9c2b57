//! A batch of tokens to take in, a line each: what was taken is what is handed out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[path = "shared/endpoint.rs"]
mod endpoint;

/// Lines of one input that are tried.
const LINES_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    endpoint::with(|endpoint| {
        for line in data.split(|byte| *byte == b'\n').take(LINES_MAX) {
            let (status, said) = endpoint.call("PUT", "/v1/tokens", line);
            assert_ne!(status, 500, "{said}");
            if status != 200 {
                assert!(said["error"]["code"].is_string(), "{said}");
                continue;
            }
            let sent: Value = serde_json::from_slice(line).expect("what was taken is JSON");
            let ask = json!({
                "app": sent["app"], "user": sent["user"], "tenant": sent["tenant"],
                "account": sent["account"], "scopes": sent["scopes"],
            });
            let (status, said) = endpoint.call("POST", "/v1/token", ask.to_string().as_bytes());
            if status == 200 {
                let value = &said["access_token"];
                let known = *value == sent["api_key"] || *value == sent["access_token"];
                assert!(known, "another value was handed out");
            }
        }
    });
});
