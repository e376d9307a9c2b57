//! Compaction: the vault's file made as small as what it holds, while the vault is in use.
//!
//! redb's file grows with what is written and does not shrink. A compaction copies what there is
//! into a new file, which takes the old one's place (`store/compact`). It is done by the writer,
//! between two commits: writes wait in its queue until it is done, for as long as it takes to copy,
//! check and add up all entries; who reads reads on.
//!
//! It promises: V18 the file that takes the vault's place holds exactly the entries that the old
//! one did, the ledger of the last acknowledged commit among them, and adds up; a compaction that
//! fails, is given up by a lock, or is killed leaves the vault as it was; writes that came
//! meanwhile are committed afterwards. Who asked for it is on record before it begins, and that the
//! new file takes the old one's place before it does.
//! It never: runs beside a backup, which would have to read from a file that goes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde::Serialize;

use super::Vault;
use super::unlock::FILE;
use super::writer::Quiet;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller, Target};
use crate::store::Medium;

/// How a compaction stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionState {
    /// The writer is at it, or will be as soon as it has committed what came before.
    Running,
    /// The new file is the vault's.
    Done,
    /// Given up; the vault's file is the one it was.
    Failed,
}

/// The latest compaction since the process began.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compaction {
    /// How it stands.
    pub state: CompactionState,
    /// Steps done: each entry is copied, compared, added up.
    pub done: u64,
    /// Steps there are; 0 until it is at work.
    pub total: u64,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// What the file took of the disk before, in bytes.
    pub bytes_before: u64,
    /// What it takes since, in bytes.
    pub bytes_after: Option<u64>,
    /// How long no write was committed, in milliseconds.
    pub writes_waited_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<Error>,
}

/// Where the latest compaction is kept in mind: one at a time.
#[derive(Default)]
pub(super) struct Desk {
    latest: Mutex<Option<Compaction>>,
    news: Condvar,
}

impl Desk {
    fn latest(&self) -> MutexGuard<'_, Option<Compaction>> {
        self.latest.lock().expect("no holder panics")
    }

    pub(super) fn is_running(&self) -> bool {
        let latest = self.latest();
        latest.as_ref().is_some_and(Compaction::is_running)
    }

    /// Takes the turn, unless a compaction is running.
    fn begin(&self, compaction: Compaction) -> Result<()> {
        let mut latest = self.latest();
        if latest.as_ref().is_some_and(Compaction::is_running) {
            return Err(Error::Conflict("a compaction is running already".into()));
        }
        *latest = Some(compaction);
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Compaction)) {
        self.latest().as_mut().map(change).unwrap_or_default();
        self.news.notify_all();
    }

    /// Waits until there is something new of it, and tells what.
    fn wait(&self) -> Option<Compaction> {
        let mut latest = self.latest();
        if latest.as_ref().is_some_and(Compaction::is_running) {
            latest = self.news.wait(latest).expect("no holder panics");
        }
        latest.clone()
    }
}

/// What the writer is given to do. It holds nothing that holds the writer.
struct Job {
    turn: Turn,
    medium: Arc<dyn Medium>,
    file: PathBuf,
    clock: Clock,
}

impl Vault {
    /// Compacts the vault's file, and waits until that is done. Blocks: not to be called on a
    /// thread that serves others. Locking the vault gives it up; who waits has no other way to.
    ///
    /// # Errors
    /// Those of [`Vault::start_compaction`]; [`Error::Storage`] where the disk refuses or is full;
    /// [`Error::Damaged`] where the vault does not add up; [`Error::Locked`] where it was locked
    /// meanwhile.
    pub fn compact(&self, caller: &Caller, tell: &mut dyn FnMut(u64, u64)) -> Result<Compaction> {
        self.start_compaction(caller)?;
        loop {
            let latest = self.0.compactions.wait().ok_or(Error::ShuttingDown)?;
            tell(latest.done, latest.total);
            match (latest.state, &latest.error) {
                (CompactionState::Running, _) => {}
                (_, Some(error)) => return Err(error.clone()),
                (_, None) => return Ok(latest),
            }
        }
    }

    /// Has the writer compact the vault's file as soon as it has committed what came before;
    /// [`Vault::latest_compaction`] tells how it goes.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Locked`]; [`Error::Invalid`] for a vault without a file;
    /// [`Error::Conflict`] where a compaction or a backup is running; [`Error::Busy`];
    /// [`Error::AuditUnavailable`].
    pub fn start_compaction(&self, caller: &Caller) -> Result<Compaction> {
        let permit = self
            .gate()
            .permit(caller, Action::Backup, &Target::vault())?;
        let job = match self.prepare_compaction() {
            Ok(job) => job,
            Err(error) => {
                permit.record(&format!("compaction: {}", error.code()), None)?;
                return Err(error);
            }
        };
        permit.record("compaction begins", None)?;
        permit.between_writes(move |quiet, record| job.run(quiet, record))?;
        let latest = self.0.compactions.latest().clone();
        latest.ok_or(Error::ShuttingDown)
    }

