//! The console's apps: made in each way, looked at, changed, deleted.

use serde_json::json;

use super::{Operator, heading, says, says_not};

/// Goal: an entry of the catalogue becomes an app, with its redirect URI to register and how sure
/// the entry is. Method: search, choose, fill in.
#[tokio::test]
async fn an_app_is_made_of_the_catalogue() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console/new-app?q=github").await;
    says(&page, "/console/new-app/github");
    says(&page, "documented");
    let page = operator.open("/console/new-app/github").await;
    let redirect = operator.url("/callback/github");
    says(&page, &redirect);
    let form = [
        ("id", "github"),
        ("name", "GitHub"),
        ("client_id", "Iv1.abc"),
        ("client_secret", "a secret of github"),
        ("scopes", "repo read:user"),
    ];
    let page = operator
        .submit(&page, "/console/new-app/github", &form)
        .await;
    assert_eq!(heading(&page), "GitHub", "{}", page.text);
    says(&page, "The app is there.");
    says(&page, &redirect);
    says(&page, "kept, and never shown");
    says_not(&page, "a secret of github");
    let app = operator.scene.admin.get("/v1/apps/github").await.1;
    assert_eq!(app["template"], "github");
    assert_eq!(app["scopes"], json!(["read:user", "repo"]));
    assert_eq!(app["has_client_secret"], true);
    operator.scene.end().await;
}

/// Goal: every other way leads to an app as well. Method: an issuer that answers, endpoints by
/// hand, API keys; and one that is wrong keeps what was typed.
#[tokio::test]
async fn an_app_is_made_by_issuer_by_hand_and_for_keys() {
    let mut operator = Operator::new().await;
    let issuer = operator.scene.outside.issuer.clone();
    let (authorize, token) = (format!("{issuer}/authorize"), format!("{issuer}/token"));
    let issuer_form = [
        ("id", "by-issuer"),
        ("name", "By issuer"),
        ("issuer", issuer.as_str()),
        ("client_id", "demo"),
        ("client_auth", "post"),
        ("scopes", "files.read"),
    ];
    let hand_form = [
        ("id", "by-hand"),
        ("name", "By hand"),
        ("authorization_url", authorize.as_str()),
        ("token_url", token.as_str()),
        ("client_id", "demo"),
    ];
    let key_form = [
        ("id", "keyed"),
        ("name", "Keyed"),
        ("description", "A service"),
    ];
    let ways: [(&str, &[(&str, &str)]); 3] = [
        ("issuer", &issuer_form),
        ("hand", &hand_form),
        ("key", &key_form),
    ];
    for (way, form) in ways {
        let path = format!("/console/new-app/{way}");
        let page = operator.open(&path).await;
        let page = operator.submit(&page, &path, form).await;
        assert_eq!(heading(&page), form[1].1, "{}", page.text);
    }
    let app = operator.scene.admin.get("/v1/apps/by-issuer").await.1;
    assert_eq!(app["client_auth"], "post");
    assert_eq!(app["endpoints"]["token_url"], token);
    let page = operator.open("/console/new-app/hand").await;
    let wrong = [
        ("id", "by hand"),
        ("client_id", "kept"),
        ("client_secret", "not kept"),
    ];
    let page = operator
        .submit(&page, "/console/new-app/hand", &wrong)
        .await;
    assert_eq!(page.status, 400);
    says(&page, "Nothing was stored");
    says(&page, "value=\"kept\"");
    says_not(&page, "not kept");
    operator.scene.end().await;
}

/// Goal: the secret is rotated, the rest stays; and every setting can be said as JSON. Method: both
/// forms.
#[tokio::test]
async fn an_app_is_changed_and_its_secret_rotated() {
    let mut operator = Operator::new().await;
    let before = operator.scene.admin.get("/v1/apps/demo").await.1;
    let page = operator.open("/console/apps/demo/edit").await;
    let form = [
        ("name", "Demo two"),
        ("description", ""),
        ("client_id", "demo"),
        ("client_secret", "another secret"),
        ("scopes", "files.read"),
        ("return_urls", ""),
    ];
    let page = operator
        .submit(&page, "/console/apps/demo/edit", &form)
        .await;
    assert_eq!(heading(&page), "Demo two", "{}", page.text);
    let after = operator.scene.admin.get("/v1/apps/demo").await.1;
    assert_eq!(after["scopes"], json!(["files.read"]));
    assert_eq!(after["endpoints"], before["endpoints"]);
    let settings = json!({ "kind": "oauth", "client_id": "demo", "name": "Demo three",
        "authorization_url": before["endpoints"]["authorization_url"],
        "token_url": before["endpoints"]["token_url"] });
    let (url, hidden) = operator.open("/console/apps/demo/edit").await.form("/edit");
    let (token, settings) = (hidden[0].1.as_str(), settings.to_string());
    let form = [("form_token", token), ("settings", settings.as_str())];
    let page = operator.browser.follow("POST", &url, Some(&form)).await;
    assert_eq!(heading(&page), "Demo three", "{}", page.text);
    let form = [("form_token", token), ("settings", "{ not json")];
    let page = operator.browser.follow("POST", &url, Some(&form)).await;
    assert_eq!(page.status, 400);
    says(&page, "not JSON at line 1");
    operator.scene.end().await;
}

/// Goal: the check says what is wrong, and a connection of one's own is a click away. Method: a
/// sandbox that answers.
#[tokio::test]
async fn an_app_is_checked_and_tried() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console/apps/demo").await;
    let page = operator
        .submit(&page, "/console/apps/demo/check", &[])
        .await;
    assert_eq!(page.status, 200);
    says(&page, "What the check found");
    let page = operator.open("/console/apps/demo").await;
    let form = [("user", "me"), ("tenant", "")];
    let page = operator
        .submit(&page, "/console/apps/demo/connect", &form)
        .await;
    assert_eq!(heading(&page), "Connect it yourself", "{}", page.text);
    says(&page, "/c/");
    operator.scene.end().await;
}

/// Goal: deleting says what goes with it. Method: an app with a token.
#[tokio::test]
async fn deleting_an_app_says_how_many_tokens_go_with_it() {
    let mut operator = Operator::new().await;
    operator
        .scene
        .admin
        .seed(&operator.scene.outside, "ada")
        .await;
    let page = operator.open("/console/apps/demo/delete").await;
    says(&page, "1 token is deleted as well");
    let page = operator
        .submit(&page, "/console/apps/demo/delete", &[])
        .await;
    says(&page, "The app and its tokens were deleted.");
    assert_eq!(operator.scene.admin.get("/v1/apps/demo").await.0, 404);
    let page = operator.open("/console/health").await;
    says(&page, "What comes next");
    operator.scene.end().await;
}
