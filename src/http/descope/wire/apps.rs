//! Apps, as Descope's clients know them, and what becomes of them here.
//!
//! | theirs | ours |
//! |---|---|
//! | `appType` `oauth`, `apikey` | the kind, which does not change |
//! | `discoveryUrl` | the issuer; shown as that issuer's OpenID document |
//! | `accessType` | `access_type` of the authorization parameters |
//! | `prompt[]` | `prompt` of them, with a space in between |
//! | `authorizationUrlParams[]`, `tokenUrlParams[]` | the parameters, by name; in the order of that |
//! | `defaultRedirectUrl` | the first return URL; further ones stay |
//! | `pkce` | the same; on where an app is made without a word of it |
//! | `templateId` | overlooked, as on their side; shown as the template, or `custom` |
//! | `callbackDomain` | our own is taken, and never shown: it says nothing |
//! | (none) | the callback: the shared one where an app is made here, for that is registered then |
//! | `useDcr`, `dcrUrl`, `tenantId`, a foreign `callbackDomain` | refused |
//!
//! What we have and they have no word for (how the client proves itself, the separator of scopes,
//! the lifetime where none is said) stays as it is through an update.
//!
//! It promises: what is shown is what was stored, and can be sent back as it is; a client secret
//! goes in and never comes out.
//! It never: takes a setting that would silently do nothing.

mod discovery;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::discovery::{document_of, issuer};

use super::super::failure::{Failure, Result};
use super::{needed, plain, text};
use crate::clock::Timestamp;
use crate::http::answer::Answer;
use crate::http::wire::{ok, secret};
use crate::model::app::{App, AppKind, Callback, Endpoints, OAuth};
use crate::model::logo::Logo;
use crate::model::url::WebUrl;
use crate::model::{AppId, Scopes};
use crate::secret::{Secret, hex, random};
use crate::vault::{SecretChange, ShownApp};

const ACCESS_TYPE: &str = "access_type";
const PROMPT: &str = "prompt";
/// The fields of an app, as they come in and go out.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppFields {
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    description: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    logo: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    template_id: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    app_type: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    pub(super) client_id: Option<String>,
    #[serde(default, deserialize_with = "secret", skip_serializing)]
    pub(super) client_secret: Option<Secret<String>>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    pub(super) discovery_url: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    authorization_url: Option<String>,
    #[serde(default, serialize_with = "plain")]
    authorization_url_params: Option<Vec<Param>>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    pub(super) token_url: Option<String>,
    #[serde(default, serialize_with = "plain")]
    token_url_params: Option<Vec<Param>>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    revocation_url: Option<String>,
    #[serde(default, serialize_with = "plain")]
    default_scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    default_redirect_url: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    callback_domain: Option<String>,
    #[serde(default, serialize_with = "plain")]
    pkce: Option<bool>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    access_type: Option<String>,
    #[serde(default, serialize_with = "plain")]
    prompt: Option<Vec<String>>,
    #[serde(default, serialize_with = "plain")]
    use_dcr: Option<bool>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    dcr_url: Option<String>,
    #[serde(default, deserialize_with = "text", serialize_with = "plain")]
    pub(super) tenant_id: Option<String>,
}

/// A parameter: `{key, value}`, or `{name, value}` as some write it.
#[derive(Deserialize, Serialize)]
struct Param {
    #[serde(alias = "name")]
    key: String,
    #[serde(default)]
    value: Option<String>,
}

/// `…/app/update`: the app in a wrapping, and then whole; or bare, and then what is to change.
#[derive(Deserialize)]
pub struct UpdateRequest {
    #[serde(default)]
    app: Option<AppFields>,
    #[serde(flatten)]
    bare: AppFields,
}

/// Names an app.
#[derive(Deserialize)]
pub struct NamedApp {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
}

impl NamedApp {
    /// The id.
    ///
    /// # Errors
    /// A failure where there is none.
    pub fn id(self) -> Result<AppId> {
        Ok(AppId::parse(needed(self.id, "id")?)?)
    }
}

impl UpdateRequest {
    /// The app it is about.
    ///
    /// # Errors
    /// A failure where none is named.
    pub fn id(&self) -> Result<AppId> {
        let id = self.app.as_ref().unwrap_or(&self.bare).id.clone();
        Ok(AppId::parse(needed(id, "id")?)?)
    }

    /// Reads it as what is to be there from now on, of what is there, on a server of this domain.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn over(self, before: &App, domain: &str, now: Timestamp) -> Result<(App, SecretChange)> {
        let fields = match self.app {
            Some(whole) => whole,
            None => self.bare.over(AppFields::of(before)),
        };
        let id = before.id.clone();
        fields.into_app(id, Some(before), domain, now)
    }
}

