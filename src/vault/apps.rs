//! Apps: made, shown, changed, removed.
//!
//! It promises: a client secret goes in and never comes out but to the flows that send it to its
//! provider; a change without a secret keeps the old one; an app's tokens go with it.
//! It never: asks a provider anything.

use super::Vault;
use super::index::{self, Indexer, TokenKey};
use super::kept::{Doomed, doom};
use super::records::{SecretRow, decode, encode};
use super::writer::{Receipt, Tx};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::access::{Action, Caller, Target};
use crate::model::app::App;
use crate::seal::{Keyring, Sealed};
use crate::secret::Secret;
use crate::store::{Records, Scan, View};

/// An app and its client secret, for the flows.
#[derive(Clone)]
pub struct AppSecrets {
    /// The app.
    pub app: App,
    /// Its client secret, where it has one.
    pub client_secret: Option<Secret<String>>,
}

/// An app as it is shown: its client secret is not in it, but whether there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownApp {
    /// The app.
    pub app: App,
    /// It has a client secret.
    pub has_client_secret: bool,
}

impl std::ops::Deref for ShownApp {
    type Target = App;
    fn deref(&self) -> &App {
        &self.app
    }
}

impl From<AppSecrets> for ShownApp {
    fn from(found: AppSecrets) -> Self {
        Self {
            has_client_secret: found.client_secret.is_some(),
            app: found.app,
        }
    }
}

/// What becomes of the client secret when an app is stored.
pub enum SecretChange {
    /// The one stored stays.
    Keep,
    /// This one takes its place.
    Set(Secret<String>),
    /// There is none from now on.
    Remove,
}

const SETTINGS: u8 = 0;
const CLIENT_SECRET: u8 = 1;

impl Vault {
    /// Stores a new app.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Conflict`] where the id is taken, [`Error::Denied`].
    pub fn add_app(
        &self,
        caller: &Caller,
        app: App,
        client_secret: Option<Secret<String>>,
    ) -> Result<Receipt<ShownApp>> {
        let permit = self
            .gate()
            .permit(caller, Action::Apps, &Target::app(&app.id))?;
        app.check()?;
        permit.write(None, move |tx| {
            let place = Indexer(tx.keys()).app(&app.id);
            if tx.view().record(Records::Apps, &place)?.is_some() {
                return Err(Error::Conflict(format!(
                    "there is an app `{}` already",
                    app.id
                )));
            }
            if tx.count(Records::Apps, b"", limits::APPS_MAX)? >= limits::APPS_MAX {
                return Err(Error::invalid("there are too many apps"));
            }
            let has_client_secret = client_secret.is_some();
            let secret = SecretRow {
                secret: client_secret,
            };
            tx.put(Records::Apps, &place, &[&encode(&app), &encode(&secret)])?;
            Ok(ShownApp {
                app,
                has_client_secret,
            })
        })
    }

