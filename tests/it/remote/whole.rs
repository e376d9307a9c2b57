//! The whole way, by the server's URL alone.

use serde_json::json;

use super::Vaulted;
use super::double::{Double, How};

/// Goal: a server's URL is all that an operator needs. Method: 401 challenge, metadata, dynamic
/// registration, a person, a token, a refresh; every request is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_a_servers_url_is_enough_and_every_request_names_the_resource() {
    let double = Double::start(How {
        metadata: json!({ "scopes_supported": ["notes.read", "offline_access"] }),
        ..How::default()
    })
    .await;
    let vault = Vaulted::new().await;
    let app = vault.added(&double, json!({})).await;
    assert_eq!(app["kind"], "oauth");
    assert_eq!(app["client_id"], "client-1");
    assert_eq!(app["remote"]["client"], "registered");
    assert_eq!(app["remote"]["resource"], double.mcp());
    assert_eq!(app["remote"]["scopes"], json!(["notes.read"]));
    assert_eq!(app["remote"]["offline_access"], true);
    assert_eq!(app["scopes"], json!([]), "the operator said none");

    let hello = &double.seen("/mcp")[0];
    assert!(
        !hello.head.to_lowercase().contains("authorization:"),
        "{}",
        hello.head
    );
    let asked = double.seen("/register")[0].json();
    assert_eq!(asked["redirect_uris"], json!([app["redirect_uri"]]));
    assert_eq!(asked["application_type"], "native");
    assert_eq!(asked["token_endpoint_auth_method"], "none");
    assert_eq!(
        asked["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(asked["scope"], "notes.read offline_access");

    vault.connect("ada").await;
    let first = vault.token("ada").await;
    assert_eq!(first["outcome"], "ok", "{first}");
    assert_eq!(first["missing_scopes"], json!([]));
    vault.advance(601);
    let next = vault.token("ada").await;
    assert_eq!(next["outcome"], "ok", "{next}");
    assert_ne!(next["access_token"], first["access_token"]);
    assert!(double.takes(next["access_token"].as_str().unwrap()));

    let trip = &double.seen("/authorize")[0];
    assert_eq!(trip.field("resource"), double.mcp());
    assert_eq!(trip.field("scope"), "notes.read offline_access");
    assert_eq!(
        trip.field("prompt"),
        "consent",
        "else offline_access means nothing"
    );
    assert_eq!(trip.field("code_challenge_method"), "S256");
    let tokens = double.seen("/token");
    let kinds: Vec<&str> = tokens.iter().map(|seen| seen.field("grant_type")).collect();
    assert_eq!(kinds, ["authorization_code", "refresh_token"]);
    for seen in &tokens {
        assert_eq!(seen.field("resource"), double.mcp());
    }
    vault.inside.end().await;
}

/// Goal: a server that refuses `resource` can be served, and any app can have one of its own.
/// Method: both settings, by the same way; a contradiction is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resource_is_left_out_or_is_another_where_the_operator_says_so() {
    let double = Double::start(How::default()).await;
    for (said, sent, shown) in [
        (json!("omit"), "", json!("omit")),
        (json!(""), "", json!("omit")),
        (
            json!("https://api.example"),
            "https://api.example",
            json!("https://api.example"),
        ),
    ] {
        let vault = Vaulted::new().await;
        let app = vault.added(&double, json!({ "resource": said })).await;
        assert_eq!(app["resource"], shown);
        vault.connect("ada").await;
        let trips = double.seen("/authorize");
        assert_eq!(trips.last().unwrap().field("resource"), sent);
        let asked = double.seen("/token");
        assert_eq!(asked.last().unwrap().field("resource"), sent);
        let bad = json!({ "id": "n", "server_url": double.mcp(), "resource": "https://api.example",
            "token_params": { "resource": "https://other.example" } });
        let (status, said) = vault.api.post("/v1/apps", bad).await;
        assert_eq!(status, 400, "{said}");
        vault.inside.end().await;
    }
    let vault = Vaulted::new().await;
    let plain = json!({ "id": "m", "kind": "oauth", "client_id": "by-hand",
        "issuer": double.url(), "resource": "https://api.example" });
    let (status, app) = vault.api.post("/v1/apps", plain).await;
    assert_eq!(status, 201, "{app}");
    assert_eq!(app["remote"], json!(null));
    vault.connect("ada").await;
    let trips = double.seen("/authorize");
    assert_eq!(
        trips.last().unwrap().field("resource"),
        "https://api.example"
    );
    vault.inside.end().await;
}

/// Goal: `offline_access` is asked for only where it is offered, and scopes only where the server
/// wants some. Method: one server for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_those_of_the_challenge_else_of_the_metadata_else_none() {
    let place = r#"resource_metadata="{}/.well-known/oauth-protected-resource/mcp""#;
    let offered = json!({ "scopes_supported": ["offline_access"] });
    for (challenge, supported, metadata, scopes) in [
        (
            format!(r#"{place}, scope="b a""#),
            Some(vec!["c"]),
            json!({}),
            vec!["a", "b"],
        ),
        (place.to_owned(), Some(vec!["c"]), json!({}), vec!["c"]),
        (place.to_owned(), None, json!({}), vec![]),
        (place.to_owned(), None, offered.clone(), vec![]),
        (
            place.to_owned(),
            Some(vec!["c"]),
            offered,
            vec!["c", "offline_access"],
        ),
    ] {
        let double = Double::start(How {
            challenge: Some(challenge),
            scopes: supported,
            metadata,
            ..How::default()
        })
        .await;
        let vault = Vaulted::new().await;
        vault.added(&double, json!({})).await;
        vault.connect("ada").await;
        let trips = double.seen("/authorize");
        assert_eq!(trips[0].field("scope"), scopes.join(" "));
        assert_eq!(trips[0].fields.contains_key("scope"), !scopes.is_empty());
        vault.inside.end().await;
    }
    let double = Double::start(How::default()).await;
    let vault = Vaulted::new().await;
    vault.added(&double, json!({ "scopes": ["own"] })).await;
    vault.connect("ada").await;
    assert_eq!(double.seen("/authorize")[0].field("scope"), "own");
    vault.inside.end().await;
}
