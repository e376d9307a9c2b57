//! Whose account is connected: the service is asked, and somebody else is noticed; a key is shown
//! to its service before it is stored.

use serde_json::{Value, json};
use strongroom::secret::Secret;

use crate::scene::{Link, Scene};
use crate::support::{Api, Browser};

/// Lets the app `demo` ask the sandbox whose token it is.
async fn ask_the_sandbox(scene: &Scene) {
    let (_, mut app) = scene.admin.get("/v1/apps/demo").await;
    let api = json!({
        "base_url": scene.outside.issuer,
        "verify": {
            "url": "/api/me", "account_id": "user", "account_label": "user",
            "keep": ["scopes[0]"],
        },
    });
    let shown = app.as_object_mut().unwrap();
    for name in [
        "has_client_secret",
        "endpoints",
        "redirect_uri",
        "created_at",
        "updated_at",
        "template_version",
        "template_outdated",
        "remote",
        "template",
    ] {
        shown.remove(name);
    }
    shown.insert("api".into(), api);
    shown.insert("scopes".into(), json!(["calendar.read"]));
    let (status, said) = scene.admin.put("/v1/apps/demo", app).await;
    assert_eq!(status, 200, "{said}");
}

/// Connects `demo` for user `u1`, signed in at the provider as `who`.
async fn connect_as(scene: &Scene, api: &Api, who: &str, password: &str) -> (String, Value) {
    let link = scene.link(api, json!({})).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let go = scene.page(&link, "/demo/go");
    let login = browser.follow("POST", &go, Some(&[])).await;
    let page = browser.consent(&login, who, password).await;
    let state = scene.state(api, &link).await["apps"][0].clone();
    (page.text, state)
}

/// Goal: a person sees whose account was connected, a fetch says so, and another account in its
/// place is noticed on the page, on the link and on the record. Method: the sandbox's two people,
/// one after the other, in the same place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switched_account_is_noticed() {
    let scene = Scene::new().await;
    ask_the_sandbox(&scene).await;
    let api = scene.asker(&["code"]).await;
    let (page, state) = connect_as(&scene, &api, "ada", "engine").await;
    assert!(page.contains("Connected as <strong>ada</strong>"), "{page}");
    assert!(!page.contains("another account"), "{page}");
    assert_eq!(state["label"], "ada", "{state}");
    assert!(state.get("switched_from").is_none(), "{state}");
    let (status, token) = api.token("u1").await;
    assert_eq!(status, 200, "{token}");
    assert_eq!(token["subject"], "ada");
    assert_eq!(token["label"], "ada");
    assert_eq!(token["metadata"], json!({ "scopes[0]": "calendar.read" }));

    // The same person again: nothing is switched.
    let (_, state) = connect_as(&scene, &api, "ada", "engine").await;
    assert!(state.get("switched_from").is_none(), "{state}");

    let (page, state) = connect_as(&scene, &api, "grace", "cobol").await;
    assert!(page.contains("another account was connected"), "{page}");
    assert_eq!(state["label"], "grace", "{state}");
    assert_eq!(state["switched_from"], "ada", "{state}");
    let (_, token) = api.token("u1").await;
    assert_eq!(token["subject"], "grace");
    let (_, said) = scene.admin.get("/v1/tokens?app=demo").await;
    assert_eq!(said["tokens"][0]["switched_from"], "ada", "{said}");
    scene.end().await;
}

/// Goal: by a link that asks for no proof, nobody learns what the owner's accounts are called.
/// Method: connect as one person; then, by such links, look at the page and connect as another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_proof_no_account_of_before_is_named() {
    let scene = Scene::new().await;
    ask_the_sandbox(&scene).await;
    let api = scene.asker(&["code", "none"]).await;
    connect_as(&scene, &api, "ada", "engine").await;
    let link = scene.link(&api, json!({ "verify": "none" })).await;
    let mut browser = Browser::new();
    let page = scene.enter(&mut browser, &link).await;
    assert!(page.text.contains("Connected already."), "{}", page.text);
    assert!(!page.text.contains("ada"), "{}", page.text);
    let go = scene.page(&link, "/demo/go");
    let login = browser.follow("POST", &go, Some(&[])).await;
    let page = browser.consent(&login, "grace", "cobol").await;
    let told = "another account was connected.";
    assert!(page.text.contains(told), "{}", page.text);
    assert!(!page.text.contains("ada"), "{}", page.text);
    // The asker, who has a key, learns it as ever.
    let state = scene.state(&api, &link).await["apps"][0].clone();
    assert_eq!(state["switched_from"], "ada", "{state}");
    scene.end().await;
}

