//! What an issuer says of itself is read again when its life is over: for an app made by `issuer`
//! and for one made by `server_url`.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::Vaulted;
use super::double::{Double, How};
use crate::rig::{copy, until};
use crate::support::{Inside, PASSPHRASE, reopen};

const HOUR: u64 = 3600;
pub const DAY: u64 = 24 * HOUR;
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// An app made by `issuer`, with a client of the operator's, and Ada who has connected.
pub async fn plain(how: How, more: Value) -> (Double, Vaulted) {
    let double = Double::start(how).await;
    let vault = Vaulted::new().await;
    add_plain(&vault, &double, "m", &more).await;
    vault.connect("ada").await;
    (double, vault)
}

pub async fn add_plain(vault: &Vaulted, double: &Double, id: &str, more: &Value) {
    let (status, app) = vault.api.post("/v1/apps", body(double, id, more)).await;
    assert_eq!(status, 201, "{app}");
    assert!(app["endpoints"]["metadata_read_at"].is_string(), "{app}");
}

pub fn body(double: &Double, id: &str, more: &Value) -> Value {
    let mut body = json!({
        "id": id, "kind": "oauth", "client_id": "own", "client_secret": "secret of our own",
        "client_auth": "post", "issuer": double.url(), "scopes": ["notes.read"],
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// An app made by `server_url`, and Ada who has connected.
pub async fn remote(how: How) -> (Double, Vaulted) {
    let double = Double::start(how).await;
    let vault = Vaulted::new().await;
    vault.added(&double, json!({})).await;
    vault.connect("ada").await;
    (double, vault)
}

/// From now on the document says this.
pub fn say(double: &Double, fields: Value) {
    double.change(|how| how.metadata = fields);
}

pub fn reads(double: &Double) -> usize {
    double.seen(METADATA).len()
}

/// The app is used again when what it has of its issuer is a day old.
pub async fn next_day(vault: &Vaulted) -> Value {
    vault.advance(DAY);
    let said = vault.token("ada").await;
    assert_eq!(said["outcome"], "ok", "{said}");
    vault.api.get("/v1/apps/m").await.1
}

/// What the check says of a setting, each finding as `level: words`.
pub async fn checked(vault: &Vaulted, about: &str) -> Vec<String> {
    let (status, said) = vault.api.post("/v1/apps/m/check", json!({})).await;
    assert_eq!(status, 200, "{said}");
    let findings = said["findings"].as_array().unwrap();
    let about = findings.iter().filter(|one| one["about"] == about);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    about
        .map(|one| format!("{}: {}", text(&one["level"]), text(&one["found"])))
        .collect()
}

pub fn has(findings: &[String], words: &str) -> bool {
    findings.iter().any(|one| one.contains(words))
}

/// The lines of the trail that begin so.
pub async fn on_record(vault: &Vaulted, begins: &str) -> Vec<String> {
    let (_, trail) = vault.api.get("/v1/audit?limit=1000").await;
    let entries = trail["entries"].as_array().unwrap();
    let outcomes = entries.iter().map(|one| one["outcome"].as_str().unwrap());
    let found = outcomes.filter(|outcome| outcome.starts_with(begins));
    found.map(str::to_owned).collect()
}

/// Goal: metadata is read again when the life that its issuer gives it is over, held to bounds, and
/// not before; a fetch of a valid token never reads it. Method: refreshes just before and after the
/// end of each life; a fetch between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_read_again_when_its_life_is_over_and_not_before() {
    for (fields, life) in [
        ("", DAY),
        ("Cache-Control: public, max-age=7200\r\n", 2 * HOUR),
        ("Cache-Control: no-store\r\n", HOUR),
        ("Cache-Control: max-age=1\r\n", HOUR),
        ("Cache-Control: max-age=99999999\r\n", 7 * DAY),
        (
            "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nExpires: Thu, 01 Jan 2026 02:00:00 GMT\r\n",
            2 * HOUR,
        ),
    ] {
        let how = How {
            metadata_fields: fields,
            ..How::default()
        };
        let (double, vault) = plain(how, json!({})).await;
        let (_, before) = vault.api.get("/v1/apps/m").await;
        vault.advance(life - 1);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        assert_eq!(double.seen("/token").len(), 2, "it is refreshed");
        assert_eq!(reads(&double), 1, "{fields}");
        vault.advance(1);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        assert_eq!(reads(&double), 1, "{fields}: a valid token is fetched");
        for _ in 0..2 {
            vault.advance(601);
            assert_eq!(vault.token("ada").await["outcome"], "ok");
            assert_eq!(reads(&double), 2, "{fields}");
        }
        let (_, after) = vault.api.get("/v1/apps/m").await;
        assert_ne!(
            after["endpoints"]["metadata_read_at"],
            before["endpoints"]["metadata_read_at"]
        );
        assert_eq!(after["updated_at"], before["updated_at"], "nothing is new");
        assert_eq!(on_record(&vault, "metadata read").await.len(), 1);
        vault.inside.end().await;
    }
}

/// Goal: an endpoint that moves on its host is found by itself, and the very next refresh and
/// connection go there; one that is new is there. Method: token, authorization and revocation
/// endpoints at other paths.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_moves_on_its_host_is_used_by_the_next_refresh() {
    let without = json!({ "revocation_endpoint": null });
    let how = How {
        metadata: without,
        ..How::default()
    };
    let (double, vault) = plain(how, json!({})).await;
    let (_, app) = vault.api.get("/v1/apps/m").await;
    assert_eq!(app["endpoints"]["revocation_url"], Value::Null);
    let at = |path: &str| format!("{}{path}", double.url());
    say(&double, json!({ "token_endpoint": at("/token/v2") }));
    let differs = checked(&vault, "token_url").await;
    assert!(
        has(&differs, "something else than when it was read"),
        "{differs:?}"
    );
    let asked = double.seen("/token").len();
    let app = next_day(&vault).await;
    assert_eq!(double.seen("/token").len(), asked, "it goes nowhere old");
    assert_eq!(double.seen("/token/v2").len(), 1);
    assert_eq!(app["endpoints"]["token_url"], at("/token/v2"));
    assert_eq!(app["endpoints"]["revocation_url"], at("/revoke"));
    assert_eq!(app["token_url"], Value::Null, "nobody gave it by hand");
    let told = on_record(&vault, "metadata read").await;
    assert_eq!(told, ["metadata read: another token_url, revocation_url"]);
    vault.connect("grace").await;
    assert_eq!(double.seen("/token/v2").len(), 2);
    let told = checked(&vault, "issuer").await;
    let read_at = app["endpoints"]["metadata_read_at"].as_str().unwrap();
    assert!(
        has(&told, &format!("ok: its metadata was read at {read_at}")),
        "{told:?}"
    );
    assert!(has(&told, "is read again from"), "{told:?}");
    vault.inside.end().await;
}

/// Goal: an issuer that is down delays nothing, kills nothing, and is asked more and more seldom;
/// once it is back it is read. Method: metadata that answers 503 while the token endpoint works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_metadata_leaves_the_old_in_use() {
    let (double, vault) = plain(How::default(), json!({})).await;
    double.change(|how| how.metadata_status = 503);
    let app = next_day(&vault).await;
    assert_eq!(app["endpoints"]["metadata_withheld"], Value::Null);
    assert_eq!(reads(&double), 2);
    // The first pauses are 1, 2, 4 and 8 minutes; a token lives for ten, so each is over.
    for count in 3..6 {
        vault.advance(601);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        assert_eq!(reads(&double), count);
    }
    vault.advance(601);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert_eq!(reads(&double), 6);
    vault.advance(601);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert_eq!(reads(&double), 6, "the pause is 16 minutes by now");
    double.change(|how| how.metadata_status = 200);
    let v2 = format!("{}/token/v2", double.url());
    say(&double, json!({ "token_endpoint": v2 }));
    vault.advance(HOUR);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert_eq!(double.seen("/token/v2").len(), 1);
    vault.inside.end().await;
}