impl AppFields {
    /// Reads it as a new app.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn into_new(
        mut self,
        domain: &str,
        now: Timestamp,
    ) -> Result<(App, Option<Secret<String>>)> {
        let id = self.id.take();
        let id = AppId::parse(id.unwrap_or_else(|| hex(&random::<16>())))?;
        let secret = self.client_secret.clone();
        let (app, _) = self.into_app(id, None, domain, now)?;
        Ok((app, secret))
    }

    /// These fields, and those of `before` where these say nothing.
    pub(super) fn over(self, before: Self) -> Self {
        Self {
            id: self.id.or(before.id),
            name: self.name.or(before.name),
            description: self.description.or(before.description),
            logo: self.logo.or(before.logo),
            template_id: self.template_id.or(before.template_id),
            app_type: self.app_type.or(before.app_type),
            client_id: self.client_id.or(before.client_id),
            client_secret: self.client_secret,
            discovery_url: self.discovery_url.or(before.discovery_url),
            authorization_url: self.authorization_url.or(before.authorization_url),
            authorization_url_params: self
                .authorization_url_params
                .or(before.authorization_url_params),
            token_url: self.token_url.or(before.token_url),
            token_url_params: self.token_url_params.or(before.token_url_params),
            revocation_url: self.revocation_url.or(before.revocation_url),
            default_scopes: self.default_scopes.or(before.default_scopes),
            default_redirect_url: self.default_redirect_url.or(before.default_redirect_url),
            callback_domain: self.callback_domain.or(before.callback_domain),
            pkce: self.pkce.or(before.pkce),
            access_type: self.access_type.or(before.access_type),
            prompt: self.prompt.or(before.prompt),
            use_dcr: self.use_dcr.or(before.use_dcr),
            dcr_url: self.dcr_url.or(before.dcr_url),
            tenant_id: self.tenant_id.or(before.tenant_id),
        }
    }

    pub(super) fn into_app(
        mut self,
        id: AppId,
        before: Option<&App>,
        domain: &str,
        now: Timestamp,
    ) -> Result<(App, SecretChange)> {
        self.refuse_what_does_nothing(domain)?;
        let secret = self.client_secret.take();
        let kind = match (self.app_type.as_deref(), before.map(|app| &app.kind)) {
            (None, Some(AppKind::ApiKey)) | (Some("apikey"), _) => {
                self.refuse_oauth(secret.is_some())?;
                AppKind::ApiKey
            }
            (Some("oauth") | None, before) => {
                let before = match before {
                    Some(AppKind::OAuth(oauth)) => Some(oauth.as_ref()),
                    Some(AppKind::ApiKey) | None => None,
                };
                AppKind::OAuth(Box::new(self.take_oauth(before)?))
            }
            (Some(_), _) => {
                return Err(Failure::argument("`appType` is `oauth` or `apikey`"));
            }
        };
        let first = url("defaultRedirectUrl", self.default_redirect_url)?;
        let further = before
            .into_iter()
            .flat_map(|app| app.return_urls.iter().skip(1));
        // What these words cannot say stays as it was.
        let rest = match before {
            Some(before) => before.clone(),
            None => App::of(id.clone(), AppKind::ApiKey, now),
        };
        let app = App {
            id,
            name: needed(self.name, "name")?,
            description: self.description.unwrap_or_default(),
            logo: self
                .logo
                .map(|logo| Logo::parse("logo", &logo))
                .transpose()?,
            return_urls: first.into_iter().chain(further.cloned()).collect(),
            kind,
            created_at: now,
            updated_at: now,
            ..rest
        };
        Ok((app, secret.map_or(SecretChange::Keep, SecretChange::Set)))
    }

    /// Refuses what would be stored and do nothing.
    fn refuse_what_does_nothing(&self, domain: &str) -> Result<()> {
        let domain_said = self.callback_domain.as_deref().unwrap_or(domain);
        let what = if self.use_dcr == Some(true) || self.dcr_url.is_some() {
            "`useDcr` and `dcrUrl` are not supported: register a client at the provider, and give \
             `clientId` and `clientSecret`"
        } else if self.tenant_id.is_some() {
            "`tenantId` of an app is not supported: an access key can be confined to apps and \
             tenants instead"
        } else if !domain_said.eq_ignore_ascii_case(domain) {
            "`callbackDomain` is not this server's: providers send people back to its public URL"
        } else {
            return Ok(());
        };
        Err(Failure::argument(what))
    }

    fn refuse_oauth(&self, has_secret: bool) -> Result<()> {
        let said = |list: &Option<Vec<Param>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let lists = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
        let is_oauth = has_secret
            || self.client_id.is_some()
            || self.discovery_url.is_some()
            || self.authorization_url.is_some()
            || self.token_url.is_some()
            || self.revocation_url.is_some()
            || self.access_type.is_some()
            || said(&self.authorization_url_params)
            || said(&self.token_url_params)
            || lists(&self.default_scopes)
            || lists(&self.prompt);
        match is_oauth {
            true => Err(Failure::argument("an `apikey` app has no OAuth settings")),
            false => Ok(()),
        }
    }

    fn take_oauth(&mut self, before: Option<&OAuth>) -> Result<OAuth> {
        let mut params = by_name(
            "authorizationUrlParams",
            self.authorization_url_params.take(),
        )?;
        let prompt = self.prompt.take().filter(|prompt| !prompt.is_empty());
        for (name, field, value) in [
            (ACCESS_TYPE, "accessType", self.access_type.take()),
            (PROMPT, "prompt", prompt.map(|words| words.join(" "))),
        ] {
            let Some(value) = value else { continue };
            let other = params.insert(name.to_owned(), value.clone());
            if other.is_some_and(|other| other != value) {
                let what = format!("`{field}` and `authorizationUrlParams` contradict each other");
                return Err(Failure::argument(what));
            }
        }
        let client_id = needed(self.client_id.take(), "clientId")?;
        // What these words cannot say stays as it was.
        let rest = match before {
            Some(before) => before.clone(),
            None => OAuth {
                callback: Callback::Shared,
                ..OAuth::of(client_id.clone())
            },
        };
        let mut oauth = OAuth {
            client_id,
            issuer: self
                .discovery_url
                .take()
                .map(|said| issuer(&said))
                .transpose()?,
            by_hand: Endpoints {
                authorization_url: url("authorizationUrl", self.authorization_url.take())?,
                token_url: url("tokenUrl", self.token_url.take())?,
                revocation_url: url("revocationUrl", self.revocation_url.take())?,
                refresh_url: rest.by_hand.refresh_url.clone(),
            },
            discovered: Endpoints::default(),
            iss_advertised: false,
            issuer_text: None,
            scopes: Scopes::parse(self.default_scopes.take().unwrap_or_default())?,
            authorization_params: params,
            token_params: by_name("tokenUrlParams", self.token_url_params.take())?,
            pkce: self.pkce.unwrap_or(rest.pkce),
            remote: None,
            metadata: None,
            ..rest
        };
        if let Some(before) = before {
            oauth.stay_remote(before);
        }
        Ok(oauth)
    }

    /// The fields of an app.
    pub fn of(app: &App) -> Self {
        let text = |url: &Option<WebUrl>| url.as_ref().map(|url| url.as_str().to_owned());
        let shared = Self {
            id: Some(app.id.to_string()),
            name: Some(app.name.clone()),
            description: Some(app.description.clone()),
            logo: app.logo.clone().map(String::from),
            template_id: Some(match &app.template {
                Some(template) => template.id.clone(),
                None => "custom".into(),
            }),
            app_type: Some("apikey".into()),
            default_redirect_url: text(&app.return_urls.first().cloned()),
            ..Self::default()
        };
        let Some(oauth) = app.oauth() else {
            return shared;
        };
        let mut params = oauth.authorization_params.clone();
        let access_type = params.remove(ACCESS_TYPE);
        let prompt = params.remove(PROMPT);
        Self {
            app_type: Some("oauth".into()),
            client_id: Some(oauth.client_id.clone()),
            discovery_url: oauth.issuer.as_ref().map(document_of),
            authorization_url: text(&oauth.by_hand.authorization_url),
            authorization_url_params: Some(as_list(params)),
            token_url: text(&oauth.by_hand.token_url),
            token_url_params: Some(as_list(oauth.token_params.clone())),
            revocation_url: text(&oauth.by_hand.revocation_url),
            default_scopes: Some(oauth.scopes.iter().map(str::to_owned).collect()),
            pkce: Some(oauth.pkce),
            access_type,
            prompt: prompt.map(|words| words.split(' ').map(str::to_owned).collect()),
            ..shared
        }
    }
}

