//! Whose account a credential is for: the service's own cheap call that says so.
//!
//! It promises: one request; what it says is kept within bounds; a refusal (401, 403, or what the
//! service's data says is one) is told from a service that does not answer.
//! It never: decides whether a credential is kept.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use serde_json::Value;
use url::Url;

use super::answer::{account_text, kept};
use super::asking::set_header;
use super::classify::{Failure, filter_code};
use super::egress::Request;
use super::{Provider, wrong_settings};
use crate::limits;
use crate::model::Name;
use crate::model::api::{Api, Placement, Verify};
use crate::model::blanks::{Blanks, Known};
use crate::secret::Secret;

/// A credential that is shown to its service.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The access token, or the first secret of a key.
    pub credential: &'a Secret<String>,
    /// What is known of the connection: variables, fields of the key that are no secret.
    pub known: &'a Known,
    /// The secrets of the key by their names.
    pub secrets: &'a BTreeMap<Name, Secret<String>>,
}

/// Whose account it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// What names the account for good.
    pub subject: Option<String>,
    /// What people know it by.
    pub label: Option<String>,
    /// What else is kept.
    pub metadata: Known,
}

/// Why nobody knows whose account it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotIdentified {
    /// The service has no call for it.
    NoCall,
    /// The service refuses the credential.
    Refused(String),
    /// It could not be asked, or its answer says nothing.
    Unknown(String),
}

impl Provider {
    /// Asks a service whose account a credential is for.
    ///
    /// # Errors
    /// [`NotIdentified`].
    pub async fn identify(&self, api: &Api, shown: Shown<'_>) -> Result<Identity, NotIdentified> {
        let verify = api.verify.as_ref().ok_or(NotIdentified::NoCall)?;
        let unknown = |failure: Failure| {
            let what = match failure.description.is_empty() {
                true => failure.code,
                false => failure.description,
            };
            NotIdentified::Unknown(what)
        };
        let (host, request) = request(api, verify, shown).map_err(unknown)?;
        let most = limits::PROVIDER_BODY_BYTES_MAX;
        let answer = self.send(&host, request, most).await.map_err(unknown)?;
        let body = match (answer.status, &answer.body) {
            (401 | 403, _) => {
                let said = format!("it answers with status {}", answer.status);
                return Err(NotIdentified::Refused(said));
            }
            (200..300, Ok(body)) => body,
            (status, _) => {
                let said = format!("it answers with status {status}");
                return Err(NotIdentified::Unknown(said));
            }
        };
        let said = serde_json::from_slice::<Value>(body.expose())
            .map_err(|_| NotIdentified::Unknown("its answer is not JSON".into()))?;
        read(verify, &said)
    }
}

fn read(verify: &Verify, said: &Value) -> Result<Identity, NotIdentified> {
    if let Some(bad_when) = verify.bad_when.as_ref().filter(|bad| bad.is_said_by(said)) {
        let code = bad_when.field.text_of(said).unwrap_or_default();
        let what = format!("it says {}", filter_code(&code));
        return Err(NotIdentified::Refused(what));
    }
    let text = |path: &Option<crate::model::field::FieldPath>| {
        let text = path.as_ref()?.text_of(said)?;
        account_text(&text)
    };
    let metadata = kept(&verify.keep, said);
    Ok(Identity {
        subject: text(&verify.account_id),
        label: text(&verify.account_label),
        metadata: metadata.into_iter().take(limits::METADATA_MAX).collect(),
    })
}

