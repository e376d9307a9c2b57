//! The check of the vault's file behind the first answers, for who asked for that.
//!
//! ```text
//! unlock   the header, the ledger and the anchor are compared; who fetches is let in, and nobody
//!          writes: there is no writer
//! check    redb checks the whole file; the ledger adds up every entry of what was checked
//! settle   what was checked takes its place; the writer starts; what an unlock writes is written
//! ```
//! What may be said until then: a record that opens was sealed by this vault for this very place.
//! It may be older than the last one written there, or one that was removed since, and one that is
//! not found may be missing. So what is found valid is handed out, and nothing else is said: not
//! that a token, an app, a key or a link is not there, nor that one has to be connected again. No
//! refresh token is spent or handed out, since it may be one that was spent before.
//!
//! It promises: V19 nothing is written, and no "no" is said, before the file was checked whole and
//! added up; a file that is damaged, or does not add up, locks the vault for as long as the process
//! runs, on record; a lock or an end in mid-check ends it with the page it is at; a kill leaves the
//! file as one in an opening does.
//! It never: runs beside a writer, or keeps the vault alive.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use serde::Serialize;

use super::anchor::Moored;
use super::ledger::Ledger;
use super::{Inner, Vault};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::seal::Keyring;
use crate::store::{Store, Watch};

/// How far the check of the file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Checking {
    /// Steps done: each entry is read by the store's own check, and added up.
    pub done: u64,
    /// Steps there are.
    pub total: u64,
    /// When it began.
    pub started_at: Timestamp,
}

/// Where a check tells how far it is, and is told to stop.
pub(super) struct Board {
    watch: Arc<Watch>,
    entries: u64,
    epoch: u64,
    counted: AtomicU64,
    started_at: Timestamp,
    clock: Clock,
}

impl Board {
    /// The board of a check that is about to begin, of the file with this ledger.
    pub(super) fn new(ledger: &Ledger, clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            watch: Arc::default(),
            entries: ledger.count().max(1),
            epoch: ledger.epoch,
            counted: AtomicU64::new(0),
            started_at: clock.now(),
            clock: clock.clone(),
        })
    }

    /// Number of the last commit.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn progress(&self) -> Checking {
        let entries = u128::from(self.entries);
        let (read, length) = self.watch.progress();
        let read = entries * u128::from(read) / u128::from(length.max(1));
        let counted = u128::from(self.counted.load(Ordering::Acquire)).min(entries);
        let steps = |steps: u128| u64::try_from(steps).unwrap_or(u64::MAX);
        Checking {
            done: steps(read + counted),
            total: steps(2 * entries),
            started_at: self.started_at,
        }
    }

    /// What whoever has to wait for it is told.
    pub(super) fn refusal(&self) -> Error {
        let Checking { done, total, .. } = self.progress();
        let percent = u128::from(done) * 100 / u128::from(total.max(1));
        let took = self.clock.now().since(self.started_at).as_millis();
        let left = took * u128::from(total.saturating_sub(done)) / u128::from(done.max(1));
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX));
        Error::Checking {
            percent: u8::try_from(percent).unwrap_or(100).min(99),
            retry_after: left.clamp(limits::CHECK_RETRY_MIN, limits::CHECK_RETRY_MAX),
        }
    }

    fn counts(&self, counted: u64) -> Result<()> {
        let before = self.counted.swap(counted, Ordering::AcqRel);
        let tenths = |counted: u64| counted.saturating_mul(10) / self.entries;
        if tenths(counted) != tenths(before) {
            let percent = tenths(counted) * 10;
            tracing::info!(percent, "the entries of the vault's file are added up");
        }
        self.watch.may_go_on()
    }
}

/// Where the check is kept in mind: one at a time.
#[derive(Default)]
pub(super) struct Behind {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// The thread of the last one.
    checker: Option<ThreadId>,
    is_under_way: bool,
    /// Why the last one did not end well.
    failed: Option<Error>,
    /// What is wrong with the file, where one found that.
    verdict: Option<Error>,
}

struct Running {
    board: Arc<Board>,
    thread: JoinHandle<()>,
}

impl Behind {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn start(&self, vault: Weak<Inner>, check: Check) -> Result<()> {
        // One that has failed may yet be telling so.
        self.stop();
        let mut state = self.state();
        let board = Arc::clone(&check.board);
        let thread = std::thread::Builder::new()
            .name(THREAD.into())
            .spawn(move || check.run(&vault))
            .map_err(|error| Error::Storage(format!("cannot start the check: {error}")))?;
        state.checker = Some(thread.thread().id());
        state.running = Some(Running { board, thread });
        (state.is_under_way, state.failed) = (true, None);
        Ok(())
    }

