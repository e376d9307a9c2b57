//! Where a server's metadata is found, and what of it is refused.

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

/// Goal: no server speaks for another, and none is used without PKCE S256; the message names the
/// step and what was said. Method: one fault each; nothing is registered or stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_what_a_server_may_not_say_is_refused_by_name() {
    let vault = Vaulted::new().await;
    let faults: [(How, &str); 10] = [
        (
            How {
                challenge: None,
                resource_metadata_at: vec![],
                ..How::default()
            },
            "asks for no authorization (status 404)",
        ),
        (
            How {
                resource: "https://other.example/mcp".into(),
                ..How::default()
            },
            "names the resource https://other.example/mcp, asked was http://127.0.0.1",
        ),
        (
            How {
                resource: "{}/mcp/below".into(),
                ..How::default()
            },
            "names the resource http://127.0.0.1",
        ),
        (
            How {
                resource: "nonsense".into(),
                ..How::default()
            },
            "names the resource `nonsense`, which is no URL",
        ),
        (
            How {
                says_issuer: Some("https://other.example".into()),
                ..How::default()
            },
            "names another issuer than the one asked",
        ),
        (
            How {
                metadata: json!({ "code_challenge_methods_supported": null }),
                ..How::default()
            },
            "does not list S256",
        ),
        (
            How {
                metadata: json!({ "code_challenge_methods_supported": ["plain"] }),
                ..How::default()
            },
            "does not list S256",
        ),
        (
            How {
                metadata: json!({ "registration_endpoint": null }),
                ..How::default()
            },
            "register Strongroom there, with the redirect URI http://127.0.0.1",
        ),
        (
            How {
                issuers: vec!["https://10.0.0.1".into()],
                ..How::default()
            },
            "10.0.0.1",
        ),
        (
            How {
                challenge: Some(r#"resource_metadata="http://169.254.169.254/latest""#.into()),
                ..How::default()
            },
            "",
        ),
    ];
    for (how, told) in faults {
        let double = Double::start(how).await;
        let (status, message) = vault.refused(&double, json!({})).await;
        assert!(matches!(status, 422 | 502), "{status} {message}");
        assert!(message.contains(told), "{message}");
        assert!(double.seen("/register").is_empty(), "{told}");
    }
    let refusing = Double::start(How {
        registration: (
            400,
            json!({ "error": "invalid_redirect_uri", "error_description": "no" }),
        ),
        ..How::default()
    })
    .await;
    let (_, message) = vault.refused(&refusing, json!({})).await;
    assert!(message.contains("invalid_redirect_uri"), "{message}");
    assert!(
        message.contains("registering at http://127.0.0.1"),
        "{message}"
    );
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
