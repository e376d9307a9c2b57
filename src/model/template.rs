//! A template: what the catalogue knows of a service, and the app that is made of it.
//!
//! It promises: an app made of a template has its own copy of everything, so that a later catalogue
//! changes nothing of it; it remembers which it was and what it said then.
//! It never: holds a client id, or anything of a user's.

mod update;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::update::{Change, Choice, Update};
use super::api::{Api, CredentialField, check_fields};
use super::app::{App, AppKind, ClientAuth, OAuth, OpenEndpoints};
use super::blanks::{AskedOf, Blanks, Known, Variable, is_default};
use super::dialect::Dialect;
use super::url::WebUrl;
use super::{AppId, Name, Scopes, check_text};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// What is known of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Names it.
    pub id: AppId,
    /// What people call the service.
    pub name: String,
    /// What it is for, in a word.
    pub category: String,
    /// The service's own page about it: where a client is registered or a key is had.
    pub docs: WebUrl,
    /// How sure the facts are.
    pub certainty: Certainty,
    /// What an operator should know, in a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What its URLs and requests have blanks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<Name, Variable>,
    /// The address of a remote MCP server, whose settings are asked of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_url: Option<WebUrl>,
    /// Its OAuth settings; none where its tokens are API keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthTemplate>,
    /// What people enter, where its tokens are keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<CredentialField>,
    /// How its credentials are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Box<Api>>,
    /// What scopes let somebody do, in words for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scope_descriptions: BTreeMap<String, String>,
}

/// How sure a template's facts are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Read in the service's own documentation.
    Documented,
    /// Generally known, and to be compared with the documentation before it is relied on.
    General,
    /// An operator's own entry.
    Own,
}

/// The OAuth settings of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthTemplate {
    /// Where people's browsers are sent.
    pub authorization_url: Blanks,
    /// Where codes and refresh tokens are redeemed.
    pub token_url: Blanks,
    /// Where refresh tokens are redeemed, if elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<Blanks>,
    /// Where tokens are revoked (RFC 7009), if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<Blanks>,
    /// How the client proves itself.
    pub client_auth: ClientAuth,
    /// Whether PKCE is sent. Off only where a provider is known to refuse it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub pkce: bool,
    /// The least useful scopes to begin with.
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    pub scopes: Scopes,
    /// Scopes that are often wanted besides.
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    pub more_scopes: Scopes,
    /// What stands between scopes in a request.
    #[serde(default = "space", skip_serializing_if = "is_space")]
    pub scope_separator: String,
    /// Extra parameters of the authorization request. One whose blank is not filled is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_params: BTreeMap<String, Blanks>,
    /// Extra parameters of every token request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_params: BTreeMap<String, Blanks>,
    /// Lifetime of an access token whose answer names none, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_lifetime_s: Option<u64>,
    /// How its provider departs from the RFCs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dialect: Dialect,
}

fn space() -> String {
    " ".into()
}

fn is_space(text: &str) -> bool {
    text == " "
}

fn yes() -> bool {
    true
}

fn is_yes(said: &bool) -> bool {
    *said
}

/// Which template an app was made of, and as it was then.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TemplateRef {
    /// The template.
    pub id: String,
    /// [`Template::version`] at that time; empty where it was not noted down yet.
    pub version: String,
}

impl<'de> Deserialize<'de> for TemplateRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        /// Apps of the first catalogue have the id alone.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Id(String),
            Both { id: String, version: String },
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Id(id) => Self {
                id,
                version: String::new(),
            },
            Written::Both { id, version } => Self { id, version },
        })
    }
}

