//! One refresh, from the need to what is stored.
//!
//! It promises: nothing is sent before its intent is durable (R4); what was sent is answered or
//! remembered as unanswered (R5); what came of it is stored, or kept until it is (R8).
//! It never: is ended by a caller that hangs up.

use super::Refresher;
use super::flight::{Landing, Ticket};
use super::plan::{self, Circumstances};
use super::unstored::Waiting;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::TokenId;
use crate::model::access::Caller;
use crate::model::plan::Verdict;
use crate::model::token::Grant;
use crate::provider::Tokens;
use crate::provider::classify::{Failure, FailureKind};
use crate::remote::{self, Asks};
use crate::secret::{Secret, chance};
use crate::vault::{Begin, Finish, Need, RefreshAsk, RefreshJob};

/// What a flight is for.
pub(super) struct Trip {
    pub(super) id: TokenId,
    pub(super) rejected: Option<Secret<String>>,
    pub(super) need: Need,
}

impl Trip {
    /// A refresh for its own sake.
    pub(super) fn asked(id: TokenId) -> Self {
        Self {
            id,
            rejected: None,
            need: Need::Asked,
        }
    }

    /// A refresh that a process's end interrupted.
    pub(super) fn interrupted(id: TokenId) -> Self {
        Self {
            need: Need::Interrupted,
            ..Self::asked(id)
        }
    }

    /// A refresh by schedule.
    pub(super) fn due(id: TokenId) -> Self {
        Self {
            need: Need::Due,
            ..Self::asked(id)
        }
    }
}

impl Refresher {
    /// Joins the flight of a token, or starts one.
    pub(super) fn refresh(&self, trip: Trip) -> Ticket {
        let this = self.clone();
        let is_scheduled = trip.need == Need::Due;
        self.0.flights.join(trip.id, async move {
            let landing = this.fly(trip).await;
            if !is_scheduled {
                // What it stored may be due before the scheduler would look by itself.
                this.notice();
            }
            landing
        })
    }

    async fn fly(&self, trip: Trip) -> Landing {
        if let Some(why) = self.halted() {
            return Landing::Failed(why);
        }
        if let Some(why) = self.vault().must_wait_for_check() {
            return Landing::Failed(why);
        }
        if self.vault().is_refresh_paused() {
            let why = "refreshing is paused: this vault was copied from another host, or restored";
            return Landing::Later(limits::BACKOFF_MAX, why.into());
        }
        if let Some(waiting) = self.0.unstored.of(trip.id) {
            let stored = self.try_to_store(&waiting).await;
            return stored.unwrap_or_else(|error| waiting.landing_unstored(error));
        }
        if let Err(error) = self.store_unstored().await {
            // R8: a disk that could not take the last result is not trusted with another.
            return Landing::Failed(error);
        }
        if trip.need != Need::Interrupted {
            // An interrupted one is within a provider's grace, which may be seconds.
            Box::pin(self.look_where(trip.id)).await;
        }
        let id = trip.id;
        let had_intent = self.vault().has_intent(&Caller::scheduler(), id);
        let ask = RefreshAsk {
            id,
            rejected: trip.rejected,
        };
        let begun = self
            .vault()
            .begin_refresh_for(&Caller::scheduler(), ask, trip.need);
        let begun = match begun {
            Ok(receipt) => receipt.await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(Begin::Go(mut job)) => {
                // What is in doubt is an intent of ours that was not followed by a call.
                job.uncertain &= !self.0.unsent.take(id);
                self.go(*job).await
            }
            Ok(Begin::Newer) => Landing::Renewed,
            Ok(Begin::Hopeless) => Landing::Hopeless,
            Ok(Begin::Wait(until)) => {
                let why = "the last refresh failed; the next attempt is not due yet";
                Landing::Later(until.since(self.clock().now()), why.into())
            }
            Ok(Begin::TooYoung(until)) => {
                Landing::Later(until.since(self.clock().now()), TOO_YOUNG.into())
            }
            Err(error) => {
                if matches!(had_intent, Ok(false)) {
                    self.0.unsent.note(id);
                }
                Landing::Failed(error)
            }
        }
    }

    /// Reads again where the app of a token is to be asked, where it is time to: before the intent,
    /// so that nothing is spent yet. What stands in the way of that stands in the way of nothing.
    async fn look_where(&self, id: TokenId) {
        let found = self.vault().app_to_refresh(&Caller::scheduler(), id);
        if let Ok((app, is_failing)) = found {
            let flows = (self.vault(), self.provider());
            remote::fresh_metadata(flows, app, is_failing).await;
        }
    }

