//! What issuers say of themselves.

use strongroom::error::Error;

use crate::server::{Reply, json, reply, serve};
use crate::{provider_for, web};

fn path_of(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn an_issuers_documents_are_joined() {
    let server = serve(|request| {
        let host = request
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap_or_default();
        let issuer = format!("http://{host}/t");
        match path_of(request) {
            "/.well-known/oauth-authorization-server/t" => json(&format!(
                r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token",
                    "revocation_endpoint":"{issuer}/revoke",
                    "code_challenge_methods_supported":["S256"]}}"#
            )),
            "/t/.well-known/openid-configuration" => json(&format!(
                r#"{{"issuer":"{issuer}/","authorization_endpoint":"{issuer}/authorize",
                    "token_endpoint":"{issuer}/other","scopes_supported":["openid"],
                    "authorization_response_iss_parameter_supported":true}}"#
            )),
            _ => reply(404, "", "<html>"),
        }
    })
    .await;
    let provider = provider_for(&server);
    let found = provider.discover(&web(&server.url("/t/"))).await.unwrap();
    let endpoint = |path: &str| Some(web(&server.url(path)));
    assert_eq!(found.endpoints.authorization_url, endpoint("/t/authorize"));
    assert_eq!(found.endpoints.token_url, endpoint("/t/token"));
    assert_eq!(found.endpoints.revocation_url, endpoint("/t/revoke"));
    assert_eq!(found.pkce_s256, Some(true));
    assert!(found.iss_advertised);
    assert_eq!(found.scopes_supported, ["openid"]);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn o4_metadata_that_cannot_be_trusted_is_refused_with_what_each_place_said() {
    let server = serve(|request| match path_of(request) {
        "/.well-known/openid-configuration" => {
            json(r#"{"issuer":"https://other.example","token_endpoint":"https://x.example/t"}"#)
        }
        _ => reply(302, "Location: https://other.example/\r\n", ""),
    })
    .await;
    let error = provider_for(&server)
        .discover(&web(&server.url("/")))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::ProviderRefused { .. }), "{text}");
    assert!(
        text.contains("`/.well-known/oauth-authorization-server`: status 302"),
        "{text}"
    );
    assert!(text.contains("names another issuer"), "{text}");
}

/// Goal: nothing a document names is taken over if the way out would refuse it. Method: one
/// document per fault.
#[tokio::test]
async fn n6_metadata_does_not_lead_inside() {
    for (endpoint, forbidden) in [
        ("https://169.254.169.254/t", true),
        ("https://[::1]/t", true),
        ("http://auth.example/t", true),
        ("https://auth.example/t", false),
    ] {
        let server = serve(move |request| {
            let host = request.lines().find_map(|line| line.strip_prefix("host: "));
            let issuer = format!("http://{}", host.unwrap_or_default());
            json(&format!(
                r#"{{"issuer":"{issuer}","token_endpoint":"{endpoint}",
                    "authorization_endpoint":"{issuer}/a"}}"#
            ))
        })
        .await;
        let found = provider_for(&server).discover(&web(&server.url("/"))).await;
        assert_eq!(
            matches!(found, Err(Error::Forbidden(_))),
            forbidden,
            "{endpoint}"
        );
        assert_eq!(found.is_ok(), !forbidden, "{endpoint}");
    }
    for (reply, refused) in [
        (
            json(&format!("{{\"x\":\"{}\"}}", "x".repeat(300 * 1024))),
            true,
        ),
        (Reply::Silence, false),
        (reply(500, "", ""), false),
    ] {
        let server = serve(move |_| reply.clone()).await;
        let error = provider_for(&server)
            .discover(&web(&server.url("/")))
            .await
            .unwrap_err();
        assert_eq!(
            matches!(error, Error::ProviderRefused { .. }),
            refused,
            "{error}"
        );
    }
}
