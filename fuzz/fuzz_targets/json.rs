//! Any body on each route, by a caller who may do everything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::http::routes::{Entrance, TABLE};

#[path = "shared/endpoint.rs"]
mod endpoint;

fuzz_target!(|data: &[u8]| {
    let Some((route, body)) = data.split_first() else {
        return;
    };
    let rows: Vec<_> = TABLE
        .iter()
        .filter(|row| row.entrance != Entrance::Page)
        // It would lock the vault, and what follows would meet a closed door.
        .filter(|row| row.path != "/v1/lock")
        .collect();
    let row = rows[usize::from(*route) % rows.len()];
    let path = row.path.replace("{}", "demo");
    endpoint::with(|endpoint| {
        let (status, said) = endpoint.call(row.method.as_str(), &path, body);
        assert_ne!(status, 500, "{said}");
        assert!(said.is_object(), "never an empty body: {status} {said}");
        let failed = status >= 400 && said.get("outcome").is_none();
        assert!(
            !failed || said["error"]["code"].is_string(),
            "{status} {said}"
        );
    });
});