/// The call, as it goes out, and the host it goes to.
fn request(api: &Api, verify: &Verify, shown: Shown<'_>) -> Result<(String, Request), Failure> {
    let wrong = |error: crate::error::Error| wrong_settings(&error.to_string());
    let placement = verify.credential.as_ref().unwrap_or(&api.credential);
    let base = match (&api.base_url, verify.url.as_str().starts_with('/')) {
        (Some(base), true) => Some(base.url("base_url", shown.known).map_err(wrong)?),
        (_, _) => None,
    };
    let mut url = match &base {
        Some(base) => {
            let path = segments(&verify.url, shown)?;
            let root = base.as_str().trim_end_matches('/');
            Url::parse(&format!("{root}{path}"))
        }
        None => {
            let url = verify.url.url("verify.url", shown.known).map_err(wrong)?;
            Ok(url.as_url().clone())
        }
    }
    .map_err(|_| wrong_settings("the verification call's URL cannot be used"))?;
    place_in_url(placement, shown, &mut url)?;
    let host = url.host_str().unwrap_or_default();
    let host = format!("{host}:{}", url.port_or_known_default().unwrap_or(443));
    let body = verify.json.clone().unwrap_or_default();
    let mut request = http::Request::builder()
        .method(verify.method.as_str())
        .uri(url.as_str())
        .header(ACCEPT, "application/json")
        // Several refuse a caller without one (GitHub, Reddit).
        .header(
            USER_AGENT,
            concat!("strongroom/", env!("CARGO_PKG_VERSION")),
        )
        .body(body.into_bytes())
        .map_err(|_| wrong_settings("the verification call's URL cannot be used"))?;
    if verify.json.is_some() {
        set_header(&mut request, CONTENT_TYPE.as_str(), "application/json")?;
    }
    for (name, value) in api.headers.iter().chain(&verify.headers) {
        // One whose blank nothing fills is left out, as everywhere: this call may be what is to
        // bring the value that later calls send.
        if let Ok(value) = filled(value, shown) {
            set_header(&mut request, name, &value)?;
        }
    }
    place_in_header(placement, shown, &mut request)?;
    Ok((host, request))
}

fn value<'a>(shown: Shown<'a>, name: &Name) -> Option<&'a str> {
    let secret = shown
        .secrets
        .get(name)
        .map(|secret| secret.expose().as_str());
    let known = shown.known.get(name).map(String::as_str);
    let token = (name.as_str() == "access_token").then(|| shown.credential.expose().as_str());
    token.or(secret).or(known)
}

fn filled(text: &Blanks, shown: Shown<'_>) -> Result<String, Failure> {
    let filled = text.fill(|name| value(shown, name));
    filled.map_err(|error| wrong_settings(&error.to_string()))
}

/// A path whose blanks are filled by whole segments: nothing that fills one ends it.
fn segments(text: &Blanks, shown: Shown<'_>) -> Result<String, Failure> {
    let mut escaped = BTreeMap::new();
    for name in text.names() {
        if let Some(value) = value(shown, name) {
            let segment: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            escaped.insert(name.clone(), segment.replace('+', "%20"));
        }
    }
    let filled = text.fill(|name| escaped.get(name).map(String::as_str));
    filled.map_err(|error| wrong_settings(&error.to_string()))
}

fn place_in_url(placement: &Placement, shown: Shown<'_>, url: &mut Url) -> Result<(), Failure> {
    match placement {
        Placement::Query { params } => {
            for (name, value) in params {
                url.query_pairs_mut()
                    .append_pair(name, &filled(value, shown)?);
            }
        }
        Placement::Path { template } => {
            let path = format!("{}{}", segments(template, shown)?, url.path());
            url.set_path(&path);
        }
        Placement::Header { .. } | Placement::Headers { .. } | Placement::Basic { .. } => {}
    }
    Ok(())
}

fn place_in_header(
    placement: &Placement,
    shown: Shown<'_>,
    request: &mut Request,
) -> Result<(), Failure> {
    match placement {
        Placement::Header { name, prefix } => {
            let value = Secret::new(format!("{prefix}{}", shown.credential.expose()));
            set_header(request, name, value.expose())
        }
        Placement::Headers { headers } => headers.iter().try_for_each(|(name, value)| {
            let value = Secret::new(filled(value, shown)?);
            set_header(request, name, value.expose())
        }),
        Placement::Basic { username, password } => {
            let (username, password) = (filled(username, shown)?, filled(password, shown)?);
            let pair = Secret::new(format!("{username}:{password}"));
            let field = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
            set_header(request, AUTHORIZATION.as_str(), field.expose())
        }
        Placement::Query { .. } | Placement::Path { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