/// Goal: a service that does not say whose account it is costs nobody a connection. Method: a
/// verification call that leads nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_names_nobody_spoils_no_connection() {
    let scene = Scene::new().await;
    ask_the_sandbox(&scene).await;
    let (_, app) = scene.admin.get("/v1/apps/demo").await;
    let mut body = json!({
        "kind": "oauth", "client_id": "demo", "issuer": app["issuer"], "name": "Demo",
        "scopes": ["calendar.read"],
    });
    body["api"] = json!({
        "base_url": scene.outside.issuer,
        "verify": { "url": "/no-such-place", "account_id": "user" },
    });
    let (status, said) = scene.admin.put("/v1/apps/demo", body).await;
    assert_eq!(status, 200, "{said}");
    let api = scene.asker(&["code"]).await;
    let (page, state) = connect_as(&scene, &api, "ada", "engine").await;
    assert!(page.contains("Connected"), "{page}");
    assert_eq!(state["state"], "connected");
    let (_, token) = api.token("u1").await;
    assert!(token.get("label").is_none(), "{token}");
    scene.end().await;
}

async fn add_key_app(scene: &Scene, fields: Value) {
    let body = json!({
        "id": "weather", "kind": "api_key", "name": "Weather", "fields": fields,
        "variables": { "region": {
            "asked_of": "person", "default": "eu", "pattern": "eu|us", "help": "Your region.",
        } },
        "api": {
            "base_url": scene.outside.issuer,
            "credential": { "in": "headers", "headers": { "X-Api-Key": "{token}" } },
            "verify": { "url": "/api/key", "account_id": "key_of", "account_label": "key_of" },
        },
    });
    let (status, said) = scene.admin.post("/v1/apps", body).await;
    assert_eq!(status, 201, "{said}");
}

async fn key_link(scene: &Scene, api: &Api) -> (Link, Browser) {
    let link = scene
        .link(api, json!({ "apps": [{ "app": "weather" }] }))
        .await;
    let mut browser = Browser::new();
    let page = scene.prove(&mut browser, &link).await;
    assert!(page.text.contains("Your region."), "{}", page.text);
    assert!(!page.text.contains("Store it anyway"), "{}", page.text);
    (link, browser)
}

