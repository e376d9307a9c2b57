//! Slack, Notion and Atlassian.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::double::{Asked, Route, back, next, says};
use super::{Hard, Reply};

const SLACK: [Route; 4] = [
    ("GET", "/slack.com/oauth/v2/authorize", |asked| {
        back(asked, &[])
    }),
    ("POST", "/slack.com/api/oauth.v2.access", slack_token),
    ("POST", "/slack.com/api/auth.test", |_| {
        says(
            200,
            json!({ "ok": true, "team": "Acme", "team_id": "T1", "user_id": "U0" }),
        )
    }),
    ("POST", "/slack.com/api/auth.revoke", |_| {
        says(200, json!({ "ok": true, "revoked": true }))
    }),
];

/// A bot token and a person's in one answer; of a refresh the one whose refresh token it was. All
/// with status 200.
fn slack_token(asked: &Asked) -> Reply {
    let presented = asked.field("refresh_token");
    if asked.basic() != "cid:s3" {
        return says(200, json!({ "ok": false, "error": "invalid_client_id" }));
    }
    if asked.field("grant_type") == "authorization_code" {
        return says(
            200,
            json!({
                "ok": true, "access_token": "xoxb-1", "token_type": "bot", "refresh_token": "rb-1",
                "scope": "channels:read,chat:write", "expires_in": 43200, "bot_user_id": "U0",
                "app_id": "A1", "team": { "id": "T1", "name": "Acme" }, "enterprise": null,
                "is_enterprise_install": false,
                "incoming_webhook": { "url": "https://hooks.slack.com/services/webhook-secret" },
                "authed_user": {
                    "id": "U1", "access_token": "xoxp-1", "refresh_token": "rp-1",
                    "scope": "users:read", "expires_in": 43200, "token_type": "user",
                },
            }),
        );
    }
    let (kind, prefix) = match presented.as_str() {
        "rb-3" => return says(200, json!({ "ok": false, "error": "token_revoked" })),
        bot if bot.starts_with("rb-") => ("bot", "b"),
        _ => ("user", "p"),
    };
    let number = next(&presented);
    says(
        200,
        json!({
            "ok": true, "token_type": kind, "expires_in": 43200,
            "access_token": format!("xox{prefix}-{number}"),
            "refresh_token": format!("r{prefix}-{number}"),
            "team": { "id": "T1", "name": "Acme" },
        }),
    )
}

/// Goal: both tokens of Slack are kept, each is renewed by its own refresh token and revoked by
/// itself, and an error in a 200 is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_has_two_tokens_and_says_no_with_200() {
    let hard = Hard::new("slack", &SLACK, json!({})).await;
    hard.connected(Value::Null).await;
    let trip = hard.double.last("/slack.com/oauth/v2/authorize");
    assert_eq!(trip.query("scope"), "channels:read,chat:write");
    assert_eq!(trip.query("user_scope"), "users:read");

    let bot = hard.fetched(json!({})).await;
    assert_eq!(bot["access_token"], "xoxb-1", "{bot}");
    let person = hard.fetched(json!({ "account": "user" })).await;
    assert_eq!(person["access_token"], "xoxp-1", "{person}");
    assert_eq!(person["subject"], "U1", "{person}");
    let bot = hard.token().await;
    assert_eq!(bot["metadata"]["team.id"], "T1", "{bot}");
    assert!(!bot.to_string().contains("webhook-secret"), "{bot}");

    hard.advance(43_200);
    let person = hard.fetched(json!({ "account": "user" })).await;
    assert_eq!(person["access_token"], "xoxp-2", "{person}");
    let bot = hard.fetched(json!({})).await;
    assert_eq!(bot["access_token"], "xoxb-2", "{bot}");

    // Twice more, and Slack says that it is gone, with 200.
    hard.advance(43_200);
    assert_eq!(hard.fetched(json!({})).await["access_token"], "xoxb-3");
    hard.advance(43_200);
    let (status, said) = hard.ask(json!({})).await;
    assert_eq!(
        (status, &said["reason"]),
        (409, &json!("revoked")),
        "{said}"
    );

    let tokens = hard.tokens().await;
    let mut tokens = tokens.iter();
    let person = tokens.find(|token| token["account"] == "user").unwrap();
    let gone = hard.removed(person).await;
    assert_eq!(
        hard.double.last("/slack.com/api/auth.revoke").bearer(),
        "xoxp-2"
    );
    assert_eq!(gone["revocation"]["result"], "revoked", "{gone}");
    hard.end().await;
}

