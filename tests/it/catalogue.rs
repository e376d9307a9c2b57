//! Templates of an operator's own, and apps that are brought to what their template says by now.

use serde_json::{Value, json};
use strongroom::provider::catalogue::Catalogue;

use crate::scene::Scene;
use crate::support::{Browser, CLIENT_SECRET, Inside};

/// Puts a catalogue with this own entry in the place of the one there is.
fn offer(inside: &Inside, entry: &Value) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("own.json"), json!([entry]).to_string()).unwrap();
    let catalogue = Catalogue::with_own(home.path()).unwrap();
    inside.connect.set_catalogue(catalogue);
}

/// An entry whose authorization server is the sandbox of the scene.
fn acme(scene: &Scene) -> Value {
    let issuer = &scene.outside.issuer;
    json!({
        "id": "acme", "name": "Acme", "category": "work", "docs": "https://acme.example/docs",
        "certainty": "documented",
        "variables": { "site": { "help": "the site", "example": "eu", "default": "eu" } },
        "oauth": {
            "client_auth": "basic", "scopes": ["calendar.read"],
            "authorization_url": format!("{issuer}/authorize"),
            "token_url": format!("{issuer}/token"),
            "authorization_params": { "site": "{site}" },
        },
    })
}

/// Goal: the page says what scopes mean in the catalogue's words, and in words made by rule where
/// it has none; a description that is none is refused with its field. Method: an own template.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_told_in_the_catalogues_words() {
    let scene = Scene::new().await;
    let mut entry = acme(&scene);
    let words = json!({ "calendar.read": "See <b>your</b> week" });
    entry["scope_descriptions"] = words.clone();
    offer(&scene.inside, &entry);
    let (_, whole) = scene.admin.get("/v1/templates/acme").await;
    assert_eq!(whole["scope_descriptions"], words);
    let wish = json!({ "id": "a", "template": "acme", "client_id": "c",
        "scopes": ["calendar.read", "mail.send"] });
    let (status, app) = scene.admin.post("/v1/apps", wish).await;
    assert_eq!(status, 201, "{app}");
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({ "apps": [{ "app": "a" }] })).await;
    let page = scene.prove(&mut Browser::new(), &link).await;
    for told in [
        "See &lt;b&gt;your&lt;/b&gt; week <code class=\"soft\">calendar.read</code>",
        "Send mail <code class=\"soft\">mail.send</code>",
    ] {
        assert!(page.text.contains(told), "{told}: {}", page.text);
    }
    let long = "a".repeat(121);
    for wrong in ["", " ", "two\nlines", "turned \u{202e}round", &long] {
        entry["scope_descriptions"] = json!({ "calendar.read": wrong });
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("own.json"), json!([entry]).to_string()).unwrap();
        let refused = Catalogue::with_own(home.path()).err().unwrap().to_string();
        assert!(refused.contains("scope_descriptions"), "{refused}");
    }
    scene.end().await;
}

/// Goal: an own template is listed, searched, shown whole and made into an app like any other.
/// Method: a catalogue with one; each route; an id that is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_template_is_one_like_any_other() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    assert_eq!(api.get("/v1/templates/acme").await.0, 404);
    offer(&scene.inside, &acme(&scene));
    let (_, found) = api.get("/v1/templates?q=acme").await;
    assert_eq!(found["templates"][0]["certainty"], "own", "{found}");
    let (status, whole) = api.get("/v1/templates/acme").await;
    assert_eq!((status, &whole["kind"]), (200, &json!("oauth")), "{whole}");
    assert_eq!(whole["variables"]["site"]["default"], "eu");
    let uri = format!("{}/callback/{{app}}", scene.inside.url);
    assert_eq!(whole["redirect_uris"]["own"], uri.as_str());
    let wish =
        json!({ "id": "a", "template": "acme", "client_id": "c", "values": { "site": "us" } });
    let (status, app) = api.post("/v1/apps", wish).await;
    assert_eq!(status, 201, "{app}");
    assert_eq!(app["authorization_params"]["site"], "us");
    assert_eq!(
        (
            &app["template"],
            &app["template_version"],
            &app["template_outdated"]
        ),
        (&json!("acme"), &whole["version"], &json!(false))
    );
    let (_, demo) = api.get("/v1/apps/demo").await;
    assert_eq!(demo["template_outdated"], false);
    for none in ["/v1/templates/none-such", "/v1/templates/a%20b"] {
        assert_eq!(api.get(none).await.0, 404, "{none}");
    }
    assert_eq!(api.get("/v1/templates/acme?x=1").await.0, 400);
    assert_eq!(scene.inside.api("").get("/v1/templates/acme").await.0, 401);
    scene.end().await;
}

