//! The life of codes, grants and tokens: redeemed, rotated, reused, expired, revoked.
//!
//! It promises: time passes only where a test moves the clock.
//! It never: uses a token that the server did not issue.

use std::time::Duration;

use serde_json::json;
use strongroom::limits;
use strongroom::sandbox::{Client, ClientAuth, Rotation};
use strongroom::secret::Secret;

use super::support::{
    Browser, CALLBACK, Rig, VERIFIER, as_demo, authorize_path, redeem_form, refresh_form,
};

fn invalid_grant() -> (u16, String) {
    (400, String::from("invalid_grant"))
}

#[tokio::test]
async fn a_code_that_comes_again_costs_the_grant_it_brought() {
    let rig = Rig::new().await;
    let code = Browser::new(&rig).code(&authorize_path(&[])).await;
    let first = rig.redeem(&code).await;
    assert_eq!(first.status, 200);
    assert_eq!(rig.redeem(&code).await.error(), invalid_grant());
    assert_eq!(rig.counts().reuse_detected, 1);
    assert_eq!(rig.me(&first.field("access_token")).await.status, 401);
    assert_eq!(
        rig.refresh(&first.field("refresh_token")).await.error(),
        invalid_grant()
    );
}

#[tokio::test]
async fn a_code_is_for_its_client_its_redirect_uri_and_one_minute() {
    let rig = Rig::new().await;
    let mut browser = Browser::new(&rig);
    let code = browser.code(&authorize_path(&[])).await;
    let mut foreign = redeem_form(&code).to_vec();
    foreign.extend([("client_id", "other"), ("client_secret", "t0p")]);
    assert_eq!(
        rig.post("/token", &[], &foreign).await.error(),
        invalid_grant()
    );
    for uri in ["", "http://127.0.0.1:1/callback"] {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ];
        assert_eq!(rig.token(&form).await.error(), invalid_grant());
    }
    rig.clock
        .advance(limits::SANDBOX_CODE_LIFE - Duration::from_millis(1));
    assert_eq!(rig.redeem(&code).await.status, 200);

    let code = browser.code(&authorize_path(&[])).await;
    rig.clock.advance(limits::SANDBOX_CODE_LIFE);
    assert_eq!(rig.redeem(&code).await.error(), invalid_grant());

    let code = browser.code(&authorize_path(&[("redirect_uri", "")])).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(
        rig.token(&form).await.status,
        200,
        "not sent, so not repeated"
    );
}

#[tokio::test]
async fn a_refresh_token_used_again_costs_the_whole_grant() {
    let rig = Rig::new().await;
    let (access, first) = rig.seed();
    let second = rig.refresh(&first).await;
    assert_eq!(second.status, 200);
    assert_ne!(second.field("refresh_token"), first);
    assert_eq!(rig.me(&access).await.status, 200);
    assert_eq!(rig.refresh(&first).await.error(), invalid_grant());
    assert_eq!(
        rig.refresh(&second.field("refresh_token")).await.error(),
        invalid_grant()
    );
    assert_eq!(rig.me(&access).await.status, 401);
    assert_eq!(rig.me(&second.field("access_token")).await.status, 401);
    let counts = rig.counts();
    assert_eq!((counts.refreshes_ok, counts.refreshes_refused), (1, 2));
    assert_eq!((counts.reuse_detected, counts.token_requests), (1, 3));
}

#[tokio::test]
async fn within_the_grace_a_used_refresh_token_is_answered_again() {
    let rig = Rig::new().await;
    let grace = Duration::from_secs(5);
    rig.sandbox.set_rotation(Rotation::On { grace });
    let (_, first) = rig.seed();
    let lost = rig.refresh(&first).await;
    rig.clock.advance(grace - Duration::from_millis(1));
    let again = rig.refresh(&first).await;
    assert_eq!(again.status, 200);
    assert_ne!(again.field("refresh_token"), lost.field("refresh_token"));
    rig.clock.advance(Duration::from_millis(1));
    assert_eq!(rig.refresh(&again.field("refresh_token")).await.status, 200);
    assert_eq!(
        rig.refresh(&first).await.error(),
        invalid_grant(),
        "the grace does not renew"
    );
    assert_eq!(
        rig.refresh(&lost.field("refresh_token")).await.error(),
        invalid_grant()
    );
}

