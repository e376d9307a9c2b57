//! What the tokens are for: a small protected API, and the documents that describe the server.
//!
//! It promises: an access token works until it expires or is revoked, and not a moment longer.
//! It never: takes a token from anywhere but the `Authorization` header (RFC 6750 2.3).

use hyper::StatusCode;
use hyper::header::WWW_AUTHENTICATE;
use serde_json::json;

use super::State;
use super::reply::Reply;
use super::request::Request;
use super::rules::Refusal;
use super::settings::Settings;
use super::shelf::Fingerprint;
use crate::clock::Timestamp;

/// `GET /api/me`: whose access token this is.
pub(super) fn me(state: &State, now: Timestamp, request: &Request) -> Reply {
    let bearer = request.authorization().and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(token) = bearer else {
        let refusal = Refusal::new("unauthorized", "no access token was sent");
        return Reply::refusal(StatusCode::UNAUTHORIZED, &refusal)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"sandbox\"");
    };
    let live = state.ledger.live(now, token);
    match live.filter(|live| !live.is_refresh_token) {
        Some(live) => Reply::json(
            StatusCode::OK,
            json!({"user": live.user, "scopes": live.scopes, "expires_at": live.expires_at}),
        ),
        None => {
            let refusal = Refusal::new("invalid_token", "the access token is not valid");
            Reply::refusal(StatusCode::UNAUTHORIZED, &refusal).with(
                WWW_AUTHENTICATE,
                "Bearer realm=\"sandbox\", error=\"invalid_token\"",
            )
        }
    }
}

/// `GET /api/key`: whose API key this is.
pub(super) fn key(state: &State, request: &Request) -> Reply {
    let key = request.header("x-api-key").map(Fingerprint::of);
    match key.and_then(|key| state.api_keys.get(&key)) {
        Some(name) => Reply::json(StatusCode::OK, json!({"key_of": name})),
        None => {
            let refusal = Refusal::new("invalid_key", "`X-Api-Key` has no key that is known here");
            Reply::refusal(StatusCode::UNAUTHORIZED, &refusal)
                .with(WWW_AUTHENTICATE, "ApiKey realm=\"sandbox\"")
        }
    }
}

/// The metadata of RFC 8414, with what OpenID Connect Discovery wants besides.
pub(super) fn metadata(settings: &Settings, is_openid: bool) -> Reply {
    let base = settings.issuer.trim_end_matches('/');
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    let mut document = json!({
        "issuer": settings.issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": format!("{base}/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": format!("{base}/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": settings.iss_parameter,
    });
    if !settings.scopes.is_empty() {
        document["scopes_supported"] = json!(settings.scopes);
    }
    if is_openid {
        document["jwks_uri"] = json!(format!("{base}/jwks"));
        document["subject_types_supported"] = json!(["public"]);
        document["id_token_signing_alg_values_supported"] = json!(["none"]);
    }
    Reply::json(StatusCode::OK, document)
}
