//! What a provider's redirect back to us says of the connection, and whose account it is.
//!
//! It promises: a value of a redirect fills a variable only where the app says it may, and only if
//! it looks as the app says; what is kept is short text.
//! It never: redeems a code, or fails a connection because nobody says whose it is.

use super::Connect;
use super::trip::Came;
use crate::error::Result;
use crate::limits;
use crate::model::Name;
use crate::model::app::{App, OAuth};
use crate::model::blanks::{Known, Variable};
use crate::model::token::Grant;
use crate::provider::{Callback, NotIdentified, Shown};
use crate::vault::Returned;

fn param<'c>(callback: &'c Callback, name: &str) -> Option<&'c str> {
    let mut params = callback.iter();
    let found = params.find(|(own, _)| own == name);
    found.map(|(_, value)| value.expose().as_str())
}

/// What is known of a connection whose provider sent the person back: the app's variables, what the
/// trip was begun with, and what the redirect says of them.
///
/// # Errors
/// [`crate::error::Error::Invalid`] where the redirect says what the app does not allow.
pub(super) fn known(app: &App, returned: &Returned, came: &Came) -> Result<Known> {
    let mut known = app.known();
    known.extend(variables_of(returned));
    let said = |(name, variable): (&Name, &Variable)| {
        let said = param(&came.params, variable.callback_param.as_ref()?)?;
        Some(variable.read(name, said).map(|value| (name.clone(), value)))
    };
    for pair in app.variables.iter().filter_map(said) {
        let (name, value) = pair?;
        known.insert(name, value);
    }
    Ok(known)
}

fn variables_of(returned: &Returned) -> Known {
    returned.trip.variables.clone()
}

/// What of a connection is kept beside its token: what the person said, what the redirect said of
/// variables, and what of the redirect the dialect keeps; and our redirect URI, where a refresh has
/// to name it.
pub(super) fn kept(
    app: &App,
    oauth: &OAuth,
    (returned, known): (&Returned, &Known),
    came: &Came,
    redirect_uri: &str,
) -> Known {
    let mut kept = variables_of(returned);
    for (name, variable) in &app.variables {
        let is_said = variable.callback_param.as_ref();
        if is_said.is_some_and(|said| param(&came.params, said).is_some())
            && let Some(value) = known.get(name)
        {
            kept.insert(name.clone(), value.clone());
        }
    }
    let is_short = |value: &str| {
        value.len() <= limits::METADATA_VALUE_BYTES_MAX && !value.chars().any(char::is_control)
    };
    for name in &oauth.dialect.answered.keep_callback {
        // A variable keeps the form that it was checked in.
        if let Some(value) = param(&came.params, name.as_str()).filter(|value| is_short(value))
            && !app.variables.contains_key(name)
        {
            kept.insert(name.clone(), value.to_owned());
        }
    }
    let mut blanks = oauth.dialect.asked.refresh_params.values();
    let redirect = |name: &&Name| name.as_str() == "redirect_uri";
    if let Some(name) = blanks.find_map(|value| value.names().iter().find(redirect)) {
        kept.insert(name.clone(), redirect_uri.to_owned());
    }
    kept
}

/// What names the account in what is kept of the redirect, where the app says that this does.
pub(super) fn account_of(oauth: &OAuth, kept: &Known) -> Option<String> {
    let name = oauth.dialect.answered.account_from_callback.as_ref()?;
    kept.get(name).cloned()
}

impl Connect {
    /// Asks the service whose account a grant is for, where its answer has not said it and there is
    /// a call for that. True where it was asked and did not say.
    pub(super) async fn name_account(&self, app: &App, grant: &mut Grant) -> bool {
        let Some(api) = app.api.as_deref() else {
            return false;
        };
        let is_known = grant.subject.is_some() && grant.brought.label.is_some();
        let keeps = |verify: &crate::model::api::Verify| !verify.keep.is_empty();
        if is_known && !api.verify.as_ref().is_some_and(keeps) {
            return false;
        }
        let known = app.known_of(&grant.brought.metadata);
        let shown = Shown {
            credential: &grant.access_token,
            known: &known,
            secrets: &grant.brought.secrets,
        };
        match self.0.provider.identify(api, shown).await {
            Ok(identity) => {
                grant.subject = grant.subject.take().or(identity.subject);
                let brought = &mut grant.brought;
                brought.label = brought.label.take().or(identity.label);
                brought.metadata.extend(identity.metadata);
            }
            Err(NotIdentified::NoCall) => return false,
            Err(NotIdentified::Refused(why) | NotIdentified::Unknown(why)) => {
                tracing::warn!(app = %app.id, why, "the service does not say whose account it is");
            }
        }
        grant.subject.is_none()
    }
}