fn url(field: &str, said: Option<String>) -> Result<Option<WebUrl>> {
    Ok(said.map(|said| WebUrl::parse(field, &said)).transpose()?)
}

/// The parameters of a list, by name.
fn by_name(field: &str, list: Option<Vec<Param>>) -> Result<BTreeMap<String, String>> {
    let mut named = BTreeMap::new();
    for Param { key, value } in list.unwrap_or_default() {
        if named.insert(key, value.unwrap_or_default()).is_some() {
            let what = format!("`{field}` has the same key twice");
            return Err(Failure::argument(what));
        }
    }
    Ok(named)
}

fn as_list(params: BTreeMap<String, String>) -> Vec<Param> {
    let param = |(key, value)| Param {
        key,
        value: Some(value),
    };
    params.into_iter().map(param).collect()
}

#[derive(Serialize)]
struct LoadedShape<'a> {
    app: AppFields,
    // Looked for here by clients that know of no wrapping.
    id: &'a AppId,
    name: &'a str,
}

/// The answer that shows an app.
pub fn loaded(app: &ShownApp) -> Answer {
    ok(&LoadedShape {
        app: AppFields::of(app),
        id: &app.id,
        name: &app.name,
    })
}

/// The answer that shows all apps.
pub fn all_loaded(apps: &[ShownApp]) -> Answer {
    let fields: Vec<AppFields> = apps.iter().map(|app| AppFields::of(app)).collect();
    ok(&serde_json::json!({ "apps": fields }))
}