impl Template {
    /// Names what it says: another text, wherever a fact of it changes that apps have a copy of.
    /// Words for scopes are looked up as a page is shown.
    pub fn version(&self) -> String {
        let copied = Self {
            scope_descriptions: BTreeMap::new(),
            ..self.clone()
        };
        let text = serde_json::to_string(&copied).expect("plain data");
        // FNV-1a, 64 bits: it tells versions of one's own data apart, and nothing hangs on it.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// An app of this template, for a client that is registered as `client_id`, with what is said
    /// of its variables. It has the rules of an app yet to pass.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a variable that is missing, unknown or does not look right.
    pub fn app(&self, id: AppId, client_id: String, said: &Known, now: Timestamp) -> Result<App> {
        let values = self.values(said)?;
        let mut app = App {
            name: self.name.clone(),
            template: Some(TemplateRef {
                id: self.id.to_string(),
                version: self.version(),
            }),
            variables: self.variables.clone(),
            values,
            fields: self.fields.clone(),
            api: self.api.clone(),
            ..App::of(id, AppKind::ApiKey, now)
        };
        if let Some(oauth) = &self.oauth {
            let settled = app.settled();
            app.kind = AppKind::OAuth(Box::new(oauth.settings(client_id, &settled)?));
        }
        Ok(app)
    }

    /// What is said of the variables, checked; those that nobody may leave out are there.
    fn values(&self, said: &Known) -> Result<Known> {
        let mut values = Known::new();
        for (name, value) in said {
            let variable = self.variables.get(name).ok_or_else(|| {
                let names: Vec<&str> = self.variables.keys().map(Name::as_str).collect();
                Error::invalid(format!(
                    "`{name}` is no variable of `{}` (it has: {})",
                    self.id,
                    names.join(", ")
                ))
            })?;
            values.insert(name.clone(), variable.read(name, value)?);
        }
        let is_missing = |(name, variable): &(&Name, &Variable)| {
            variable.asked_of == AskedOf::Operator
                && variable.default.is_none()
                && !variable.optional
                && !values.contains_key(*name)
        };
        match self.variables.iter().find(is_missing) {
            Some((name, variable)) => Err(Error::invalid(format!(
                "`{}` needs `variables.{name}`: {}",
                self.id, variable.help
            ))),
            None => Ok(values),
        }
    }

    /// Whether a search for this word finds it: in its id, name or category, whatever the case.
    pub fn is_found_by(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let texts = [self.id.as_str(), &self.name, &self.category];
        texts.iter().any(|text| text.to_lowercase().contains(&word))
    }

    /// Checks what no app could be made of.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        for (what, text) in [("name", &self.name), ("category", &self.category)] {
            check_text(what, text)?;
            if text.trim().is_empty() {
                return Err(Error::invalid(format!("`{what}` is missing")));
            }
        }
        for note in &self.notes {
            check_text("notes", note)?;
        }
        check_descriptions(&self.scope_descriptions)?;
        check_fields(&self.fields)?;
        for (name, variable) in &self.variables {
            variable.check(name)?;
        }
        if self.server_url.is_some() {
            return Ok(());
        }
        // As an app that somebody makes of it, every variable filled by its example.
        let example = |(name, variable): (&Name, &Variable)| {
            let value = variable.default.as_ref().or(variable.example.as_ref())?;
            Some((name.clone(), value.clone()))
        };
        let examples: Known = self.variables.iter().filter_map(example).collect();
        let app = self.app(
            self.id.clone(),
            "client".into(),
            &examples,
            Timestamp::from_unix_ms(0),
        )?;
        app.check()
    }
}

fn check_descriptions(descriptions: &BTreeMap<String, String>) -> Result<()> {
    let refuse = |what: String| Err(Error::invalid(format!("`scope_descriptions` {what}")));
    if descriptions.len() > limits::SCOPES_MAX {
        return refuse(format!("has at most {} entries", limits::SCOPES_MAX));
    }
    for (scope, words) in descriptions {
        Scopes::parse([scope.as_str()])?;
        check_text("scope_descriptions", words)?;
        let most = limits::SCOPE_DESCRIPTION_CHARS_MAX;
        if words.trim().is_empty() || words.contains('\n') || words.chars().count() > most {
            return refuse(format!(
                "says of `{scope}` a line of 1 to {most} characters"
            ));
        }
    }
    Ok(())
}

impl OAuthTemplate {
    /// Its endpoints, as far as what is said beside leaves them: whoever names an issuer wants
    /// those of its metadata, and tokens of another place are not shown to this one to be revoked.
    pub fn endpoints(&self, has_issuer: bool, has_token_url: bool) -> OpenEndpoints {
        if has_issuer {
            return OpenEndpoints::default();
        }
        let own = |url: &Option<Blanks>| url.clone().filter(|_| !has_token_url);
        OpenEndpoints {
            authorization_url: Some(self.authorization_url.clone()),
            token_url: Some(self.token_url.clone()),
            refresh_url: own(&self.refresh_url),
            revocation_url: own(&self.revocation_url),
        }
    }

    fn settings(&self, client_id: String, known: &Known) -> Result<OAuth> {
        let (by_hand, open) = self.endpoints(false, false).settle(known)?;
        Ok(OAuth {
            by_hand,
            open,
            scopes: self.scopes.clone(),
            scope_separator: self.scope_separator.clone(),
            authorization_params: fill_params(&self.authorization_params, known),
            token_params: fill_params(&self.token_params, known),
            pkce: self.pkce,
            client_auth: self.client_auth,
            default_lifetime_s: self.default_lifetime_s,
            dialect: self.dialect.clone(),
            ..OAuth::of(client_id)
        })
    }
}

/// The parameters whose blanks are all filled.
fn fill_params(params: &BTreeMap<String, Blanks>, known: &Known) -> BTreeMap<String, String> {
    let fill = |(name, value): (&String, &Blanks)| {
        let value = value
            .fill(|name| known.get(name).map(String::as_str))
            .ok()?;
        Some((name.clone(), value))
    };
    params.iter().filter_map(fill).collect()
}
