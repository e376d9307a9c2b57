//! What was sent to the provider since a moment: its own record, as a kill is judged by it.
//!
//! It promises: each request counts once, in its order, whenever the provider came to it.
//! It never: says who sent it.

use crate::protocol::{Scene, Target};

/// What the provider had seen before a kill.
pub(crate) struct Before {
    requests: u64,
    pub(crate) processed: u64,
}

impl Before {
    pub(crate) fn of(scene: &Scene) -> Self {
        let counts = scene.outside.sandbox.counts();
        Self {
            requests: counts.token_requests,
            processed: counts.refreshes_ok,
        }
    }

    /// The refresh tokens that were sent to the provider since, in order.
    pub(crate) fn sent(&self, scene: &Scene) -> Vec<String> {
        let sandbox = &scene.outside.sandbox;
        let count = sandbox.counts().token_requests - self.requests;
        let all = sandbox.last_requests().into_iter().rev();
        let refreshes = all.filter(|request| request.path == "/token");
        refreshes
            .take(usize::try_from(count).unwrap())
            .map(|request| request.form("refresh_token").unwrap_or_default().to_owned())
            .collect()
    }
}

/// How often a target's refresh token was sent.
pub(crate) fn times(sent: &[String], target: &Target) -> usize {
    let token = target.refresh_token.expose();
    sent.iter().filter(|one| *one == token).count()
}
