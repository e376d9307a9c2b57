//! What an authorization server says of itself (RFC 8414, OpenID Connect Discovery). Pure.
//!
//! It promises: a document counts only if it names the issuer that was asked (RFC 8414 3.3), so
//! that nobody can speak for another; what one document lacks the next one fills in.
//! It never: fetches (that is `discovery`), or replaces what an operator set by hand.

use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::app::Endpoints;
use crate::model::url::WebUrl;

/// What was learnt from an issuer's metadata.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Discovered {
    /// The issuer as it writes itself: what `iss` of a callback is compared with (RFC 9207 2.4).
    pub issuer: String,
    /// Its endpoints.
    pub endpoints: Endpoints,
    /// Where the keys are that it signs with.
    pub jwks_url: Option<WebUrl>,
    /// It sends `iss` with every callback (RFC 9207 3): then a callback without is refused.
    pub iss_advertised: bool,
    /// Whether it lists PKCE S256; `None` where it lists no methods at all.
    pub pkce_s256: Option<bool>,
    /// The scopes it lists.
    pub scopes_supported: Vec<String>,
    /// Where clients register (RFC 7591 3), if anywhere.
    pub registration_url: Option<WebUrl>,
    /// It takes the URL of a client id metadata document for a client id.
    pub takes_documents: bool,
    /// How clients may prove themselves, in its words (`client_secret_basic`, …). Empty stands for
    /// `client_secret_basic` (RFC 8414 2).
    pub token_endpoint_auth_methods: Vec<String>,
    /// How long it may be kept, where the issuer says so.
    pub kept_for: Option<Duration>,
    /// Every place was asked, and none was in trouble: nothing it says elsewhere is missing.
    pub is_whole: bool,
}

/// True where both name one issuer: the same URL, but for a slash at the end.
pub fn is_same_issuer(asked: &WebUrl, said: &str) -> bool {
    WebUrl::parse("issuer", said)
        .is_ok_and(|said| unslashed(said.as_str()) == unslashed(asked.as_str()))
}

fn unslashed(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

/// Where an issuer's documents may be, the ones that count most first. RFC 8414 3.1 inserts the
/// well-known part before the issuer's path, OpenID Connect Discovery 4 appends it, and there are
/// servers for every mixture (RFC 8414 5).
///
/// # Errors
/// [`Error::Invalid`] where the issuer has a query.
pub fn candidates(issuer: &WebUrl) -> Result<Vec<WebUrl>> {
    let url = issuer.as_url();
    if url.query().is_some() {
        return Err(Error::invalid(
            "`issuer` must not have a query (RFC 8414 2)",
        ));
    }
    let path = unslashed(url.path());
    let mut paths = Vec::new();
    for name in ["oauth-authorization-server", "openid-configuration"] {
        paths.push(format!("/.well-known/{name}{path}"));
        if !path.is_empty() {
            paths.push(format!("{path}/.well-known/{name}"));
        }
    }
    let at = |path: &String| {
        let mut url = url.clone();
        url.set_path(path);
        WebUrl::parse("issuer", url.as_str())
    };
    paths.iter().map(at).collect()
}

/// Reads one document.
///
/// # Errors
/// What is wrong with it, as a phrase.
pub fn read(issuer: &WebUrl, body: &[u8]) -> std::result::Result<Discovered, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
        return Err("the document is not a JSON object".into());
    };
    let said = fields.get("issuer").and_then(Value::as_str);
    let Some(said) = said.filter(|said| is_same_issuer(issuer, said)) else {
        return Err("the document names another issuer than the one asked".into());
    };
    let endpoint = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => WebUrl::parse(name, text)
            .map(Some)
            .map_err(|error| error.to_string()),
        Some(_) => Err(format!("`{name}` is not a text")),
    };
    let list = |name: &str| -> Vec<String> {
        let entries = fields.get(name).and_then(Value::as_array);
        let texts = entries.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let is_true = |name: &str| fields.get(name) == Some(&Value::Bool(true));
    let pkce = fields.get("code_challenge_methods_supported");
    Ok(Discovered {
        issuer: said.to_owned(),
        endpoints: Endpoints {
            authorization_url: endpoint("authorization_endpoint")?,
            token_url: endpoint("token_endpoint")?,
            revocation_url: endpoint("revocation_endpoint")?,
            refresh_url: None,
        },
        // Only who takes JWTs of this issuer needs it: a bad one spoils nothing else.
        jwks_url: endpoint("jwks_uri").unwrap_or_default(),
        iss_advertised: is_true("authorization_response_iss_parameter_supported"),
        // Only who registers needs it.
        registration_url: endpoint("registration_endpoint").unwrap_or_default(),
        takes_documents: is_true("client_id_metadata_document_supported"),
        pkce_s256: pkce
            .and_then(Value::as_array)
            .map(|methods| methods.iter().any(|method| method == "S256")),
        scopes_supported: list("scopes_supported"),
        token_endpoint_auth_methods: list("token_endpoint_auth_methods_supported"),
        kept_for: None,
        is_whole: true,
    })
}

