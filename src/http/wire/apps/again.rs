//! An app that was shown, said again: what of an answer is a body.
//!
//! It promises: what only comes out does not go in again.
//! It never: has a secret, which is not shown.

use serde_json::{Map, Value};

/// The fields of an answer that may go in again.
pub const INPUTS: [&str; 30] = [
    "id",
    "name",
    "kind",
    "template",
    "server_url",
    "registration",
    "resource",
    "client_id",
    "issuer",
    "authorization_url",
    "token_url",
    "refresh_url",
    "revocation_url",
    "scopes",
    "scope_separator",
    "authorization_params",
    "token_params",
    "pkce",
    "client_auth",
    "callback",
    "default_lifetime_s",
    "dialect",
    "variables",
    "values",
    "fields",
    "api",
    "return_urls",
    "description",
    "logo",
    "client_secret",
];

/// The part of an answer that is a body again.
pub fn inputs_of(answer: &Value) -> Value {
    let mut body = Map::new();
    for name in INPUTS {
        match &answer[name] {
            Value::Null => {}
            value => _ = body.insert(name.to_owned(), value.clone()),
        }
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_comes_out_does_not_go_in_again() {
        let answer = json!({
            "id": "a", "name": "A", "kind": "oauth", "issuer": null, "scopes": ["x"],
            "has_client_secret": true, "redirect_uri": "https://v/callback/a",
            "created_at": "2026-01-01T00:00:00Z",
        });
        let expected = json!({"id": "a", "name": "A", "kind": "oauth", "scopes": ["x"]});
        assert_eq!(inputs_of(&answer), expected);
    }
}
