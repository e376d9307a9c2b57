//! Apps: created, loaded, updated, deleted, in the forms of each client.

use serde_json::{Value, json};

use super::{CREATE, Client, USER_LATEST, set_up};
use crate::scene::Scene;
use crate::support::CLIENT_SECRET;

const UPDATE: &str = "/v1/mgmt/outbound/app/update";

/// An app as Python and Node send one: what is set, and what was not given as `null`.
fn whole(scene: &Scene) -> Value {
    let issuer = &scene.outside.issuer;
    json!({
        "id": "mail", "name": "Mail", "description": "Letters", "logo": null,
        "clientId": "demo", "clientSecret": CLIENT_SECRET,
        "discoveryUrl": format!("{issuer}/.well-known/openid-configuration"),
        "authorizationUrl": format!("{issuer}/authorize"),
        "authorizationUrlParams": [{ "key": "audience", "value": "api" }],
        "tokenUrl": format!("{issuer}/token"),
        "tokenUrlParams": [{ "name": "resource", "value": "https://api.example" }],
        "revocationUrl": format!("{issuer}/revoke"),
        "defaultScopes": ["calendar.read", "openid"],
        "defaultRedirectUrl": "https://app.example/done",
        "callbackDomain": "127.0.0.1",
        "pkce": true, "accessType": "offline", "prompt": ["consent", "select_account"],
    })
}

/// The app of [`whole`], as it is to be shown.
fn shown(scene: &Scene) -> Value {
    let mut app = whole(scene);
    let fields = app.as_object_mut().unwrap();
    fields.remove("clientSecret");
    for (name, value) in [
        ("logo", json!("")),
        ("templateId", json!("custom")),
        ("appType", json!("oauth")),
        ("callbackDomain", json!("")),
        ("useDcr", json!(false)),
        ("dcrUrl", json!("")),
        ("tenantId", json!("")),
        (
            "tokenUrlParams",
            json!([{ "key": "resource", "value": "https://api.example" }]),
        ),
    ] {
        fields.insert(name.to_owned(), value);
    }
    app
}

async fn load(client: &Client, id: &str) -> Value {
    let (status, said) = client.get(&format!("/v1/mgmt/outbound/app/{id}")).await;
    assert_eq!(status, 200, "{said}");
    said["app"].clone()
}

/// Goal: an app is shown as it was made, whichever client made it, and never with its secret.
/// Method: the forms of Python, Go and Java; loaded by path, by query and in the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_loaded_as_it_was_created_by_each_client() {
    let (scene, client) = set_up().await;
    let (status, said) = client.post(CREATE, whole(&scene)).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["app"], shown(&scene));
    // Java looks for both at the top.
    assert_eq!(
        (&said["id"], &said["name"]),
        (&json!("mail"), &json!("Mail"))
    );
    assert!(!said.to_string().contains(CLIENT_SECRET));
    for path in ["app/mail", "app/m%61il", "/app/mail", "app?id=mail"] {
        let again = client.get(&format!("/v1/mgmt/outbound/{path}")).await;
        assert_eq!(again, (200, said.clone()), "{path}");
    }
    // What is loaded can be sent back, and changes nothing.
    let (status, again) = client.post(UPDATE, json!({ "app": said["app"] })).await;
    assert_eq!((status, &again["app"]), (200, &said["app"]), "{again}");

    // Go and PHP send every field they know, unset ones as nothing.
    let issuer = &scene.outside.issuer;
    let zeroes = json!({
        "id": "", "name": "Zeroes", "description": "", "templateId": "google", "clientId": "demo",
        "clientSecret": CLIENT_SECRET, "logo": "", "discoveryUrl": "",
        "authorizationUrl": format!("{issuer}/authorize"), "authorizationUrlParams": null,
        "tokenUrl": format!("{issuer}/token"), "tokenUrlParams": null, "revocationUrl": "",
        "defaultScopes": null, "defaultRedirectUrl": "", "callbackDomain": "", "pkce": false,
        "accessType": "", "prompt": null, "somethingNew": { "a": 1 },
    });
    let (status, said) = client.post(CREATE, zeroes).await;
    assert_eq!(status, 200, "{said}");
    let id = said["id"].as_str().unwrap();
    assert!(id.len() > 16, "an id is made where none is given: {said}");
    assert_eq!(load(&client, id).await["pkce"], json!(false));

    let keyed = json!({ "name": "Weather", "id": "weather", "appType": "apikey", "pkce": false });
    assert_eq!(client.post(CREATE, keyed).await.0, 200);
    assert_eq!(load(&client, "weather").await["appType"], "apikey");
    // Java's own form has an id and a name; an OAuth app cannot be made of these.
    let (status, said) = client.post(CREATE, json!({ "id": "j", "name": "J" })).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (400, &json!("E011002")),
        "{said}"
    );
    // A taken id.
    let (status, said) = client.post(CREATE, whole(&scene)).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (400, &json!("E151001")),
        "{said}"
    );
    for path in ["app/none", "app/a%20b", "app?id=none"] {
        let (status, said) = client.get(&format!("/v1/mgmt/outbound/{path}")).await;
        assert_eq!(
            (status, &said["errorCode"]),
            (404, &json!("S000404")),
            "{said}"
        );
    }
    for path in ["app", "app?id=undefined"] {
        let (status, said) = client.get(&format!("/v1/mgmt/outbound/{path}")).await;
        assert_eq!(
            (status, &said["errorCode"]),
            (400, &json!("E011002")),
            "{said}"
        );
    }
    scene.end().await;
}