/// Joins documents of one issuer: the first to say a thing counts. Two exceptions lean to the safe
/// side: `iss` is expected if any says so, and S256 is missing only if none lists it. They may be
/// kept as long as the one that may be kept least.
pub fn merge(documents: Vec<Discovered>) -> Option<Discovered> {
    documents.into_iter().reduce(|first, next| {
        let filled = |ours: Vec<String>, theirs| if ours.is_empty() { theirs } else { ours };
        Discovered {
            issuer: first.issuer,
            endpoints: first.endpoints.or(next.endpoints),
            jwks_url: first.jwks_url.or(next.jwks_url),
            iss_advertised: first.iss_advertised || next.iss_advertised,
            registration_url: first.registration_url.or(next.registration_url),
            takes_documents: first.takes_documents || next.takes_documents,
            pkce_s256: match (first.pkce_s256, next.pkce_s256) {
                (Some(ours), Some(theirs)) => Some(ours || theirs),
                (ours, theirs) => ours.or(theirs),
            },
            scopes_supported: filled(first.scopes_supported, next.scopes_supported),
            token_endpoint_auth_methods: filled(
                first.token_endpoint_auth_methods,
                next.token_endpoint_auth_methods,
            ),
            kept_for: shorter(first.kept_for, next.kept_for),
            is_whole: first.is_whole && next.is_whole,
        }
    })
}

/// The shorter of two lives, as far as they are known.
pub fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> WebUrl {
        WebUrl::parse("issuer", text).unwrap()
    }

    #[test]
    fn documents_are_looked_for_where_both_specifications_put_them() {
        let found = |issuer: &str| -> Vec<String> {
            let urls = candidates(&url(issuer)).unwrap();
            urls.iter().map(|url| url.as_str().to_owned()).collect()
        };
        let plain = [
            "https://a.example/.well-known/oauth-authorization-server",
            "https://a.example/.well-known/openid-configuration",
        ];
        assert_eq!(found("https://a.example"), plain);
        assert_eq!(found("https://a.example/"), plain);
        assert_eq!(
            found("https://a.example:8/t/1/"),
            [
                "https://a.example:8/.well-known/oauth-authorization-server/t/1",
                "https://a.example:8/t/1/.well-known/oauth-authorization-server",
                "https://a.example:8/.well-known/openid-configuration/t/1",
                "https://a.example:8/t/1/.well-known/openid-configuration",
            ]
        );
        assert!(candidates(&url("https://a.example/?x=1")).is_err());
    }

    #[test]
    fn o4_a_document_of_another_issuer_is_refused() {
        let said = |issuer: &str| read(&url("https://a.example/t"), issuer.as_bytes()).is_ok();
        assert!(said(r#"{"issuer":"https://a.example/t"}"#));
        assert!(said(r#"{"issuer":"https://a.example/t/"}"#));
        for bad in [
            r#"{"issuer":"https://a.example"}"#,
            r#"{"issuer":"https://a.example/T"}"#,
            r#"{"issuer":"https://a.example/t//"}"#,
            r#"{"issuer":"https://a.example.evil.example/t"}"#,
            r#"{"issuer":"http://a.example/t"}"#,
            r#"{"issuer":"https://a.example:8443/t"}"#,
            r#"{"issuer":["https://a.example/t"]}"#,
            r#"{"issuer":null}"#,
            "{}",
            "[]",
            "",
            "<html>",
        ] {
            assert!(!said(bad), "{bad} was taken");
        }
    }

    #[test]
    fn what_one_document_lacks_the_next_fills_in() {
        let issuer = url("https://a.example");
        let first = br#"{"issuer":"https://a.example","token_endpoint":"https://a.example/t1",
            "code_challenge_methods_supported":["plain"],"revocation_endpoint":null}"#;
        let second = br#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/t2",
            "authorization_endpoint":"https://a.example/a","scopes_supported":["openid",7],
            "jwks_uri":"https://a.example/k",
            "revocation_endpoint":"https://a.example/r",
            "token_endpoint_auth_methods_supported":["client_secret_post"],
            "authorization_response_iss_parameter_supported":true,
            "code_challenge_methods_supported":["S256"]}"#;
        let documents = vec![
            read(&issuer, first).unwrap(),
            read(&issuer, second).unwrap(),
        ];
        let merged = merge(documents).unwrap();
        let endpoint = |path: &str| Some(url(&format!("https://a.example/{path}")));
        assert_eq!(merged.endpoints.token_url, endpoint("t1"));
        assert_eq!(merged.endpoints.authorization_url, endpoint("a"));
        assert_eq!(merged.endpoints.revocation_url, endpoint("r"));
        assert_eq!(merged.jwks_url, endpoint("k"));
        assert_eq!(merged.issuer, "https://a.example");
        assert!(merged.iss_advertised);
        assert_eq!(merged.pkce_s256, Some(true));
        assert_eq!(merged.scopes_supported, ["openid"]);
        assert_eq!(merged.token_endpoint_auth_methods, ["client_secret_post"]);
        assert_eq!(merge(Vec::new()), None);
    }

    #[test]
    fn a_place_of_keys_that_is_no_url_spoils_nothing_else() {
        let text = br#"{"issuer":"https://a.example","jwks_uri":"javascript:1"}"#;
        assert_eq!(
            read(&url("https://a.example"), text).unwrap().jwks_url,
            None
        );
    }

    #[test]
    fn an_endpoint_that_is_no_url_spoils_its_document() {
        for bad in [
            r#""javascript:alert(1)""#,
            r#""/token""#,
            "7",
            r#""https://u:p@a.example/""#,
        ] {
            let text = format!(r#"{{"issuer":"https://a.example","token_endpoint":{bad}}}"#);
            assert!(
                read(&url("https://a.example"), text.as_bytes()).is_err(),
                "{bad}"
            );
        }
    }
}