    /// Refuses who may not make or change this app, before anything is done for them.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn may_make_app(&self, caller: &Caller, id: &AppId) -> Result<()> {
        self.gate()
            .permit(caller, Action::Apps, &Target::app(id))
            .map(|_| ())
    }

    /// Stores a changed app. What it was made from and when stay as they were.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotFound`], [`Error::Denied`]; [`Error::Conflict`] where it
    /// would change from OAuth to API key or back.
    pub fn change_app(
        &self,
        caller: &Caller,
        app: App,
        client_secret: SecretChange,
    ) -> Result<Receipt<ShownApp>> {
        let permit = self
            .gate()
            .permit(caller, Action::Apps, &Target::app(&app.id))?;
        app.check()?;
        permit.write(None, move |tx| {
            let place = Indexer(tx.keys()).app(&app.id);
            let old = read(tx, &place)?.ok_or(Error::NotFound("app"))?;
            if old.app.oauth().is_some() != app.oauth().is_some() {
                return Err(Error::Conflict(
                    "an app does not change its kind; make another".into(),
                ));
            }
            let app = App {
                created_at: old.app.created_at,
                template: old.app.template,
                ..app
            };
            let secret = match client_secret {
                SecretChange::Keep => old.client_secret,
                SecretChange::Set(secret) => Some(secret),
                SecretChange::Remove => None,
            };
            let has_client_secret = secret.is_some();
            let secret = SecretRow { secret };
            tx.put(Records::Apps, &place, &[&encode(&app), &encode(&secret)])?;
            Ok(ShownApp {
                app,
                has_client_secret,
            })
        })
    }

    /// Every app the caller may see, by id.
    ///
    /// # Errors
    /// [`Error::Denied`] where the caller may see none at all.
    pub fn apps(&self, caller: &Caller) -> Result<Vec<ShownApp>> {
        let permit = self
            .gate()
            .permit(caller, Action::AppsRead, &Target::default())?;
        let view = self.store().read()?;
        let mut apps: Vec<ShownApp> = Vec::new();
        view.scan_records(Records::Apps, b"", None, &mut |place, sealed| {
            let found = open(permit.keys(), place, &sealed)?;
            let target = Target::app(&found.app.id);
            if self.would_allow(caller, Action::AppsRead, &target) {
                apps.push(found.into());
            }
            Ok(Scan::Go)
        })?;
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        permit.record("ok", None)?;
        Ok(apps)
    }

    /// One app.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`].
    pub fn app(&self, caller: &Caller, id: &AppId) -> Result<ShownApp> {
        let permit = self
            .gate()
            .permit(caller, Action::AppsRead, &Target::app(id))?;
        let place = Indexer(permit.keys()).app(id);
        let sealed = self.store().read()?.record(Records::Apps, &place)?;
        permit.record(if sealed.is_some() { "ok" } else { "not_found" }, None)?;
        let sealed = sealed.ok_or(Error::NotFound("app"))?;
        open(permit.keys(), &place, &sealed).map(ShownApp::from)
    }

    /// An app without its secret, for a flow that acts for `caller`, who may do `action`. Nothing
    /// is handed out yet: what the flow does with it is on record.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`].
    pub(crate) fn app_settings(&self, caller: &Caller, action: Action, id: &AppId) -> Result<App> {
        let target = Target {
            app: Some(id),
            ..self.own(caller)
        };
        let permit = self.gate().permit(caller, action, &target)?;
        let place = Indexer(permit.keys()).app(id);
        let sealed = self.store().read()?.record(Records::Apps, &place)?;
        let sealed = sealed.ok_or(Error::NotFound("app"))?;
        open_settings(permit.keys(), &place, &sealed)
    }

    /// An app with its client secret, for a flow that acts for `caller`, who may do `action`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`].
    pub(crate) fn app_secrets(
        &self,
        caller: &Caller,
        action: Action,
        id: &AppId,
    ) -> Result<AppSecrets> {
        let permit = self.gate().permit(
            caller,
            action,
            &Target {
                app: Some(id),
                ..self.own(caller)
            },
        )?;
        let place = Indexer(permit.keys()).app(id);
        let sealed = self.store().read()?.record(Records::Apps, &place)?;
        let sealed = sealed.ok_or(Error::NotFound("app"))?;
        permit.record("app settings used", None)?;
        open(permit.keys(), &place, &sealed)
    }

    /// Removes an app with its tokens. What can be revoked at the provider comes back.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`].
    pub fn remove_app(
        &self,
        caller: &Caller,
        id: &AppId,
    ) -> Result<Receipt<(AppSecrets, Vec<Doomed>)>> {
        let permit = self.gate().permit(caller, Action::Apps, &Target::app(id))?;
        let id = id.clone();
        permit.write(None, move |tx| {
            let place = Indexer(tx.keys()).app(&id);
            let app = read(tx, &place)?.ok_or(Error::NotFound("app"))?;
            let prefix = Indexer(tx.keys()).of_app(&id, None);
            let mut keys: Vec<TokenKey> = Vec::new();
            tx.view()
                .scan_records(Records::Tokens, &prefix, None, &mut |key, _| {
                    keys.extend(TokenKey::try_from(key));
                    Ok(Scan::Go)
                })?;
            let doomed = keys
                .iter()
                .map(|key| doom(tx, key))
                .collect::<Result<Vec<_>>>()?;
            tx.remove(Records::Apps, &place);
            Ok((app, doomed.into_iter().flatten().collect()))
        })
    }
}

/// Reads an app inside a transaction.
pub(super) fn read(tx: &Tx<'_>, place: &[u8; index::PART]) -> Result<Option<AppSecrets>> {
    let sealed = tx.view().record(Records::Apps, place)?;
    sealed
        .map(|sealed| open(tx.keys(), place, &sealed))
        .transpose()
}

fn open(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<AppSecrets> {
    let app = open_settings(keys, place, sealed)?;
    let secret: SecretRow =
        decode(&keys.open(Records::Apps.name(), place, sealed, CLIENT_SECRET)?)?;
    Ok(AppSecrets {
        app,
        client_secret: secret.secret,
    })
}

fn open_settings(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<App> {
    decode(&keys.open(Records::Apps.name(), place, sealed, SETTINGS)?)
}
