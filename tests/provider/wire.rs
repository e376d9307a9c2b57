//! What goes out: the exact requests.

use strongroom::model::Scopes;
use strongroom::model::app::{ClientAuth, OAuth};
use strongroom::model::link::Hints;
use strongroom::provider::classify::FailureKind;
use strongroom::provider::{AuthorizeRequest, Provider, Revocation, TokenHint};

use crate::server::{json, reply, serve};
use crate::{TOKEN, app, clock, failure_of, has, pairs, provider_for, quick, refresh, secret, web};

#[test]
fn an_authorization_url_has_each_parameter_once_and_keeps_its_query() {
    let provider = Provider::new(&quick(&[]), clock()).unwrap();
    let mut app = app("https://auth.example/token");
    app.scope_separator = ",".into();
    app.authorization_params
        .insert("access_type".into(), "offline".into());
    let state = secret("state-1");
    let scopes = Scopes::parse(["b", "a"]).unwrap();
    let mut request = AuthorizeRequest {
        redirect_uri: "https://us.example/callback/app",
        state: &state,
        scopes: &scopes,
        hints: &Hints::default(),
    };
    let trip = provider.authorize_url(&app, &request).unwrap();
    let url = url::Url::parse(trip.url.expose()).unwrap();
    let query = pairs(url.query().unwrap());
    for (name, value) in [
        ("keep", "this one"),
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("state", "state-1"),
        ("redirect_uri", "https://us.example/callback/app"),
        ("scope", "a,b"),
        ("access_type", "offline"),
        ("code_challenge_method", "S256"),
    ] {
        assert!(has(&query, name, value), "{name}: {url}");
    }
    assert_eq!(trip.pkce_verifier.unwrap().expose().len(), 43);
    assert!(!url.as_str().contains("code_verifier"));

    let hints = Hints {
        login_hint: Some("ada@example.com".into()),
        prompt: Some("login consent".into()),
    };
    app.authorization_params
        .insert("prompt".into(), "none".into());
    request.hints = &hints;
    let trip = provider.authorize_url(&app, &request).unwrap();
    let url = url::Url::parse(trip.url.expose()).unwrap();
    let query = pairs(url.query().unwrap());
    for (name, value) in [
        ("login_hint", "ada@example.com"),
        // What is said of a person goes before what is said of all.
        ("prompt", "login consent"),
        ("access_type", "offline"),
    ] {
        assert!(has(&query, name, value), "{name}: {url}");
    }
    assert_eq!(query.iter().filter(|(name, _)| name == "prompt").count(), 1);

    let none = Scopes::default();
    request.scopes = &none;
    app.pkce = false;
    let trip = provider.authorize_url(&app, &request).unwrap();
    assert!(trip.pkce_verifier.is_none());
    assert!(!trip.url.expose().contains("scope") && !trip.url.expose().contains("challenge"));
}

#[tokio::test]
async fn a_code_is_exchanged_with_its_verifier_and_redirect_uri() {
    let server = serve(|_| json(TOKEN)).await;
    let mut app = app(&server.url("/token?tenant=1"));
    app.token_params.insert("audience".into(), "api x".into());
    let (code, verifier) = (secret("code/+1"), secret("verifier-1"));
    let client_secret = secret("s");
    let redirect_uri = "https://us.example/callback/app";
    let grant = provider_for(&server)
        .exchange(
            &app,
            Some(&client_secret),
            &code,
            redirect_uri,
            Some(&verifier),
            &Default::default(),
        )
        .await;
    let grant = grant.unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(grant.access_token.expose(), "at-1");
    assert_eq!(grant.expires_in_s, Some(3600));
    let (head, body) = server.last();
    assert!(
        head.starts_with("post /token?tenant=1 http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\naccept: application/json"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded"));
    assert!(head.contains("\r\nuser-agent: strongroom/"));
    for absent in ["cookie", "referer", "accept-encoding"] {
        assert!(!head.contains(absent), "{head}");
    }
    let body = pairs(&body);
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "code/+1"),
        ("code_verifier", "verifier-1"),
        ("redirect_uri", redirect_uri),
        ("audience", "api x"),
    ] {
        assert!(has(&body, name, value), "{name}: {body:?}");
    }
    assert_eq!(body.len(), 5);
}