    /// Tells the check to stop, and waits until it has, whoever told it first: nobody may open the
    /// file, or write to it, beside one that has not ended.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        // The last to hold the vault may be the check itself.
        if state.checker == Some(std::thread::current().id()) {
            return;
        }
        if let Some(running) = state.running.take() {
            drop(state);
            running.board.watch.stop();
            let checker = running.thread.thread().id();
            let _ = running.thread.join();
            state = self.state();
            // One that found its vault gone has told nobody. Another may have begun meanwhile.
            state.is_under_way &= state.checker != Some(checker);
        }
        let ended = self.news.wait_while(state, |state| state.is_under_way);
        drop(ended.expect("no holder panics"));
    }

    fn ended(&self, failed: Option<Error>) {
        let mut state = self.state();
        (state.is_under_way, state.failed) = (false, failed);
        self.news.notify_all();
    }

    /// What the check that is under way is watched by.
    #[cfg(test)]
    pub(super) fn watch(&self) -> Option<Arc<Watch>> {
        let state = self.state();
        let running = state.running.as_ref();
        running.map(|running| Arc::clone(&running.board.watch))
    }

    /// Refuses a file that is known to be damaged.
    ///
    /// # Errors
    /// What was found.
    pub(super) fn may_unlock(&self) -> Result<()> {
        self.state().verdict.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The name of the thread that checks.
pub(super) const THREAD: &str = "check";

/// A check that is about to begin. It holds nothing that holds the vault.
pub(super) struct Check {
    pub(super) store: Arc<Store>,
    pub(super) keys: Arc<Keyring>,
    pub(super) board: Arc<Board>,
    /// The header and the hash of the ledger of what is being served.
    pub(super) header: Vec<u8>,
    pub(super) ledger: [u8; 32],
    pub(super) moored: Moored,
}

impl Check {
    fn run(self, vault: &Weak<Inner>) {
        let watch = Arc::clone(&self.board.watch);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.check(vault)));
        let outcome = outcome.unwrap_or_else(|_| {
            let why = "the check of the file panicked, which is a bug";
            Err(Error::Storage(why.into()))
        });
        // Who is told to stop is given no page more, and that is no word about the disk.
        let outcome = outcome.map_err(|error| watch.may_go_on().err().unwrap_or(error));
        // Where there is none, its end has waited for this thread, and nobody waits for news.
        if let Some(inner) = vault.upgrade() {
            Vault(inner).check_ended(outcome);
        }
    }

    fn check(self, vault: &Weak<Inner>) -> Result<()> {
        let board = &self.board;
        let checked = self.store.check(&board.watch)?;
        tracing::info!("the store has checked the file; its entries are added up");
        let view = checked.read()?;
        let (ledger, digest) = Ledger::read_with_digest(&self.keys, &view)?;
        if digest != self.ledger || view.header()? != self.header {
            return Err(Error::Damaged(
                "what was checked is not what was served: the file changed meanwhile".into(),
            ));
        }
        ledger.verify_watched(&self.keys, &view, &mut |counted| board.counts(counted))?;
        drop(view);
        let vault = Vault(vault.upgrade().ok_or(Error::Locked)?);
        self.store.take(checked, &board.watch)?;
        vault.settle_checked(&self.board, self.moored)
    }
}

impl Vault {
    /// Waits until the check of the file has ended, where one goes on. Blocks: not to be called on
    /// a thread that serves others.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]: the vault is locked then; [`Error::Locked`] where
    /// it was locked, or closed, in mid-check.
    pub fn wait_for_check(&self) -> Result<()> {
        let behind = &self.0.behind;
        let state = behind.state();
        let ended = behind.news.wait_while(state, |state| state.is_under_way);
        let failed = ended.expect("no holder panics").failed.clone();
        failed.map_or(Ok(()), Err)
    }

    pub(super) fn start_check(&self, check: Check) -> Result<()> {
        tracing::info!(
            entries = check.board.entries,
            "the vault's file is checked behind the first answers; until then nothing is written, \
             and nothing is said of what is not found"
        );
        self.0.behind.start(Arc::downgrade(&self.0), check)
    }

    /// Does what an unlock does behind the check, and lets everybody write.
    fn settle_checked(&self, board: &Arc<Board>, moored: Moored) -> Result<()> {
        self.gate().begin_writing(&self.0.store, board)?;
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())?;
        permit.record("the vault's file was checked and is whole", None)?;
        self.settle_anchor(&permit, moored)?;
        drop(permit);
        self.settle_in()?;
        self.gate().let_write();
        self.resume_filling()?;
        self.resume_rotation()
    }

    fn check_ended(&self, outcome: Result<()>) {
        match &outcome {
            Ok(()) => tracing::info!("the vault's file was checked and is whole; all is served"),
            Err(Error::Locked) => {
                tracing::warn!("the check of the vault's file was given up: the vault is locked");
            }
            Err(error) => self.lock_for(error),
        }
        self.0.behind.ended(outcome.err());
    }

    /// Locks a vault whose file cannot be vouched for.
    fn lock_for(&self, error: &Error) {
        tracing::error!(%error, "the check of the vault's file failed; the vault is locked");
        let word = format!(
            "locked: the check of the vault's file failed: {}",
            error.code()
        );
        let told = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())
            .and_then(|permit| permit.record(&word, None));
        if let Err(error) = told {
            tracing::warn!(%error, "that it was locked is not on record");
        }
        // A disk that failed may be well again, and the next unlock checks anew. Damage stays.
        if matches!(error, Error::Damaged(_) | Error::TooNew(_)) {
            self.0.behind.state().verdict = Some(error.clone());
        }
        *self.locked_because() = Some(error.code());
        self.0.rotator.stop();
        self.0.filler.stop();
        self.gate().shut();
    }
}
