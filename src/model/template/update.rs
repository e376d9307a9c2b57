//! An update: what a template says differently of an app that was made of it, and the app as it
//! would be.
//!
//! It promises: what names a client (its id and secret, what it may ask for, where it comes back)
//! and what people read stay as they are; nothing is taken that was not chosen; tokens of an
//! operator's own token endpoint are not shown to the template's to be revoked or refreshed.
//! It never: tells an operator's own setting from one that an older template had: both differ.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Template, TemplateRef};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::app::{App, AppKind, OAuth, OpenEndpoints};
use crate::model::blanks::Known;

/// A setting of which a template says something else than an app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The setting, as on the wire.
    pub field: &'static str,
    /// What the app says; null where it says nothing.
    pub yours: Value,
    /// What the template says; null where it says nothing.
    pub catalogue: Value,
    /// It is among those chosen.
    pub taken: bool,
}

/// Which changes are taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Choice {
    /// Every one.
    #[default]
    All,
    /// Those of these settings.
    Only(Vec<String>),
    /// All but those of these settings.
    Keep(Vec<String>),
}

/// An update of an app.
pub struct Update {
    /// The app as it would be. It has the rules of an app yet to pass.
    pub app: App,
    /// Where the two differ.
    pub changes: Vec<Change>,
}

/// A setting that a template speaks of.
struct Setting {
    name: &'static str,
    get: fn(&App) -> Value,
    copy: fn(&mut App, &App),
    /// It is where the template's authorization server is.
    is_endpoint: bool,
}

/// A setting of every app.
macro_rules! of_app {
    ($field:ident) => {
        Setting {
            name: stringify!($field),
            get: |app| said(&app.$field),
            copy: |app, fresh| app.$field = fresh.$field.clone(),
            is_endpoint: false,
        }
    };
}

/// A setting of OAuth apps.
macro_rules! of_oauth {
    ($name:literal, $($path:ident).+) => {
        Setting {
            name: $name,
            get: |app| app.oauth().map_or(Value::Null, |oauth| said(&oauth.$($path).+)),
            copy: |app, fresh| with_both(app, fresh, |oauth, fresh| {
                oauth.$($path).+ = fresh.$($path).+.clone();
            }),
            is_endpoint: false,
        }
    };
}

/// An endpoint, with blanks or without.
macro_rules! endpoint {
    ($field:ident) => {
        Setting {
            name: stringify!($field),
            get: |app| {
                let oauth = app.oauth();
                let by_hand = oauth.and_then(|oauth| oauth.by_hand.$field.as_ref());
                let open = oauth.and_then(|oauth| oauth.open.as_ref()?.$field.as_ref());
                match by_hand {
                    Some(url) => json!(url),
                    None => json!(open),
                }
            },
            copy: |app, fresh| {
                with_both(app, fresh, |oauth, fresh| {
                    oauth.by_hand.$field = fresh.by_hand.$field.clone();
                    let mut open = oauth.open.take().unwrap_or_default();
                    open.$field = fresh.open.as_ref().and_then(|open| open.$field.clone());
                    oauth.open = (open != OpenEndpoints::default()).then_some(open);
                })
            },
            is_endpoint: true,
        }
    };
}

/// Every setting that a template speaks of and an update changes. Scopes are not among them: what
/// people are asked for is their operator's to say.
const SETTINGS: [Setting; 18] = [
    endpoint!(authorization_url),
    endpoint!(token_url),
    endpoint!(refresh_url),
    endpoint!(revocation_url),
    of_oauth!("client_auth", client_auth),
    of_oauth!("pkce", pkce),
    of_oauth!("scope_separator", scope_separator),
    of_oauth!("authorization_params", authorization_params),
    of_oauth!("token_params", token_params),
    of_oauth!("default_lifetime_s", default_lifetime_s),
    of_oauth!("dialect.asked", dialect.asked),
    of_oauth!("dialect.answered", dialect.answered),
    of_oauth!("dialect.lives", dialect.lives),
    of_oauth!("dialect.revocation", dialect.revocation),
    of_oauth!("dialect.callback_check", dialect.callback_check),
    of_app!(variables),
    of_app!(fields),
    of_app!(api),
];

/// Endpoints that are shown tokens of the token endpoint.
const BESIDE_THE_TOKEN_URL: [&str; 2] = ["refresh_url", "revocation_url"];

