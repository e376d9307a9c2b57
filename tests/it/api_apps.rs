//! Apps over the API: made by issuer or by hand, changed, removed (DESIGN 5).

use serde_json::{Value, json};

use crate::scene::{Scene, check_rows, rows};
use crate::support::CLIENT_SECRET;

/// Goal: the issuer's metadata fills in what is not given, and what is given by hand wins.
/// Method: make apps each way, and compare what is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_made_by_its_issuer_or_by_hand_and_the_hand_wins() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let issuer = scene.outside.issuer.clone();
    let (_, demo) = api.get("/v1/apps/demo").await;
    for (field, path) in [
        ("authorization_url", "authorize"),
        ("token_url", "token"),
        ("revocation_url", "revoke"),
    ] {
        assert_eq!(demo[field], json!(null), "not by hand: {demo}");
        let used = &demo["endpoints"][field];
        assert_eq!(*used, format!("{issuer}/{path}"), "{demo}");
    }
    assert_eq!(
        demo["redirect_uri"],
        format!("{}/callback/demo", scene.inside.url)
    );
    assert_eq!(demo["has_client_secret"], true, "{demo}");
    assert_eq!(demo["callback"], "own");
    assert_eq!(
        (&demo["pkce"], &demo["client_auth"]),
        (&json!(true), &json!("basic"))
    );
    assert!(!demo.to_string().contains(CLIENT_SECRET));

    let by_hand = json!({
        "id": "mixed", "kind": "oauth", "client_id": "c", "issuer": issuer,
        "token_url": "https://tokens.example/t", "scopes": ["a", "b", "a"],
        "authorization_params": { "prompt": "consent" }, "client_auth": "post", "pkce": true,
        "callback": "shared",
    });
    let (status, mixed) = api.post("/v1/apps", by_hand).await;
    assert_eq!(status, 201, "{mixed}");
    assert_eq!(mixed["token_url"], "https://tokens.example/t");
    assert_eq!(
        mixed["endpoints"]["authorization_url"],
        format!("{issuer}/authorize")
    );
    assert_eq!(mixed["endpoints"]["token_url"], mixed["token_url"]);
    assert_eq!(mixed["has_client_secret"], false);
    let shared = format!("{}/v1/outbound/oauth/callback", scene.inside.url);
    assert_eq!(mixed["redirect_uri"], shared);
    assert_eq!(
        (&mixed["name"], &mixed["scopes"]),
        (&json!("mixed"), &json!(["a", "b"]))
    );

    let keyed = json!({ "id": "a.b-c_d~e@f+g", "kind": "api_key", "name": "K" });
    let (status, keyed) = api.post("/v1/apps", keyed).await;
    assert_eq!(status, 201, "{keyed}");
    let (status, found) = api.get("/v1/apps/a.b-c_d~e%40f%2Bg").await;
    assert_eq!((status, &found), (200, &keyed));
    let (_, list) = api.get("/v1/apps").await;
    let ids: Vec<&Value> = list["apps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["id"])
        .collect();
    assert_eq!(ids, ["a.b-c_d~e@f+g", "demo", "mixed"]);
    scene.end().await;
}

/// What is laid over an app that could be, and the answer.
const WRONG_APPS: &str = r#"
    409 {"id": "demo"}
    400 {"id": ""}
    400 {"id": ".."}
    400 {"id": "a/b"}
    400 {"kind": "basic"}
    400 {"client_id": ""}
    400 {"name": " "}
    400 {"token_url": "ftp://a.example"}
    400 {"token_url": "https://u:p@a.example/t"}
    400 {"token_url": "https://a.example/t#f"}
    400 {"token_url": null}
    400 {"logo": "javascript:alert(1)"}
    400 {"logo": "data:text/html;base64,AAAA"}
    400 {"logo": "data:image/svg+xml,<svg/>"}
    400 {"return_urls": ["/home"]}
    400 {"scope_separator": ""}
    400 {"scope_separator": "12345"}
    400 {"default_lifetime_s": 0}
    400 {"default_lifetime_s": 40000000}
    400 {"authorization_params": {"state": "x"}}
    400 {"authorization_params": {"redirect_uri": "https://evil.example"}}
    400 {"authorization_params": {"code_challenge_method": "plain"}}
    400 {"token_params": {"client_secret": "x"}}
    400 {"token_params": {"scope": "x"}}
    400 {"client_auth": "tls_client_auth"}
    400 {"callback": "both"}
"#;

const WRONG_KEY_APPS: &str = r#"
    400 {"id": "x", "kind": "api_key", "client_id": "c"}
    400 {"id": "x", "kind": "api_key", "client_secret": "c"}
    400 {"id": "x", "kind": "api_key", "scopes": ["a"]}
    400 {"kind": "api_key"}
"#;

