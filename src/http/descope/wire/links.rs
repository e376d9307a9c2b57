//! Connect links, as Descope's clients ask for them.
//!
//! It promises: an owner is who the request says, or the person who asks; a level is never widened
//! by what is left out; a wish that cannot be kept is refused.
//! It never: takes a place to return to that is on no list.

use serde::{Deserialize, Serialize};

use super::super::failure::{Failure, Result};
use super::tokens::{account, owner, scopes};
use super::{is_absent, needed, text};
use crate::connect::{Started, Wish, WishedApp};
use crate::http::answer::Answer;
use crate::http::routes::descope::Level;
use crate::http::wire::ok;
use crate::model::access::Caller;
use crate::model::app::App;
use crate::model::link::{Hints, Proof};
use crate::model::remote::Resource;
use crate::model::url::WebUrl;
use crate::model::{AppId, Owner};

/// A wish for a link.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectRequest {
    #[serde(default, deserialize_with = "text")]
    app_id: Option<String>,
    /// Whom an access key asks for; a person asks for itself.
    #[serde(default, deserialize_with = "text")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    tenant_id: Option<String>,
    #[serde(default)]
    tenant_level: Option<bool>,
    #[serde(default)]
    options: Option<ConnectOptions>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectOptions {
    #[serde(default, deserialize_with = "text")]
    redirect_url: Option<String>,
    /// The same, as older clients have it.
    #[serde(default, rename = "redirectURL", deserialize_with = "text")]
    redirect_url_of_old: Option<String>,
    #[serde(default)]
    scopes: Option<Vec<Option<String>>>,
    #[serde(default, deserialize_with = "text")]
    external_identifier: Option<String>,
    #[serde(default)]
    prompt: Option<Vec<Option<String>>>,
    #[serde(default, deserialize_with = "text")]
    login_hint: Option<String>,
    #[serde(default)]
    resources: Option<Vec<Option<String>>>,
}

impl ConnectRequest {
    /// The app it is about.
    ///
    /// # Errors
    /// A failure where none is named.
    pub fn app(&self) -> Result<AppId> {
        Ok(AppId::parse(needed(self.app_id.clone(), "appId")?)?)
    }

    /// Reads it as what the flow takes: by `caller`, for this app. `from_page` says that the answer
    /// goes to a browser; where a person asks there, the link is for that browser.
    ///
    /// # Errors
    /// A failure that names the field, or says that the caller's key has no way of proof.
    pub fn into_wish(mut self, caller: &Caller, app: &App, from_page: bool) -> Result<Wish> {
        let options = self.options.take().unwrap_or_default();
        let proofs = caller.key().map(|key| &key.connect_verify);
        let has = |proof| proofs.is_none_or(|proofs| proofs.contains(&proof));
        let browser = from_page && caller.person().is_some() && has(Proof::Page);
        if !browser
            && ![Proof::Vouch, Proof::Code, Proof::None]
                .into_iter()
                .any(has)
        {
            return Err(Failure::no_proof());
        }
        let asked = options.redirect_url.or(options.redirect_url_of_old);
        let asked = asked.map(|url| WebUrl::parse("redirectUrl", &url));
        let wished = WishedApp {
            app: app.id.clone(),
            scopes: Some(scopes(options.scopes)?).filter(|scopes| !scopes.is_empty()),
            account: account(options.external_identifier)?,
            hints: Hints {
                login_hint: options.login_hint,
                prompt: Some(said(options.prompt).join(" ")).filter(|prompt| !prompt.is_empty()),
            },
            variables: Default::default(),
        };
        refuse_other_resources(&said(options.resources), app)?;
        Ok(Wish {
            return_url: asked.transpose()?.or(app.return_urls.first().cloned()),
            browser,
            ..Wish::of(vec![wished], self.owner(caller)?)
        })
    }

    fn owner(self, caller: &Caller) -> Result<Owner> {
        if self.tenant_level == Some(true) {
            return owner(Level::Tenant, self.tenant_id, None);
        }
        let own = caller.person().map(|person| person.user.to_string());
        owner(Level::User, self.tenant_id, self.user_id.or(own))
    }
}

/// What a list says.
fn said(list: Option<Vec<Option<String>>>) -> Vec<String> {
    let list = list.unwrap_or_default().into_iter().flatten();
    list.filter(|text| !is_absent(text)).collect()
}

/// A resource (RFC 8707) has to be said with every refresh too: it is a setting of the app.
fn refuse_other_resources(wanted: &[String], app: &App) -> Result<()> {
    let own = app.oauth().and_then(|oauth| {
        let setting = oauth.resource_in_use().map(Resource::as_str);
        let param = oauth.authorization_params.get("resource");
        param.map(String::as_str).or(setting)
    });
    match wanted.iter().all(|resource| Some(resource.as_str()) == own) {
        true => Ok(()),
        false => Err(Failure::argument(
            "`resources` are the app's to say: give it the parameter `resource`, in \
             `authorizationUrlParams` and `tokenUrlParams`",
        )),
    }
}

#[derive(Serialize)]
struct LinkedShape<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// The answer that holds a link.
pub fn linked(started: &Started) -> Answer {
    ok(&LinkedShape {
        url: started.url.expose(),
        code: started.code.as_ref().map(|code| code.expose().as_str()),
    })
}
