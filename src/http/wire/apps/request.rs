//! An app as a request says it.
//!
//! It promises: what a request says itself wins over its template; a request without one says all.
//! It never: changes an app that is there.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::http::wire::remote;
use crate::model::api::{Api, CredentialField};
use crate::model::app::{App, AppKind, Callback, ClientAuth, OAuth, OpenEndpoints};
use crate::model::blanks::{Blanks, Known, Variable};
use crate::model::dialect::Dialect;
use crate::model::logo::Logo;
use crate::model::remote::{Registration, ResourceChoice};
use crate::model::template::Template;
use crate::model::url::WebUrl;
use crate::model::{AppId, Name, Scopes};
use crate::secret::Secret;
use crate::vault::SecretChange;

/// `POST /v1/apps` and `PUT /v1/apps/{app}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRequest {
    #[serde(default)]
    id: Option<AppId>,
    #[serde(default)]
    name: Option<String>,
    /// That of its template unless said.
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    /// Absent: keep; empty: none; else: this one.
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    authorization_url: Option<String>,
    #[serde(default)]
    token_url: Option<String>,
    #[serde(default)]
    refresh_url: Option<String>,
    #[serde(default)]
    revocation_url: Option<String>,
    #[serde(default)]
    scopes: Option<Scopes>,
    #[serde(default)]
    scope_separator: Option<String>,
    #[serde(default)]
    authorization_params: Option<BTreeMap<String, String>>,
    #[serde(default)]
    token_params: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pkce: Option<bool>,
    #[serde(default)]
    client_auth: Option<ClientAuth>,
    #[serde(default)]
    callback: Option<Callback>,
    #[serde(default)]
    default_lifetime_s: Option<u64>,
    #[serde(default)]
    dialect: Option<Dialect>,
    /// The MCP server it is of: all else is found out.
    #[serde(default)]
    server_url: Option<String>,
    #[serde(default)]
    registration: Option<Registration>,
    /// A URL; `omit` or empty: left out.
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    variables: Option<BTreeMap<Name, Variable>>,
    #[serde(default)]
    values: Option<Known>,
    #[serde(default)]
    fields: Option<Vec<CredentialField>>,
    #[serde(default)]
    api: Option<Api>,
    #[serde(default)]
    return_urls: Option<Vec<String>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    logo: Option<String>,
}

impl AppRequest {
    /// The id of the template it names, if any.
    pub fn template(&self) -> Option<&str> {
        self.template.as_deref().filter(|id| !id.is_empty())
    }