/// Goal: an app that cannot be is refused with what is wrong. Method: a table of wishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_checked() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let with = |over: &Value| {
        let mut app = json!({
            "id": "x", "kind": "oauth", "client_id": "c",
            "authorization_url": "https://a.example/a", "token_url": "https://a.example/t",
        });
        for (name, value) in over.as_object().unwrap() {
            app[name] = value.clone();
        }
        app
    };
    let mut table = rows(WRONG_APPS);
    table.push((400, json!({ "id": "x".repeat(65) })));
    table.push((400, json!({ "description": "x".repeat(1025) })));
    let table = table.iter().map(|(status, over)| (*status, with(over)));
    check_rows(api, "POST", "/v1/apps", table.collect()).await;
    check_rows(api, "POST", "/v1/apps", rows(WRONG_KEY_APPS)).await;
    // An issuer out of reach, and one that is somebody else.
    let (status, said) = api
        .post("/v1/apps", with(&json!({ "issuer": "http://10.0.0.1/" })))
        .await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (422, &json!("destination_forbidden")),
        "{said}"
    );
    let other = format!("{}/tenant", scene.outside.issuer);
    let (status, said) = api
        .post("/v1/apps", with(&json!({ "issuer": other })))
        .await;
    assert!(status >= 400, "{said}");
    assert_eq!(
        api.get("/v1/apps").await.1["apps"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    scene.end().await;
}

/// Goal: a change without a secret keeps the old one, an empty one takes it away, and neither is
/// ever shown. Method: refresh after each change; the sandbox knows whether the secret came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_keeps_the_client_secret_unless_it_says_otherwise() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    api.seed(&scene.outside, "u1").await;
    let refresh = || async {
        scene.clock.advance(std::time::Duration::from_secs(7200));
        api.token("u1").await.1["outcome"].clone()
    };
    let body = |more: Value| {
        let mut app = json!({
            "kind": "oauth", "client_id": "demo", "issuer": scene.outside.issuer, "name": "Renamed",
        });
        for (name, value) in more.as_object().unwrap() {
            app[name] = value.clone();
        }
        app
    };
    let steps = [
        (json!({}), true, "ok"),
        (json!({ "client_secret": null }), true, "ok"),
        (json!({ "client_secret": "wrong" }), true, "unavailable"),
        (json!({ "client_secret": CLIENT_SECRET }), true, "ok"),
        (json!({ "client_secret": "" }), false, "unavailable"),
        (json!({}), false, "unavailable"),
        (
            json!({ "client_secret": CLIENT_SECRET, "id": "demo" }),
            true,
            "ok",
        ),
    ];
    for (number, (more, has_secret, outcome)) in steps.into_iter().enumerate() {
        let (status, said) = api.put("/v1/apps/demo", body(more)).await;
        assert_eq!(status, 200, "{number}: {said}");
        assert_eq!(said["has_client_secret"], has_secret, "{number}: {said}");
        assert_eq!(said["name"], "Renamed");
        assert!(!said.to_string().contains(CLIENT_SECRET), "{said}");
        assert_eq!(refresh().await, outcome, "{number}");
    }
    let (status, _) = api.put("/v1/apps/demo", json!({ "kind": "api_key" })).await;
    assert_eq!(status, 409, "an app does not change its kind");
    assert_eq!(
        api.put("/v1/apps/demo", body(json!({ "id": "other" })))
            .await
            .0,
        400
    );
    assert_eq!(api.put("/v1/apps/none", body(json!({}))).await.0, 404);
    let (_, shown) = api.get("/v1/apps/demo").await;
    assert_ne!(shown["created_at"], shown["updated_at"]);
    scene.end().await;
}

/// Goal: a client secret goes to no host it was not given for.
/// Method: move an app's token endpoint without the secret, then with it; then fetch as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_secret_does_not_move_to_another_host_by_itself() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let body = |more: Value| {
        let mut app = json!({
            "kind": "oauth", "client_id": "demo", "issuer": scene.outside.issuer,
        });
        for (name, value) in more.as_object().unwrap() {
            app[name] = value.clone();
        }
        app
    };
    let blank = json!({ "token_url": "https://{shop}.example/t",
        "variables": { "shop": { "asked_of": "person" } } });
    let (status, said) = api.put("/v1/apps/demo", body(blank)).await;
    assert_eq!(status, 400, "where each connection says: {said}");
    for field in ["token_url", "refresh_url", "revocation_url"] {
        let moved = body(json!({ field: "https://elsewhere.example/t" }));
        let (status, said) = api.put("/v1/apps/demo", moved).await;
        assert_eq!(status, 400, "{field}: {said}");
    }
    let (_, shown) = api.get("/v1/apps/demo").await;
    assert_eq!(shown["token_url"], json!(null), "nothing was changed");
    let given = json!({ "token_url": "https://elsewhere.example/t", "client_secret": "its own" });
    assert_eq!(api.put("/v1/apps/demo", body(given)).await.0, 200);
    scene.end().await;
}

