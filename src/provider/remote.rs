//! Asks a remote MCP server which authorization server it trusts (RFC 9728, and the authorization
//! part of the MCP specification).
//!
//! It promises: metadata counts only if it names the server that was asked, or what is above it on
//! the same origin, so that no server speaks for another; what cannot be used is told with the
//! place that said it.
//! It never: sends a token, or believes a challenge further than the URL it names.

mod challenge;

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use self::challenge::Challenge;
use super::answer::{Answer, Unread};
use super::classify::{FORBIDDEN, Failure, FailureKind, filter_text, read_retry_after};
use super::{Provider, Request};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Scopes;
use crate::model::remote::Resource;
use crate::model::url::WebUrl;

/// What a remote server says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteServer {
    /// What it calls itself; nothing where it has no metadata.
    pub resource: Option<Resource>,
    /// The authorization servers it trusts, the first one first. Never empty.
    pub issuers: Vec<WebUrl>,
    /// The scopes it wants: those of its challenge, else those of its metadata, else none.
    pub scopes: Scopes,
    /// How long that may be kept, where it says so.
    pub kept_for: Option<Duration>,
}

/// Why a place has no metadata that can be used.
enum Unfit {
    /// It can be asked no more: nothing else is tried.
    Final(Error),
    /// There is none, or none that can be read.
    Absent(Failure),
}

impl Provider {
    /// Asks a remote server what protects it. Where it has no metadata its own origin is taken for
    /// its authorization server, as servers of the 2025-03-26 specification have it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the rules of the way out refuse it; [`Error::ProviderRefused`]
    /// where what it says cannot be used; [`Error::ProviderUnavailable`] where it does not answer.
    pub async fn remote_server(&self, server_url: &WebUrl) -> Result<RemoteServer> {
        self.0.egress.check(server_url.as_url())?;
        let (status, challenge) = self.challenge(server_url).await?;
        let own_scopes = challenge.scopes();
        let mut places: Vec<WebUrl> = challenge.place().into_iter().collect();
        places.extend(well_known(server_url)?);
        let mut said = Vec::new();
        for place in places {
            match self.resource_metadata(server_url, &place).await {
                Ok(mut found) => {
                    found.scopes = own_scopes.unwrap_or(found.scopes);
                    return Ok(found);
                }
                Err(Unfit::Final(error)) => return Err(error),
                Err(Unfit::Absent(failure)) => said.push((place, failure)),
            }
        }
        // A server in trouble is not one without metadata: what it would have named may be lost.
        if let Some((place, failure)) = said.into_iter().find(|(_, failure)| !is_missing(failure)) {
            let what = format!("`{place}`: {}", failure.description);
            return Err(Failure {
                description: what,
                ..failure
            }
            .into());
        }
        if status != 401 {
            // A mistyped URL, or a server that anybody may use.
            let what = format!(
                "the MCP server at {server_url} asks for no authorization (status {status}) and \
                 has no metadata (RFC 9728)"
            );
            return Err(refused("no_authorization", what));
        }
        Ok(RemoteServer {
            resource: None,
            issuers: vec![origin(server_url)?],
            scopes: own_scopes.unwrap_or_default(),
            kept_for: None,
        })
    }

    /// Asks the server for what only a token opens: the status, and what it asks for.
    async fn challenge(&self, server_url: &WebUrl) -> Result<(u16, Challenge)> {
        let request = hello(server_url)?;
        let most = limits::METADATA_BYTES_MAX;
        let sent = self
            .send_aside(&server_url.authority(), request, most)
            .await;
        let answer = sent.map_err(|failure| Failure {
            description: format!("the MCP server: {}", failure.description),
            ..failure
        })?;
        match answer.status {
            401 => Ok((401, Challenge::read(&answer.www_authenticate))),
            429 | 500.. => Err(Error::ProviderUnavailable {
                what: format!("the MCP server answers with status {}", answer.status),
                retry_after: read_retry_after(&answer.retry_after, self.0.clock.now()),
            }),
            // Some let anybody in as far as this, and some want another first word. What their
            // metadata says counts, where they have any.
            status => Ok((status, Challenge::default())),
        }
    }