/// Goal: an issuer that asks to be left alone is, and its token endpoint on the same host goes on
/// being asked. Method: metadata that answers 429 with `Retry-After`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_metadata_that_is_to_wait_keeps_no_refresh_waiting() {
    let (double, vault) = plain(How::default(), json!({})).await;
    double.change(|how| {
        how.metadata_status = 429;
        how.metadata_fields = "Retry-After: 1800\r\n";
    });
    next_day(&vault).await;
    for count in [2, 2, 3] {
        vault.advance(601);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        assert_eq!(reads(&double), count);
    }
    vault.inside.end().await;
}

/// Goal: a document of an issuer that is in trouble takes nothing away that the other one says.
/// Method: the first document fails, the other lacks revocation and `iss`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_document_in_trouble_said_stays() {
    let (double, vault) = plain(How::default(), json!({})).await;
    let (_, before) = vault.api.get("/v1/apps/m").await;
    let url = double.url();
    double.change(|how| {
        how.metadata_status = 500;
        how.openid = Some(json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token/v2"),
            "code_challenge_methods_supported": ["S256"],
        }));
    });
    let after = next_day(&vault).await;
    assert_eq!(after["endpoints"]["token_url"], format!("{url}/token/v2"));
    let revocation = |app: &Value| app["endpoints"]["revocation_url"].clone();
    assert_eq!(revocation(&after), revocation(&before));
    assert!(revocation(&after).is_string());
    // It is read again in an hour.
    double.change(|how| how.metadata_status = 200);
    vault.advance(HOUR);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert_eq!(on_record(&vault, "metadata read").await.len(), 2);
    vault.inside.end().await;
}

