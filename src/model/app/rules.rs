//! The rules of an app: what its settings must be before it is stored.
//!
//! It promises: an app that passes can be shown, and asked for, without a surprise.
//! It never: reaches the service.

use std::collections::BTreeMap;

use super::{App, AppKind, OAuth};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::api::check_fields;
use crate::model::blanks::AskedOf;
use crate::model::{Name, check_text};

/// Parameters of a request that are ours to set and no setting may replace.
const RESERVED_PARAMS: [&str; 12] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "grant_type",
    "refresh_token",
    "scope",
];

impl OAuth {
    /// What has to be there, by hand or found out.
    fn check_whole(&self) -> Result<()> {
        if self.client_id.is_empty() || self.client_id.len() > limits::TEXT_BYTES_MAX {
            return Err(Error::invalid("`client_id` is missing or too long"));
        }
        if self.client_id.chars().any(char::is_control) {
            return Err(Error::invalid("`client_id` has no control characters"));
        }
        let open = self.open.as_ref();
        let has_authorization_url = self.authorization_url().is_some()
            || open.is_some_and(|open| open.authorization_url.is_some());
        let has_token_url =
            self.token_url().is_some() || open.is_some_and(|open| open.token_url.is_some());
        if !has_authorization_url || !has_token_url {
            return Err(Error::invalid(
                "give `authorization_url` and `token_url`, or an `issuer` whose metadata has them",
            ));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.scope_separator.is_empty() || self.scope_separator.len() > 4 {
            return Err(Error::invalid("`scope_separator` has 1 to 4 characters"));
        }
        if self
            .default_lifetime_s
            .is_some_and(|s| s == 0 || s > limits::LIFETIME_MAX.as_secs())
        {
            return Err(Error::invalid(
                "`default_lifetime_s` is from 1 second to 400 days",
            ));
        }
        for (field, params) in [
            ("authorization_params", &self.authorization_params),
            ("token_params", &self.token_params),
            ("code_params", &self.dialect.asked.code_params),
        ] {
            check_params(field, params)?;
            if self.resource.as_str().is_some() && params.contains_key("resource") {
                return Err(Error::invalid(format!(
                    "`resource` is a setting of its own and in `{field}`: say it once"
                )));
            }
        }
        if self.remote.is_some() && !self.pkce {
            return Err(Error::invalid(
                "`pkce` is never off for a remote MCP server",
            ));
        }
        self.dialect.check()
    }
}

fn check_params(field: &str, params: &BTreeMap<String, String>) -> Result<()> {
    if params.len() > limits::PARAMS_MAX {
        return Err(Error::invalid(format!(
            "`{field}` has at most {} entries",
            limits::PARAMS_MAX
        )));
    }
    for (name, value) in params {
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "`{field}` has an entry without a name"
            )));
        }
        check_text(field, name)?;
        check_text(field, value)?;
        if RESERVED_PARAMS.contains(&name.as_str()) {
            return Err(Error::invalid(format!(
                "`{field}` may not set `{name}`; it has its own field"
            )));
        }
    }
    Ok(())
}

impl App {
    /// Checks every rule an app must keep before it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that breaks one.
    pub fn check(&self) -> Result<()> {
        self.oauth().map_or(Ok(()), OAuth::check_whole)?;
        self.check_settings()
    }

    /// Checks every rule but those on what a remote server tells first.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that breaks one.
    pub fn check_settings(&self) -> Result<()> {
        if self.name.trim().is_empty() {
            return Err(Error::invalid("`name` is missing"));
        }
        check_text("name", &self.name)?;
        check_text("description", &self.description)?;
        if let Some(logo) = &self.logo {
            logo.check("logo")?;
        }
        if self.return_urls.len() > limits::RETURN_URLS_MAX {
            return Err(Error::invalid(format!(
                "`return_urls` has at most {} entries",
                limits::RETURN_URLS_MAX
            )));
        }
        self.check_variables()?;
        check_fields(&self.fields)?;
        if let Some(api) = &self.api {
            api.check()?;
        }
        match &self.kind {
            AppKind::OAuth(_) if !self.fields.is_empty() => Err(Error::invalid(
                "`fields` are what keys have; an `oauth` app has none",
            )),
            AppKind::OAuth(oauth) => {
                oauth.check()?;
                self.check_endpoints(oauth)
            }
            AppKind::ApiKey => Ok(()),
        }
    }

    fn check_variables(&self) -> Result<()> {
        if self.variables.len() > limits::VARIABLES_MAX {
            return Err(Error::invalid("there are too many `variables`"));
        }
        for (name, variable) in &self.variables {
            variable.check(name)?;
        }
        for (name, value) in &self.values {
            let variable = self.variables.get(name).ok_or_else(|| {
                Error::invalid(format!("`{name}` is none of the app's `variables`"))
            })?;
            if variable.read(name, value)? != *value {
                return Err(Error::invalid(format!("`{name}` does not look right")));
            }
        }
        Ok(())
    }

    /// Every blank of an address that the client's secret goes to is filled by a variable, which is
    /// the operator's, or held to a pattern of the operator's. What an answer or a redirect says
    /// fills calls without the secret at the most (T28).
    fn check_endpoints(&self, oauth: &OAuth) -> Result<()> {
        let answered = &oauth.dialect.answered;
        let verify = self.api.iter().filter_map(|api| api.verify.as_ref());
        let kept = answered
            .keep
            .iter()
            .chain(verify.flat_map(|verify| &verify.keep));
        let kept = kept.map(|path| path.as_str());
        for name in kept.chain(answered.keep_callback.iter().map(Name::as_str)) {
            // A provider's word is not to move what the operator has said.
            let variable = self.variables.iter().find(|(own, _)| own.as_str() == name);
            if variable.is_some_and(|(_, variable)| variable.asked_of != AskedOf::Person) {
                return Err(Error::invalid(format!(
                    "`{name}` is kept of an answer and a variable of the operator's"
                )));
            }
        }
        let open = oauth.open.iter().flat_map(|open| open.names());
        let secret = oauth
            .dialect
            .calls()
            .filter(|call| call.carries_client_secret());
        let called = secret.flat_map(|call| call.url.names());
        let called = called.filter(|name| name.as_str() != "client_id");
        for name in open.chain(called) {
            let variable = self.variables.get(name).ok_or_else(|| {
                Error::invalid(format!(
                    "`{name}` is none of the `variables`, and the client secret would go to where \
                     it leads"
                ))
            })?;
            let is_others =
                variable.asked_of == AskedOf::Person || variable.callback_param.is_some();
            if is_others && variable.pattern.is_none() {
                return Err(Error::invalid(format!(
                    "`{name}` is said by whoever connects and stands in a URL: give it a `pattern`"
                )));
            }
        }
        Ok(())
    }
}