/// Goal: what cannot be honoured is refused, and says why. Method: each such setting alone; the
/// templates that there are none of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_silently_do_nothing_is_refused() {
    let (scene, client) = set_up().await;
    for (name, value) in [
        ("useDcr", json!(true)),
        ("dcrUrl", json!("https://as.example/register")),
        ("tenantId", json!("t1")),
        ("callbackDomain", json!("auth.example.com")),
        ("appType", json!("saml")),
        ("appType", json!("apikey")),
        ("accessType", json!("online and more")),
        ("logo", json!("data:text/html;base64,AAAA")),
        ("tokenUrl", json!("not a url")),
        (
            "tokenUrlParams",
            json!([{ "key": "a", "value": "1" }, { "key": "a", "value": "2" }]),
        ),
        (
            "authorizationUrlParams",
            json!([{ "key": "redirect_uri", "value": "https://evil.example" }]),
        ),
        (
            "authorizationUrlParams",
            json!([{ "key": "access_type", "value": "online" }]),
        ),
        ("id", json!("a/b")),
        ("name", json!("undefined")),
        ("clientId", json!(7)),
    ] {
        let mut app = whole(&scene);
        if (name, value.as_str()) == ("accessType", Some("online and more")) {
            app["authorizationUrlParams"] = json!([{ "key": "access_type", "value": "offline" }]);
        }
        app[name] = value.clone();
        let (status, said) = client.post(CREATE, app).await;
        assert_eq!(status, 400, "{name} {value}: {said}");
    }
    let preset = json!({ "dcrPresetId": "p", "tenantId": "t" });
    let (status, said) = client.post(&format!("{CREATE}/bydcrpreset"), preset).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (400, &json!("E011004")),
        "{said}"
    );
    assert!(
        said["errorMessage"]
            .as_str()
            .unwrap()
            .contains("no such preset")
    );
    let (_, all) = client.get("/v1/mgmt/outbound/apps").await;
    assert_eq!(all["apps"].as_array().unwrap().len(), 1, "{all}");
    scene.end().await;
}