    async fn resource_metadata(
        &self,
        server_url: &WebUrl,
        place: &WebUrl,
    ) -> std::result::Result<RemoteServer, Unfit> {
        let answer = self.get(place, limits::METADATA_BYTES_MAX).await;
        let answer = answer.map_err(|failure| match failure.code.as_str() {
            FORBIDDEN => Unfit::Final(failure.into()),
            _ => Unfit::Absent(failure),
        })?;
        let fields = object(&answer).map_err(Unfit::Absent)?;
        let mut found = read(server_url, place, &fields).map_err(Unfit::Final)?;
        found.kept_for = answer.kept_for;
        Ok(found)
    }
}

/// The first request of a client of the server, without a token: the one that every server since
/// the first knows.
fn hello(server_url: &WebUrl) -> Result<Request> {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "strongroom", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    http::Request::post(server_url.as_str())
        .header(ACCEPT, "application/json, text/event-stream")
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|_| Error::invalid("`server_url` cannot be asked"))
}

/// Where a server's metadata is unless its challenge says so (RFC 9728 3.1): with the server's path
/// behind the well-known one, then at the root.
fn well_known(server_url: &WebUrl) -> Result<Vec<WebUrl>> {
    const PATH: &str = "/.well-known/oauth-protected-resource";
    let path = server_url.as_url().path().trim_end_matches('/');
    let at = |path: &str, query: Option<&str>| {
        let mut url = server_url.as_url().clone();
        url.set_path(path);
        url.set_query(query);
        WebUrl::parse("server_url", url.as_str())
    };
    let mut places = vec![at(&format!("{PATH}{path}"), server_url.as_url().query())?];
    let root = at(PATH, None)?;
    if !places.contains(&root) {
        places.push(root);
    }
    Ok(places)
}

fn origin(server_url: &WebUrl) -> Result<WebUrl> {
    let origin = server_url.as_url().origin().ascii_serialization();
    WebUrl::parse("server_url", &origin)
}

/// True where a place was asked in vain, and not where it could not be asked.
fn is_missing(failure: &Failure) -> bool {
    failure.kind == FailureKind::ClientRefused
}

/// The JSON object of an answer.
fn object(answer: &Answer) -> std::result::Result<Map<String, Value>, Failure> {
    let failed = |kind, what: String| Failure::ours(kind, "resource_metadata", what);
    match (answer.status, &answer.body) {
        (200, Ok(body)) => {
            let body = body.expose();
            let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
            match serde_json::from_slice(body) {
                Ok(Value::Object(fields)) => Ok(fields),
                // The start page of a server that answers everything with it.
                _ => Err(failed(FailureKind::ClientRefused, "no JSON object".into())),
            }
        }
        (200, Err(Unread::TooLong)) => Err(failed(
            FailureKind::ClientRefused,
            "the document is too long".into(),
        )),
        (200, Err(Unread::Broken)) => Err(failed(
            FailureKind::AnswerLost,
            "the document broke off".into(),
        )),
        (status, _) => {
            let kind = match status {
                429 | 500.. => FailureKind::Transient { retry_after: None },
                _ => FailureKind::ClientRefused,
            };
            Err(failed(kind, format!("status {status}")))
        }
    }
}

fn refused(code: &str, what: String) -> Error {
    Error::ProviderRefused {
        code: code.into(),
        description: what,
    }
}