/// Goal: a later catalogue changes nothing by itself; what it says differently is shown, and taken
/// as far as it is chosen; what is the operator's stays. Method: an app with a setting of its own,
/// a catalogue that has changed, and looks at the app before and after each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_offered_and_never_imposed() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let mut entry = acme(&scene);
    offer(&scene.inside, &entry);
    let wish = json!({ "id": "a", "template": "acme", "client_id": "c", "name": "Mine",
        "client_secret": "s", "scopes": ["mine"], "pkce": false,
        "return_urls": ["https://a.example/done"] });
    assert_eq!(api.post("/v1/apps", wish).await.0, 201);
    entry["oauth"]["dialect"] = json!({ "lives": { "grace_s": 60 } });
    entry["oauth"]["scopes"] = json!(["other"]);
    offer(&scene.inside, &entry);
    let (_, before) = api.get("/v1/apps/a").await;
    assert_eq!(before["template_outdated"], true);
    assert_eq!(before["dialect"], Value::Null, "nothing is imposed");

    let path = "/v1/apps/a/update";
    let (status, shown) = api.post(path, json!({})).await;
    assert_eq!(status, 200, "{shown}");
    let changes = json!([
        { "field": "pkce", "yours": false, "catalogue": true, "taken": true },
        { "field": "dialect.lives", "yours": null, "catalogue": { "grace_s": 60 }, "taken": true },
    ]);
    assert_eq!(
        (&shown["changes"], &shown["applied"]),
        (&changes, &json!(false))
    );
    assert_eq!(
        api.get("/v1/apps/a").await.1,
        before,
        "it was looked at alone"
    );

    let (status, done) = api
        .post(path, json!({ "apply": true, "keep": ["pkce"] }))
        .await;
    assert_eq!((status, &done["applied"]), (200, &json!(true)), "{done}");
    let (_, after) = api.get("/v1/apps/a").await;
    assert_eq!(after["dialect"], json!({ "lives": { "grace_s": 60 } }));
    assert_eq!(after["template_outdated"], false);
    for kept in [
        "pkce",
        "scopes",
        "name",
        "client_id",
        "has_client_secret",
        "return_urls",
    ] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    let (_, again) = api
        .post(path, json!({ "only": ["pkce"], "apply": true }))
        .await;
    assert_eq!(again["app"]["pkce"], true, "{again}");
    let applied = scene.record().await;
    let applied = applied
        .iter()
        .filter(|entry| entry["action"] == "apps" && entry["app"] == "a");
    assert!(applied.count() >= 3, "made, and updated twice");
    scene.end().await;
}

/// Goal: an update is a change of the app: who may not make it is refused, a client secret goes to
/// no other host with it, and what makes no sense changes nothing. Method: each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_has_the_rules_of_a_change() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let mut entry = acme(&scene);
    offer(&scene.inside, &entry);
    let wish = json!({ "id": "a", "template": "acme", "client_id": "c",
        "client_secret": CLIENT_SECRET });
    assert_eq!(api.post("/v1/apps", wish).await.0, 201);
    entry["oauth"]["token_url"] = json!("https://elsewhere.example/token");
    offer(&scene.inside, &entry);
    let path = "/v1/apps/a/update";
    let (low, _) = scene.key(json!({ "name": "low", "role": "server" })).await;
    assert_eq!(low.post(path, json!({})).await.0, 403);
    let apply = json!({ "apply": true });
    let (status, said) = api.post(path, apply.clone()).await;
    assert_eq!(status, 400, "{said}");
    assert!(
        said["error"]["message"]
            .as_str()
            .unwrap()
            .contains("client_secret"),
        "{said}"
    );
    let (_, shown) = api.get("/v1/apps/a").await;
    assert_eq!(shown["template_outdated"], true, "nothing was changed");
    for wrong in [
        json!({ "only": ["pkce"], "keep": ["pkce"] }),
        json!({ "only": ["client_secret"] }),
        json!({ "values": { "other": "x" } }),
        json!({ "yes": true }),
    ] {
        assert_eq!(api.post(path, wrong.clone()).await.0, 400, "{wrong}");
    }
    let given = json!({ "apply": true, "client_secret": "for elsewhere" });
    let (status, done) = api.post(path, given).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["app"]["token_url"], "https://elsewhere.example/token");
    assert_eq!(
        api.post("/v1/apps/demo/update", json!({})).await.0,
        400,
        "of no template"
    );
    assert_eq!(api.post("/v1/apps/none/update", json!({})).await.0, 404);
    scene.inside.connect.set_catalogue(Catalogue::default());
    assert_eq!(api.post(path, apply).await.0, 404, "its template is gone");
    assert_eq!(api.get("/v1/apps/a").await.1["template_outdated"], false);
    scene.end().await;
}
