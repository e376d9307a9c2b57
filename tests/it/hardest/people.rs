//! Meta, with Instagram, and TikTok.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::double::{Asked, Route, back, next, says};
use super::{Hard, Reply};

const META: [Route; 5] = [
    ("GET", "/www.facebook.com/v24.0/dialog/oauth", |asked| {
        back(asked, &[])
    }),
    (
        "POST",
        "/graph.facebook.com/v24.0/oauth/access_token",
        |_| {
            says(
                200,
                json!({ "access_token": "short-1", "token_type": "bearer", "expires_in": 5000 }),
            )
        },
    ),
    (
        "GET",
        "/graph.facebook.com/v24.0/oauth/access_token",
        meta_trade,
    ),
    ("GET", "/graph.facebook.com/v24.0/me", |_| {
        says(200, json!({ "id": "900", "name": "Ada" }))
    }),
    ("DELETE", "/graph.facebook.com/v24.0/me/permissions", |_| {
        says(200, json!({ "success": true }))
    }),
];

/// A token for a longer one; the second that it gave is not taken again.
fn meta_trade(asked: &Asked) -> Reply {
    let right = asked.query("grant_type") == "fb_exchange_token"
        && asked.query("client_id") == "cid"
        && asked.query("client_secret") == "s3";
    let error = |code: u32, message: &str| {
        let error = json!({ "message": message, "type": "OAuthException", "code": code });
        says(400, json!({ "error": error }))
    };
    match asked.query("fb_exchange_token") {
        _ if !right => error(1, "wrong client"),
        "long-3" => error(
            190,
            "Error validating access token: the session has expired",
        ),
        presented => says(
            200,
            json!({
                "access_token": format!("long-{}", next(presented)), "token_type": "bearer",
                "expires_in": 5_183_944,
            }),
        ),
    }
}

/// Goal: a token of Meta is traded for a long one before anybody gets it, again while it lives,
/// and a refused trade asks the person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meta_trades_tokens_for_longer_ones() {
    let hard = Hard::new("facebook", &META, json!({})).await;
    hard.connected(Value::Null).await;
    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "long-2", "{fetched}");
    let token = hard.token().await;
    assert_eq!(token["subject"], "900", "{token}");
    let ends = hard
        .scene
        .clock
        .now()
        .plus(std::time::Duration::from_secs(5_183_944));
    assert_eq!(token["expires_at"], json!(ends), "{token}");

    // The minute before its end it is traded, while it is alive.
    hard.advance(5_183_944 - 30);
    let fetched = hard.fetched(json!({ "min_ttl_s": 60 })).await;
    assert_eq!(fetched["access_token"], "long-3", "{fetched}");

    // What Meta will not trade any more, its owner connects again.
    hard.advance(5_183_944);
    let (status, said) = hard.ask(json!({})).await;
    let reason = &said["reason"];
    assert_eq!((status, reason), (409, &json!("revoked")), "{said}");
    hard.removed(&hard.token().await).await;
    let revoke = hard.double.last("/graph.facebook.com/v24.0/me/permissions");
    assert_eq!(revoke.bearer(), "long-3");
    hard.end().await;
}

const INSTAGRAM: [Route; 5] = [
    ("GET", "/www.instagram.com/oauth/authorize", |asked| {
        back(asked, &[])
    }),
    ("POST", "/api.instagram.com/oauth/access_token", |_| {
        let inner = json!({
            "access_token": "short", "user_id": "77", "permissions": "instagram_business_basic",
        });
        says(200, json!({ "data": [inner] }))
    }),
    ("GET", "/graph.instagram.com/access_token", |_| {
        says(
            200,
            json!({ "access_token": "long", "token_type": "bearer", "expires_in": 5_183_944 }),
        )
    }),
    ("GET", "/graph.instagram.com/me", |_| {
        says(200, json!({ "user_id": "77", "username": "ada" }))
    }),
    (
        "GET",
        "/graph.instagram.com/refresh_access_token",
        instagram_trade,
    ),
];

/// The first answer is lost; then the token is refused.
fn instagram_trade(_: &Asked) -> Reply {
    static ASKED: AtomicBool = AtomicBool::new(false);
    match ASKED.swap(true, Ordering::SeqCst) {
        false => Reply::Close,
        true => says(400, json!({ "error": { "message": "ended", "code": 190 } })),
    }
}

