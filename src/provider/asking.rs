//! A request in its provider's dialect: what the RFCs would have sent, changed as data says.
//!
//! It promises: a provider without a dialect gets what the RFCs say, byte for byte; what binds an
//! answer to its question, and what is presented, is in every request.
//! It never: sends anything, or puts a secret anywhere but where the dialect puts parameters.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};
use url::Url;

use super::classify::Failure;
use super::egress::Request;
use super::wrong_settings;
use crate::model::app::OAuth;
use crate::model::blanks::Known;
use crate::model::dialect::{Dialect, Format};

type Params = Vec<(String, String)>;

/// Which token request it is.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// The exchange of a code.
    Code,
    /// A refresh, of a connection of which this is known.
    Refresh(&'a Known),
}

/// The URL of an authorization request, in its provider's dialect.
pub(super) fn authorize(app: &OAuth, url: &mut Url) {
    let asked = &app.dialect.asked;
    if app.dialect == Dialect::default() {
        return;
    }
    let mut params: Params = url.query_pairs().into_owned().collect();
    for (name, scopes) in asked
        .more_scopes
        .iter()
        .filter(|(_, scopes)| !scopes.is_empty())
    {
        params.push((name.clone(), scopes.joined(&app.scope_separator)));
    }
    if let Some(name) = &asked.scope_param {
        rename(&mut params, "scope", name);
    }
    leave_out(&mut params, &asked.without.authorize);
    rename_all(&mut params, &asked.rename);
    url.query_pairs_mut().clear().extend_pairs(params);
}

/// A token request, in its provider's dialect.
pub(super) fn token_request(
    app: &OAuth,
    kind: Kind<'_>,
    mut request: Request,
) -> Result<Request, Failure> {
    let asked = &app.dialect.asked;
    if *asked == Default::default() {
        return Ok(request);
    }
    let body = std::mem::take(request.body_mut());
    let mut params: Params = form_urlencoded::parse(&body).into_owned().collect();
    match kind {
        Kind::Code => {
            let extra = asked.code_params.iter();
            params.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
            leave_out(&mut params, &asked.without.code);
        }
        Kind::Refresh(known) => {
            for (name, value) in &asked.refresh_params {
                // One whose blank nothing fills is left out, as everywhere.
                if let Ok(value) = value.fill(|name| known.get(name).map(String::as_str)) {
                    params.retain(|(own, _)| own != name);
                    params.push((name.clone(), value));
                }
            }
            leave_out(&mut params, &asked.without.refresh);
        }
    }
    rename_all(&mut params, &asked.rename);
    write(&mut request, asked.token_format, params)?;
    for (name, value) in &asked.token_headers {
        set_header(&mut request, name, value)?;
    }
    Ok(request)
}

/// Writes parameters into a request, in one of the three forms.
pub(super) fn write(request: &mut Request, format: Format, params: Params) -> Result<(), Failure> {
    let content_type = match format {
        Format::Form => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            *request.body_mut() = form.extend_pairs(params).finish().into_bytes();
            "application/x-www-form-urlencoded"
        }
        Format::Json => {
            let object: BTreeMap<String, String> = params.into_iter().collect();
            *request.body_mut() = serde_json::to_vec(&object).expect("plain text");
            "application/json"
        }
        Format::Query => {
            let mut url = Url::parse(&request.uri().to_string())
                .map_err(|_| wrong_settings("the URL cannot be used"))?;
            url.query_pairs_mut().extend_pairs(params);
            *request.uri_mut() = url
                .as_str()
                .parse()
                .map_err(|_| wrong_settings("the URL cannot be used"))?;
            request.headers_mut().remove(CONTENT_TYPE);
            return Ok(());
        }
    };
    let value = HeaderValue::from_static(content_type);
    request.headers_mut().insert(CONTENT_TYPE, value);
    Ok(())
}

/// Sets a header field. Its value may be a secret.
pub(super) fn set_header(request: &mut Request, name: &str, value: &str) -> Result<(), Failure> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| wrong_settings("a header has a name that is none"))?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| wrong_settings("a header has a value that is none"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

fn leave_out(params: &mut Params, names: &BTreeSet<String>) {
    params.retain(|(name, _)| !names.contains(name));
}

fn rename_all(params: &mut Params, names: &BTreeMap<String, String>) {
    for (from, to) in names {
        rename(params, from, to);
    }
}

fn rename(params: &mut Params, from: &str, to: &str) {
    for (name, _) in params.iter_mut().filter(|(name, _)| name == from) {
        to.clone_into(name);
    }
}

#[cfg(test)]
mod tests;
