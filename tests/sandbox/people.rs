//! A person's way through the sandbox: signing in, consent, and what comes back to the client.
//!
//! It promises: each test goes through the forms as a browser without scripts would.
//! It never: looks inside the server.

use serde_json::{Value, json};

use super::support::{Browser, CALLBACK, Rig, VERIFIER, authorize_path};

#[tokio::test]
async fn a_person_goes_through_the_forms_and_the_client_gets_tokens_that_work() {
    let rig = Rig::new().await;
    let mut browser = Browser::new(&rig);
    let path = authorize_path(&[("scope", "openid read"), ("nonce", "n1")]);
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("action=\"/login\""));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-frame-options"), "DENY");
    let id = page.request_id();
    let planted = browser.cookie.clone();

    let wrong = [("request", &*id), ("user", "ada"), ("password", "no")];
    assert_eq!(browser.post("/login", &wrong).await.status, 403);
    let right = [("request", &*id), ("user", "ada"), ("password", "engine")];
    let signed_in = browser.post("/login", &right).await;
    assert_eq!(signed_in.status, 303);
    assert_ne!(browser.cookie, planted, "signing in changes the session");

    let page = browser.get(signed_in.header("location")).await;
    assert!(page.text().contains("name=\"decision\" value=\"deny\""));
    assert!(
        !page
            .header("content-security-policy")
            .contains("form-action")
    );
    let form = [
        ("request", &*id),
        ("scope", "openid"),
        ("scope", "read"),
        ("decision", "allow"),
    ];
    let back = browser.post("/consent", &form).await;
    assert_eq!(back.status, 303);
    assert!(back.header("location").starts_with(&format!("{CALLBACK}&")));
    assert_eq!(back.returned("state"), "st&te");
    assert_eq!(back.returned("iss"), rig.issuer);

    let answer = rig.redeem(&back.returned("code")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.field("token_type"), "Bearer");
    assert_eq!(answer.json()["expires_in"], json!(3600));
    assert_eq!(answer.field("scope"), "openid read");
    assert!(answer.field("access_token").starts_with("sbx_at_"));
    assert!(answer.field("refresh_token").starts_with("sbx_rt_"));
    let claims = claims(&answer.field("id_token"));
    assert_eq!(claims["sub"], json!("ada"));
    assert_eq!(claims["aud"], json!("demo"));
    assert_eq!(claims["iss"], json!(rig.issuer));
    assert_eq!(claims["nonce"], json!("n1"));

    let me = rig.me(&answer.field("access_token")).await.json();
    assert_eq!(me["user"], json!("ada"));
    assert_eq!(me["scopes"], json!(["openid", "read"]));
    assert!(me["expires_at"].as_str().unwrap().ends_with('Z'));
    let counts = rig.counts();
    assert_eq!(
        (
            counts.authorizations,
            counts.code_exchanges,
            counts.api_calls
        ),
        (1, 1, 1)
    );
}

