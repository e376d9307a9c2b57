//! A token as an upload or a fetch of Descope's writes it, to be brought in.
//!
//! It promises: what would be of no use soon is refused and not brought in by halves: a token whose
//! refresh token was left out, or one of nothing; whose it is stands in the ids that are there.
//! It never: takes a tenant's token for a user's.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::super::failure::{Failure, Result};
use super::uploads::{KeyUpload, TokenUpload};
use super::{needed, read, text};
use crate::http::routes::descope::Level;
use crate::http::wire::secret;
use crate::secret::Secret;
use crate::vault::NewToken;

/// The answer to a fetch: the token stands in it.
#[derive(Deserialize)]
struct Wrapped {
    #[serde(default)]
    token: Option<Value>,
}

/// What tells how the rest is to be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marks {
    #[serde(default, deserialize_with = "text")]
    app_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    /// What some call `userId`; a token of nobody's is not a tenant's for that.
    #[serde(default, alias = "user_id", alias = "user")]
    login_id: Option<Value>,
    #[serde(default, deserialize_with = "secret")]
    api_key: Option<Secret<String>>,
    /// A fetch shows an API key as this, too.
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "secret")]
    refresh_token: Option<Secret<String>>,
    #[serde(default)]
    has_refresh_token: Option<bool>,
}

/// Reads one token, of an upload or of a fetch. `is_for_keys` tells of an app by its id whether its
/// tokens are API keys; `None` where there is no such app.
///
/// # Errors
/// What is wrong with it, in words that hold nothing of its secrets.
pub fn read_token(
    written: &Bytes,
    is_for_keys: impl Fn(&str) -> Option<bool>,
) -> std::result::Result<NewToken, String> {
    if !written.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object, `{…}`".into());
    }
    let told = |failure: Failure| failure.into_message().replace("the body is", "it is");
    read_item(written, is_for_keys).map_err(told)
}

