//! An app that is made of a template.
//!
//! It promises: what the request says itself wins over the template, as in the native API.
//! It never: knows a template that the catalogue has not.

use serde::Deserialize;

use super::super::failure::Result;
use super::apps::AppFields;
use super::{needed, text};
use crate::clock::Timestamp;
use crate::http::wire::secret;
use crate::model::app::{App, AppKind, Callback};
use crate::model::blanks::Known;
use crate::model::{AppId, template::Template};
use crate::secret::{Secret, hex, random};
use crate::vault::SecretChange;

/// `…/app/create/bytemplate`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRequest {
    #[serde(default, deserialize_with = "text")]
    template_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    client_secret: Option<Secret<String>>,
    #[serde(default, deserialize_with = "text")]
    tenant_id: Option<String>,
    #[serde(default)]
    overrides: Option<AppFields>,
}

impl TemplateRequest {
    /// The id of the template it names.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn template(&self) -> Result<&str> {
        needed(self.template_id.as_deref(), "templateId")
    }

    /// Reads it as a new app of this template.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn into_new(
        self,
        template: &Template,
        domain: &str,
        now: Timestamp,
    ) -> Result<(App, Option<Secret<String>>)> {
        let mut fields = self.overrides.unwrap_or_default();
        let id = self.id.or(fields.id.take());
        let id = AppId::parse(id.unwrap_or_else(|| hex(&random::<16>())))?;
        fields.client_id = self.client_id.or(fields.client_id);
        fields.client_secret = self.client_secret.or(fields.client_secret);
        fields.tenant_id = self.tenant_id.or(fields.tenant_id);
        let mut before = before(template, &id, fields.client_id.as_deref(), now)?;
        let settled = before.settled();
        if let (AppKind::OAuth(oauth), Some(facts)) = (&mut before.kind, &template.oauth) {
            let (issuer, token_url) = (&fields.discovery_url, &fields.token_url);
            let left = facts.endpoints(issuer.is_some(), token_url.is_some());
            (oauth.by_hand, oauth.open) = left.settle(&settled)?;
        }
        let whole = fields.over(AppFields::of(&before));
        let (app, secret) = whole.into_app(id, Some(&before), domain, now)?;
        Ok(match secret {
            SecretChange::Set(secret) => (app, Some(secret)),
            SecretChange::Keep | SecretChange::Remove => (app, None),
        })
    }
}

/// The app that it would be if nothing were said beside.
fn before(template: &Template, id: &AppId, client_id: Option<&str>, now: Timestamp) -> Result<App> {
    let client_id = match &template.oauth {
        Some(_) => needed(client_id, "clientId")?.to_owned(),
        None => String::new(),
    };
    let mut app = template.app(id.clone(), client_id, &Known::new(), now)?;
    if let AppKind::OAuth(oauth) = &mut app.kind {
        // As every app that is made in these words.
        oauth.callback = Callback::Shared;
    }
    Ok(app)
}
