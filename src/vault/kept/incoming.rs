//! A token that is to be stored: what it is, and what is kept beside it.
//!
//! It promises: what is too long, empty or too much is refused before anything is staged.
//! It never: stores it.

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::beside::Beside;
use crate::model::token::Grant;
use crate::model::{Address, check_text};
use crate::secret::Secret;

/// A token to be stored.
pub struct NewToken {
    /// Where it belongs.
    pub address: Address,
    /// What it is.
    pub credential: NewCredential,
    /// What names its account at the service for good, where the service was asked.
    pub subject: Option<String>,
    /// Its service was asked whose it is, and did not say.
    pub is_unnamed: bool,
    /// What is kept beside it.
    pub beside: Beside,
}

impl NewToken {
    /// A credential of which nothing else is known.
    pub fn of(address: Address, credential: NewCredential) -> Self {
        Self {
            address,
            credential,
            subject: None,
            is_unnamed: false,
            beside: Beside::default(),
        }
    }

    /// Refuses more beside it than is kept of a service.
    pub(in crate::vault) fn check_beside(&self) -> Result<()> {
        let Beside {
            label,
            metadata,
            secrets,
            ..
        } = &self.beside;
        for (what, text) in [("subject", &self.subject), ("label", label)] {
            let text = text.as_deref().unwrap_or_default();
            check_text(what, text)?;
            if text.len() > limits::OWNER_ID_BYTES_MAX {
                return Err(Error::invalid(format!("`{what}` is too long")));
            }
        }
        let most = limits::METADATA_MAX;
        if metadata.len() > most || secrets.len() > most {
            return Err(Error::invalid(format!(
                "`metadata` and `secrets` have at most {most} entries each"
            )));
        }
        for (name, value) in metadata {
            check_text(name.as_str(), value)?;
        }
        let is_long =
            |secret: &Secret<String>| secret.expose().len() > limits::CREDENTIAL_BYTES_MAX;
        match secrets.values().any(is_long) {
            true => Err(Error::invalid("one of `secrets` is too long")),
            false => Ok(()),
        }
    }
}

/// The ways a credential comes in.
pub enum NewCredential {
    /// A static key.
    ApiKey(Secret<String>),
    /// What a provider granted to a person's consent.
    Granted(Grant),
    /// Tokens obtained elsewhere.
    Uploaded(Upload),
}

/// Tokens obtained elsewhere, and what is known of them. An access token or a refresh token is
/// there.
#[derive(Clone, Default)]
pub struct Upload {
    /// The access token.
    pub access_token: Option<Secret<String>>,
    /// The refresh token.
    pub refresh_token: Option<Secret<String>>,
    /// The id token.
    pub id_token: Option<Secret<String>>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// As the provider said it; `Bearer` where nobody tells.
    pub token_type: Option<String>,
    /// Who consented, where that is not who uploads.
    pub granted_by: Option<String>,
}

impl NewCredential {
    /// True for an access token that may have ended long ago, for all that anybody said.
    pub(in crate::vault) fn is_of_unknown_age(&self) -> bool {
        matches!(
            self,
            Self::Uploaded(Upload {
                access_token: Some(_),
                expires_at: None,
                ..
            })
        )
    }

    /// Refuses what is empty or too long, and an upload of nothing.
    pub(in crate::vault) fn check(&self) -> Result<()> {
        let secrets = match self {
            Self::ApiKey(key) => [Some(key), None, None],
            Self::Granted(grant) => [
                Some(&grant.access_token),
                grant.refresh_token.as_ref(),
                grant.id_token.as_ref(),
            ],
            Self::Uploaded(upload) => {
                upload.check()?;
                [
                    upload.access_token.as_ref(),
                    upload.refresh_token.as_ref(),
                    upload.id_token.as_ref(),
                ]
            }
        };
        let fits = 1..=limits::CREDENTIAL_BYTES_MAX;
        if secrets[..2].iter().all(Option::is_none) {
            return Err(Error::invalid(
                "give an access token, a refresh token, or both",
            ));
        }
        if secrets
            .into_iter()
            .flatten()
            .all(|one| fits.contains(&one.expose().len()))
        {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a credential has 1 to {} bytes",
            limits::CREDENTIAL_BYTES_MAX
        )))
    }
}

impl Upload {
    fn check(&self) -> Result<()> {
        for (what, text) in [
            ("token_type", &self.token_type),
            ("granted_by", &self.granted_by),
        ] {
            text.as_ref()
                .map_or(Ok(()), |text| check_text(what, text))?;
        }
        Ok(())
    }
}