/// Reads a document (RFC 9728 2).
fn read(asked: &WebUrl, place: &WebUrl, fields: &Map<String, Value>) -> Result<RemoteServer> {
    let said = fields.get("resource").and_then(Value::as_str);
    let said = said.unwrap_or_default();
    let resource = Resource::parse("resource", said);
    let Some(resource) = resource.ok().filter(|resource| resource.covers(asked)) else {
        let what = format!(
            "the metadata at {place} names the resource {}, asked was {asked} (RFC 9728 3.3)",
            shown(said)
        );
        return Err(refused("resource_mismatch", what));
    };
    let issuers: Vec<WebUrl> = texts(fields, "authorization_servers")
        .filter_map(|text| WebUrl::parse("authorization_servers", text).ok())
        .take(limits::REMOTE_ISSUERS_MAX)
        .collect();
    if issuers.is_empty() {
        let what = format!("the metadata at {place} names no authorization server that is a URL");
        return Err(refused("no_authorization_server", what));
    }
    Ok(RemoteServer {
        resource: Some(resource),
        issuers,
        // What is no scope costs no more than itself.
        scopes: usable(texts(fields, "scopes_supported")),
        kept_for: None,
    })
}

fn texts<'a>(fields: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a str> {
    let entries = fields.get(name).and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(Value::as_str)
}

/// The scopes among these words, as many as one set may have.
fn usable<'a>(words: impl Iterator<Item = &'a str>) -> Scopes {
    let is_one = |word: &&str| !word.contains(' ') && Scopes::parse([*word]).is_ok();
    let fit = words.filter(is_one);
    Scopes::parse(fit.take(limits::SCOPES_MAX)).unwrap_or_default()
}

/// What a document says, as far as it can be shown: a URL without its query, else filtered.
fn shown(said: &str) -> String {
    match WebUrl::parse("resource", said) {
        Ok(url) => {
            let text = url.to_string();
            text.chars().take(limits::PROVIDER_TEXT_CHARS_MAX).collect()
        }
        Err(_) if said.is_empty() => "nothing".into(),
        Err(_) => format!("`{}`, which is no URL", filter_text(said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> WebUrl {
        WebUrl::parse("url", text).unwrap()
    }

    #[test]
    fn metadata_is_looked_for_below_the_path_and_then_at_the_root() {
        let found = |server: &str| -> Vec<String> {
            let places = well_known(&url(server)).unwrap();
            places.iter().map(|place| place.as_str().into()).collect()
        };
        let root = "https://a.example/.well-known/oauth-protected-resource";
        assert_eq!(found("https://a.example"), [root]);
        assert_eq!(found("https://a.example/"), [root]);
        let below = format!("{root}/t/mcp");
        assert_eq!(found("https://a.example/t/mcp/"), [below.as_str(), root]);
        let asking = format!("{root}/mcp?x=1");
        assert_eq!(found("https://a.example/mcp?x=1"), [asking.as_str(), root]);
    }

    #[test]
    fn o4_a_document_of_another_resource_is_refused_by_name() {
        let asked = url("https://a.example/mcp");
        let of = |text: &str| {
            let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
                panic!("{text}");
            };
            read(&asked, &url("https://a.example/.well-known/x"), &fields)
        };
        let good = r#"{"resource":"https://a.example","authorization_servers":
            ["nonsense", 7, "https://as.example/t", "https://other.example"],
            "scopes_supported":["a", "b c", "", 7]}"#;
        let found = of(good).unwrap();
        assert_eq!(found.resource.unwrap().as_str(), "https://a.example");
        assert_eq!(found.issuers[0], url("https://as.example/t"));
        assert_eq!(found.scopes, Scopes::parse(["a"]).unwrap());
        for (resource, told) in [
            (
                r#""https://b.example/mcp?x=hidden""#,
                "https://b.example/mcp,",
            ),
            (r#""https://a.example/other""#, "https://a.example/other"),
            (r#""a.example""#, "`a.example`, which is no URL"),
            ("7", "nothing"),
            ("null", "nothing"),
        ] {
            let text = format!(
                r#"{{"resource":{resource},"authorization_servers":["https://a.example"]}}"#
            );
            let error = of(&text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(error.contains("asked was https://a.example/mcp"), "{error}");
        }
        for servers in ["[]", "null", r#"["javascript:1"]"#, r#"[{"a":1}]"#] {
            let text =
                format!(r#"{{"resource":"https://a.example","authorization_servers":{servers}}}"#);
            let error = of(&text).unwrap_err().to_string();
            assert!(error.contains("names no authorization server"), "{error}");
        }
    }
}
