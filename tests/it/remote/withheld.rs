//! What an issuer says of itself and an app does not take over by itself.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::Vaulted;
use super::double::{Double, How};
use super::reread::{
    DAY, add_plain, body, checked, has, next_day, on_record, plain, reads, remote, say,
};
use crate::rig::until;

fn urls(app: &Value) -> [&Value; 3] {
    let names = ["authorization_url", "token_url", "revocation_url"];
    names.map(|name| &app["endpoints"][name])
}

/// Goal: no document sends a secret, or a person who types a password, to a place that the app has
/// not used so far; that is said, and an operator who says so moves it. Method: each endpoint at
/// another port; what came there; check, app and trail; a change with and without the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t28_an_endpoint_that_moves_to_another_place_is_not_taken_over() {
    let thief = Double::start(How::default()).await;
    for (field, setting) in [
        ("token_endpoint", "token_url"),
        ("revocation_endpoint", "revocation_url"),
        ("authorization_endpoint", "authorization_url"),
    ] {
        let (double, vault) = plain(How::default(), json!({})).await;
        let elsewhere = format!("{}/token", thief.url());
        // What moves beside it is not taken over either.
        let token = format!("{}/token/v2", double.url());
        let mut document = json!({ "token_endpoint": token });
        document[field] = json!(elsewhere);
        say(&double, document);
        let app = next_day(&vault).await;
        assert_eq!(
            double.seen("/token").len(),
            2,
            "{field}: the old one is used"
        );
        assert!(thief.everything().is_empty(), "{}", thief.everything());
        let why = format!("its `{setting}` would be {elsewhere}, at a place");
        assert!(
            app["endpoints"]["metadata_withheld"]
                .as_str()
                .unwrap()
                .contains(&why),
            "{app}"
        );
        let told = on_record(&vault, "metadata not taken over").await;
        assert!(told.len() == 1 && told[0].contains(&why), "{told:?}");
        let told = checked(&vault, "issuer").await;
        assert!(has(&told, "warning: what its metadata said at"), "{told:?}");
        assert!(
            has(&told, "warning: what its metadata says now is not"),
            "{told:?}"
        );
        let has_moved = |app: &Value| app["endpoints"][setting] == json!(elsewhere);
        assert!(!has_moved(&app));
        let change = |more: Value| vault.api.put("/v1/apps/m", body(&double, "m", &more));
        if setting != "authorization_url" {
            let (status, _) = change(json!({ "client_secret": null })).await;
            assert_eq!(
                status, 400,
                "the secret goes to nobody it was not given for"
            );
        }
        let (status, app) = change(json!({})).await;
        assert_eq!(status, 200, "{app}");
        assert!(
            has_moved(&app) && app["endpoints"]["metadata_withheld"].is_null(),
            "{app}"
        );
        vault.inside.end().await;
    }
}

/// Goal: what was not taken over is, once the document is good again. Method: another host for a
/// day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_changes_back_is_taken_over() {
    let (double, vault) = plain(How::default(), json!({})).await;
    say(
        &double,
        json!({ "token_endpoint": "https://elsewhere.example/token" }),
    );
    assert!(next_day(&vault).await["endpoints"]["metadata_withheld"].is_string());
    let v2 = format!("{}/token/v2", double.url());
    say(&double, json!({ "token_endpoint": v2 }));
    let app = next_day(&vault).await;
    assert_eq!(app["endpoints"]["metadata_withheld"], Value::Null);
    assert_eq!(app["endpoints"]["token_url"], v2);
    vault.inside.end().await;
}

/// Goal: what an app is not made with it does not become: another issuer, no PKCE S256, an endpoint
/// that the way out refuses. Method: one fault each; the refresh goes on as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_what_no_app_is_made_of_is_not_taken_over() {
    for (fault, is_read, told) in [
        (
            json!({ "issuer": "https://other.example" }),
            false,
            "another issuer",
        ),
        (
            json!({ "token_endpoint": "http://10.0.0.1/t" }),
            false,
            "10.0.0.1",
        ),
        (
            json!({ "token_endpoint": null }),
            false,
            "no token endpoint",
        ),
        (
            json!({ "code_challenge_methods_supported": ["plain"] }),
            true,
            "S256 is not listed any more",
        ),
    ] {
        let (double, vault) = plain(How::default(), json!({})).await;
        let (_, before) = vault.api.get("/v1/apps/m").await;
        say(&double, fault);
        let after = next_day(&vault).await;
        assert_eq!(urls(&after), urls(&before), "{told}");
        assert_eq!(double.seen("/token").len(), 2, "{told}");
        let is_new =
            after["endpoints"]["metadata_read_at"] != before["endpoints"]["metadata_read_at"];
        assert_eq!(is_new, is_read, "{after}");
        assert_eq!(
            after["endpoints"]["metadata_withheld"].is_string(),
            is_read,
            "{after}"
        );
        let found = checked(&vault, "issuer").await;
        assert!(has(&found, told), "{found:?}");
        vault.inside.end().await;
    }
}

