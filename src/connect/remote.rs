//! Apps as they are about to be stored: what they leave open is found out, and where they are of a
//! remote MCP server we are known to its authorization server.
//!
//! It promises: nothing is asked for anybody who may not make apps; a client id metadata document
//! is served for every app alike, so that nobody learns from it which there are.
//! It never: keeps anything.

use serde_json::Value;

use super::Connect;
use crate::error::{Error, Result};
use crate::model::AppId;
use crate::model::access::Caller;
use crate::model::app::{App, Callback};
use crate::provider::registration::{app_of_document, document};
use crate::remote::{self, Ours, Settled};
use crate::vault::SecretChange;

/// What becomes of a client secret, and for a remote server's app its turn.
pub enum Ready {
    /// Any other app.
    Plain(SecretChange),
    /// A remote server's: kept until it is stored.
    Remote(Settled),
}

impl Ready {
    /// What becomes of the client secret. Held by what it comes from until that is stored.
    pub fn take_secret(&mut self) -> SecretChange {
        let secret = match self {
            Self::Plain(secret) => secret,
            Self::Remote(settled) => &mut settled.secret,
        };
        std::mem::replace(secret, SecretChange::Keep)
    }
}

impl Connect {
    /// Makes an app ready to be stored: reads its issuer's metadata ([`Connect::discover`]), or
    /// finds out everything about its remote server, and registers there where that is needed.
    ///
    /// # Errors
    /// Those of [`Connect::discover`] and [`remote::settle`].
    pub async fn settle(
        &self,
        caller: &Caller,
        (app, secret): (&mut App, SecretChange),
        is_new: bool,
    ) -> Result<Ready> {
        self.discover(caller, app).await?;
        if app.oauth().is_none_or(|oauth| oauth.remote.is_none()) {
            return Ok(Ready::Plain(secret));
        }
        let callback = app.callback();
        let ours = Ours {
            redirect_uri: self.redirect_uri(&app.id, callback),
            // A document lists the app's own redirect URI alone.
            document_url: (self.is_secure() && callback == Callback::Own)
                .then(|| self.document_url(&app.id)),
        };
        let flows = (self.vault(), &self.0.provider);
        let settled = remote::settle(flows, caller, (app, secret), is_new, &ours).await?;
        Ok(Ready::Remote(settled))
    }

    /// Where an app's client id metadata document is.
    fn document_url(&self, app: &AppId) -> String {
        format!("{}/oauth/client/{app}.json", self.0.public_url)
    }

    /// The client id metadata document that this file name stands for. It says nothing of what is
    /// in the vault, which may be locked.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a name that is none of an app, or where people do not reach us under
    /// https: no server takes a document then.
    pub fn client_document(&self, name: &str) -> Result<Value> {
        let app = app_of_document(name)?;
        if !self.is_secure() {
            return Err(Error::NotFound("app"));
        }
        let redirect_uri = self.redirect_uri(&app, Callback::Own);
        Ok(document(&self.document_url(&app), &redirect_uri))
    }
}