    /// From a durable intent to a stored outcome.
    async fn go(&self, mut job: RefreshJob) -> Landing {
        let (answer, unanswered) = self.ask_as_known(&mut job).await;
        let now = self.clock().now();
        let job = job.answered(now);
        let knows_client =
            |failure: &Failure| failure.kind == FailureKind::Refused && failure.status.is_some();
        if answer.as_ref().map_or_else(knows_client, |_| true) {
            self.provider().client_served(&job.app.app.id);
        }
        let is_client =
            matches!(&answer, Err(failure) if failure.kind == FailureKind::ClientRefused);
        let verdict = match answer {
            Ok(grant) => Verdict::Renewed(grant),
            // It was not asked for again, since the vault is about to close. The intent stays, and
            // the next start or unlock asks at once, unhindered by a back-off.
            Err(failure) if failure.kind == FailureKind::AnswerLost && !unanswered => {
                return Landing::Failed(self.halted().unwrap_or(Error::Locked));
            }
            Err(failure) => {
                let (failure, is_lost) = match job.later_client() {
                    Some(client) => remote::refused_to_another(client, failure, now),
                    None => (failure, false),
                };
                let known = Circumstances {
                    now,
                    uncertain: is_lost || (job.uncertain || unanswered) && job.is_spent_by_use(),
                    failures: job.failures,
                    jitter: chance(),
                };
                plan::verdict(failure, known)
            }
        };
        let figures = &self.0.figures;
        figures.refreshed(&job.app.app.id, &verdict, is_client, now);
        self.keep(job, verdict).await
    }

    /// Asks the provider; once more with another client, where ours was one that it has forgotten
    /// for minutes and lets register anew. Refusing the client, it spent nothing.
    async fn ask_as_known(
        &self,
        job: &mut RefreshJob,
    ) -> (std::result::Result<Grant, Failure>, bool) {
        if job.has_moved() {
            let what = "the MCP server trusts another authorization server by now";
            let failure = Failure::ours(FailureKind::Refused, "issuer_moved", what);
            return (Err(failure), false);
        }
        let (answer, unanswered) = self.ask_provider(job).await;
        let Err(failure) = answer else {
            return (answer, unanswered);
        };
        if unanswered || self.halted().is_some() {
            return (Err(failure), unanswered);
        }
        let flows = (self.vault(), self.provider());
        match Box::pin(remote::renew_client(
            flows,
            &job.app,
            &failure,
            Asks::Refresh,
        ))
        .await
        {
            Some(app) => job.app = app,
            None => return (Err(failure), false),
        }
        let oauth = job.app.app.oauth_of(&job.known).ok().flatten();
        let Some(oauth) = oauth.filter(|_| !job.has_moved()) else {
            return (Err(failure), false);
        };
        let secret = job.app.client_secret.as_ref();
        let again = self
            .provider()
            .refresh(&oauth, secret, &job.refresh_token, &job.known)
            .await;
        // An answer that is lost now is asked for by the next attempt.
        let is_lost = matches!(&again, Err(failure) if failure.kind == FailureKind::AnswerLost);
        (again, is_lost)
    }

    /// Sends the refresh; once more where the answer was lost (R5). Says whether it was sent twice.
    async fn ask_provider(&self, job: &RefreshJob) -> (std::result::Result<Grant, Failure>, bool) {
        let wrong = |what: &str| Failure::ours(FailureKind::ClientRefused, "settings", what);
        let oauth = match job.app.app.oauth_of(&job.known) {
            Ok(Some(oauth)) => oauth,
            Ok(None) => return (Err(wrong("not an OAuth app any more")), false),
            Err(error) => return (Err(wrong(&error.to_string())), false),
        };
        let secret = job.app.client_secret.as_ref();
        let ask = || {
            let refresh_token = &job.refresh_token;
            self.provider()
                .refresh(&oauth, secret, refresh_token, &job.known)
        };
        match ask().await {
            Err(failure) if failure.kind == FailureKind::AnswerLost && self.halted().is_none() => {
                (ask().await, true)
            }
            other => (other, false),
        }
    }

