//! A key that a person types: one field or several, checked by its service where there is a cheap
//! call for that.
//!
//! It promises: a key that its service refuses is not stored unless the person says so; what is
//! wrong is told by the name of the field; what was typed is shown to nobody but the service.
//! It never: keeps a key that was not stored.

use std::collections::BTreeMap;

use super::Connect;
use super::person::Next;
use super::trip::{CameIn, not_taken};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::Action;
use crate::model::app::App;
use crate::model::beside::Beside;
use crate::model::blanks::Known;
use crate::model::link::LinkApp;
use crate::model::{AppId, LinkId, Name};
use crate::provider::{Identity, NotIdentified, Shown};
use crate::secret::Secret;
use crate::vault::NewCredential;

/// The name of the one field of a key of which nothing else is said.
const KEY: &str = "api_key";
/// What a person typed, by the names of the inputs: `field.…` of a key, `variable.…` of an app.
#[derive(Default)]
pub struct Typed(pub BTreeMap<String, Secret<String>>);

/// Why a key is not stored.
type NoKey = (&'static str, String);

impl Typed {
    fn text(&self, name: &str) -> Option<&Secret<String>> {
        let typed = self.0.get(name);
        typed.filter(|typed| !typed.expose().is_empty())
    }

    /// The variables of a connection: what the link says of them, and what the person says of the
    /// others.
    pub(super) fn variables(&self, app: &App, entry: &LinkApp) -> Result<Known> {
        let mut said = Known::new();
        for (name, variable) in app.asked_of_person() {
            if entry.variables.contains_key(name) {
                continue;
            }
            match self.text(&format!("variable.{name}")) {
                Some(typed) => {
                    said.insert(name.clone(), typed.expose().clone());
                }
                None if variable.default.is_some() || variable.optional => {}
                None => return Err(Error::invalid(format!("`{name}` is missing"))),
            }
        }
        let mut variables = app.read_variables(&said)?;
        // Those that the asker said are not the person's to say.
        variables.extend(entry.variables.clone());
        Ok(variables)
    }

    /// True where the person wants the key stored whatever its service says.
    fn anyway(&self) -> bool {
        self.text("anyway").is_some()
    }

    /// Reads the fields of a key.
    fn key(&self, app: &App) -> std::result::Result<TypedKey, NoKey> {
        if app.fields.is_empty() {
            let key = self.field(KEY, "the key", KEY)?;
            return Ok(TypedKey {
                first: Name::parse(KEY).expect("a name"),
                secrets: BTreeMap::from([(Name::parse(KEY).expect("a name"), key)]),
                plain: Known::new(),
            });
        }
        let mut typed = TypedKey {
            first: Name::parse(KEY).expect("a name"),
            secrets: BTreeMap::new(),
            plain: Known::new(),
        };
        for field in &app.fields {
            let what = field.shown();
            let value = self.field(&format!("field.{}", field.name), what, field.name.as_str())?;
            let fits = |pattern: &crate::model::Pattern| pattern.fits(value.expose());
            let is_let_through = field.soft && self.anyway();
            if !(field.pattern.as_ref().is_none_or(fits) || is_let_through) {
                let code = match field.soft {
                    true => "key_looks_wrong",
                    false => "invalid_key",
                };
                return Err((code, format!("{what} does not look right")));
            }
            if !field.secret {
                typed
                    .plain
                    .insert(field.name.clone(), value.expose().clone());
                continue;
            }
            if typed.secrets.is_empty() {
                typed.first = field.name.clone();
            }
            typed.secrets.insert(field.name.clone(), value);
        }
        Ok(typed)
    }

    fn field(
        &self,
        input: &str,
        what: &str,
        short: &str,
    ) -> std::result::Result<Secret<String>, NoKey> {
        // The one input of a key of one field goes by the old name as well.
        let typed = self.text(input).or_else(|| self.text(short));
        let refuse = |why: String| ("invalid_key", why);
        let typed = typed.ok_or_else(|| refuse(format!("{what} is missing")))?;
        let text = typed.expose();
        if text.len() > limits::CREDENTIAL_BYTES_MAX {
            return Err(refuse(format!("{what} is too long")));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse(format!("{what} has no spaces or line breaks in it")));
        }
        Ok(typed.clone())
    }
}

/// The fields of a key.
struct TypedKey {
    /// The name of the first secret: what a fetch hands out.
    first: Name,
    secrets: BTreeMap<Name, Secret<String>>,
    plain: Known,
}

impl Connect {
    /// Takes a key that a person typed.
    ///
    /// # Errors
    /// [`Error::Denied`] before the proof; what is wrong with the key stands on the link.
    pub async fn submit_key(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        app: &AppId,
        typed: &Typed,
        from: &str,
    ) -> Result<Next> {
        let (caller, link, entry) = match self.open_for(app, id, cookie, from)? {
            Ok(found) => found,
            Err(no_way) => return Ok(Next::instead(id, no_way)),
        };
        let settings = self.vault().app_settings(&caller, Action::Store, app)?;
        let outcome = match self.checked_key(&settings, &entry, typed).await {
            Ok(came_in) => self.keep(&caller, &link, app, came_in).await?,
            Err((code, why)) => not_taken(code, why),
        };
        self.vault().settle(&caller, &link, app, outcome)?.await?;
        self.changed();
        Ok(Next::Page(id))
    }

    /// Reads a key and has its service say whose it is.
    async fn checked_key(
        &self,
        app: &App,
        entry: &LinkApp,
        typed: &Typed,
    ) -> std::result::Result<CameIn, NoKey> {
        let variables = typed.variables(app, entry);
        let variables = variables.map_err(|error| ("invalid_variable", error.to_string()))?;
        let mut key = typed.key(app)?;
        let mut beside = Beside {
            metadata: variables,
            ..Beside::default()
        };
        beside.metadata.extend(std::mem::take(&mut key.plain));
        let first = key.secrets.get(&key.first);
        let first = first.ok_or(("invalid_key", "the key is missing".to_owned()))?;
        let identity = match self.identify_key(app, &beside, first, &key.secrets).await {
            Err(why) if !typed.anyway() => return Err(why),
            found => found.unwrap_or_default(),
        };
        beside.label = identity.label;
        beside.metadata.extend(identity.metadata);
        let verify = app.api.as_ref().map(|api| api.verify.is_some());
        let is_asked = verify == Some(true);
        let first = first.clone();
        key.secrets.remove(&key.first);
        beside.secrets = key.secrets;
        Ok(CameIn {
            credential: NewCredential::ApiKey(first),
            is_unnamed: is_asked && identity.subject.is_none(),
            subject: identity.subject,
            beside,
        })
    }

    async fn identify_key(
        &self,
        app: &App,
        beside: &Beside,
        first: &Secret<String>,
        secrets: &BTreeMap<Name, Secret<String>>,
    ) -> std::result::Result<Identity, NoKey> {
        let Some(api) = app.api.as_deref() else {
            return Ok(Identity::default());
        };
        let known = app.known_of(&beside.metadata);
        let shown = Shown {
            credential: first,
            known: &known,
            secrets,
        };
        match self.0.provider.identify(api, shown).await {
            Ok(identity) => Ok(identity),
            Err(NotIdentified::NoCall) => Ok(Identity::default()),
            Err(NotIdentified::Refused(why)) => Err(("key_refused", why)),
            Err(NotIdentified::Unknown(why)) => Err(("key_not_checked", why)),
        }
    }
}
