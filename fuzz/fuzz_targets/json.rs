//! Any body on each route, by a caller who may do everything.
//!
//! An input names its route in its first line (`PUT /v1/tokens`), so that the corpus goes on
//! meaning the same when the table grows; or the first byte is its number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::http::routes::{Entrance, Row, TABLE};

#[path = "shared/endpoint.rs"]
mod endpoint;

/// The route of an input, and the body for it.
fn read(data: &[u8]) -> Option<(&'static Row, &[u8])> {
    let rows: Vec<&Row> = TABLE
        .iter()
        .filter(|row| row.entrance != Entrance::Page)
        // It would lock the vault, and what follows would meet a closed door.
        .filter(|row| row.path != "/v1/lock")
        .collect();
    for row in &rows {
        let name = format!("{} {}\n", row.method, row.path);
        if let Some(body) = data.strip_prefix(name.as_bytes()) {
            return Some((row, body));
        }
    }
    let (number, body) = data.split_first()?;
    Some((rows[usize::from(*number) % rows.len()], body))
}

fuzz_target!(|data: &[u8]| {
    let Some((row, body)) = read(data) else {
        return;
    };
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