    /// Reads it as a new app, of the template it names, if any.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn into_new(
        mut self,
        template: Option<&Template>,
        now: Timestamp,
    ) -> Result<(App, SecretChange)> {
        let id = self.id.take();
        let id = id.ok_or_else(|| Error::invalid("`id` is missing"))?;
        let base = match template {
            None => self.bare(id, now)?,
            Some(template) => self.base(template, id, now)?,
        };
        self.over(base)
    }

    /// Reads it as what the app of this id is to be, whole.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn into_changed(mut self, id: AppId, now: Timestamp) -> Result<(App, SecretChange)> {
        if self.id.take().is_some_and(|said| said != id) {
            return Err(Error::invalid("`id` is not the one in the path"));
        }
        let base = self.bare(id, now)?;
        self.over(base)
    }

    /// An app of which nothing is said but its kind.
    fn bare(&self, id: AppId, now: Timestamp) -> Result<App> {
        remote::read(&self.server_url, self.registration, &self.client_id)?;
        let of_remote = self.is_of_remote().then_some(Kind::OAuth);
        let kind = match self.kind.or(of_remote) {
            None => return Err(Error::invalid("`kind` is missing")),
            Some(Kind::ApiKey) => AppKind::ApiKey,
            Some(Kind::OAuth) => AppKind::OAuth(Box::new(OAuth::of(self.needed_client_id()?))),
        };
        Ok(App::of(id, kind, now))
    }

    /// An app as its template says it, as far as what is said beside leaves that.
    fn base(&mut self, template: &Template, id: AppId, now: Timestamp) -> Result<App> {
        if let Some(url) = &template.server_url {
            let its_own = || url.as_str().to_owned();
            self.server_url.get_or_insert_with(its_own);
        }
        let kind = Kind::of(template);
        if self.kind.is_some_and(|said| said != kind) {
            return Err(Error::invalid("`kind` is not that of the `template`"));
        }
        let client_id = match kind {
            Kind::OAuth => self.needed_client_id()?,
            Kind::ApiKey => String::new(),
        };
        let values = self.values.take().unwrap_or_default();
        let mut app = template.app(id, client_id.clone(), &values, now)?;
        if kind == Kind::OAuth && template.oauth.is_none() {
            app.kind = AppKind::OAuth(Box::new(OAuth::of(client_id)));
        }
        let settled = app.settled();
        if let (AppKind::OAuth(oauth), Some(facts)) = (&mut app.kind, &template.oauth) {
            let left = facts.endpoints(self.issuer.is_some(), self.token_url.is_some());
            (oauth.by_hand, oauth.open) = left.settle(&settled)?;
        }
        Ok(app)
    }

    fn is_of_remote(&self) -> bool {
        self.server_url.as_ref().is_some_and(|url| !url.is_empty())
    }

    /// The client id; empty for now where the remote server is asked for one.
    fn needed_client_id(&self) -> Result<String> {
        if self.is_of_remote() {
            return Ok(self.client_id.clone().unwrap_or_default());
        }
        let missing = || Error::invalid("`client_id` is missing");
        self.client_id.clone().ok_or_else(missing)
    }

    /// Lays what is said over what is known.
    fn over(mut self, mut app: App) -> Result<(App, SecretChange)> {
        let secret = match self.client_secret.take().map(Secret::new) {
            None => SecretChange::Keep,
            Some(secret) if secret.expose().is_empty() => SecretChange::Remove,
            Some(secret) => SecretChange::Set(secret),
        };
        set(&mut app.name, self.name.take());
        set(&mut app.description, self.description.take());
        set(&mut app.variables, self.variables.take());
        set(&mut app.values, self.values.take());
        set(&mut app.fields, self.fields.take());
        if let Some(api) = self.api.take() {
            app.api = Some(Box::new(api));
        }
        let logo = self.logo.take().filter(|text| !text.is_empty());
        app.logo = logo.map(|text| Logo::parse("logo", &text)).transpose()?;
        let urls = self.return_urls.take().unwrap_or_default();
        let parse = |url: &String| WebUrl::parse("return_urls", url);
        app.return_urls = urls.iter().map(parse).collect::<Result<_>>()?;
        let settled = app.settled();
        match &mut app.kind {
            AppKind::ApiKey => self.refuse_oauth(&secret)?,
            AppKind::OAuth(oauth) => self.over_oauth(oauth, &settled)?,
        }
        Ok((app, secret))
    }

    fn refuse_oauth(&self, secret: &SecretChange) -> Result<()> {
        let urls = [
            &self.client_id,
            &self.issuer,
            &self.authorization_url,
            &self.token_url,
            &self.refresh_url,
            &self.revocation_url,
        ];
        let has_scopes = self
            .scopes
            .as_ref()
            .is_some_and(|scopes| !scopes.is_empty());
        let oauth_only = urls.into_iter().any(Option::is_some)
            || has_scopes
            || self.default_lifetime_s.is_some()
            || self.callback.is_some()
            || self.dialect.is_some()
            || self.resource.is_some()
            || self.server_url.is_some()
            || matches!(secret, SecretChange::Set(_));
        match oauth_only {
            true => Err(Error::invalid("an `api_key` app has no OAuth settings")),
            false => Ok(()),
        }
    }

    fn over_oauth(self, oauth: &mut OAuth, settled: &Known) -> Result<()> {
        let remote = remote::read(&self.server_url, self.registration, &self.client_id)?;
        oauth.remote = remote.map(Box::new);
        oauth.resource = ResourceChoice::parse(self.resource.as_deref())?;
        set(&mut oauth.client_id, self.client_id);
        if let Some(issuer) = self.issuer {
            oauth.issuer = url("issuer", Some(issuer))?;
        }
        let said = OpenEndpoints {
            authorization_url: blanks(self.authorization_url)?,
            token_url: blanks(self.token_url)?,
            refresh_url: blanks(self.refresh_url)?,
            revocation_url: blanks(self.revocation_url)?,
        };
        let (by_hand, open) = said.clone().settle(settled)?;
        let before = oauth.open.take().unwrap_or_default();
        oauth.by_hand = by_hand.or(std::mem::take(&mut oauth.by_hand).without(&said));
        let open = open.unwrap_or_default().or(before.without(&said));
        oauth.open = (open != OpenEndpoints::default()).then_some(open);
        set(&mut oauth.scopes, self.scopes);
        set(&mut oauth.scope_separator, self.scope_separator);
        set(&mut oauth.authorization_params, self.authorization_params);
        set(&mut oauth.token_params, self.token_params);
        set(&mut oauth.pkce, self.pkce);
        set(&mut oauth.client_auth, self.client_auth);
        set(&mut oauth.callback, self.callback);
        set(&mut oauth.dialect, self.dialect);
        oauth.default_lifetime_s = self.default_lifetime_s.or(oauth.default_lifetime_s);
        Ok(())
    }
}

fn set<T>(known: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *known = said;
    }
}

fn blanks(text: Option<String>) -> Result<Option<Blanks>> {
    let said = text.filter(|text| !text.is_empty());
    said.map(Blanks::parse).transpose()
}

fn url(what: &str, text: Option<String>) -> Result<Option<WebUrl>> {
    text.filter(|text| !text.is_empty())
        .map(|text| WebUrl::parse(what, &text))
        .transpose()
}