/// What a setting says; what is empty says nothing.
fn said(value: &impl Serialize) -> Value {
    let value = json!(value);
    let is_empty = match &value {
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if is_empty { Value::Null } else { value }
}

fn with_both(app: &mut App, fresh: &App, work: impl FnOnce(&mut OAuth, &OAuth)) {
    if let (AppKind::OAuth(oauth), Some(fresh)) = (&mut app.kind, fresh.oauth()) {
        work(oauth, fresh);
    }
}

impl Choice {
    fn takes(&self, name: &str) -> bool {
        let is_named = |names: &[String]| names.iter().any(|named| named == name);
        match self {
            Self::All => true,
            Self::Only(names) => is_named(names),
            Self::Keep(names) => !is_named(names),
        }
    }

    /// Whether a setting is named by itself, and not as one of all.
    fn insists_on(&self, name: &str) -> bool {
        matches!(self, Self::Only(_)) && self.takes(name)
    }

    fn check(&self) -> Result<()> {
        let (Self::Only(names) | Self::Keep(names)) = self else {
            return Ok(());
        };
        let is_unknown = |name: &&String| SETTINGS.iter().all(|setting| setting.name != **name);
        match names.iter().find(is_unknown) {
            None => Ok(()),
            Some(_) => {
                let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
                let known = known.join(", ");
                Err(Error::invalid(format!(
                    "what is chosen is no setting of a template; those are: {known}"
                )))
            }
        }
    }
}

impl Template {
    /// What it says differently of an app that was made of it, and the app with the changes that
    /// are chosen. `values` are said of variables beside those that the app has. An app that names
    /// an issuer has its endpoints from there, and keeps them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a choice that is none, and for a variable that is missing or wrong;
    /// [`Error::Conflict`] where the service has gone from OAuth to keys or back.
    pub fn update(
        &self,
        app: &App,
        values: &Known,
        choice: &Choice,
        now: Timestamp,
    ) -> Result<Update> {
        choice.check()?;
        let fresh = self.anew(app, values, now)?;
        let has_issuer = app.oauth().is_some_and(|oauth| oauth.issuer.is_some());
        let mut changes = Vec::new();
        let mut updated = app.clone();
        let mut keeps_token_url = false;
        for setting in &SETTINGS {
            let (yours, catalogue) = ((setting.get)(app), (setting.get)(&fresh));
            if yours == catalogue || (setting.is_endpoint && has_issuer) {
                continue;
            }
            let is_beside = BESIDE_THE_TOKEN_URL.contains(&setting.name) && keeps_token_url;
            let taken = match is_beside {
                true => choice.insists_on(setting.name),
                false => choice.takes(setting.name),
            };
            match taken {
                true => (setting.copy)(&mut updated, &fresh),
                false => keeps_token_url |= setting.name == "token_url",
            }
            changes.push(Change {
                field: setting.name,
                yours,
                catalogue,
                taken,
            });
        }
        updated.values.extend(fresh.values);
        let variables = &updated.variables;
        updated
            .values
            .retain(|name, _| variables.contains_key(name));
        updated.template = fresh.template;
        updated.updated_at = now;
        Ok(Update {
            app: updated,
            changes,
        })
    }

    /// The app as it would be made now.
    fn anew(&self, app: &App, values: &Known, now: Timestamp) -> Result<App> {
        let mut said = app.values.clone();
        said.retain(|name, _| self.variables.contains_key(name));
        said.extend(values.clone());
        let client_id = app.oauth().map(|oauth| oauth.client_id.clone());
        let is_oauth = client_id.is_some();
        let mut fresh = self.app(app.id.clone(), client_id.unwrap_or_default(), &said, now)?;
        fresh.template = Some(TemplateRef {
            id: self.id.to_string(),
            version: self.version(),
        });
        // The settings of a remote MCP server are asked of itself.
        if fresh.oauth().is_some() != is_oauth && self.server_url.is_none() {
            return Err(Error::Conflict(
                "the catalogue has this service under another kind by now; make another app".into(),
            ));
        }
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppId, Name};

    fn template(more: &str) -> Template {
        let text = r#"{"id": "acme", "name": "Acme", "category": "work", "certainty": "own",
            "docs": "https://acme.example/docs",
            "variables": {"site": {"help": "the site"}},
            "oauth": {"client_auth": "post", "scopes": ["a"],
            "authorization_url": "https://{site}.acme.example/a",
            "token_url": "https://{site}.acme.example/t" MORE}}"#;
        serde_json::from_str(&text.replace("MORE", more)).unwrap()
    }

    fn said(site: &str) -> Known {
        Known::from([(Name::parse("site").unwrap(), site.to_owned())])
    }

    fn app(template: &Template) -> App {
        let id = AppId::parse("mine").unwrap();
        let mut app = template
            .app(id, "client".into(), &said("eu"), Timestamp::default())
            .unwrap();
        app.name = "Mine".into();
        app
    }

    fn fields(update: &Update) -> Vec<(&str, bool)> {
        let changes = update.changes.iter();
        changes.map(|change| (change.field, change.taken)).collect()
    }

    #[test]
    fn an_app_that_was_just_made_differs_in_nothing() {
        let before = template("");
        let app = app(&before);
        let update = before
            .update(&app, &Known::new(), &Choice::All, Timestamp::default())
            .unwrap();
        assert_eq!(update.changes, []);
        assert_eq!(update.app, app);
    }

    /// Goal: what is chosen is taken, and nothing else; what is the operator's stays. Method: an
    /// app of an older template with settings of its own, updated in three ways.
    #[test]
    fn what_is_chosen_is_taken_and_what_is_the_operators_stays() {
        let mut app = app(&template(""));
        if let AppKind::OAuth(oauth) = &mut app.kind {
            oauth.pkce = false;
            oauth.scopes = crate::model::Scopes::parse(["mine"]).unwrap();
        }
        let now = template(
            r#", "revocation_url": "https://{site}.acme.example/r", "token_params": {"x": "{site}"},
               "dialect": {"lives": {"grace_s": 60}}"#,
        );
        let update = |choice| {
            now.update(&app, &Known::new(), &choice, Timestamp::default())
                .unwrap()
        };
        let all = update(Choice::All);
        assert_eq!(
            fields(&all),
            [
                ("revocation_url", true),
                ("pkce", true),
                ("token_params", true),
                ("dialect.lives", true)
            ]
        );
        let oauth = all.app.oauth().unwrap();
        assert_eq!(
            oauth.revocation_url().unwrap().as_str(),
            "https://eu.acme.example/r"
        );
        assert_eq!(oauth.token_params["x"], "eu");
        assert_eq!(oauth.scopes.joined(" "), "mine");
        assert_eq!(
            (all.app.name.as_str(), oauth.client_id.as_str()),
            ("Mine", "client")
        );
        assert_eq!(all.app.template.as_ref().unwrap().version, now.version());
        let kept = update(Choice::Keep(vec!["pkce".into()]));
        assert!(!kept.app.oauth().unwrap().pkce);
        assert_eq!(kept.changes[1].yours, json!(false));
        let only = update(Choice::Only(vec!["pkce".into()]));
        assert_eq!(only.changes.iter().filter(|change| change.taken).count(), 1);
        assert!(only.app.oauth().unwrap().revocation_url().is_none());
        let wrong = Choice::Only(vec!["scopes".into()]);
        let wrong = now.update(&app, &Known::new(), &wrong, Timestamp::default());
        assert!(
            wrong
                .err()
                .unwrap()
                .to_string()
                .contains("authorization_url, ")
        );
    }

    /// Goal: tokens of the operator's own endpoint are not shown to the template's. Method: an app
    /// with a token endpoint of its own, kept; then the other endpoint asked for by name.
    #[test]
    fn t28_an_own_token_endpoint_keeps_the_endpoints_beside_it() {
        let mut app = app(&template(""));
        if let AppKind::OAuth(oauth) = &mut app.kind {
            let url = crate::model::url::WebUrl::parse("url", "https://own.example/t").unwrap();
            oauth.by_hand.token_url = Some(url);
        }
        let now = template(r#", "revocation_url": "https://{site}.acme.example/r""#);
        let update = |choice| {
            now.update(&app, &Known::new(), &choice, Timestamp::default())
                .unwrap()
        };
        let kept = update(Choice::Keep(vec!["token_url".into()]));
        assert_eq!(
            fields(&kept),
            [("token_url", false), ("revocation_url", false)]
        );
        let named = update(Choice::Only(vec!["revocation_url".into()]));
        assert_eq!(
            fields(&named),
            [("token_url", false), ("revocation_url", true)]
        );
        assert!(
            update(Choice::All)
                .changes
                .iter()
                .all(|change| change.taken)
        );
    }

    #[test]
    fn a_variable_that_is_new_has_to_be_said() {
        let app = app(&template(""));
        let mut now = template("");
        let region = serde_json::from_str(r#"{"help": "the region"}"#).unwrap();
        now.variables.insert(Name::parse("region").unwrap(), region);
        let update = |values: &Known| {
            now.update(&app, values, &Choice::All, Timestamp::default())
                .map(|update| update.app)
        };
        let missing = update(&Known::new()).unwrap_err().to_string();
        assert!(missing.contains("variables.region"), "{missing}");
        let region = Known::from([(Name::parse("region").unwrap(), "north".to_owned())]);
        let updated = update(&region).unwrap();
        assert_eq!(updated.values.len(), 2);
        assert!(updated.check().is_ok());
    }
}
