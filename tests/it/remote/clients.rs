//! Client ids: given, by our document, registered; kept, and of one issuer.

use serde_json::{Value, json};

use super::Vaulted;
use super::double::{Double, How};

fn takes_documents() -> How {
    How {
        metadata: json!({ "client_id_metadata_document_supported": true }),
        ..How::default()
    }
}

/// Goal: a client id that is given is used, with its secret, and nothing is registered.
/// Method: public and with a secret, the way of proof by what the server lists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_that_is_given_is_used_and_none_is_registered() {
    for (method, more) in [
        (
            "none",
            json!({ "client_id": "mine", "client_auth": "none" }),
        ),
        (
            "client_secret_post",
            json!({ "client_id": "mine", "client_secret": "s" }),
        ),
        (
            "client_secret_basic",
            json!({ "client_id": "mine", "client_secret": "s" }),
        ),
    ] {
        let double = Double::start(How {
            method,
            ..takes_documents()
        })
        .await;
        let vault = Vaulted::under(None).await;
        let app = vault.added(&double, more).await;
        assert_eq!(app["remote"]["client"], "given");
        assert_eq!(app["remote"]["registered_at"], Value::Null);
        vault.connect("ada").await;
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        assert_eq!(double.seen("/authorize")[0].field("client_id"), "mine");
        assert!(double.seen("/register").is_empty());
        vault.inside.end().await;
    }
}

/// Goal: where the server takes documents, and can reach ours, no client is registered; the
/// document is what it says it is. Method: under https and not; the switch to do without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_metadata_document_is_served_where_servers_can_reach_it() {
    let double = Double::start(takes_documents()).await;
    let vault = Vaulted::under(Some("https://vault.example.com")).await;
    let app = vault.added(&double, json!({})).await;
    let url = "https://vault.example.com/oauth/client/m.json";
    assert_eq!(app["client_id"], url);
    assert_eq!(app["client_auth"], "none");
    assert_eq!(app["remote"]["client"], "document");
    assert!(double.seen("/register").is_empty());

    let nobody = vault.inside.api("");
    let (status, document) = nobody.get("/oauth/client/m.json").await;
    assert_eq!(status, 200, "{document}");
    assert_eq!(document["client_id"], url);
    assert_eq!(document["redirect_uris"], json!([app["redirect_uri"]]));
    assert_eq!(document["token_endpoint_auth_method"], "none");
    assert_eq!(document["application_type"], "web");
    assert_eq!(
        document["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    // It says nothing of which apps there are, and is there while the vault is locked.
    assert_eq!(nobody.get("/oauth/client/none-such.json").await.0, 200);
    for bad in ["m", "m.json.txt", ".json", "a%20b.json", "m.JSON"] {
        assert_eq!(
            nobody.get(&format!("/oauth/client/{bad}")).await.0,
            404,
            "{bad}"
        );
    }
    assert_eq!(vault.api.post("/v1/lock", json!({})).await.0, 200);
    assert_eq!(nobody.get("/oauth/client/m.json").await.0, 200);
    vault.inside.end().await;

    // Not reached under https: a document could not be fetched.
    let vault = Vaulted::new().await;
    assert_eq!(
        vault.added(&double, json!({})).await["remote"]["client"],
        "registered"
    );
    assert_eq!(
        vault.inside.api("").get("/oauth/client/m.json").await.0,
        404
    );
    vault.inside.end().await;
    // Reached under https by people, and not by the server.
    for more in [
        json!({ "registration": "dynamic" }),
        json!({ "callback": "shared" }),
    ] {
        let vault = Vaulted::under(Some("https://vault.example.com")).await;
        let app = vault.added(&double, more).await;
        assert_eq!(app["remote"]["client"], "registered", "{app}");
        let asked = double.seen("/register").last().unwrap().json();
        assert_eq!(asked["application_type"], "web");
        assert_eq!(asked["redirect_uris"], json!([app["redirect_uri"]]));
        vault.inside.end().await;
    }
}

/// Goal: servers answer a registration as they like, and the client proves itself as it was told.
/// Method: 200 and 201, each way of proof; the secret is never shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_client_proves_itself_as_the_server_said() {
    for (status, method, auth) in [
        (201, "none", "none"),
        (200, "client_secret_post", "post"),
        (200, "client_secret_basic", "basic"),
    ] {
        let double = Double::start(How {
            registration: (
                status,
                json!({ "client_secret_expires_at": 0, "more": [1, {}] }),
            ),
            method,
            ..How::default()
        })
        .await;
        let vault = Vaulted::new().await;
        let app = vault.added(&double, json!({})).await;
        assert_eq!(app["client_auth"], auth);
        assert_eq!(app["has_client_secret"], auth != "none");
        assert!(!app.to_string().contains("secret of client"), "{app}");
        assert_eq!(app["remote"]["client_secret_expires_at"], Value::Null);
        vault.connect("ada").await;
        vault.advance(601);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        vault.inside.end().await;
    }
}