fn read_item(written: &Bytes, is_for_keys: impl Fn(&str) -> Option<bool>) -> Result<NewToken> {
    let wrapped = read::<Wrapped>(written)?;
    let inner = match wrapped.token {
        None | Some(Value::Null) => None,
        Some(token @ Value::Object(_)) => Some(Bytes::from(token.to_string())),
        Some(_) => return Err(Failure::argument("its `token` is no JSON object")),
    };
    let written = inner.as_ref().unwrap_or(written);
    let marks: Marks = read(written)?;
    let app = needed(marks.app_id.as_deref(), "appId")?;
    let is_for_keys = is_for_keys(app).ok_or_else(|| {
        Failure::argument("there is no app with this `appId` here: make it first")
    })?;
    let level = match (marks.user_id.as_deref(), &marks.login_id) {
        (None | Some(""), None) => Level::Tenant,
        (None | Some("" | "null" | "undefined"), _) => {
            let what = "it does not say whose it is: `userId` names a user, and is left out or \
                        empty where the token is a tenant's own";
            return Err(Failure::argument(what));
        }
        (Some(_), _) => Level::User,
    };
    if is_for_keys {
        let mut upload: KeyUpload = read(written)?;
        upload.api_key = marks.api_key.or(marks.access_token);
        return upload.into_token(level);
    }
    if marks.api_key.is_some() {
        let what = "this is an API key, and the app uses OAuth";
        return Err(Failure::argument(what));
    }
    if marks.has_refresh_token == Some(true) && marks.refresh_token.is_none() {
        return Err(Failure::argument(
            "its refresh token is not in the file: fetch it with `withRefreshToken`",
        ));
    }
    read::<TokenUpload>(written)?.into_token(level)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{TenantId, UserId};
    use crate::vault::NewCredential;

    fn token(item: &Value) -> std::result::Result<NewToken, String> {
        read_token(&Bytes::from(item.to_string()), |app| match app {
            "mail" => Some(false),
            "maps" => Some(true),
            _ => None,
        })
    }

    fn owner_of(item: &Value) -> String {
        let owner = token(item).unwrap().address.owner;
        format!(
            "{:?} {:?}",
            owner.user().map(UserId::as_str),
            owner.tenant().map(TenantId::as_str)
        )
    }

    #[test]
    fn an_upload_and_the_answer_to_a_fetch_are_read_alike() {
        let fetched = json!({"token": {
            "id": "t1", "appId": "mail", "userId": "u", "tenantId": "", "tokenSub": "s",
            "accessToken": "a", "accessTokenType": "Bearer", "accessTokenExpiry": "1741107113",
            "hasRefreshToken": true, "refreshToken": "r", "lastRefreshTime": "1741107000",
            "lastRefreshError": "", "scopes": ["x", "y"], "grantedBy": "g",
        }});
        let uploaded = json!({
            "appId": "mail", "userId": "u", "tenantId": null, "accessToken": "a",
            "accessTokenType": "Bearer", "accessTokenExpiry": 1_741_107_113, "refreshToken": "r",
            "scopes": ["y", "x"], "grantedBy": "g",
        });
        for item in [&fetched, &fetched["token"], &uploaded] {
            let new = token(item).unwrap();
            assert_eq!(json!(new.address.scopes), json!(["x", "y"]));
            let NewCredential::Uploaded(upload) = new.credential else {
                panic!("it is an upload");
            };
            let shown = |secret: Option<Secret<String>>| secret.map(|s| s.expose().clone());
            assert_eq!(shown(upload.access_token).as_deref(), Some("a"));
            assert_eq!(shown(upload.refresh_token).as_deref(), Some("r"));
            assert_eq!(upload.expires_at.unwrap().unix_ms(), 1_741_107_113_000);
            assert_eq!(upload.granted_by.as_deref(), Some("g"));
        }
    }

    #[test]
    fn the_ids_that_are_there_say_whose_it_is() {
        let of = |user: Value, tenant: Value| {
            let mut item = json!({"appId": "mail", "accessToken": "a"});
            (item["userId"], item["tenantId"]) = (user, tenant);
            item
        };
        assert_eq!(owner_of(&of(json!("u"), Value::Null)), r#"Some("u") None"#);
        assert_eq!(
            owner_of(&of(json!("u"), json!("t"))),
            r#"Some("u") Some("t")"#
        );
        assert_eq!(owner_of(&of(json!(""), json!("t"))), r#"None Some("t")"#);
        for word in ["null", "undefined"] {
            assert!(token(&of(json!(word), json!("t"))).is_err(), "{word}");
        }
        for name in ["user_id", "loginId", "user"] {
            let mut item = of(Value::Null, json!("t"));
            item[name] = json!("u");
            assert!(token(&item).is_err(), "{name}");
        }
        assert!(token(&of(Value::Null, json!(""))).is_err());
    }

    #[test]
    fn a_key_is_read_of_either_field_and_for_an_app_of_keys_alone() {
        for field in ["apiKey", "accessToken"] {
            let new = token(&json!({"appId": "maps", "userId": "u", field: "k"})).unwrap();
            let NewCredential::ApiKey(key) = new.credential else {
                panic!("it is a key");
            };
            assert_eq!(key.expose(), "k");
        }
        let refused = token(&json!({"appId": "mail", "userId": "u", "apiKey": "k"}));
        assert!(refused.err().unwrap().contains("OAuth"));
    }

    #[test]
    fn what_would_be_of_no_use_is_refused_without_a_word_of_it() {
        let secret = "s3cr3t";
        for (item, why) in [
            (
                json!({"appId": "mail", "userId": "u", "accessToken": ""}),
                "accessToken",
            ),
            (
                json!({"appId": "mail", "userId": "u", "accessToken": secret,
                       "hasRefreshToken": true}),
                "withRefreshToken",
            ),
            (
                json!({"appId": "none", "userId": "u", "accessToken": secret}),
                "no app",
            ),
            (json!({"userId": "u", "accessToken": secret}), "appId"),
            (
                json!({"appId": "mail", "userId": "u", "accessToken": {"x": secret}}),
                "kind",
            ),
            (
                json!({"appId": "mail", "userId": "u", "accessToken": secret, "scopes": secret}),
                "kind",
            ),
            (json!({"token": secret}), "object"),
            (json!(secret), "it is no JSON object"),
        ] {
            let told = token(&item).err().unwrap();
            assert!(told.contains(why), "{item}: {told}");
            assert!(!told.contains(secret), "{told}");
        }
    }
}