/// Goal: Instagram's first answer, whose fields stand in a list, is read; a token too young to be
/// traded is said to be that; and since no trade spends a token, a refused one was revoked, though
/// the answer before was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instagram_s_token_is_too_young_to_be_traded_for_a_day() {
    let hard = Hard::new("instagram", &INSTAGRAM, json!({})).await;
    hard.connected(Value::Null).await;
    let traded = hard.double.last("/graph.instagram.com/access_token");
    assert_eq!(traded.query("access_token"), "short");
    let token = hard.token().await;
    assert_eq!(token["metadata"]["user_id"], "77", "{token}");
    let scopes = json!(["instagram_business_basic"]);
    assert_eq!(token["scopes"], scopes, "{token}");

    hard.advance(3600);
    let (status, said) = hard.ask(json!({ "rejected": "long" })).await;
    assert_eq!(status, 503, "{said}");
    let text = said.to_string();
    assert!(
        text.contains("too young") && !text.contains("failed"),
        "{text}"
    );

    hard.advance(86_400);
    let (status, said) = hard.ask(json!({ "rejected": "long" })).await;
    let reason = &said["reason"];
    assert_eq!((status, reason), (409, &json!("revoked")), "{said}");
    let trades = hard
        .double
        .asked("/graph.instagram.com/refresh_access_token");
    assert_eq!(trades.len(), 2, "lost, and asked for once more");
    hard.end().await;
}

const TIKTOK: [Route; 4] = [
    ("GET", "/www.tiktok.com/v2/auth/authorize/", |asked| {
        back(asked, &[("scopes", "x")])
    }),
    ("POST", "/open.tiktokapis.com/v2/oauth/token/", tiktok_token),
    ("GET", "/open.tiktokapis.com/v2/user/info/", |_| {
        says(
            200,
            json!({
                "data": { "user": { "open_id": "o-1", "display_name": "Ada" } },
                "error": { "code": "ok", "message": "" },
            }),
        )
    }),
    ("POST", "/open.tiktokapis.com/v2/oauth/revoke/", |_| {
        says(200, json!({}))
    }),
];

fn tiktok_token(asked: &Asked) -> Reply {
    let fields = asked.fields();
    if fields.contains_key("client_id") || asked.field("client_key") != "cid" {
        return says(200, json!({ "error": "invalid_request", "log_id": "1" }));
    }
    match asked.field("refresh_token").as_str() {
        "rft-2" => says(
            200,
            json!({
                "error": "invalid_grant",
                "error_description": "Refresh token is invalid or expired.",
            }),
        ),
        presented => {
            let number = next(presented);
            says(
                200,
                json!({
                    "access_token": format!("act-{number}"),
                    "refresh_token": format!("rft-{number}"),
                    "expires_in": 7200, "refresh_expires_in": 15_552_000, "open_id": "o-1",
                    "scope": "user.info.basic", "token_type": "Bearer",
                }),
            )
        }
    }
}

/// Goal: TikTok's names go out in every request, its own come back, and errors of a 200 are some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiktok_has_its_own_names() {
    let hard = Hard::new("tiktok", &TIKTOK, json!({})).await;
    hard.connected(Value::Null).await;
    let trip = hard.double.last("/www.tiktok.com/v2/auth/authorize/");
    assert_eq!(trip.query("client_key"), "cid");
    assert!(!trip.query.contains_key("client_id"));
    let token = hard.token().await;
    assert_eq!(token["subject"], "o-1", "{token}");
    let ends = hard
        .scene
        .clock
        .now()
        .plus(std::time::Duration::from_secs(15_552_000));
    assert_eq!(token["refresh_token_ends_at"], json!(ends), "{token}");

    hard.advance(7200);
    assert_eq!(hard.fetched(json!({})).await["access_token"], "act-2");
    hard.advance(7200);
    let (status, said) = hard.ask(json!({})).await;
    assert_eq!(
        (status, &said["reason"]),
        (409, &json!("revoked")),
        "{said}"
    );
    hard.removed(&hard.token().await).await;
    let revoke = hard
        .double
        .last("/open.tiktokapis.com/v2/oauth/revoke/")
        .fields();
    assert_eq!(
        (
            revoke["client_key"].as_str(),
            revoke["client_secret"].as_str()
        ),
        ("cid", "s3")
    );
    assert_eq!(revoke["token"], "act-2");
    hard.end().await;
}
