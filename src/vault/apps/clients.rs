//! A client of ours that its server refused, exchanged for another.
//!
//! It promises: it takes the place of the one that was refused and of no other: whoever was first
//! stands.
//! It never: asks a server anything.

use super::{AppSecrets, put, read, read_to_stay};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::AppId;
use crate::model::access::{Action, Caller, Target};
use crate::model::app::{App, AppKind, ClientAuth};
use crate::model::remote::Client;
use crate::model::token::Record;
use crate::secret::Secret;
use crate::vault::Vault;
use crate::vault::index::Indexer;
use crate::vault::receipt::Receipt;
use crate::vault::renew::RefreshJob;
use crate::vault::writer::Tx;

/// A client that was registered in the place of another.
pub struct RenewedClient {
    /// Its id.
    pub client_id: String,
    /// Its secret, where it has one.
    pub client_secret: Option<Secret<String>>,
    /// How it proves itself.
    pub auth: ClientAuth,
    /// How it came about.
    pub client: Client,
}

impl Vault {
    /// Puts a client in the place of the one that was `refused`, unless another is there by now.
    /// What stands then comes back.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] where the app is being removed, or is no remote
    /// server's any more.
    pub fn renew_client(
        &self,
        id: &AppId,
        refused: &str,
        new: RenewedClient,
    ) -> Result<Receipt<AppSecrets>> {
        let caller = Caller::scheduler();
        let permit = self
            .gate()
            .permit(&caller, Action::Refresh, &Target::app(id))?;
        let (id, refused) = (id.clone(), refused.to_owned());
        let now = self.clock().now();
        permit.write_as("client registered anew", None, move |tx| {
            let place = Indexer(tx.keys()).app(&id);
            let found = read_to_stay(tx, &place)?;
            let mut app = found.app.clone();
            let AppKind::OAuth(oauth) = &mut app.kind else {
                return Err(not_remote(&app));
            };
            if oauth.client_id != refused {
                return Ok(found);
            }
            let Some(remote) = &mut oauth.remote else {
                return Err(not_remote(&app));
            };
            remote.client = Some(new.client);
            oauth.client_id = new.client_id;
            oauth.client_auth = new.auth;
            app.updated_at = now;
            put(tx, &place, app.clone(), new.client_secret.clone())?;
            Ok(AppSecrets {
                app,
                client_secret: new.client_secret,
            })
        })
    }

    /// An app with its client secret, as it is stored now, for whoever is about to register for it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`].
    pub(crate) fn app_to_register(&self, id: &AppId) -> Result<AppSecrets> {
        self.app_secrets(&Caller::scheduler(), Action::Refresh, id)
    }
}

impl RefreshJob {
    /// For a token of a remote server's app: which app, and when what was spent had been obtained.
    pub(in crate::vault) fn of_remote(&self) -> Option<(AppId, Timestamp)> {
        let app = &self.app.app;
        let remote = app.oauth()?.remote.as_ref();
        remote.map(|_| (app.id.clone(), self.obtained_at))
    }
}

/// Lets a token that was refreshed at an authorization server which is not asked any more seem as
/// old as it was: what that one gave is not for the next.
pub(in crate::vault) fn keep_moment(
    tx: &Tx<'_>,
    remote: Option<&(AppId, Timestamp)>,
    record: &mut Record,
) -> Result<()> {
    let Some((app, obtained_at)) = remote else {
        return Ok(());
    };
    let app = read(tx, &Indexer(tx.keys()).app(app))?;
    let oauth = app.as_ref().and_then(|found| found.app.oauth());
    if oauth.is_some_and(|oauth| oauth.has_moved_since(*obtained_at)) {
        record.obtained_at = *obtained_at;
    }
    Ok(())
}

fn not_remote(app: &App) -> Error {
    Error::Conflict(format!(
        "the app `{}` is no remote server's any more",
        app.id
    ))
}