    /// The latest compaction since the process began, for who may make one.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub fn latest_compaction(&self, caller: &Caller) -> Result<Option<Compaction>> {
        let may = self.would_allow(caller, Action::Backup, &Target::vault());
        Ok(self.0.compactions.latest().clone().filter(|_| may))
    }

    fn prepare_compaction(&self) -> Result<Job> {
        let directory = self.directory();
        let directory =
            directory.ok_or_else(|| Error::invalid("a vault in memory has no file to compact"))?;
        let (medium, file) = (self.medium(), directory.join(FILE));
        let begun = Compaction {
            state: CompactionState::Running,
            done: 0,
            total: 0,
            started_at: self.clock().now(),
            bytes_before: taken(&*medium, &file)?,
            bytes_after: None,
            writes_waited_ms: None,
            error: None,
        };
        self.0.compactions.begin(begun)?;
        // A backup that begins from here on sees it.
        if self.is_backing_up() {
            let error = Error::Conflict(
                "a backup is running, from the file that would be replaced; ask again when it has \
                 ended"
                    .into(),
            );
            self.0.compactions.change(|latest| latest.fail(&error));
            return Err(error);
        }
        Ok(Job {
            turn: Turn {
                desk: Arc::clone(&self.0.compactions),
                is_over: false,
            },
            medium,
            file,
            clock: self.clock().clone(),
        })
    }
}

impl Job {
    fn run(mut self, quiet: Result<Quiet<'_>>, record: &dyn Fn(String) -> Result<()>) {
        let begun = self.clock.now();
        let compacted = quiet.and_then(|quiet| self.compact(&quiet, record));
        let compacted = compacted.and_then(|()| taken(&*self.medium, &self.file));
        let waited = self.clock.now().since(begun);
        let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        // Said as well as the trail can be written to: that it began, and that the new file takes
        // the old one's place, is there already.
        let _ = record(match &compacted {
            Ok(bytes) => format!("compaction done: {bytes} bytes; writes waited {waited} ms"),
            Err(error) => format!("compaction failed: {}", error.code()),
        });
        // Another one may begin as soon as this is told.
        self.turn.is_over = true;
        self.turn.desk.change(|latest| match &compacted {
            Ok(bytes) => latest.succeed(*bytes, waited),
            Err(error) => latest.fail(error),
        });
        if let Err(error) = compacted {
            tracing::error!(%error, "the compaction failed");
        }
    }

    fn compact(&self, quiet: &Quiet<'_>, record: &dyn Fn(String) -> Result<()>) -> Result<()> {
        let entries = Cell::new(0);
        quiet.store.compact(
            &*self.medium,
            &self.file,
            &mut |done, twice| {
                entries.set(twice / 2);
                self.tell(quiet, done, twice / 2)
            },
            &mut |view| {
                let entries = entries.get();
                quiet.verify(view, &mut |done| {
                    self.tell(quiet, entries.saturating_mul(2) + done, entries)
                })?;
                record("compaction: the new file takes the old one's place".into())
            },
        )
    }

    fn tell(&self, quiet: &Quiet<'_>, done: u64, entries: u64) -> Result<()> {
        quiet.may_go_on()?;
        self.turn.desk.change(|latest| {
            latest.done = done;
            latest.total = entries.saturating_mul(3);
        });
        Ok(())
    }
}

/// What a file takes of the disk, in bytes.
fn taken(medium: &dyn Medium, file: &Path) -> Result<u64> {
    let taken = medium.taken(file);
    taken.map_err(|error| Error::Storage(format!("cannot look at {}: {error}", file.display())))
}

/// The turn of one compaction: given back however it ends, and where the writer ends before it.
struct Turn {
    desk: Arc<Desk>,
    is_over: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.desk.change(|latest| latest.fail(&Error::Locked));
        }
    }
}

impl Compaction {
    fn is_running(&self) -> bool {
        self.state == CompactionState::Running
    }

    fn succeed(&mut self, bytes: u64, waited_ms: u64) {
        self.state = CompactionState::Done;
        self.done = self.total;
        self.error = None;
        self.bytes_after = Some(bytes);
        self.writes_waited_ms = Some(waited_ms);
    }

    fn fail(&mut self, error: &Error) {
        self.state = CompactionState::Failed;
        self.error = Some(error.clone());
    }
}
