//! The shapes of templates on the wire: what an app is made of.
//!
//! It promises: what a request says itself wins over its template.
//! It never: changes an app that is there.

use serde::Serialize;

use super::apps::{AppRequest, Kind};
use crate::connect::Connect;
use crate::error::{Error, Result};
use crate::model::template::{OAuthTemplate, Template};

/// A template, as it is shown.
#[derive(Serialize)]
pub struct TemplateShape<'a> {
    kind: Kind,
    #[serde(flatten)]
    template: &'a Template,
}

impl<'a> TemplateShape<'a> {
    /// The shape of a template.
    pub fn of(template: &'a Template) -> Self {
        Self {
            kind: kind_of(template),
            template,
        }
    }
}

fn kind_of(template: &Template) -> Kind {
    match template.oauth {
        Some(_) => Kind::OAuth,
        None => Kind::ApiKey,
    }
}

impl AppRequest {
    /// Fills in what it leaves out from the template that it names.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none, or it is of another kind.
    pub fn of_template(mut self) -> Result<Self> {
        let Some(id) = self.template.as_deref().filter(|id| !id.is_empty()) else {
            return Ok(self);
        };
        let template = Connect::template(id).ok_or_else(|| {
            Error::invalid("there is no such `template`: `GET /v1/templates` lists them")
        })?;
        let kind = kind_of(template);
        if *self.kind.get_or_insert(kind) != kind {
            return Err(Error::invalid("`kind` is not that of the `template`"));
        }
        self.name.get_or_insert_with(|| template.name.clone());
        if let Some(oauth) = &template.oauth {
            self.take_oauth(oauth);
        }
        Ok(self)
    }

    fn take_oauth(&mut self, oauth: &OAuthTemplate) {
        let its = oauth.endpoints(self.issuer.is_some(), self.token_url.is_some());
        for (said, known) in [
            (&mut self.authorization_url, its.authorization_url),
            (&mut self.token_url, its.token_url),
            (&mut self.revocation_url, its.revocation_url),
        ] {
            *said = said.take().or(known.map(|url| url.as_str().to_owned()));
        }
        self.scopes.get_or_insert_with(|| oauth.scopes.clone());
        self.scope_separator
            .get_or_insert_with(|| oauth.scope_separator.clone());
        self.authorization_params
            .get_or_insert_with(|| oauth.authorization_params.clone());
        self.token_params
            .get_or_insert_with(|| oauth.token_params.clone());
        self.client_auth.get_or_insert(oauth.client_auth);
        self.default_lifetime_s = self.default_lifetime_s.or(oauth.default_lifetime_s);
    }
}