/// Goal: metadata that hangs holds a refresh up for seconds and no more; what it says in the end is
/// there for the next one, which asks nothing. Method: a document that is held back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_hangs_holds_nobody_up_and_is_not_lost() {
    let (double, vault) = plain(How::default(), json!({})).await;
    let (release, held) = watch::channel(false);
    let v2 = format!("{}/token/v2", double.url());
    say(&double, json!({ "token_endpoint": v2 }));
    double.change(|how| how.metadata_held = Some(held));
    next_day(&vault).await;
    assert_eq!(double.seen("/token").len(), 2, "the old one is used");
    release.send_replace(true);
    // The place that is asked last.
    let openid = || !double.seen("/.well-known/openid-configuration").is_empty();
    until("the document is read", openid).await;
    double.change(|how| how.metadata_status = 404);
    let read = || async {
        vault.advance(601);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        double.seen("/token/v2").len()
    };
    // What was read lands a moment after the last answer.
    let mut moved = 0;
    for _ in 0..10 {
        moved = moved.max(read().await);
    }
    assert!(moved > 0);
    assert_eq!(reads(&double), 2, "nobody asked again");
    vault.inside.end().await;
}

/// Goal: a process that is killed while it reads, or before it has stored what it read, has lost
/// nothing. Method: a copy of the directory while the document is held back, opened elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_metadata_is_read_loses_nothing() {
    let (double, vault) = plain(How::default(), json!({})).await;
    let (release, held) = watch::channel(false);
    double.change(|how| how.metadata_held = Some(held));
    vault.advance(DAY);
    let api = vault.api.clone();
    let cut = tokio::spawn(async move {
        api.post("/v1/token", json!({ "app": "m", "user": "ada" }))
            .await
    });
    until("the document is asked for", || reads(&double) == 2).await;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    copy(&vault.directory, &directory);
    assert_eq!(double.seen("/token").len(), 1, "nothing was spent");
    cut.abort();
    double.change(|how| how.metadata_held = None);
    say(
        &double,
        json!({ "token_endpoint": format!("{}/token/v2", double.url()) }),
    );
    let again = Inside::serve(reopen(&directory, &vault.clock), false).await;
    let api = again.api(&vault.admin);
    let unlock = json!({ "passphrase": PASSPHRASE });
    assert_eq!(api.post("/v1/unlock", unlock).await.0, 200);
    let ask = json!({ "app": "m", "user": "ada" });
    let (_, said) = api.post("/v1/token", ask).await;
    assert_eq!(said["outcome"], "ok", "{said}");
    assert_eq!(double.seen("/token/v2").len(), 1);
    again.end().await;
    release.send_replace(true);
    vault.inside.end().await;
}