/// Goal: a key of several fields is asked for, checked, shown to its service, and handed out in its
/// parts; one that is refused is stored only if the person says so. Method: the sandbox's key, a
/// wrong one, one that looks wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_shown_to_its_service_before_it_is_stored() {
    let scene = Scene::new().await;
    let fields = json!([
        { "name": "email", "label": "E-mail", "secret": false, "pattern": "[^@]+@[^@]+" },
        {
            "name": "token", "secret": true, "pattern": "wx_.*", "soft": true,
            "help": "Of the key page.",
        },
        { "name": "second", "secret": true },
    ]);
    add_key_app(&scene, fields).await;
    let key = Secret::new("wx_right".to_owned());
    scene.outside.sandbox.register_api_key("ada's key", &key);
    let api = scene.asker(&["code"]).await;
    let (link, mut browser) = key_link(&scene, &api).await;
    let typed = |email: &'static str, token: &'static str, region: &'static str| {
        [
            ("field.email", email),
            ("field.token", token),
            ("field.second", "two"),
            ("variable.region", region),
        ]
    };
    let place = scene.page(&link, "/weather/key");
    let code = async |scene: &Scene, api: &Api| {
        let state = scene.state(api, &link).await["apps"][0].clone();
        state["code"].as_str().unwrap_or("none").to_owned()
    };
    for (form, expected) in [
        (typed("nobody", "wx_right", "eu"), "invalid_key"),
        (typed("a@b", "", "eu"), "invalid_key"),
        (typed("a@b", "with space", "eu"), "invalid_key"),
        (typed("a@b", "wx_right", "mars"), "invalid_variable"),
        (typed("a@b", "other", "eu"), "key_looks_wrong"),
        (typed("a@b", "wx_wrong", "eu"), "key_refused"),
    ] {
        let page = browser.follow("POST", &place, Some(&form)).await;
        assert_eq!(code(&scene, &api).await, expected, "{}", page.text);
        let may = expected == "key_looks_wrong" || expected == "key_refused";
        assert_eq!(page.text.contains("Store it anyway"), may, "{expected}");
        assert!(!page.text.contains("wx_wrong"), "{}", page.text);
    }
    assert_eq!(api.post("/v1/token", ask()).await.0, 202);

    let right = typed("a@b", "wx_right", "us");
    browser.follow("POST", &place, Some(&right)).await;
    let (status, token) = api.post("/v1/token", ask()).await;
    assert_eq!(status, 200, "{token}");
    assert_eq!(token["access_token"], "wx_right");
    assert_eq!(token["subject"], "ada's key");
    assert_eq!(token["secrets"], json!({ "second": "two" }));
    assert_eq!(token["metadata"], json!({ "email": "a@b", "region": "us" }));
    let (_, listed) = scene.admin.get("/v1/tokens?app=weather").await;
    assert!(!listed.to_string().contains("two"), "{listed}");

    // Refused, and stored all the same, since the person says so.
    let (link, mut browser) = key_link(&scene, &api).await;
    let mut form = typed("a@b", "wx_wrong", "eu").to_vec();
    form.push(("anyway", "yes"));
    let place = scene.page(&link, "/weather/key");
    browser.follow("POST", &place, Some(&form)).await;
    let (_, token) = api.post("/v1/token", ask()).await;
    assert_eq!(token["access_token"], "wx_wrong");
    scene.end().await;
}

fn ask() -> Value {
    json!({ "app": "weather", "user": "u1" })
}

/// Goal: what the asker says of a variable is not the person's to say, and what is no variable of a
/// connection is refused. Method: links with each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_asker_may_say_a_variable_and_the_person_then_may_not() {
    let scene = Scene::new().await;
    add_key_app(&scene, json!([])).await;
    let key = Secret::new("wx_right".to_owned());
    scene.outside.sandbox.register_api_key("ada's key", &key);
    let api = scene.asker(&["code"]).await;
    let with = |variables: Value| {
        json!({
            "apps": [{ "app": "weather", "variables": variables }], "user": "u1",
        })
    };
    for bad in [json!({ "region": "mars" }), json!({ "other": "x" })] {
        let (status, said) = api.post("/v1/connect", with(bad)).await;
        assert_eq!(status, 400, "{said}");
    }
    let (status, said) = api
        .post("/v1/connect", with(json!({ "region": "us" })))
        .await;
    assert_eq!(status, 201, "{said}");
    let link = Link::of(&said);
    let mut browser = Browser::new();
    let page = scene.prove(&mut browser, &link).await;
    assert!(!page.text.contains("Your region."), "{}", page.text);
    let form = [
        ("api_key", "wx_right"),
        ("variable.region", "eu"),
        ("anyway", "yes"),
    ];
    let place = scene.page(&link, "/weather/key");
    browser.follow("POST", &place, Some(&form)).await;
    let (_, token) = api.post("/v1/token", ask()).await;
    assert_eq!(token["metadata"]["region"], "us", "{token}");
    scene.end().await;
}