/// Goal: a template fills in what is not said, and what is said wins. Method: an app with as little
/// as may be, one with overrides, a key's app; what is missing or unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_made_of_a_template_and_what_is_said_wins() {
    let (scene, client) = set_up().await;
    let create = format!("{CREATE}/bytemplate");
    let wish = json!({ "templateId": "linear", "clientId": "c", "clientSecret": "s" });
    let (status, said) = client.post(&create, wish).await;
    assert_eq!(status, 200, "{said}");
    let app = &said["app"];
    assert_eq!(
        (&app["name"], &app["clientId"]),
        (&json!("Linear"), &json!("c"))
    );
    assert_eq!(app["tokenUrl"], "https://api.linear.app/oauth/token");
    assert!(!app["defaultScopes"].as_array().unwrap().is_empty());
    let path = format!("/v1/apps/{}", app["id"].as_str().unwrap());
    let (_, native) = scene.admin.get(&path).await;
    assert_eq!(
        (&native["template"], &native["callback"]),
        (&json!("linear"), &json!("shared"))
    );
    assert_eq!(
        native["scope_separator"], ",",
        "what has no word of theirs comes along"
    );
    assert_eq!(native["has_client_secret"], true);

    let wish = json!({ "templateId": "linear", "id": "l", "overrides": {
        "clientId": "o", "name": "Ours", "defaultScopes": ["write"], "prompt": ["login"],
        "tokenUrl": "https://proxy.example/token", "unknown": null,
    } });
    let (_, said) = client.post(&create, wish).await;
    let app = &said["app"];
    assert_eq!(
        (&app["id"], &app["name"], &app["clientId"]),
        (&json!("l"), &json!("Ours"), &json!("o"))
    );
    assert_eq!(
        (&app["defaultScopes"], &app["prompt"]),
        (&json!(["write"]), &json!(["login"]))
    );
    assert_eq!(app["tokenUrl"], "https://proxy.example/token");

    let (_, said) = client
        .post(&create, json!({ "templateId": "openai", "id": "o" }))
        .await;
    assert_eq!(
        (&said["app"]["appType"], &said["app"]["id"]),
        (&json!("apikey"), &json!("o"))
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_for_a_template_that_cannot_be_is_refused() {
    let (scene, client) = set_up().await;
    let create = format!("{CREATE}/bytemplate");
    let taken = json!({ "templateId": "linear", "clientId": "c", "id": "l" });
    assert_eq!(client.post(&create, taken).await.0, 200);
    for (wish, code) in [
        (json!({}), "E011002"),
        (json!({ "templateId": "linear" }), "E011002"),
        (
            json!({ "templateId": "Linear", "clientId": "c" }),
            "E011004",
        ),
        (
            json!({ "templateId": "linear", "clientId": "c", "tenantId": "t" }),
            "E011004",
        ),
        (
            json!({ "templateId": "linear", "clientId": "c", "overrides": { "useDcr": true } }),
            "E011004",
        ),
        (
            json!({ "templateId": "openai", "clientId": "c" }),
            "E011004",
        ),
        (
            json!({ "templateId": "linear", "clientId": "c", "id": "l" }),
            "E151001",
        ),
    ] {
        let (status, said) = client.post(&create, wish.clone()).await;
        assert_eq!(
            (status, &said["errorCode"]),
            (400, &json!(code)),
            "{wish}: {said}"
        );
    }
    scene.end().await;
}

/// Goal: a wrapped update is the whole app from then on, and a secret that it leaves out stays, as
/// does what these clients have no word for. Method: one with little in it; then a token that can
/// be refreshed only with the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_update_overwrites_all_but_the_secret() {
    let (scene, client) = set_up().await;
    assert_eq!(client.post(CREATE, whole(&scene)).await.0, 200);
    let (_, mut native) = scene.admin.get("/v1/apps/mail").await;
    let made = "id has_client_secret endpoints redirect_uri created_at updated_at \
                template_version template_outdated";
    for made in made.split_whitespace() {
        native.as_object_mut().unwrap().remove(made);
    }
    assert_eq!(native["callback"], "shared", "the one that Descope has");
    native["client_auth"] = json!("post");
    native["callback"] = json!("own");
    native["return_urls"] = json!(["https://app.example/done", "https://app.example/more"]);
    let (status, said) = scene.admin.put("/v1/apps/mail", native).await;
    assert_eq!(status, 200, "{said}");

    let issuer = &scene.outside.issuer;
    let (status, said) = client
        .post(
            UPDATE,
            json!({ "app": {
                "id": "mail", "name": "Post", "clientId": "demo", "clientSecret": null,
                "authorizationUrl": format!("{issuer}/authorize"),
                "tokenUrl": format!("{issuer}/token"), "defaultRedirectUrl": "https://new.example/",
            } }),
        )
        .await;
    assert_eq!(status, 200, "{said}");
    let app = load(&client, "mail").await;
    assert_eq!(app, said["app"]);
    for (name, value) in [
        ("name", json!("Post")),
        ("description", json!("")),
        ("defaultScopes", json!([])),
        ("authorizationUrlParams", json!([])),
        ("accessType", json!("")),
        ("prompt", json!([])),
        ("discoveryUrl", json!("")),
        ("defaultRedirectUrl", json!("https://new.example/")),
    ] {
        assert_eq!(app[name], value, "{name}");
    }
    let (_, native) = scene.admin.get("/v1/apps/mail").await;
    assert_eq!(native["has_client_secret"], true);
    assert_eq!(native["client_auth"], "post");
    assert_eq!(native["callback"], "own", "as it was set natively");
    let urls = json!(["https://new.example/", "https://app.example/more"]);
    assert_eq!(native["return_urls"], urls);

    // A secret that is kept goes to no other host; given anew it may.
    let mut moved = whole(&scene);
    moved["discoveryUrl"] = json!(null);
    moved["tokenUrl"] = json!("https://other.example/token");
    moved["clientSecret"] = json!("");
    let (status, said) = client.post(UPDATE, json!({ "app": moved })).await;
    assert_eq!(status, 400, "{said}");
    let told = said["errorMessage"].as_str().unwrap();
    assert!(
        told.contains("`clientSecret`") && !told.contains('_'),
        "{told}"
    );
    moved["clientSecret"] = json!("another");
    assert_eq!(client.post(UPDATE, json!({ "app": moved })).await.0, 200);
    let (status, said) = client
        .post(UPDATE, json!({ "app": { "id": "none", "name": "N" } }))
        .await;
    assert_eq!(status, 404, "{said}");
    scene.end().await;
}