/// Goal: a template fills in what a request leaves out, once; whoever says more wins. Method: the
/// catalogue, searched; an app of little, one of more, one that is changed; wrong templates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_made_of_a_template() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let (status, all) = api.get("/v1/templates").await;
    assert_eq!(status, 200);
    let (_, found) = api.get("/v1/templates?q=google%20calendar").await;
    let found = found["templates"].as_array().unwrap();
    assert!(found.len() < all["templates"].as_array().unwrap().len());
    let template = &found[0];
    assert_eq!(
        (&template["id"], &template["kind"]),
        (&json!("google-calendar"), &json!("oauth"))
    );
    assert!(template["docs"].as_str().unwrap().starts_with("https://"));

    let wish = json!({ "id": "cal", "template": "google-calendar", "client_id": "c" });
    let (status, app) = api.post("/v1/apps", wish).await;
    assert_eq!(status, 201, "{app}");
    for field in [
        "authorization_url",
        "token_url",
        "scopes",
        "authorization_params",
        "client_auth",
    ] {
        assert_eq!(app[field], template["oauth"][field], "{field}");
    }
    assert_eq!(
        (&app["name"], &app["kind"]),
        (&template["name"], &json!("oauth"))
    );
    // A change says all there is to be: the template speaks once.
    let change = json!({ "kind": "oauth", "client_id": "c", "template": "google-calendar",
        "authorization_url": "https://a.example/", "token_url": "https://t.example/",
        "client_secret": "s" });
    let (_, changed) = api.put("/v1/apps/cal", change).await;
    assert_eq!(
        (&changed["scopes"], &changed["template"]),
        (&json!([]), &json!("google-calendar"))
    );

    let wish = json!({ "id": "own", "template": "google-calendar", "client_id": "c", "name": "Mine",
        "scopes": [], "authorization_params": {}, "client_auth": "basic" });
    let (_, app) = api.post("/v1/apps", wish).await;
    assert_eq!((&app["name"], &app["scopes"]), (&json!("Mine"), &json!([])));
    assert_eq!(
        (&app["authorization_params"], &app["client_auth"]),
        (&json!({}), &json!("basic"))
    );
    for bad in [
        json!({ "id": "x", "template": "none-such", "client_id": "c" }),
        json!({ "id": "x", "template": "google-calendar", "kind": "api_key" }),
        json!({ "id": "x", "template": "google-calendar" }),
        json!({ "id": "x", "template": "openai", "client_id": "c" }),
        json!({ "id": "x" }),
    ] {
        let (status, said) = api.post("/v1/apps", bad.clone()).await;
        assert_eq!(status, 400, "{bad}: {said}");
    }
    assert_eq!(scene.inside.api("").get("/v1/templates").await.0, 401);
    scene.end().await;
}

/// Goal: what an app was made from stays with it. Method: make it with a template; change it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_keeps_what_the_app_was_made_from() {
    let scene = Scene::new().await;
    let made = json!({ "id": "k", "kind": "api_key", "template": "openai" });
    let (status, said) = scene.admin.post("/v1/apps", made).await;
    assert_eq!(
        (status, &said["template"]),
        (201, &json!("openai")),
        "{said}"
    );
    let change = json!({ "kind": "api_key" });
    let (_, changed) = scene.admin.put("/v1/apps/k", change).await;
    assert_eq!(changed["template"], said["template"]);
    assert_eq!(changed["created_at"], said["created_at"]);
    scene.end().await;
}

/// Goal: an app takes its tokens with it, and they are revoked.
/// Method: two apps with tokens; remove one; count here and at the provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_takes_its_tokens_with_it() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    for n in 0..5 {
        api.seed(&scene.outside, &format!("u{n}")).await;
    }
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    let kept = json!({ "app": "keyed", "user": "u0", "api_key": "k" });
    assert_eq!(api.put("/v1/tokens", kept).await.0, 200);
    let (status, said) = api.delete("/v1/apps/demo").await;
    assert_eq!(status, 200, "{said}");
    let expected = json!({
        "deleted": true, "tokens_deleted": 5,
        "revocations": { "revoked": 5, "not_supported": 0, "failed": 0, "nothing_to_revoke": 0 },
    });
    assert_eq!(said, expected);
    assert!(scene.outside.sandbox.counts().revocations >= 5);
    for (method, path) in [("GET", "/v1/apps/demo"), ("DELETE", "/v1/apps/demo")] {
        assert_eq!(api.send(method, path, None).await.0, 404);
    }
    let (_, left) = api.get("/v1/tokens").await;
    assert_eq!(left["tokens"].as_array().unwrap().len(), 1);
    // Made anew under the same id it has none of the old tokens.
    api.add_demo(&scene.outside).await;
    let (status, said) = api.token("u0").await;
    assert_eq!(
        (status, &said["outcome"]),
        (404, &json!("connect_required"))
    );
    scene.end().await;
}