/// Goal: a change keeps the client it has, whatever it is a change of; only who asks for it gets
/// another. Method: what was shown goes in again; then an empty client id, then one that is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_keeps_the_client_unless_another_is_asked_for() {
    let double = Double::start(How {
        method: "client_secret_post",
        ..How::default()
    })
    .await;
    let vault = Vaulted::new().await;
    let app = vault.added(&double, json!({})).await;
    vault.connect("ada").await;
    let change = async |more: Value| {
        let mut body = json!({ "server_url": double.mcp(), "name": "Notes" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        vault.api.put("/v1/apps/m", body).await
    };
    for echo in [
        json!({}),
        json!({ "client_id": app["client_id"], "client_auth": "post" }),
    ] {
        let (status, kept) = change(echo).await;
        assert_eq!(status, 200, "{kept}");
        assert_eq!(kept["client_id"], "client-1");
        assert_eq!(kept["has_client_secret"], true);
        assert_eq!(kept["remote"], app["remote"]);
        vault.advance(601);
        assert_eq!(
            vault.token("ada").await["outcome"],
            "ok",
            "its tokens go on"
        );
    }
    assert_eq!(double.seen("/register").len(), 1);
    let (_, anew) = change(json!({ "client_id": "" })).await;
    assert_ne!(anew["client_id"], "client-1");
    assert_eq!(anew["remote"]["client"], "registered");
    assert_eq!(double.seen("/register").len(), 2);
    // One that is given does not get the secret of the one that we registered.
    let (_, given) = change(json!({ "client_id": "mine" })).await;
    assert_eq!(given["remote"]["client"], "given");
    assert_eq!(given["has_client_secret"], false);
    vault.inside.end().await;
}

/// Goal: a change of anything else moves no issuer that the server names still, for its tokens
/// would die. Method: the server names another first; then the operator names that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_stays_in_use_while_the_server_names_it() {
    let next = Double::start(How::default()).await;
    let double = Double::start(How::default()).await;
    let vault = Vaulted::new().await;
    let app = vault.added(&double, json!({})).await;
    vault.connect("ada").await;
    vault.advance(60);
    let (first, second) = (next.url(), double.url());
    double.change(|how| how.issuers = vec![first, second]);
    let body = json!({ "server_url": double.mcp(), "name": "Renamed" });
    let (status, kept) = vault.api.put("/v1/apps/m", body).await;
    assert_eq!(status, 200, "{kept}");
    assert_eq!(kept["remote"]["issuer"], app["remote"]["issuer"]);
    vault.advance(601);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert_eq!(next.everything(), "");
    let body = json!({ "server_url": double.mcp(), "issuer": next.url() });
    let (status, moved) = vault.api.put("/v1/apps/m", body).await;
    assert_eq!(status, 200, "{moved}");
    assert_eq!(moved["remote"]["issuer"], format!("{}/", next.url()));
    vault.inside.end().await;
}