    /// Stores what came of it; keeps that in memory where the disk refuses.
    async fn keep(&self, job: RefreshJob, verdict: Verdict) -> Landing {
        let held = self.0.unstored.hold(Waiting { job, verdict });
        let waiting = held.waiting();
        match self.store_outcome(&waiting).await {
            Ok(landing) => {
                held.let_go();
                landing
            }
            Err(error) => {
                tracing::error!(%error, token = %waiting.job.id,
                    "what came of a refresh could not be stored; it is kept in memory");
                drop(held);
                self.notice();
                waiting.landing_unstored(error)
            }
        }
    }

    /// Stores an outcome, or finds that it is nobody's, or that nothing will ever store it.
    ///
    /// # Errors
    /// Why it is to be kept, and stored later.
    async fn store_outcome(&self, waiting: &Waiting) -> Result<Landing> {
        let job = &waiting.job;
        match self.finish(job, waiting.verdict.clone()).await {
            Ok(Finish::Stored) => {
                let landing = waiting.landing(self.clock().now());
                if job.failures > 1 && !matches!(landing, Landing::Later(..)) {
                    self.has_recovered(job);
                }
                Ok(landing)
            }
            // Someone else won meanwhile, or a commit that failed was in the file after all.
            Ok(Finish::Superseded) => {
                if let Some(grant) = waiting.grant() {
                    self.revoke_orphan(job, grant).await;
                }
                Ok(Landing::Renewed)
            }
            // No wait mends that, and everything else would wait behind it.
            Err(error) if self.vault().give_up(&Caller::scheduler(), job, &error)? => {
                tracing::error!(%error, token = %job.id, "what came of a refresh is lost");
                Ok(Landing::Failed(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The provider of this token is well again: others that wait for it need wait no longer.
    fn has_recovered(&self, job: &RefreshJob) {
        let app = job.app.app.id.clone();
        let mut recovered = self.0.recovered.lock().expect("no holder panics");
        recovered.insert(app);
        drop(recovered);
        self.notice();
    }

    async fn finish(&self, job: &RefreshJob, verdict: Verdict) -> Result<Finish> {
        self.vault()
            .finish_refresh(&Caller::scheduler(), job, verdict)?
            .await
    }

    /// The token was removed while it was being refreshed: what came back is nobody's, and is
    /// taken back at the provider.
    async fn revoke_orphan(&self, job: &RefreshJob, grant: &Grant) {
        let is_orphaned = match self.vault().is_orphaned(&Caller::scheduler(), job) {
            Ok(is_orphaned) => is_orphaned,
            Err(error) => {
                tracing::warn!(%error, token = %job.id,
                    "a refreshed token may be nobody's; it was not revoked");
                return;
            }
        };
        let oauth = job.app.app.oauth_of(&job.known).ok().flatten();
        let Some(oauth) = oauth.filter(|_| is_orphaned) else {
            return;
        };
        let tokens = Tokens {
            access_token: Some(&grant.access_token),
            refresh_token: grant.refresh_token.as_ref(),
            known: &job.known,
        };
        let secret = job.app.client_secret.as_ref();
        if let Err(failure) = self.provider().revoke_grant(&oauth, secret, tokens).await {
            let code = failure.code;
            tracing::warn!(code, "a token removed in mid-refresh was not revoked");
        }
    }

    /// Stores what waits for the disk (R8).
    ///
    /// # Errors
    /// Why something waits still: no refresh is to begin.
    pub(super) async fn store_unstored(&self) -> Result<()> {
        let all = self.0.unstored.all();
        if all.is_empty() {
            return Ok(());
        }
        let Ok(_alone) = self.0.storing.try_acquire() else {
            return Err(not_stored_yet("it is being stored"));
        };
        for waiting in all {
            let stored = self.try_to_store(&waiting).await;
            stored.map_err(|error| not_stored_yet(&error.to_string()))?;
        }
        Ok(())
    }

    async fn try_to_store(&self, waiting: &Waiting) -> Result<Landing> {
        let landing = self.store_outcome(waiting).await?;
        self.0.unstored.stored(waiting.job.id);
        tracing::info!(token = %waiting.job.id, "what came of a refresh waits no more");
        Ok(landing)
    }
}

const TOO_YOUNG: &str = "the token is too young to be exchanged for another; if its service \
    refuses it already, its owner has to connect again";

/// Why no refresh begins while a result waits for the disk.
fn not_stored_yet(why: &str) -> Error {
    Error::Storage(format!("what came of a refresh waits to be stored: {why}"))
}
