//! Apps: made, shown, changed, removed.
//!
//! It promises: a client secret goes in and never comes out but to the flows that send it to its
//! provider; a change without a secret keeps the old one; an app's tokens go with it, however many
//! they are: from the first step on it takes no new ones, and the last step takes the app itself.
//! It never: asks a provider anything.

use std::collections::BTreeSet;

use self::moves::{moves, same_addresses};
use super::index::{self, Indexer, TokenKey};
use super::kept::{Doomed, doom};
use super::receipt::Receipt;
use super::records::{SecretRow, decode, encode};
use super::writer::Tx;
use super::{Looked, Vault};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::access::{Action, Caller, Target};
use crate::model::app::{App, AppKind};
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

impl ShownApp {
    /// What of it this caller is shown: a person of an application's sees no parameters, in which
    /// some services have a secret.
    fn shown_to(mut self, caller: &Caller) -> Self {
        if let (Some(_), AppKind::OAuth(oauth)) = (caller.person(), &mut self.app.kind) {
            oauth.authorization_params.clear();
            oauth.token_params.clear();
            oauth.dialect = Default::default();
            self.app.api = None;
        }
        self
    }
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

/// A step of removing an app.
pub struct AppRemoval {
    /// The app.
    pub app: AppSecrets,
    /// The tokens that went, at most a page of them.
    pub doomed: Vec<Doomed>,
    /// It has more: ask again. Until then it stays, and takes no new ones.
    pub more: bool,
}

const SETTINGS: u8 = 0;
const CLIENT_SECRET: u8 = 1;
/// Parts of an app that is being removed: the third one says nothing but that.
const PARTS_LEAVING: u8 = 3;

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
            put(tx, &place, app, client_secret)
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
        self.change(caller, client_secret, app, |app, old| {
            app.template = old.template.clone();
            Ok(())
        })
    }

    /// Stores an app that was brought to what its template says by now: it remembers that.
    ///
    /// # Errors
    /// As [`Self::change_app`]; [`Error::Conflict`] where it is not as it was `seen` any more.
    pub fn update_app(
        &self,
        caller: &Caller,
        app: App,
        seen: &App,
        client_secret: SecretChange,
    ) -> Result<Receipt<ShownApp>> {
        let seen = seen.clone();
        self.change(caller, client_secret, app, move |_, old| {
            match *old == seen {
                true => Ok(()),
                false => Err(Error::Conflict("the app was changed meanwhile".into())),
            }
        })
    }

    /// Stores a changed app; `settle` sees the old one.
    fn change(
        &self,
        caller: &Caller,
        client_secret: SecretChange,
        app: App,
        settle: impl FnOnce(&mut App, &App) -> Result<()> + Send + 'static,
    ) -> Result<Receipt<ShownApp>> {
        let permit = self
            .gate()
            .permit(caller, Action::Apps, &Target::app(&app.id))?;
        app.check()?;
        permit.write(None, move |tx| {
            let place = Indexer(tx.keys()).app(&app.id);
            let old = read_to_stay(tx, &place)?;
            if old.app.oauth().is_some() != app.oauth().is_some() {
                return Err(Error::Conflict(
                    "an app does not change its kind; make another".into(),
                ));
            }
            let mut app = App {
                created_at: old.app.created_at,
                ..app
            };
            settle(&mut app, &old.app)?;
            if app.values != old.app.values && same_addresses(&old.app, &app) {
                return Err(Error::invalid(
                    "`values` change what the URLs are made of, and the URLs stay as they were: \
                     `POST /v1/apps/{app}/update` takes `values` and makes them anew",
                ));
            }
            let secret = match client_secret {
                SecretChange::Keep if old.client_secret.is_some() && moves(&old.app, &app) => {
                    return Err(Error::invalid(
                        "the host of `token_url`, or the issuer, changes: give `client_secret` \
                         again, for it goes to nobody it was not given for",
                    ));
                }
                SecretChange::Keep => old.client_secret,
                SecretChange::Set(secret) => Some(secret),
                SecretChange::Remove => None,
            };
            put(tx, &place, app, secret)
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
                apps.push(ShownApp::from(found).shown_to(caller));
            }
            Ok(Scan::Go)
        })?;
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        permit.record("ok", None)?;
        Ok(apps)
    }

    /// Those of `ids` that are there and that the caller may see, at most `most` of them, under a
    /// look that is on record. `None` for who may see no app at all.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn apps_seen<'a>(
        &self,
        looked: &Looked,
        ids: impl IntoIterator<Item = &'a AppId>,
        most: usize,
    ) -> Result<Option<BTreeSet<AppId>>> {
        let caller = looked.caller();
        let may = |target: &Target<'_>| self.would_allow(caller, Action::AppsRead, target);
        if !may(&Target::default()) {
            return Ok(None);
        }
        let permit = self
            .gate()
            .permit(caller, Action::AppsRead, &Target::default())?;
        let view = self.store().read()?;
        let mut seen = BTreeSet::new();
        for id in ids {
            if seen.len() == most {
                break;
            }
            let place = Indexer(permit.keys()).app(id);
            if may(&Target::app(id)) && view.record(Records::Apps, &place)?.is_some() {
                seen.insert(id.clone());
            }
        }
        Ok(Some(seen))
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
        let found = open(permit.keys(), &place, &sealed)?;
        Ok(ShownApp::from(found).shown_to(caller))
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

    /// Removes an app with its tokens, a page of them in one transaction; to be called until there
    /// are no more. What can be revoked at the provider comes back, step by step, so that no more
    /// than a page of it is held at one time. A process that ends in between leaves an app without
    /// new tokens, which is removed in the same way.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`].
    pub fn remove_app(&self, caller: &Caller, id: &AppId) -> Result<Receipt<AppRemoval>> {
        let permit = self.gate().permit(caller, Action::Apps, &Target::app(id))?;
        let id = id.clone();
        permit.write(None, move |tx| remove_some(tx, &id, limits::PAGE_MAX))
    }
}

