//! What is in use of an app's settings: what the operator says, else what its remote server tells.
//!
//! It promises: what the operator says wins.
//! It never: asks a server.

use super::OAuth;
use crate::clock::Timestamp;
use crate::model::Scopes;
use crate::model::remote::{Resource, ResourceChoice};
use crate::model::url::WebUrl;

impl OAuth {
    /// The authorization server whose metadata is used: the one named, else the remote server's.
    pub fn issuer_in_use(&self) -> Option<&WebUrl> {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        self.issuer.as_ref().or(found.map(|found| &found.issuer))
    }

    /// The scopes asked for when a connect link names none: those said, else the remote server's.
    pub fn scopes_in_use(&self) -> &Scopes {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        match found {
            Some(found) if self.scopes.is_empty() => &found.scopes,
            _ => &self.scopes,
        }
    }

    /// What `resource` says in every request (RFC 8707 2): what the operator says, else what the
    /// remote server calls itself.
    pub fn resource_in_use(&self) -> Option<&Resource> {
        match &self.resource {
            ResourceChoice::Named(resource) => Some(resource),
            ResourceChoice::Omitted => None,
            ResourceChoice::Unsaid => self.remote.as_ref()?.found.as_ref()?.resource.as_ref(),
        }
    }

    /// Whether what was obtained at this moment is of another authorization server than the one
    /// that the remote server trusts now, which then must not see it.
    pub fn has_moved_since(&self, obtained_at: Timestamp) -> bool {
        let found = self
            .remote
            .as_ref()
            .and_then(|remote| remote.found.as_ref());
        found.is_some_and(|found| obtained_at < found.since)
    }
}