/// Goal: a variable that was typed wrong can be typed again, and what the app says of itself is not
/// for an upload to say. Method: an app whose provider's path is the person's to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_that_was_typed_wrong_can_be_typed_again() {
    let scene = Scene::new().await;
    let issuer = &scene.outside.issuer;
    let app = json!({
        "id": "shops", "kind": "oauth", "client_id": "demo", "client_secret": "s",
        "authorization_url": format!("{issuer}/{{page}}"), "token_url": format!("{issuer}/token"),
        "variables": {
            "page": {
                "asked_of": "person", "pattern": "[a-z]+", "help": "Which page.",
                "example": "authorize",
            },
            "own": { "default": "x" },
        },
    });
    let (status, said) = scene.admin.post("/v1/apps", app).await;
    assert_eq!(status, 201, "{said}");
    let api = scene.asker(&["code"]).await;
    let link = scene
        .link(&api, json!({ "apps": [{ "app": "shops" }] }))
        .await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let go = scene.page(&link, "/shops/go");
    for (typed, leads_to) in [("wrong", "/wrong?"), ("authorize", "/authorize?")] {
        let page = browser.open(&scene.page(&link, "")).await;
        assert!(page.text.contains("Which page."), "{}", page.text);
        let form = [("variable.page", typed)];
        let away = browser.send("POST", &go, Some(&form)).await;
        let place = away.location().unwrap();
        assert!(place.contains(leads_to), "{place}");
    }
    let form = [("variable.page", "../evil")];
    let page = browser.follow("POST", &go, Some(&form)).await;
    assert!(page.text.contains("does not look right"), "{}", page.text);
    assert!(page.text.contains("such as `authorize`"), "{}", page.text);
    for metadata in [json!({ "own": "evil.example" }), json!({ "page": "EVIL" })] {
        let body = json!({
            "app": "shops", "user": "u1", "refresh_token": "r", "metadata": metadata,
        });
        let (status, said) = scene.admin.put("/v1/tokens", body).await;
        assert_eq!(status, 400, "{said}");
    }
    scene.end().await;
}

/// Goal: a refresh token that ends whatever is done is warned of before it does, and one that is
/// kept alive by its use is not. Method: an app whose provider gives them twenty days, either way;
/// the clock, two weeks before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_ends_is_warned_of_in_time() {
    for is_fixed in [true, false] {
        let scene = Scene::new().await;
        let body = json!({
            "kind": "oauth", "client_id": "demo", "issuer": scene.outside.issuer, "name": "Demo",
            "scopes": ["calendar.read"], "dialect": { "lives": {
                "refresh_token_lifetime_s": 20 * 86_400, "refresh_token_life_is_fixed": is_fixed,
            } },
        });
        let (status, said) = scene.admin.put("/v1/apps/demo", body).await;
        assert_eq!(status, 200, "{said}");
        let api = scene.asker(&["code"]).await;
        connect_as(&scene, &api, "ada", "engine").await;
        let (_, token) = api.token("u1").await;
        assert!(token.get("reconnect_by").is_none(), "{token}");
        let (_, listed) = scene.admin.get("/v1/tokens?app=demo").await;
        let ends = listed["tokens"][0]["refresh_token_ends_at"].clone();
        assert!(ends.is_string(), "{listed}");
        scene
            .clock
            .advance(std::time::Duration::from_secs(7 * 86_400));
        let (status, token) = api.token("u1").await;
        assert_eq!(status, 200, "{token}");
        match is_fixed {
            true => assert_eq!(token["reconnect_by"], ends, "{token}"),
            false => assert!(token.get("reconnect_by").is_none(), "{token}"),
        }
        scene.end().await;
    }
}

/// Goal: an upload keeps what calls need beside the credential. Method: one of each kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_keeps_what_calls_need_besides() {
    let scene = Scene::new().await;
    let body = json!({
        "app": "demo", "user": "u9", "access_token": "at", "subject": "s", "label": "l@example.com",
        "metadata": { "instance_url": "https://na1.example" }, "secrets": { "hook": "https://h" },
    });
    let (status, said) = scene.admin.put("/v1/tokens", body).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["label"], "l@example.com", "{said}");
    let (_, token) = scene.admin.token("u9").await;
    assert_eq!(token["subject"], "s");
    assert_eq!(token["metadata"]["instance_url"], "https://na1.example");
    assert_eq!(token["secrets"]["hook"], "https://h");
    let many: serde_json::Map<String, Value> =
        (0..40).map(|n| (format!("k{n}"), json!("v"))).collect();
    for bad in [
        json!({ "metadata": many }),
        json!({ "metadata": { "line": "a\u{1}b" } }),
        json!({ "metadata": { "": "x" } }),
        json!({ "label": "x".repeat(2000) }),
    ] {
        let mut body = json!({ "app": "demo", "user": "u9", "access_token": "at" });
        for (name, value) in bad.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, said) = scene.admin.put("/v1/tokens", body).await;
        assert_eq!(status, 400, "{said}");
    }
    scene.end().await;
}
