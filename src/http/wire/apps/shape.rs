//! An app as it is shown.
//!
//! It promises: what is shown can be said again, and makes the same app.
//! It never: shows a client secret.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Kind;
use crate::clock::Timestamp;
use crate::http::wire::remote::RemoteShape;
use crate::model::api::{Api, CredentialField};
use crate::model::app::{Callback, ClientAuth, OAuth};
use crate::model::blanks::{Blanks, Known, Variable, is_default};
use crate::model::dialect::Dialect;
use crate::model::logo::Logo;
use crate::model::url::WebUrl;
use crate::model::{AppId, Name, Scopes};
use crate::vault::ShownApp;

/// An app, as it is shown.
#[derive(Serialize)]
pub struct AppShape<'a> {
    id: &'a AppId,
    name: &'a str,
    kind: Kind,
    template: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_version: Option<&'a str>,
    /// The catalogue says something else by now.
    template_outdated: bool,
    description: &'a str,
    logo: &'a Option<Logo>,
    return_urls: &'a [WebUrl],
    #[serde(flatten)]
    oauth: Option<OAuthShape<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    variables: &'a BTreeMap<Name, Variable>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: &'a Known,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [CredentialField],
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<&'a Api>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct OAuthShape<'a> {
    client_id: &'a str,
    has_client_secret: bool,
    issuer: &'a Option<WebUrl>,
    /// Given by hand; with blanks, where each connection fills its own.
    authorization_url: Option<&'a str>,
    /// Given by hand.
    token_url: Option<&'a str>,
    /// Given by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_url: Option<&'a str>,
    /// Given by hand.
    revocation_url: Option<&'a str>,
    /// In use: by hand, else from the issuer's metadata.
    endpoints: EndpointsShape<'a>,
    redirect_uri: String,
    scopes: &'a Scopes,
    scope_separator: &'a str,
    authorization_params: &'a BTreeMap<String, String>,
    token_params: &'a BTreeMap<String, String>,
    pkce: bool,
    client_auth: ClientAuth,
    callback: Callback,
    default_lifetime_s: Option<u64>,
    #[serde(skip_serializing_if = "is_the_rfcs")]
    dialect: &'a Dialect,
    #[serde(flatten)]
    remote: RemoteShape<'a>,
}

fn is_the_rfcs(dialect: &&Dialect) -> bool {
    is_default(*dialect)
}

#[derive(Serialize)]
struct EndpointsShape<'a> {
    authorization_url: Option<&'a WebUrl>,
    token_url: Option<&'a WebUrl>,
    revocation_url: Option<&'a WebUrl>,
    /// When the issuer's metadata was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_read_at: Option<Timestamp>,
    /// Why what it said then is not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_withheld: Option<&'a str>,
}

impl<'a> OAuthShape<'a> {
    fn of(oauth: &'a OAuth, has_client_secret: bool, redirect_uri: String) -> Self {
        let open = oauth.open.as_ref();
        let said = |by_hand: &'a Option<WebUrl>, blanks: Option<&'a Option<Blanks>>| {
            let blanks = blanks.and_then(Option::as_ref).map(Blanks::as_str);
            by_hand.as_ref().map(WebUrl::as_str).or(blanks)
        };
        let by_hand = &oauth.by_hand;
        let metadata = oauth.metadata.as_ref();
        Self {
            client_id: &oauth.client_id,
            has_client_secret,
            issuer: &oauth.issuer,
            authorization_url: said(
                &by_hand.authorization_url,
                open.map(|open| &open.authorization_url),
            ),
            token_url: said(&by_hand.token_url, open.map(|open| &open.token_url)),
            refresh_url: said(&by_hand.refresh_url, open.map(|open| &open.refresh_url)),
            revocation_url: said(
                &by_hand.revocation_url,
                open.map(|open| &open.revocation_url),
            ),
            endpoints: EndpointsShape {
                authorization_url: oauth.authorization_url(),
                token_url: oauth.token_url(),
                revocation_url: oauth.revocation_url(),
                metadata_read_at: metadata.map(|read| read.at),
                metadata_withheld: metadata.and_then(|read| read.withheld.as_deref()),
            },
            redirect_uri,
            scopes: &oauth.scopes,
            scope_separator: &oauth.scope_separator,
            authorization_params: &oauth.authorization_params,
            token_params: &oauth.token_params,
            pkce: oauth.pkce,
            client_auth: oauth.client_auth,
            callback: oauth.callback,
            default_lifetime_s: oauth.default_lifetime_s,
            dialect: &oauth.dialect,
            remote: RemoteShape::of(oauth),
        }
    }
}

impl<'a> AppShape<'a> {
    /// The shape of an app whose provider sends people back to `redirect_uri`, and of whose
    /// template the catalogue may say something else by now (`is_outdated`).
    pub fn of(app: &'a ShownApp, redirect_uri: String, is_outdated: bool) -> Self {
        let oauth = app.oauth();
        let oauth = oauth.map(|oauth| OAuthShape::of(oauth, app.has_client_secret, redirect_uri));
        let template = app.template.as_ref();
        Self {
            id: &app.id,
            name: &app.name,
            kind: match oauth {
                Some(_) => Kind::OAuth,
                None => Kind::ApiKey,
            },
            template: template.map(|template| template.id.as_str()),
            template_version: template.map(|template| template.version.as_str()),
            template_outdated: is_outdated,
            description: &app.description,
            logo: &app.logo,
            return_urls: &app.return_urls,
            oauth,
            variables: &app.variables,
            values: &app.values,
            fields: &app.fields,
            api: app.api.as_deref(),
            created_at: app.created_at,
            updated_at: app.updated_at,
        }
    }
}
