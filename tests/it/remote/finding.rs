//! Where a server's metadata is found, and what of it is refused.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::Vaulted;
use super::double::{Double, How};

const BELOW: &str = "/.well-known/oauth-protected-resource/mcp";
const ROOT: &str = "/.well-known/oauth-protected-resource";

/// Goal: the challenge counts, then the server's own path, then the root, then its origin.
/// Method: one server for each, and what it was asked for, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_found_where_the_challenge_says_else_at_the_well_known_places() {
    for (challenge, at, resource, found, asked) in [
        (
            Some(r#"resource_metadata="{}/elsewhere""#),
            Some("/elsewhere"),
            "{}/mcp",
            true,
            vec!["/elsewhere"],
        ),
        (
            Some("realm=\"x\""),
            Some(BELOW),
            "{}/mcp",
            true,
            vec![BELOW],
        ),
        (Some(""), Some(ROOT), "{}", true, vec![BELOW, ROOT]),
        // It wants another first word, and has metadata all the same.
        (None, Some(BELOW), "{}/", true, vec![BELOW]),
        // What the challenge names is not there.
        (
            Some(r#"resource_metadata="{}/gone""#),
            Some(ROOT),
            "{}",
            true,
            vec!["/gone", BELOW, ROOT],
        ),
        // Of the 2025-03-26 specification: none at all.
        (Some(""), None, "{}", false, vec![BELOW, ROOT]),
    ] {
        let double = Double::start(How {
            challenge: challenge.map(str::to_owned),
            resource_metadata_at: at.map(str::to_owned).into_iter().collect(),
            resource: resource.into(),
            ..How::default()
        })
        .await;
        let vault = Vaulted::new().await;
        let app = vault.added(&double, json!({})).await;
        let named = resource.replace("{}", &double.url());
        let expected = if found { json!(named) } else { Value::Null };
        assert_eq!(app["remote"]["resource"], expected, "{asked:?}");
        for path in asked {
            assert_eq!(double.seen(path).len(), 1, "{path}");
        }
        vault.inside.end().await;
    }
}

fn but(change: impl FnOnce(&mut How)) -> How {
    let mut how = How::default();
    change(&mut how);
    how
}

/// Each of these servers is refused in these words; nothing is registered or stored.
async fn are_refused(faults: impl IntoIterator<Item = (How, &str)>) {
    let vault = Vaulted::new().await;
    for (how, told) in faults {
        let double = Double::start(how).await;
        let (status, message) = vault.refused(&double, json!({})).await;
        assert!(matches!(status, 422 | 502), "{status} {message}");
        assert!(message.contains(told), "{message}");
        assert!(double.seen("/register").is_empty(), "{told}");
    }
    vault.inside.end().await;
}

/// Goal: no server speaks for another, or leads us inside; the message names the step and what was
/// said. Method: one fault each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_what_a_server_may_not_say_of_itself_is_refused_by_name() {
    let named = |resource: &str| but(|how| how.resource = resource.into());
    are_refused([
        (
            but(|how| {
                how.challenge = None;
                how.resource_metadata_at = vec![];
            }),
            "asks for no authorization (status 404)",
        ),
        (
            named("https://other.example/mcp"),
            "names the resource https://other.example/mcp, asked was http://127.0.0.1",
        ),
        (named("{}/mcp/below"), "names the resource http://127.0.0.1"),
        (
            named("nonsense"),
            "names the resource `nonsense`, which is no URL",
        ),
        (
            but(|how| how.issuers = vec!["https://10.0.0.1".into()]),
            "10.0.0.1",
        ),
        (
            but(|how| {
                let inside = r#"resource_metadata="http://169.254.169.254/latest""#;
                how.challenge = Some(inside.into());
            }),
            "169.254.169.254",
        ),
    ])
    .await;
}

/// Goal: no authorization server speaks for another, and none is used without PKCE S256.
/// Method: one fault each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_what_an_authorization_server_may_not_say_is_refused_by_name() {
    let saying = |metadata: Value| but(|how| how.metadata = metadata);
    are_refused([
        (
            but(|how| how.says_issuer = Some("https://other.example".into())),
            "names another issuer than the one asked",
        ),
        (
            saying(json!({ "code_challenge_methods_supported": null })),
            "does not list S256",
        ),
        (
            saying(json!({ "code_challenge_methods_supported": ["plain"] })),
            "does not list S256",
        ),
        (
            saying(json!({ "registration_endpoint": null })),
            "register Strongroom there, with the redirect URI http://127.0.0.1",
        ),
    ])
    .await;
    let vault = Vaulted::new().await;
    let refusal = json!({ "error": "invalid_redirect_uri", "error_description": "no" });
    let refusing = Double::start(but(|how| how.registration = (400, refusal))).await;
    let (_, message) = vault.refused(&refusing, json!({})).await;
    for told in ["invalid_redirect_uri", "registering at http://127.0.0.1"] {
        assert!(message.contains(told), "{message}");
    }
    vault.inside.end().await;
}

