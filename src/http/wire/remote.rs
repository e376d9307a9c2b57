//! The shapes of remote MCP servers on the wire, as a part of an app's.
//!
//! It promises: what was found out is shown apart from what the operator said, so that the answer
//! makes a request again.
//! It never: shows a client secret.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::Scopes;
use crate::model::app::OAuth;
use crate::model::remote::{Registration, Remote};
use crate::model::url::WebUrl;

/// Reads the fields of a request. A client id that is empty asks for a new registration.
///
/// # Errors
/// [`Error::Invalid`] naming the field.
pub fn read(
    server_url: &Option<String>,
    registration: Option<Registration>,
    client_id: &Option<String>,
) -> Result<Option<Remote>> {
    match server_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => {
            let url = WebUrl::parse("server_url", url)?;
            let mut remote = Remote::new(url, registration.unwrap_or_default());
            remote.anew = client_id.as_deref() == Some("");
            Ok(Some(remote))
        }
        None if registration.is_some() => Err(Error::invalid(
            "`registration` is for the app of a remote MCP server: give `server_url`",
        )),
        None => Ok(None),
    }
}

/// What an app has of a remote server.
#[derive(Serialize)]
pub struct RemoteShape<'a> {
    server_url: Option<&'a WebUrl>,
    registration: Option<Registration>,
    /// As the operator says: a URL, `omit`, or nothing.
    resource: Option<&'a str>,
    /// What was found out. Only there where it was: it does not go in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<FoundShape<'a>>,
}

#[derive(Serialize)]
struct FoundShape<'a> {
    issuer: &'a WebUrl,
    resource: Option<&'a str>,
    scopes: &'a Scopes,
    offline_access: bool,
    /// Where the client id is from.
    client: &'static str,
    registered_at: Option<Timestamp>,
    client_secret_expires_at: Option<Timestamp>,
}

impl<'a> RemoteShape<'a> {
    /// The shape of these settings.
    pub fn of(oauth: &'a OAuth) -> Self {
        let remote = oauth.remote.as_deref();
        Self {
            server_url: remote.map(|remote| &remote.server_url),
            registration: remote.map(|remote| remote.registration),
            resource: oauth.resource.as_str(),
            remote: remote.and_then(found),
        }
    }
}

fn found(remote: &Remote) -> Option<FoundShape<'_>> {
    let found = remote.found.as_ref()?;
    let client = remote.client.as_ref();
    let is_registered = client.is_some_and(|client| client.registration_url.is_some());
    Some(FoundShape {
        issuer: &found.issuer,
        resource: found.resource.as_ref().map(|resource| resource.as_str()),
        scopes: &found.scopes,
        offline_access: found.offline_access,
        client: match client {
            None => "given",
            Some(_) if is_registered => "registered",
            Some(_) => "document",
        },
        registered_at: client.map(|client| client.registered_at),
        client_secret_expires_at: client.and_then(|client| client.secret_expires_at),
    })
}