/// Goal: what an operator gives by hand wins over whatever is read. Method: a token URL by hand,
/// and a document that moves its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_by_hand_wins() {
    let double = Double::start(How::default()).await;
    let vault = Vaulted::new().await;
    let own = format!("{}/token/own", double.url());
    add_plain(&vault, &double, "m", &json!({ "token_url": own })).await;
    vault.connect("ada").await;
    let v2 = format!("{}/token/v2", double.url());
    say(
        &double,
        json!({ "token_endpoint": v2, "revocation_endpoint": v2 }),
    );
    let app = next_day(&vault).await;
    assert_eq!(app["endpoints"]["token_url"], own);
    assert_eq!(app["token_url"], own);
    assert_eq!(app["endpoints"]["revocation_url"], v2, "not given by hand");
    assert_eq!(double.seen("/token/own").len(), 2);
    assert!(double.seen("/token/v2").is_empty());
    vault.inside.end().await;
}

/// Goal: of a change by an operator and a document that was being read meanwhile, the change
/// stands. Method: a document held back until the change is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_meanwhile_wins() {
    let (double, vault) = plain(How::default(), json!({})).await;
    let (release, held) = watch::channel(false);
    say(
        &double,
        json!({ "token_endpoint": format!("{}/token/v2", double.url()) }),
    );
    double.change(|how| how.metadata_held = Some(held));
    vault.advance(DAY);
    let api = vault.api.clone();
    let refresh = tokio::spawn(async move {
        let ask = json!({ "app": "m", "user": "ada" });
        api.post("/v1/token", ask).await.1
    });
    until("the document is asked for", || reads(&double) == 2).await;
    let by_hand = json!({
        "issuer": "", "name": "Changed", "authorization_url": format!("{}/authorize", double.url()),
        "token_url": format!("{}/token/own", double.url()),
    });
    let (status, changed) = vault
        .api
        .put("/v1/apps/m", body(&double, "m", &by_hand))
        .await;
    assert_eq!(status, 200, "{changed}");
    release.send_replace(true);
    assert_eq!(refresh.await.unwrap()["outcome"], "ok");
    assert_eq!(vault.api.get("/v1/apps/m").await.1, changed);
    assert_eq!(
        double.seen("/token/own").len(),
        1,
        "it went where it was sent"
    );
    assert!(double.seen("/token/v2").is_empty());
    vault.inside.end().await;
}

/// Goal: a re-reading moves no app of an MCP server to another authorization server or resource,
/// which would cost its tokens, and takes no server without S256; the check says so. Method: one
/// change each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_servers_app_stays_where_its_tokens_are() {
    type Change = fn(&mut How);
    let changes: [(Change, &str, &str); 3] = [
        (
            |how| how.issuers = vec!["https://as.example".into()],
            "issuer",
            "trusts https://as.example/ by now",
        ),
        (
            |how| how.metadata = json!({ "code_challenge_methods_supported": null }),
            "issuer",
            "S256 is not listed any more",
        ),
        (
            |how| how.resource = "{}".into(),
            "resource",
            "names another resource",
        ),
    ];
    for (change, about, told) in changes {
        let (double, vault) = remote(How::default()).await;
        let (_, before) = vault.api.get("/v1/apps/m").await;
        double.change(change);
        let after = next_day(&vault).await;
        assert_eq!(after["remote"], before["remote"], "{told}");
        assert_eq!(urls(&after), urls(&before), "{told}");
        assert_eq!(
            after["endpoints"]["metadata_withheld"].is_string(),
            about == "issuer",
            "{after}"
        );
        let found = checked(&vault, about).await;
        assert!(has(&found, told), "{found:?}");
        vault.inside.end().await;
    }
}