/// Goal: what an operator says wrongly costs no request. Method: bad bodies, and what was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_in_itself_is_refused_before_anything_is_asked() {
    let double = Double::start(How::default()).await;
    let vault = Vaulted::new().await;
    for (more, told) in [
        (json!({ "pkce": false }), "`pkce`"),
        (json!({ "kind": "api_key" }), "no OAuth settings"),
        (json!({ "server_url": "nonsense" }), "`server_url`"),
        (
            json!({ "server_url": null, "kind": "oauth" }),
            "`client_id` is missing",
        ),
        (
            json!({ "server_url": null, "registration": "dynamic" }),
            "`registration`",
        ),
        (json!({ "resource": "nonsense" }), "`resource`"),
        (json!({ "registration": "never" }), ""),
        (json!({ "name": " " }), "`name`"),
    ] {
        let (status, message) = vault.refused(&double, more).await;
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(told), "{message}");
    }
    assert_eq!(double.everything(), "");
    let secret = json!({ "client_secret": "without an id" });
    let (_, message) = vault.refused(&double, secret).await;
    assert!(message.contains("belongs to a `client_id`"), "{message}");
    assert!(double.seen("/register").is_empty());
    // Nobody registers for an id that is taken.
    vault.added(&double, json!({})).await;
    assert_eq!(vault.add(&double, json!({})).await.0, 409);
    assert_eq!(double.seen("/register").len(), 1);
    vault.inside.end().await;
}

/// Goal: of several authorization servers the operator may take another than the first, if the
/// server trusts it. Method: name the second, and one that is not named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_the_operator_chooses_among_the_issuers_that_the_server_names() {
    let other = Double::start(How::default()).await;
    let double = Double::start(How::default()).await;
    let (own, second) = (double.url(), other.url());
    double.change(|how| how.issuers = vec![own, second]);
    let vault = Vaulted::new().await;
    let stranger = json!({ "issuer": "https://as.example" });
    let (status, message) = vault.refused(&double, stranger).await;
    assert_eq!(status, 400);
    assert!(
        message.contains("does not trust the `issuer` https://as.example"),
        "{message}"
    );
    assert!(message.contains(&other.url()), "{message}");
    let app = vault.added(&double, json!({ "issuer": other.url() })).await;
    assert_eq!(
        app["endpoints"]["token_url"],
        format!("{}/token", other.url())
    );
    vault.connect("ada").await;
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    assert!(double.seen("/register").is_empty());
    assert!(double.seen("/token").is_empty());
    vault.inside.end().await;
}

/// A private key, as an operator gives it.
fn private_key() -> String {
    let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = EcdsaKeyPair::generate_pkcs8(by, &SystemRandom::new()).unwrap();
    let body = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// Whom the client's last proof was for.
fn audience(double: &Double) -> Value {
    let asked = double.seen("/token");
    let assertion = asked.last().unwrap().field("client_assertion");
    let claims = assertion.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["aud"].clone()
}

/// Goal: a client's proof is for the issuer letter by letter as its metadata writes it, since
/// servers compare it so, and as it writes itself by now. Method: an issuer that writes itself with
/// a slash, and a day later without; an app of an issuer, and one of an MCP server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_for_the_issuer_as_its_metadata_writes_it() {
    for of_remote in [false, true] {
        let double = Double::start(How::default()).await;
        let bare = double.url();
        double.change(|how| how.says_issuer = Some(format!("{bare}/")));
        let vault = Vaulted::new().await;
        let mut app = json!({
            "id": "m", "kind": "oauth", "client_id": "own", "client_auth": "private_key_jwt",
            "client_secret": private_key(),
        });
        match of_remote {
            false => app["issuer"] = json!(bare),
            true => app["server_url"] = json!(double.mcp()),
        }
        let (status, said) = vault.api.post("/v1/apps", app).await;
        assert_eq!(status, 201, "{said}");
        vault.connect("ada").await;
        assert_eq!(audience(&double), format!("{bare}/"), "{of_remote}");
        double.change(|how| how.says_issuer = None);
        vault.advance(86_400);
        assert_eq!(vault.token("ada").await["outcome"], "ok");
        assert_eq!(audience(&double), bare, "{of_remote}");
        vault.inside.end().await;
    }
}