/// Goal: where people consent to the person's token alone, that one is what a fetch gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_may_grant_the_token_of_the_person_alone() {
    const PERSON: [Route; 2] = [
        ("GET", "/slack.com/oauth/v2/authorize", |asked| {
            back(asked, &[])
        }),
        ("POST", "/slack.com/api/oauth.v2.access", |_| {
            let person = json!({
                "id": "U1", "access_token": "xoxp-1", "scope": "users:read", "token_type": "user",
            });
            let team = json!({ "id": "T1", "name": "Acme" });
            says(
                200,
                json!({ "ok": true, "app_id": "A1", "team": team, "authed_user": person }),
            )
        }),
    ];
    let hard = Hard::new("slack", &PERSON, json!({})).await;
    hard.connected(Value::Null).await;
    let person = hard.fetched(json!({})).await;
    assert_eq!(person["access_token"], "xoxp-1", "{person}");
    assert_eq!(hard.tokens().await.len(), 1);
    hard.end().await;
}

const NOTION: [Route; 4] = [
    ("GET", "/api.notion.com/v1/oauth/authorize", |asked| {
        back(asked, &[])
    }),
    ("POST", "/api.notion.com/v1/oauth/token", notion_token),
    ("GET", "/api.notion.com/v1/users/me", |_| {
        says(
            200,
            json!({ "id": "bot-1", "bot": { "workspace_name": "Acme notes" } }),
        )
    }),
    ("POST", "/api.notion.com/v1/oauth/revoke", |_| {
        says(200, json!({ "request_id": "q" }))
    }),
];

fn notion_token(asked: &Asked) -> Reply {
    let right = asked.basic() == "cid:s3"
        && asked.header("content-type").starts_with("application/json")
        && asked.header("notion-version") == "2025-09-03";
    if !right {
        return says(400, json!({ "error": "invalid_request" }));
    }
    let number = next(&asked.field("refresh_token"));
    says(
        200,
        json!({
            "access_token": format!("ntn-{number}"), "refresh_token": format!("nrt-{number}"),
            "token_type": "bearer", "bot_id": "bot-1", "workspace_id": "w-1",
            "workspace_name": "Acme notes", "workspace_icon": null, "duplicated_template_id": null,
            "owner": { "type": "user", "user": { "object": "user", "id": "person-1" } },
        }),
    )
}

/// Goal: Notion is asked with Basic and JSON and its header, and its answer without a lifetime and
/// scopes is one. Method: a refresh that is forced, since nothing says when one is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notion_takes_basic_beside_json() {
    let hard = Hard::new("notion", &NOTION, json!({})).await;
    hard.connected(Value::Null).await;
    let trip = hard.double.last("/api.notion.com/v1/oauth/authorize");
    assert_eq!(trip.query("owner"), "user");
    assert!(!trip.query.contains_key("scope"));
    let exchange = hard.double.last("/api.notion.com/v1/oauth/token");
    assert_eq!(exchange.field("grant_type"), "authorization_code");
    assert!(!exchange.fields().contains_key("client_secret"));

    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "ntn-1", "{fetched}");
    let token = hard.token().await;
    assert_eq!(token["metadata"]["workspace_id"], "w-1", "{token}");
    assert_eq!(token["subject"], "bot-1", "{token}");

    let fetched = hard.fetched(json!({ "force_refresh": true })).await;
    assert_eq!(fetched["access_token"], "ntn-2", "{fetched}");
    let refresh = hard.double.last("/api.notion.com/v1/oauth/token");
    assert_eq!(refresh.field("refresh_token"), "nrt-1");

    hard.removed(&hard.token().await).await;
    let revoke = hard.double.last("/api.notion.com/v1/oauth/revoke");
    assert_eq!(
        (revoke.basic().as_str(), revoke.field("token").as_str()),
        ("cid:s3", "ntn-2")
    );
    hard.end().await;
}