#[tokio::test]
async fn the_previous_refresh_token_works_until_the_new_one_is_used() {
    let rig = Rig::new().await;
    rig.sandbox.set_rotation(Rotation::PreviousUntilNewUsed);
    let (_, first) = rig.seed();
    assert_eq!(rig.refresh(&first).await.status, 200);
    rig.clock.advance(Duration::from_secs(86_400));
    let second = rig.refresh(&first).await.field("refresh_token");
    let third = rig.refresh(&second).await;
    assert_eq!(third.status, 200);
    assert_eq!(rig.refresh(&first).await.error(), invalid_grant());
    assert_eq!(rig.counts().reuse_detected, 1);
    assert_eq!(
        rig.refresh(&third.field("refresh_token")).await.error(),
        invalid_grant()
    );
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let rig = Rig::new().await;
    rig.sandbox.set_rotation(Rotation::Off);
    let (_, token) = rig.seed();
    for _ in 0..3 {
        assert_eq!(rig.refresh(&token).await.field("refresh_token"), token);
    }
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scopes_and_never_widen_them() {
    let rig = Rig::new().await;
    rig.sandbox.set_rotation(Rotation::Off);
    let (_, token) = rig.seed();
    let form = |scope| [refresh_form(&token).to_vec(), vec![("scope", scope)]].concat();
    assert_eq!(rig.token(&form("write")).await.field("scope"), "write");
    assert_eq!(
        rig.token(&form("write x")).await.error(),
        (400, "invalid_scope".into())
    );
    assert_eq!(rig.refresh(&token).await.field("scope"), "read write");
    let requests = rig.sandbox.last_requests();
    assert_eq!(requests.last().unwrap().form("scope"), None);
    assert_eq!(requests.first().unwrap().form("scope"), Some("write"));
}

#[tokio::test]
async fn tokens_expire_and_are_revoked_by_hand() {
    let rig = Rig::new().await;
    let (access, refresh) = rig.seed();
    rig.sandbox.refuse_access_tokens("ada");
    assert_eq!(rig.me(&access).await.status, 401);
    rig.sandbox.set_access_token_life(Duration::from_secs(10));
    rig.sandbox
        .set_refresh_token_life(Some(Duration::from_secs(100)));
    let next = rig.refresh(&refresh).await;
    assert_eq!(next.json()["expires_in"], json!(10));
    assert_eq!(rig.me(&next.field("access_token")).await.status, 200);
    rig.clock.advance(Duration::from_secs(10));
    let expired = rig.me(&next.field("access_token")).await;
    assert_eq!(expired.error(), (401, "invalid_token".into()));
    assert!(
        expired
            .header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
    rig.clock.advance(Duration::from_secs(90));
    assert_eq!(
        rig.refresh(&next.field("refresh_token")).await.error(),
        invalid_grant()
    );
    assert_eq!(rig.counts().reuse_detected, 0);

    let (access, refresh) = rig.seed();
    rig.sandbox.revoke_user("ada");
    assert_eq!(rig.refresh(&refresh).await.error(), invalid_grant());
    assert_eq!(rig.me(&access).await.status, 401);
}

#[tokio::test]
async fn revocation_takes_a_grant_or_one_access_token_and_never_a_stranger_s() {
    let rig = Rig::new().await;
    let (access, refresh) = rig.seed();
    let foreign = [
        ("token", &*refresh),
        ("client_id", "other"),
        ("client_secret", "t0p"),
    ];
    let refused = rig.post("/revoke", &[], &foreign).await;
    assert_eq!(refused.error(), (400, "unauthorized_client".into()));
    let revoke = async |token: &str| {
        let form = [("token", token), ("token_type_hint", "whatever")];
        rig.post("/revoke", &[], &as_demo(&form)).await.status
    };
    assert_eq!(revoke(&access).await, 200);
    assert_eq!(rig.me(&access).await.status, 401);
    let next = rig.refresh(&refresh).await;
    assert_eq!(next.status, 200);
    assert_eq!(revoke(&next.field("refresh_token")).await, 200);
    assert_eq!(rig.me(&next.field("access_token")).await.status, 401);
    assert_eq!(
        rig.refresh(&next.field("refresh_token")).await.error(),
        invalid_grant()
    );
    assert_eq!(revoke("never heard of").await, 200);
    assert_eq!(rig.counts().revocations, 2);
    let nobody = rig.post("/revoke", &[], &[("token", "x")]).await;
    assert_eq!(nobody.error(), (401, "invalid_client".into()));
}

#[tokio::test]
async fn introspection_tells_a_client_of_its_own_tokens() {
    let rig = Rig::new().await;
    let (access, refresh) = rig.seed();
    let ask = async |token: &str, id: &str, secret: &str| {
        let form = [
            ("token", token),
            ("client_id", id),
            ("client_secret", secret),
        ];
        rig.post("/introspect", &[], &form).await.json()
    };
    let known = ask(&access, "demo", "s3cret").await;
    assert_eq!(
        (&known["active"], &known["username"]),
        (&json!(true), &json!("ada"))
    );
    assert_eq!(known["exp"], json!(1_790_003_600));
    assert_eq!(ask(&refresh, "demo", "s3cret").await["active"], json!(true));
    assert_eq!(ask(&access, "other", "t0p").await, json!({"active": false}));
    assert_eq!(
        ask("what", "demo", "s3cret").await,
        json!({"active": false})
    );
}

#[tokio::test]
async fn a_client_proves_itself_in_one_way_and_errors_are_those_of_the_rfc() {
    let rig = Rig::new().await;
    rig.sandbox.add_client(Client {
        id: String::from("raw id"),
        secret: Some(Secret::new(String::from("a+b%"))),
        redirect_uris: vec![CALLBACK.to_owned()],
        auth: ClientAuth::BasicRaw,
    });
    let basic = |credentials: &str| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(credentials);
        format!("Basic {text}")
    };
    let (_, token) = rig.seed();
    let send = async |header: Option<String>, extra: &[(&str, &str)]| {
        let form = [&refresh_form(&token)[..], extra].concat();
        let headers: Vec<(&str, &str)> = header
            .iter()
            .map(|it| ("authorization", it.as_str()))
            .collect();
        rig.post("/token", &headers, &form).await
    };
    let failed = (401, String::from("invalid_client"));
    let wrong = send(Some(basic("demo:nope")), &[]).await;
    assert_eq!(wrong.error(), failed);
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    assert_eq!(send(None, &[]).await.error(), failed);
    assert_eq!(send(None, &[("client_id", "demo")]).await.error(), failed);
    assert_eq!(
        send(Some(basic("raw+id:a%2Bb%25")), &[]).await.error(),
        failed
    );
    // Right credentials, but the token is another client's.
    assert_eq!(
        send(Some(basic("raw id:a+b%")), &[]).await.error(),
        invalid_grant()
    );
    let both = send(Some(basic("demo:s3cret")), &[("client_secret", "s3cret")]).await;
    assert_eq!(both.error(), (400, "invalid_request".into()));
    let twice = send(Some(basic("demo:s3cret")), &[("grant_type", "x")]).await;
    assert_eq!(twice.error(), (400, "invalid_request".into()));
    let kind = rig.token(&[("grant_type", "password")]).await;
    assert_eq!(kind.error(), (400, "unsupported_grant_type".into()));
    let none = rig.token(&[]).await;
    assert_eq!(none.error(), (400, "invalid_request".into()));
    let fine = send(Some(basic("demo:s3cret")), &[("audience", "x")]).await;
    assert_eq!(fine.status, 200);
    let requests = rig.sandbox.last_requests();
    let seen = requests.last().unwrap();
    assert_eq!((&*seen.method, &*seen.path), ("POST", "/token"));
    assert_eq!(seen.authorization(), Some(&*basic("demo:s3cret")));
    assert_eq!(
        seen.form_names(),
        ["grant_type", "refresh_token", "audience"]
    );
}