fn claims(id_token: &str) -> Value {
    let claims = id_token.split('.').nth(1).unwrap();
    let claims = strongroom::secret::from_base64url(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn whoever_is_signed_in_is_asked_for_consent_at_once() {
    let rig = Rig::new().await;
    let mut browser = Browser::new(&rig);
    browser.code(&authorize_path(&[])).await;
    let again = browser.get(&authorize_path(&[])).await;
    assert!(again.text().contains("action=\"/consent\""));
    let anew = browser.get(&authorize_path(&[("prompt", "login")])).await;
    assert!(anew.text().contains("action=\"/login\""));
    let silent = browser.get(&authorize_path(&[("prompt", "none")])).await;
    assert_eq!(silent.returned("error"), "consent_required");
}

#[tokio::test]
async fn an_unknown_client_or_redirect_uri_is_a_page_and_never_a_redirect() {
    let rig = Rig::new().await;
    for changes in [
        [("client_id", "nobody")],
        [("client_id", "")],
        [("redirect_uri", "https://evil.example/callback")],
        [("redirect_uri", "http://127.0.0.1:1/callback?app=demo2")],
        [("redirect_uri", "http://127.0.0.1:1/callback")],
    ] {
        let answer = Browser::new(&rig).get(&authorize_path(&changes)).await;
        assert_eq!(answer.status, 400, "{changes:?}");
        assert_eq!(answer.maybe_header("location"), None, "{changes:?}");
    }
    let twice = format!("{}&client_id=demo", authorize_path(&[]));
    assert_eq!(Browser::new(&rig).get(&twice).await.status, 400);

    let new = "http://127.0.0.1:2/new";
    let path = authorize_path(&[("redirect_uri", new)]);
    rig.sandbox.add_redirect_uri("demo", new).unwrap();
    assert_eq!(Browser::new(&rig).get(&path).await.status, 200);
    assert!(rig.sandbox.add_redirect_uri("nobody", new).is_err());
}

#[tokio::test]
async fn any_other_fault_goes_back_to_the_client_with_its_state() {
    let rig = Rig::with(|settings| settings.scopes = vec!["read".into(), "write".into()]).await;
    for (change, error) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("scope", "read admin"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
    ] {
        let answer = Browser::new(&rig).get(&authorize_path(&[change])).await;
        assert_eq!(answer.status, 303, "{change:?}");
        assert_eq!(answer.returned("error"), error, "{change:?}");
        assert_eq!(answer.returned("state"), "st&te", "{change:?}");
        assert_eq!(answer.returned("iss"), rig.issuer, "{change:?}");
        assert_eq!(answer.returned("code"), "");
    }
    let twice = format!("{}&scope=read", authorize_path(&[]));
    let answer = Browser::new(&rig).get(&twice).await;
    assert_eq!(answer.returned("error"), "invalid_request");
}

#[tokio::test]
async fn a_person_may_allow_a_part_or_deny() {
    let rig = Rig::new().await;
    let mut browser = Browser::new(&rig);
    let id = browser.reach_consent(&authorize_path(&[])).await;
    let part = [
        ("request", &*id),
        ("scope", "write"),
        ("scope", "admin"),
        ("decision", "allow"),
    ];
    let back = browser.post("/consent", &part).await;
    let answer = rig.redeem(&back.returned("code")).await;
    assert_eq!(
        answer.field("scope"),
        "write",
        "nothing that was not asked for"
    );
    let again = browser.post("/consent", &part).await;
    assert_eq!(again.status, 400, "an answer uses the request up");

    for form in [
        vec![("scope", "read"), ("decision", "deny")],
        vec![("scope", "read")],
        vec![("decision", "allow")],
    ] {
        let mut browser = Browser::new(&rig);
        let id = browser.reach_consent(&authorize_path(&[])).await;
        let form = [vec![("request", &*id)], form].concat();
        let back = browser.post("/consent", &form).await;
        assert_eq!(back.returned("error"), "access_denied");
        assert_eq!(back.returned("state"), "st&te");
        assert_eq!(back.returned("code"), "");
    }
}

#[tokio::test]
async fn a_request_is_answered_only_in_its_own_browser_and_in_time() {
    let rig = Rig::new().await;
    let (mut mine, mut theirs) = (Browser::new(&rig), Browser::new(&rig));
    let id = mine.reach_consent(&authorize_path(&[])).await;
    theirs.reach_consent(&authorize_path(&[])).await;
    let form = [("request", &*id), ("scope", "read"), ("decision", "allow")];
    let sign_in = [("request", &*id), ("user", "guest")];
    assert_eq!(theirs.post("/consent", &form).await.status, 400);
    assert_eq!(theirs.post("/login", &sign_in).await.status, 400);
    assert_eq!(
        theirs.get(&format!("/consent?request={id}")).await.status,
        400
    );
    theirs.cookie = None;
    assert_eq!(theirs.post("/consent", &form).await.status, 400);

    let fresh = mine
        .get(&authorize_path(&[("prompt", "login")]))
        .await
        .request_id();
    rig.clock.advance(strongroom::limits::SANDBOX_REQUEST_LIFE);
    let late = [
        ("request", &*fresh),
        ("scope", "read"),
        ("decision", "allow"),
    ];
    assert_eq!(mine.post("/consent", &late).await.status, 400);
}

#[tokio::test]
async fn text_from_outside_is_escaped_on_pages() {
    let rig = Rig::new().await;
    let mut browser = Browser::new(&rig);
    let path = authorize_path(&[("scope", "<script>alert(1)</script>")]);
    browser.reach_consent(&path).await;
    let page = browser.get(&path).await.text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
}

#[tokio::test]
async fn pkce_is_needed_checked_and_cannot_be_stripped() {
    let rig = Rig::with(|settings| settings.pkce_required = false).await;
    let mut browser = Browser::new(&rig);
    let code = browser.code(&authorize_path(&[])).await;
    let wrong = VERIFIER.to_lowercase();
    for verifier in [None, Some(&*wrong), Some("short")] {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        assert_eq!(
            rig.token(&form).await.error(),
            (400, "invalid_grant".into())
        );
    }
    assert_eq!(rig.redeem(&code).await.status, 200);

    let stripped = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = browser.code(&authorize_path(&stripped)).await;
    assert_eq!(
        rig.redeem(&code).await.error(),
        (400, "invalid_grant".into())
    );

    let public = [stripped[0], stripped[1], ("client_id", "public")];
    let answer = browser.get(&authorize_path(&public)).await;
    assert_eq!(
        answer.returned("error"),
        "invalid_request",
        "a public client needs PKCE"
    );
}

#[tokio::test]
async fn a_public_client_redeems_with_its_id_alone() {
    let rig = Rig::new().await;
    let code = Browser::new(&rig)
        .code(&authorize_path(&[("client_id", "public")]))
        .await;
    let mut form = super::support::redeem_form(&code).to_vec();
    form.push(("client_id", "public"));
    assert_eq!(rig.post("/token", &[], &form).await.status, 200);
}