/// Goal: an issuer is asked once for all that want to know, of however many apps, and each app
/// stores it once. Method: two apps of one issuer, eight tokens that are refreshed at one time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_asked_once_for_all_its_apps_and_tokens() {
    let (double, vault) = plain(How::default(), json!({})).await;
    add_plain(&vault, &double, "n", &json!({})).await;
    let mut asks = Vec::new();
    for app in ["m", "n"] {
        for user in ["ada", "grace", "joan", "mary"] {
            let token = json!({
                "app": app, "user": user, "access_token": "at", "refresh_token": "unknown",
                "expires_at": "2026-09-21T00:00:00Z",
            });
            let (status, said) = vault.api.put("/v1/tokens", token).await;
            assert_eq!(status, 200, "{said}");
            asks.push(json!({ "app": app, "user": user }));
        }
    }
    vault.advance(DAY);
    let before = reads(&double);
    let asks = asks.into_iter().map(|ask| {
        let api = vault.api.clone();
        tokio::spawn(async move { api.post("/v1/token", ask).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
    assert_eq!(reads(&double), before + 1);
    assert_eq!(on_record(&vault, "metadata read").await.len(), 2);
    vault.inside.end().await;
}

/// Goal: an app made by an MCP server's URL is read again likewise, the server's word included.
/// Method: a token endpoint that moves, and other scopes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_servers_app_is_read_again_likewise() {
    let (double, vault) = remote(How::default()).await;
    let (_, before) = vault.api.get("/v1/apps/m").await;
    let v2 = format!("{}/token/v2", double.url());
    say(
        &double,
        json!({ "token_endpoint": v2, "scopes_supported": ["offline_access"] }),
    );
    double.change(|how| how.scopes = Some(vec!["notes.read", "notes.write"]));
    let after = next_day(&vault).await;
    assert_eq!(double.seen("/token/v2").len(), 1);
    assert_eq!(after["endpoints"]["token_url"], v2);
    assert_eq!(
        after["remote"]["scopes"],
        json!(["notes.read", "notes.write"])
    );
    assert_eq!(after["remote"]["offline_access"], true);
    for same in ["issuer", "resource", "client", "registered_at"] {
        assert_eq!(after["remote"][same], before["remote"][same], "{same}");
    }
    assert_eq!(double.seen("/register").len(), 1);
    vault.inside.end().await;
}

/// Goal: where the token endpoint fails, it is looked up again before the day is over, and no more
/// often than once an hour. Method: an endpoint that has moved, and its old place refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_fails_is_looked_up_before_its_time() {
    let (double, vault) = plain(How::default(), json!({})).await;
    let v2 = format!("{}/token/v2", double.url());
    say(&double, json!({ "token_endpoint": v2 }));
    double.change(|how| how.refuses = Some("temporarily_unavailable"));
    vault.advance(601);
    assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    vault.advance(601);
    assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    assert_eq!(reads(&double), 1, "it was read less than an hour ago");
    double.change(|how| how.refuses = None);
    vault.advance(HOUR);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert_eq!(reads(&double), 2);
    assert_eq!(double.seen("/token/v2").len(), 1);
    vault.inside.end().await;
}

/// Goal: what was read before an operator's change, and counts still for other apps, is not put
/// back over what the change read. Method: a change between two readings, and a shorter life from
/// then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_a_change_is_not_put_back_after_it() {
    let (double, vault) = plain(How::default(), json!({})).await;
    next_day(&vault).await;
    let at = |path: &str| format!("{}/token/{path}", double.url());
    say(&double, json!({ "token_endpoint": at("v2") }));
    double.change(|how| how.metadata_fields = "Cache-Control: no-cache\r\n");
    vault.advance(HOUR);
    let (_, app) = vault
        .api
        .put("/v1/apps/m", body(&double, "m", &json!({})))
        .await;
    assert_eq!(app["endpoints"]["token_url"], at("v2"));
    say(&double, json!({ "token_endpoint": at("v3") }));
    vault.advance(HOUR);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    let (_, app) = vault.api.get("/v1/apps/m").await;
    assert_eq!(app["endpoints"]["token_url"], at("v3"));
    vault.inside.end().await;
}