const ATLASSIAN: [Route; 3] = [
    ("GET", "/auth.atlassian.com/authorize", |asked| {
        back(asked, &[])
    }),
    ("POST", "/auth.atlassian.com/oauth/token", atlassian_token),
    ("GET", "/api.atlassian.com/me", |_| {
        says(
            200,
            json!({ "account_id": "5b10", "email": "ada@example.com" }),
        )
    }),
];

fn atlassian_token(asked: &Asked) -> Reply {
    if asked.field("client_secret") != "s3" {
        return says(
            401,
            json!({ "error": "access_denied", "error_description": "Unauthorized" }),
        );
    }
    match asked.field("refresh_token").as_str() {
        "art-2" => says(
            403,
            json!({
                "error": "unauthorized_client", "error_description": "refresh_token is invalid",
            }),
        ),
        presented => {
            let number = next(presented);
            says(
                200,
                json!({
                    "access_token": format!("at-{number}"),
                    "refresh_token": format!("art-{number}"),
                    "token_type": "Bearer", "expires_in": 3600, "scope": "offline_access read:me",
                }),
            )
        }
    }
}

/// Goal: Atlassian's requests are JSON, and its word for a dead grant, which elsewhere speaks of a
/// wrong client, asks the person to connect again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atlassian_says_unauthorized_client_of_a_dead_grant() {
    let hard = Hard::new("atlassian", &ATLASSIAN, json!({})).await;
    hard.connected(Value::Null).await;
    let trip = hard.double.last("/auth.atlassian.com/authorize");
    assert_eq!(
        (trip.query("audience"), trip.query("prompt")),
        ("api.atlassian.com", "consent")
    );
    let exchange = hard.double.last("/auth.atlassian.com/oauth/token");
    assert!(
        exchange
            .header("content-type")
            .starts_with("application/json")
    );
    let token = hard.token().await;
    assert_eq!(token["subject"], "5b10", "{token}");

    hard.advance(3600);
    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "at-2", "{fetched}");
    let refresh = hard.double.last("/auth.atlassian.com/oauth/token");
    assert_eq!(refresh.field("refresh_token"), "art-1");
    assert!(!refresh.fields().contains_key("scope"));

    hard.advance(3600);
    let (status, said) = hard.ask(json!({})).await;
    assert_eq!(
        (status, &said["reason"]),
        (409, &json!("revoked")),
        "{said}"
    );
    let gone = hard.removed(&hard.token().await).await;
    assert_eq!(gone["revocation"]["result"], "not_supported", "{gone}");
    hard.end().await;
}

/// Goal: an answer that is lost on the wire loses no grant: within Atlassian's grace the refresh
/// token that was spent is taken once more. Method: the first answer breaks off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atlassian_takes_a_spent_refresh_token_within_its_grace() {
    static LOST: AtomicBool = AtomicBool::new(false);
    const FLAKY: [Route; 3] = [
        ATLASSIAN[0],
        ("POST", "/auth.atlassian.com/oauth/token", |asked| {
            let is_refresh = asked.field("refresh_token") == "art-1";
            match is_refresh && !LOST.swap(true, Ordering::SeqCst) {
                true => Reply::Close,
                false => atlassian_token(asked),
            }
        }),
        ATLASSIAN[2],
    ];
    let hard = Hard::new("atlassian", &FLAKY, json!({})).await;
    hard.connected(Value::Null).await;
    hard.advance(3600);
    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "at-2", "{fetched}");
    let asked = hard.double.asked("/auth.atlassian.com/oauth/token");
    let presented: Vec<String> = asked.iter().map(|a| a.field("refresh_token")).collect();
    assert_eq!(presented, ["", "art-1", "art-1"]);
    hard.end().await;
}
