//! What the app that people connect may be made of: the templates of the catalogue.
//!
//! It promises: what a template says is the catalogue's, word for word; an update of an app is what
//! was asked for, of the app as it was looked at.
//! It never: changes an app that nobody asked to have changed.

use std::sync::{Arc, PoisonError};

use super::Connect;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::access::Caller;
use crate::model::app::App;
use crate::model::blanks::Known;
use crate::model::template::{Change, Choice, Template};
use crate::provider::catalogue::Catalogue;
use crate::secret::Secret;
use crate::vault::{SecretChange, ShownApp};

/// How an app is to be updated from its template.
#[derive(Default)]
pub struct UpdateWish {
    /// Which changes are taken.
    pub choice: Choice,
    /// What is said of variables, beside what was said before.
    pub values: Known,
    /// The client secret anew, where the token endpoint moves to another host.
    pub client_secret: Option<Secret<String>>,
    /// Change the app; else it is shown what would change.
    pub apply: bool,
}

/// What the catalogue says differently of an app, and whether the app says it now.
pub struct Updated {
    /// The app, as it is now.
    pub app: ShownApp,
    /// The template.
    pub template: Arc<Template>,
    /// Where the two differ, or differed.
    pub changes: Vec<Change>,
    /// The app was changed.
    pub applied: bool,
}

impl Connect {
    /// Puts another catalogue in the place of the one there is; at first it is the built-in one.
    pub fn set_catalogue(&self, catalogue: Catalogue) {
        let mut known = self
            .0
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(catalogue);
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        let known = self
            .0
            .catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// The template of this id.
    pub fn template(&self, id: &str) -> Option<Arc<Template>> {
        self.catalogue().find(id).cloned()
    }

    /// The template that a request names, where it names one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none of that id.
    pub fn template_named(&self, id: Option<&str>) -> Result<Option<Arc<Template>>> {
        let missing =
            || Error::invalid("there is no such `template`: `GET /v1/templates` lists them");
        let find = |id| self.template(id).ok_or_else(missing);
        id.map(find).transpose()
    }

    /// The templates that every one of these words finds, the first few of them.
    pub fn templates(&self, words: &str) -> Vec<Arc<Template>> {
        let words = words.split_whitespace().take(limits::SEARCH_WORDS_MAX);
        self.catalogue().search(words)
    }

    /// Whether the catalogue says something else by now than what this app was made of.
    pub fn is_outdated(&self, app: &App) -> bool {
        app.template.as_ref().is_some_and(|made_of| {
            let catalogue = self.catalogue();
            let version = catalogue.version(&made_of.id);
            version.is_some_and(|version| version != made_of.version)
        })
    }

    /// Looks at what the catalogue says differently of an app, and changes the app where that is
    /// wished.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`] for an app, or a template that is in the catalogue no
    /// more; [`Error::Invalid`] for an app of no template and for what was said;
    /// [`Error::Conflict`] where the app was changed meanwhile.
    pub async fn update(&self, caller: &Caller, id: &AppId, wish: UpdateWish) -> Result<Updated> {
        self.vault().may_make_app(caller, id)?;
        let app = self.vault().app(caller, id)?;
        let made_of = app.template.as_ref().ok_or_else(|| {
            Error::invalid("this app was made of no template, so the catalogue says nothing of it")
        })?;
        let template = self
            .template(&made_of.id)
            .ok_or(Error::NotFound("template in the catalogue"))?;
        let now = self.vault().clock().now();
        let update = template.update(&app, &wish.values, &wish.choice, now)?;
        let app = match wish.apply {
            false => app,
            true => {
                let secret = wish
                    .client_secret
                    .map_or(SecretChange::Keep, SecretChange::Set);
                let updated = self.vault().update_app(caller, update.app, &app, secret)?;
                updated.await?
            }
        };
        Ok(Updated {
            app,
            template,
            changes: update.changes,
            applied: wish.apply,
        })
    }
}