/// Goal: Java's update, which is bare and has an id and a name, harms nothing. Method: that, and
/// one with a field more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_update_changes_what_it_names() {
    let (scene, client) = set_up().await;
    assert_eq!(client.post(CREATE, whole(&scene)).await.0, 200);
    let mut expected = shown(&scene);
    for (body, name, value) in [
        (
            json!({ "id": "mail", "name": "Renamed" }),
            "name",
            json!("Renamed"),
        ),
        (
            json!({ "id": "mail", "app": null, "pkce": false }),
            "pkce",
            json!(false),
        ),
        (
            json!({ "id": "mail", "defaultScopes": ["openid"] }),
            "defaultScopes",
            json!(["openid"]),
        ),
        (json!({ "id": "mail", "prompt": [] }), "prompt", json!([])),
    ] {
        expected[name] = value;
        let (status, said) = client.post(UPDATE, body).await;
        assert_eq!((status, &said["app"]), (200, &expected), "{said}");
    }
    assert_eq!(
        scene.admin.get("/v1/apps/mail").await.1["has_client_secret"],
        true
    );
    let (status, said) = client.post(UPDATE, json!({ "name": "Nobody" })).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (400, &json!("E011002")),
        "{said}"
    );
    scene.end().await;
}

/// Goal: an app goes with its tokens, of users and tenants, OAuth and keys. Method: an API-key app
/// with both; deleted, then made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_deleted_with_its_tokens() {
    let (scene, client) = set_up().await;
    let keyed = json!({ "id": "weather", "name": "Weather", "appType": "apikey" });
    assert_eq!(client.post(CREATE, keyed.clone()).await.0, 200);
    let key = json!({ "appId": "weather", "userId": "u1", "tenantId": "t1", "apiKey": "k" });
    for level in ["user", "tenant"] {
        let path = format!("/v1/mgmt/outbound/app/{level}/apikey/upload");
        client.done(&path, key.clone()).await;
    }
    let (_, all) = client.get("/v1/mgmt/outbound/apps").await;
    let ids: Vec<&Value> = all["apps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["id"])
        .collect();
    assert_eq!(ids, ["demo", "weather"]);
    client
        .done("/v1/mgmt/outbound/app/delete", json!({ "id": "weather" }))
        .await;
    let (status, _) = client.get("/v1/mgmt/outbound/app/weather").await;
    assert_eq!(status, 404);
    assert_eq!(client.post(CREATE, keyed).await.0, 200);
    for ask in [json!({ "appId": "weather", "userId": "u1", "tenantId": "t1" })] {
        client.no_token(USER_LATEST, ask.clone()).await;
        client.no_token(super::TENANT_LATEST, ask).await;
    }
    for (body, status) in [
        (json!({ "id": "none" }), 404),
        (json!({ "id": null }), 400),
        (json!({}), 400),
    ] {
        let (told, said) = client.post("/v1/mgmt/outbound/app/delete", body).await;
        assert_eq!(told, status, "{said}");
    }
    scene.end().await;
}
