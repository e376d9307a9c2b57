//! The endpoints that programs call: token, revocation, introspection, and what they answer.
//!
//! It promises: answers and errors as RFC 6749 5, RFC 7009 and RFC 7662 have them.
//! It never: asks a person anything.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::State;
use super::client_auth::authenticate;
use super::ledger::{Issue, Redemption};
use super::reply::Reply;
use super::request::Request;
use super::rules::{Refusal, Shaping};
use crate::clock::Timestamp;
use crate::limits;
use crate::secret::base64url;

/// `POST /token`.
pub(super) fn token(
    state: &mut State,
    now: Timestamp,
    request: &Request,
    shaping: &Shaping,
) -> Reply {
    let is_refresh = request.form.one("grant_type") == Ok(Some("refresh_token"));
    let outcome = exchange(state, now, request, shaping);
    let counts = &mut state.counts;
    match &outcome {
        Ok(_) if is_refresh => counts.refreshes_ok += 1,
        Ok(_) => counts.code_exchanges += 1,
        Err(refusal) => {
            counts.refreshes_refused += u64::from(is_refresh);
            counts.reuse_detected += u64::from(refusal.reuse);
        }
    }
    match outcome {
        Ok(issue) => Reply::json(StatusCode::OK, answer(&state.settings.issuer, now, &issue)),
        Err(refusal) => refused(&refusal),
    }
}

fn exchange(
    state: &mut State,
    now: Timestamp,
    request: &Request,
    shaping: &Shaping,
) -> Result<Issue, Refusal> {
    let client = caller(state, request)?;
    let form = &request.form;
    match form.needed("grant_type", "`grant_type` is missing")? {
        "authorization_code" => {
            let asked = Redemption {
                client_id: &client,
                code: form.needed("code", "`code` is missing")?,
                redirect_uri: form.one("redirect_uri")?,
                verifier: form.one("code_verifier")?,
            };
            state.ledger.redeem(now, &asked, shaping)
        }
        "refresh_token" => {
            let token = form.needed("refresh_token", "`refresh_token` is missing")?;
            let scope = form.one("scope")?;
            state.ledger.refresh(now, &client, token, scope, shaping)
        }
        _ => Err(Refusal::new(
            "unsupported_grant_type",
            "only `authorization_code` and `refresh_token` are served here",
        )),
    }
}

/// `POST /revoke` (RFC 7009). A token that is not known is revoked already.
pub(super) fn revoke(state: &mut State, request: &Request) -> Reply {
    let revoked = caller(state, request).and_then(|client| {
        let token = request.form.needed("token", "`token` is missing")?;
        state.ledger.revoke(&client, token)
    });
    match revoked {
        Ok(something) => {
            state.counts.revocations += u64::from(something);
            Reply::empty(StatusCode::OK)
        }
        Err(refusal) => refused(&refusal),
    }
}

/// `POST /introspect` (RFC 7662). A client learns of its own tokens only.
pub(super) fn introspect(state: &State, now: Timestamp, request: &Request) -> Reply {
    let client = match caller(state, request) {
        Ok(client) => client,
        Err(refusal) => return refused(&refusal),
    };
    let token = match request.form.needed("token", "`token` is missing") {
        Ok(token) => token,
        Err(refusal) => return refused(&refusal),
    };
    let live = state.ledger.live(now, token);
    let Some(live) = live.filter(|live| live.client_id == client) else {
        return Reply::json(StatusCode::OK, json!({"active": false}));
    };
    let mut answer = json!({
        "active": true,
        "client_id": live.client_id,
        "iss": state.settings.issuer,
        "scope": live.scopes.join(" "),
        "sub": live.user,
        "username": live.user,
    });
    if !live.is_refresh_token {
        answer["token_type"] = json!("Bearer");
    }
    if let Some(moment) = live.expires_at {
        answer["exp"] = json!(moment.unix_ms() / 1000);
    }
    Reply::json(StatusCode::OK, answer)
}

fn caller(state: &State, request: &Request) -> Result<String, Refusal> {
    if !request.is_form {
        return Err(Refusal::new(
            "invalid_request",
            "the body is not `application/x-www-form-urlencoded`",
        ));
    }
    let client = authenticate(&state.settings.clients, request)?;
    Ok(client.id.clone())
}

fn refused(refusal: &Refusal) -> Reply {
    let status = if refusal.code == "invalid_client" {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::BAD_REQUEST
    };
    Reply::refusal(status, refusal)
}

fn answer(issuer: &str, now: Timestamp, issue: &Issue) -> Value {
    let mut answer = json!({
        "access_token": issue.access_token.expose(),
        "token_type": "Bearer",
        "expires_in": issue.expires_in.as_secs(),
    });
    if !issue.scopes.is_empty() {
        answer["scope"] = json!(issue.scopes.join(" "));
    }
    if let Some(token) = &issue.refresh_token {
        answer["refresh_token"] = json!(token.expose());
    }
    if issue.scopes.iter().any(|scope| scope == "openid") {
        answer["id_token"] = json!(id_token(issuer, now, issue));
    }
    answer
}

/// An unsigned id token: whoever has it had it from this server's own token endpoint over the same
/// connection, which is what OpenID Connect Core 3.1.3.7 (6) accepts in place of a signature.
fn id_token(issuer: &str, now: Timestamp, issue: &Issue) -> String {
    let mut claims = json!({
        "iss": issuer,
        "sub": issue.user,
        "aud": issue.client_id,
        "iat": now.unix_ms() / 1000,
        "exp": now.plus(limits::SANDBOX_ID_TOKEN_LIFE).unix_ms() / 1000,
    });
    if let Some(nonce) = &issue.nonce {
        claims["nonce"] = json!(nonce);
    }
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let head = json!({"alg": "none", "typ": "JWT"});
    format!("{}.{}.", part(&head), part(&claims))
}