/// Goal: what one authorization server gave is never shown to another. Method: the server names
/// another one; after a change everything that the new one was sent is looked through, by refresh,
/// callback and deletion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_where_the_issuer_moves_a_new_client_is_registered_and_nothing_old_goes_there() {
    let next = Double::start(How {
        method: "client_secret_post",
        ..How::default()
    })
    .await;
    let double = Double::start(How {
        method: "client_secret_post",
        ..How::default()
    })
    .await;
    next.change(|how| how.registration.1 = json!({ "client_id": "client-of-next" }));
    let vault = Vaulted::new().await;
    vault.added(&double, json!({})).await;
    for user in ["ada", "grace"] {
        vault.connect(user).await;
    }
    vault.advance(60);
    let moved = next.url();
    double.change(|how| how.issuers = vec![moved]);
    let body = json!({ "server_url": double.mcp() });
    let (status, app) = vault.api.put("/v1/apps/m", body).await;
    assert_eq!(status, 200, "{app}");
    assert_eq!(app["client_id"], "client-of-next");
    assert_eq!(app["remote"]["issuer"], format!("{}/", next.url()));
    assert_eq!(next.seen("/register").len(), 1);

    // A token that is valid serves as long as it is; then its owner has to connect again.
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    let id = vault.token("grace").await["token_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, gone) = vault.api.delete(&format!("/v1/tokens/{id}")).await;
    assert_eq!(gone["revocation"]["result"], "not_supported", "{gone}");
    vault.advance(601);
    let ended = vault.token("ada").await;
    assert_eq!(ended["outcome"], "reconnect_required", "{ended}");
    assert!(next.seen("/token").is_empty() && next.seen("/revoke").is_empty());
    let sent = next.everything();
    for old in ["client-1", "secret of client 1", "rt-", "at-"] {
        assert!(!sent.contains(old), "{old} went to the new issuer: {sent}");
    }
    vault.inside.end().await;
}

/// Goal: a secret that is the operator's goes to no issuer it was not given for.
/// Method: the server names another issuer; a change that keeps the secret is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_given_secret_goes_to_no_other_issuer() {
    let next = Double::start(How {
        method: "client_secret_post",
        ..How::default()
    })
    .await;
    let double = Double::start(How {
        method: "client_secret_post",
        ..How::default()
    })
    .await;
    let vault = Vaulted::new().await;
    let own = json!({ "client_id": "mine", "client_secret": "for the first alone" });
    vault.added(&double, own).await;
    let moved = next.url();
    double.change(|how| how.issuers = vec![moved]);
    let body = json!({ "server_url": double.mcp(), "client_id": "mine" });
    let (status, said) = vault.api.put("/v1/apps/m", body).await;
    assert_eq!(status, 400, "{said}");
    let message = said["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("the issuer, changes: give `client_secret`"),
        "{message}"
    );
    assert!(!next.everything().contains("first+alone"));
    vault.inside.end().await;
}

/// Goal: what an authorization server grants while the issuer moves is not shown to the next one.
/// Method: its token endpoint is held back during the change, in a refresh and in an exchange.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_what_is_granted_while_the_issuer_moves_is_not_for_the_next() {
    let next = Double::start(How::default()).await;
    let double = Double::start(How::default()).await;
    let vault = std::sync::Arc::new(Vaulted::new().await);
    vault.added(&double, json!({})).await;
    vault.connect("ada").await;
    vault.advance(601);
    let (release, held) = tokio::sync::watch::channel(false);
    double.change(|how| how.held = Some(held));
    let (a, b) = (vault.clone(), vault.clone());
    let refreshed = tokio::spawn(async move { a.token("ada").await });
    double.asked(2).await;
    let connected = tokio::spawn(async move { b.try_to_connect("grace").await.1 });
    double.asked(3).await;
    let moved = next.url();
    double.change(|how| how.issuers = vec![moved]);
    let body = json!({ "server_url": double.mcp() });
    let (status, app) = vault.api.put("/v1/apps/m", body).await;
    assert_eq!(status, 200, "{app}");
    release.send_replace(true);

    let page = connected.await.unwrap();
    assert!(
        page.text.contains("trusts another provider"),
        "{}",
        page.text
    );
    assert_eq!(double.seen("/revoke").len(), 2, "it is nobody's");
    let served = refreshed.await.unwrap();
    assert_eq!(served["outcome"], "ok", "{served}");
    vault.advance(601);
    let ended = vault.token("ada").await;
    assert_eq!(ended["outcome"], "reconnect_required", "{ended}");
    assert!(next.seen("/token").is_empty());
    assert!(!next.everything().contains("rt-"), "{}", next.everything());
    std::sync::Arc::into_inner(vault)
        .unwrap()
        .inside
        .end()
        .await;
}
