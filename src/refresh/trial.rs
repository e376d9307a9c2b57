//! A token that is stored on the condition that its refresh token works.
//!
//! It promises: it is tried by a refresh of its own, not by one that was under way before it came;
//! one that is refused, or that the provider's trouble kept from being tried, is not kept, and
//! nothing that came in its place meanwhile is touched. One whose trial has not ended when patience
//! has is kept: what comes of it late is the only one there is.
//! It never: puts one that was not tried in the place of a good one.

use std::time::Duration;

use super::fly::Trip;
use super::{Landing, Refresher, detached};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::TokenId;
use crate::model::access::Caller;
use crate::model::token::{ReconnectReason, Summary};
use crate::secret::Secret;
use crate::vault::{NewCredential, NewToken};

impl Refresher {
    /// Stores a token and tries it at once, whether or not the caller waits.
    pub(super) async fn store_tried(&self, caller: &Caller, new: NewToken) -> Result<Summary> {
        let (this, caller) = (self.clone(), caller.clone());
        detached(async move { this.store_and_try(&caller, new).await }).await
    }

    async fn store_and_try(&self, caller: &Caller, new: NewToken) -> Result<Summary> {
        let tried = match &new.credential {
            NewCredential::Uploaded(upload) => upload.refresh_token.clone(),
            NewCredential::ApiKey(_) | NewCredential::Granted(_) => None,
        };
        let summary = self.vault().store_for_trial(caller, new)?.await?;
        match (self.try_out(summary.id).await, tried) {
            (Landing::Dead(reason), Some(tried)) => {
                self.take_out(caller, summary.id, tried).await?;
                return Err(refused(reason));
            }
            // Somebody else had it refused before its own trial began.
            (Landing::Hopeless, Some(tried)) => {
                if let Some(reason) = self.take_out(caller, summary.id, tried).await? {
                    return Err(refused(reason));
                }
            }
            (Landing::Later(wait, why), Some(tried)) => {
                let taken = self.vault().take_out_untried(caller, &summary, tried)?;
                if taken.await? {
                    return Err(untried(&why, wait));
                }
            }
            (Landing::Failed(error), _) => return Err(error),
            _ => {}
        }
        self.vault().token(&Caller::local(), summary.id)
    }

    /// Refreshes, and not by a flight that somebody else began, maybe with what was there before.
    async fn try_out(&self, id: TokenId) -> Landing {
        let trying = async {
            loop {
                let flight = self.refresh(Trip::asked(id));
                let is_own = flight.is_own();
                let landing = self.wait_for(flight, limits::REFRESH_WAIT_MAX).await;
                if is_own || matches!(landing, Landing::Failed(Error::Busy(_))) {
                    return landing;
                }
            }
        };
        let tried = tokio::time::timeout(limits::REFRESH_WAIT_MAX, trying).await;
        tried.unwrap_or_else(|_| {
            let why = "other refreshes of this token were in the way of its trial";
            Landing::Later(limits::BACKOFF_FIRST, why.into())
        })
    }

    async fn take_out(
        &self,
        caller: &Caller,
        id: TokenId,
        tried: Secret<String>,
    ) -> Result<Option<ReconnectReason>> {
        self.vault().take_out_refused(caller, id, tried)?.await
    }
}

fn untried(why: &str, wait: Duration) -> Error {
    Error::ProviderUnavailable {
        what: format!("the refresh token could not be tried, and was not kept: {why}"),
        retry_after: Some(wait),
    }
}

fn refused(reason: ReconnectReason) -> Error {
    Error::ProviderRefused {
        code: reason.as_str().into(),
        description: "the refresh token was tried and refused; it was not kept".into(),
    }
}