/// Removes at most `most` tokens of an app, and the app with the last of them.
fn remove_some(tx: &mut Tx<'_>, id: &AppId, most: usize) -> Result<AppRemoval> {
    let place = Indexer(tx.keys()).app(id);
    let app = read(tx, &place)?.ok_or(Error::NotFound("app"))?;
    let prefix = Indexer(tx.keys()).of_app(id, None);
    let mut keys: Vec<TokenKey> = Vec::new();
    let mut more = false;
    tx.view()
        .scan_records(Records::Tokens, &prefix, None, &mut |key, _| {
            more = keys.len() == most;
            if more {
                return Ok(Scan::Stop);
            }
            keys.extend(TokenKey::try_from(key));
            Ok(Scan::Go)
        })?;
    let mut doomed = Vec::with_capacity(keys.len());
    for key in &keys {
        doomed.extend(doom(tx, key)?);
    }
    if more {
        let secret = SecretRow {
            secret: app.client_secret.clone(),
        };
        let parts: [&[u8]; PARTS_LEAVING as usize] = [&encode(&app.app), &encode(&secret), b""];
        tx.put(Records::Apps, &place, &parts)?;
    } else {
        tx.remove(Records::Apps, &place);
    }
    Ok(AppRemoval { app, doomed, more })
}

/// Seals and stages an app with its client secret.
fn put(
    tx: &mut Tx<'_>,
    place: &[u8; index::PART],
    app: App,
    secret: Option<Secret<String>>,
) -> Result<ShownApp> {
    let has_client_secret = secret.is_some();
    let secret = SecretRow { secret };
    tx.put(Records::Apps, place, &[&encode(&app), &encode(&secret)])?;
    Ok(ShownApp {
        app,
        has_client_secret,
    })
}

/// Reads an app inside a transaction.
pub(super) fn read(tx: &Tx<'_>, place: &[u8; index::PART]) -> Result<Option<AppSecrets>> {
    let sealed = tx.view().record(Records::Apps, place)?;
    sealed
        .map(|sealed| open(tx.keys(), place, &sealed))
        .transpose()
}

/// Reads an app inside a transaction that gives it something new.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] where it is being removed.
pub(super) fn read_to_stay(tx: &Tx<'_>, place: &[u8; index::PART]) -> Result<AppSecrets> {
    let sealed = tx.view().record(Records::Apps, place)?;
    let sealed = sealed.ok_or(Error::NotFound("app"))?;
    let app = open(tx.keys(), place, &sealed)?;
    if sealed.parts() == PARTS_LEAVING {
        return Err(Error::Conflict(format!(
            "the app `{}` is being removed; finish that first",
            app.app.id
        )));
    }
    Ok(app)
}

/// Opens an app with its client secret.
pub(super) fn open(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<AppSecrets> {
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

mod clients;
mod metadata;
mod moves;

pub use self::clients::RenewedClient;
pub(super) use self::clients::keep_moment;

#[cfg(test)]
mod tests;
