//! The keys that an issuer signs with, as they come over the wire (RFC 7517 5).
//!
//! It promises: one request, within the bounds of the way out; how long the issuer lets the
//! document be kept comes with it.
//! It never: reads the keys, or decides how long they are kept (that is `bearer`).

use std::time::Duration;

use super::Provider;
use super::answer::Unread;
use super::classify::{Failure, FailureKind};
use crate::error::Result;
use crate::limits;
use crate::model::url::WebUrl;

/// A key document.
pub struct KeyDocument {
    /// What was sent, unread. It is public.
    pub body: Vec<u8>,
    /// How long it may be kept, where the issuer says so. An `Age` is not taken off: whoever keeps
    /// it has a bound of its own.
    pub max_age: Option<Duration>,
}

impl Provider {
    /// Fetches the key document at `place`.
    ///
    /// # Errors
    /// [`crate::error::Error::Forbidden`] where the rules of the way out refuse it;
    /// [`crate::error::Error::ProviderRefused`] or
    /// [`crate::error::Error::ProviderUnavailable`] where there is none to be had.
    pub async fn key_document(&self, place: &WebUrl) -> Result<KeyDocument> {
        let failed = |kind, what: String| Failure::ours(kind, "keys", what);
        let answer = self.get(place, limits::JWKS_BYTES_MAX).await?;
        match (answer.status, answer.body) {
            (200, Ok(body)) => Ok(KeyDocument {
                body: body.expose().clone(),
                max_age: answer.kept_for,
            }),
            (200, Err(Unread::TooLong)) => Err(failed(
                FailureKind::ClientRefused,
                "the document is too long".into(),
            )
            .into()),
            (200, Err(Unread::Broken)) => {
                Err(failed(FailureKind::AnswerLost, "the document broke off".into()).into())
            }
            (status, _) => {
                let kind = match status {
                    429 | 500.. => FailureKind::Transient { retry_after: None },
                    _ => FailureKind::ClientRefused,
                };
                Err(failed(kind, format!("status {status}")).into())
            }
        }
    }
}