#[tokio::test]
async fn r9_a_refresh_never_sends_scope_and_always_sends_the_apps_parameters() {
    let server = serve(|_| json(r#"{"access_token":"at","refresh_token":"rt-2"}"#)).await;
    let mut app = app(&server.url("/token"));
    app.scopes = Scopes::parse(["a", "b"]).unwrap();
    app.token_params
        .insert("resource".into(), "https://mcp.example/".into());
    let grant = refresh(&provider_for(&server), &app).await.ok().unwrap();
    assert_eq!(grant.refresh_token.unwrap().expose(), "rt-2");
    let body = pairs(&server.last().1);
    assert!(has(&body, "grant_type", "refresh_token") && has(&body, "refresh_token", "rt-1"));
    assert!(has(&body, "resource", "https://mcp.example/"));
    assert_eq!(body.len(), 3);
}

/// Goal: the bytes of each way of client authentication. Method: an id and secret made of the
/// characters that the ways treat differently.
#[tokio::test]
async fn each_way_of_client_authentication_sends_its_exact_bytes() {
    use base64::Engine;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (id, hidden) = ("id:%+ é", "s:%+ ü&=");
    let server = serve(|_| json(TOKEN)).await;
    let provider = provider_for(&server);
    let mut app = app(&server.url("/token"));
    app.client_id = id.into();
    let client_secret = secret(hidden);
    for (client_auth, field, in_body) in [
        (
            ClientAuth::Basic,
            Some("id%3A%25%2B+%C3%A9:s%3A%25%2B+%C3%BC%26%3D".to_owned()),
            vec![],
        ),
        (ClientAuth::BasicRaw, Some(format!("{id}:{hidden}")), vec![]),
        (
            ClientAuth::Post,
            None,
            vec![
                "client_id=id%3A%25%2B+%C3%A9",
                "client_secret=s%3A%25%2B+%C3%BC%26%3D",
            ],
        ),
        (ClientAuth::None, None, vec!["client_id=id%3A%25%2B+%C3%A9"]),
    ] {
        app.client_auth = client_auth;
        let result = provider
            .refresh(
                &app,
                Some(&client_secret),
                &secret("rt"),
                &Default::default(),
            )
            .await;
        assert!(result.is_ok(), "{client_auth:?}");
        let seen = server.seen();
        let (head, body) = seen.last().unwrap().split_once("\r\n\r\n").unwrap();
        let sent = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization")
                .then(|| value.to_owned())
        });
        let field = field.map(|pair| format!("Basic {}", base64(&pair)));
        assert_eq!(sent, field, "{client_auth:?}");
        let mut expected = vec!["grant_type=refresh_token", "refresh_token=rt"];
        expected.extend(in_body);
        assert_eq!(body, expected.join("&"), "{client_auth:?}");
    }
    assert_eq!(server.seen().len(), 4, "no other way is tried");
    // Without a secret there is nothing to authenticate with: the id alone is sent.
    for client_auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
        app.client_auth = client_auth;
        assert!(
            provider
                .refresh(&app, None, &secret("rt"), &Default::default())
                .await
                .is_ok()
        );
        let (head, body) = server.last();
        assert!(!head.contains("authorization") && !body.contains("client_secret"));
        assert!(body.contains("client_id="));
    }
}

#[tokio::test]
async fn no_other_authentication_is_tried_when_one_is_refused() {
    let refused = reply(
        401,
        "WWW-Authenticate: Basic\r\n",
        r#"{"error":"invalid_client"}"#,
    );
    assert_eq!(failure_of(refused).await.kind, FailureKind::ClientRefused);
}

#[tokio::test]
async fn cookies_of_a_provider_are_not_kept() {
    let server = serve(|_| reply(200, "Set-Cookie: a=b; Path=/\r\n", TOKEN)).await;
    let provider = provider_for(&server);
    let app = app(&server.url("/token"));
    for _ in 0..2 {
        assert!(refresh(&provider, &app).await.is_ok());
    }
    assert!(!server.last().0.contains("cookie"));
}

#[tokio::test]
async fn a_call_can_be_detached_from_whoever_asked() {
    let server = serve(|_| json(TOKEN)).await;
    let (provider, app) = (provider_for(&server), app(&server.url("/token")));
    let flight = tokio::spawn(async move { refresh(&provider, &app).await.is_ok() });
    assert!(flight.await.unwrap());
}

#[tokio::test]
async fn o9_a_token_is_revoked_as_rfc_7009_says() {
    let server = serve(|_| reply(200, "", "")).await;
    let provider = provider_for(&server);
    let mut app = app("https://auth.example/token");
    let (client_secret, token) = (secret("s3cret"), secret("rt/1"));
    let revoke = |app: OAuth, hint| {
        let (provider, client_secret, token) =
            (provider.clone(), client_secret.clone(), token.clone());
        async move {
            provider
                .revoke(&app, Some(&client_secret), &token, hint)
                .await
        }
    };
    let outcome = revoke(app.clone(), TokenHint::RefreshToken).await;
    assert_eq!(outcome, Ok(Revocation::Unsupported));
    app.by_hand.revocation_url = Some(web(&server.url("/revoke?x=1")));
    app.token_params.insert("audience".into(), "x".into());
    for (hint, word) in [
        (TokenHint::RefreshToken, "refresh_token"),
        (TokenHint::AccessToken, "access_token"),
    ] {
        assert_eq!(revoke(app.clone(), hint).await, Ok(Revocation::Done));
        let (head, body) = server.last();
        assert!(head.starts_with("post /revoke?x=1 http/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: basic "));
        assert_eq!(body, format!("token=rt%2F1&token_type_hint={word}"));
    }
    app.by_hand.revocation_url = Some(web("http://auth.example/revoke"));
    let failure = revoke(app, TokenHint::AccessToken).await.unwrap_err();
    assert_eq!(
        failure.kind,
        FailureKind::NotSent,
        "https alone, unless allowed"
    );
}
