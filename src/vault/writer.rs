//! The one writer: what is waiting becomes one transaction, and each waiter hears after the fsync.
//!
//! ```text
//! submit --> queue (bounded) --> [take all that wait] --> run each on the transaction
//!                                      |                   --> ledger --> commit --> answer each
//!                                      +-- after a failed commit: reopen the store, re-read the
//!                                          ledger, and only then go on; where the disk refuses
//!                                          writes, what is stored is read meanwhile
//! ```
//!
//! It promises: V2 an operation's changes are applied whole or not at all, together with the
//! ledger's; V3 nobody is told "done" before the commit; after a commit whose outcome is unknown
//! nothing is written before the file was read again. An operation that panics fails alone; a panic
//! in the store itself ends the process, since nothing can be said of the file before it is opened
//! anew, and what was acknowledged is in it. What needs the file to stand still is done between two
//! commits (`quiet`).
//! It never: waits for a network, or grows its queue.

pub(super) mod books;
mod quiet;
mod reseal;
mod trouble;
mod tx;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub(super) use self::quiet::Quiet;
use self::quiet::{Between, gather};
pub(super) use self::reseal::{Batch, Ending, count, tables};
use self::trouble::Trouble;
pub(super) use self::tx::Tx;
use super::anchor::Anchor;
use super::audit::Audit;
use super::ledger::{self, Ledger};
use super::receipt::Receipt;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::{Keyring, digest};
use crate::store::{Read, Records, Store, Write};

/// Told how the commit went.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// Runs an operation on a transaction, or tells its waiter why there is none. True where its
/// changes are to be applied.
type Job = Box<dyn FnOnce(Result<&mut Tx<'_>>) -> (bool, Answer) + Send>;
/// Takes up what is kept in memory of the store, which was read anew.
type TakeUp = Box<dyn Fn(&Keyring, &Read) -> Result<()> + Send>;

enum Message {
    Job(Job),
    Between(Between),
    Stop,
}

/// The writer's handle.
pub(super) struct Writer {
    queue: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    epoch: Arc<AtomicU64>,
    /// It is to end: what takes long gives up.
    stopping: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the writer's thread on an unlocked store.
    pub(super) fn start(
        store: Arc<Store>,
        keys: Arc<Keyring>,
        audit: Arc<Audit>,
        anchor: Option<Arc<Anchor>>,
        clock: Clock,
        take_up: TakeUp,
    ) -> Result<Self> {
        let (ledger, acknowledged) = Ledger::read_with_digest(&keys, &store.read()?)?;
        let (queue, messages) = sync_channel(limits::WRITE_QUEUE_MAX);
        let epoch = Arc::new(AtomicU64::new(ledger.epoch));
        let stopping = Arc::new(AtomicBool::new(false));
        let suspect = store.is_for_reading_alone();
        let worker = Worker {
            store,
            keys,
            ledger,
            audit,
            anchor,
            clock,
            epoch: Arc::clone(&epoch),
            stopping: Arc::clone(&stopping),
            take_up,
            acknowledged,
            tried: None,
            suspect,
            trouble: Trouble::default(),
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || worker.run(&messages))
            .map_err(|error| Error::Storage(format!("cannot start the writer: {error}")))?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
            epoch,
            stopping,
        })
    }

    /// Queues an operation. It sees what earlier operations wrote, and not its own changes.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        self.submit_then(operation, |_| ())
    }

    /// [`Self::submit`], and does `then` once the changes are durable, before anybody hears of it.
    pub(super) fn submit_then<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
    ) -> Result<Receipt<T>> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |tx| match tx.and_then(|tx| run_alone(operation, tx)) {
            Ok(value) => {
                let answer: Answer = Box::new(move |outcome| {
                    let outcome = outcome.inspect(|()| then(&value)).map(|()| value);
                    // A caller that went away is no reason to undo what is stored.
                    let _ = sender.send(outcome);
                });
                (true, answer)
            }
            Err(error) => {
                let answer: Answer = Box::new(move |_| {
                    let _ = sender.send(Err(error));
                });
                (false, answer)
            }
        });
        self.send(Message::Job(job)).map(|()| Receipt(receiver))
    }

    fn send(&self, message: Message) -> Result<()> {
        match self.queue.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Error::Busy(Duration::from_secs(1))),
            // It ends with the lock, and by nothing else.
            Err(TrySendError::Disconnected(_)) => Err(Error::Locked),
        }
    }

    /// The number of the last commit.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Commits what is queued and ends the thread. Called again, it does nothing.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().expect("no holder panics").take();
        if let Some(thread) = thread {
            self.stopping.store(true, Ordering::Release);
            // Blocks while the queue is full, which the writer is emptying.
            let _ = self.queue.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    store: Arc<Store>,
    keys: Arc<Keyring>,
    ledger: Ledger,
    audit: Arc<Audit>,
    anchor: Option<Arc<Anchor>>,
    clock: Clock,
    epoch: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    take_up: TakeUp,
    /// The ledger's hash as it was last acknowledged, and as a commit would have made it that was
    /// tried since: what the file holds is one of the two.
    acknowledged: [u8; 32],
    tried: Option<[u8; 32]>,
    /// The last commit failed, or the disk refused writes when the file was opened: it is to be
    /// opened anew before anything else.
    suspect: bool,
    /// When that, or a commit, is tried.
    trouble: Trouble,
}

impl Worker {
    fn run(mut self, messages: &Receiver<Message>) {
        let _ends = EndsTheProcess;
        while let Some(first) = self.next(messages) {
            let (group, then) = gather(first, messages);
            if !group.is_empty() {
                self.commit(group);
            }
            match then {
                Some(Message::Between(work)) => self.between(work),
                Some(Message::Stop) => break,
                Some(Message::Job(_)) | None => {}
            }
        }
        self.remember_trail();
    }

    /// Has the ledger name the trail's last entry, at an end in order: fetches write nothing, and a
    /// trail that reaches beyond what the ledger remembers can be cut unnoticed.
    fn remember_trail(&mut self) {
        let remembered = (self.ledger.audit_seq, self.ledger.audit_hash);
        if self.suspect || self.audit.durable_head() == remembered {
            return;
        }
        let write = self.store.write();
        if let Err(error) = write.and_then(|write| self.seal_up(write, self.ledger.clone())) {
            tracing::warn!(%error, "the ledger does not remember the last entries of the trail");
        }
    }

    /// Waits for a message. A store that is closed after an error refuses those who read as well,
    /// and one open for reading those who write, so it is opened again as soon as the disk lets us,
    /// whether or not anybody writes.
    fn next(&mut self, messages: &Receiver<Message>) -> Option<Message> {
        while self.suspect {
            let pause = self.trouble.left().max(limits::STORE_HEAL_EVERY);
            match messages.recv_timeout(pause) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.heal() {
                        self.trouble.failed();
                        tracing::warn!(%error, "the store cannot be written yet");
                    }
                }
            }
        }
        messages.recv().ok()
    }

    fn commit(&mut self, group: Vec<Job>) {
        if let Some(error) = self.trouble.refusal() {
            // Nothing ran, so nothing is unknown: each waiter hears why.
            for job in group {
                refuse(job, error.clone())(Err(error.clone()));
            }
            return;
        }
        let mut answers = Vec::with_capacity(group.len());
        let outcome = self.try_commit(group, &mut answers);
        if let Err(Failed { error, .. }) = &outcome {
            tracing::error!(%error, "a commit failed; the store is opened anew");
            self.trouble.failed();
            // At once, for those who read: what the cache does not hold is refused until then.
            if !std::mem::replace(&mut self.suspect, true)
                && let Err(error) = self.heal()
            {
                tracing::error!(%error, "it cannot be written; it is tried again");
            }
        }
        for (at, answer) in answers.into_iter().enumerate() {
            answer(
                outcome
                    .as_ref()
                    .map(drop)
                    .map_err(|failed| failed.told_to(at)),
            );
        }
    }

    fn try_commit(
        &mut self,
        group: Vec<Job>,
        answers: &mut Vec<Answer>,
    ) -> std::result::Result<(), Failed> {
        let healed = self.heal();
        let write = healed.and_then(|()| self.store.write());
        let write = match write {
            Ok(write) => write,
            Err(error) => {
                answers.extend(group.into_iter().map(|job| refuse(job, error.clone())));
                return Err(error.into());
            }
        };
        let mut ledger = self.ledger.clone();
        let mut changed = false;
        let mut failed: Option<Failed> = None;
        for (at, job) in group.into_iter().enumerate() {
            if let Some(failed) = &failed {
                answers.push(refuse(job, failed.told_to(at)));
                continue;
            }
            let mut tx = Tx {
                write: &write,
                keys: &self.keys,
                ledger: &mut ledger,
                staged: vec![],
            };
            let (apply, answer) = job(Ok(&mut tx));
            answers.push(answer);
            if apply && !tx.staged.is_empty() {
                changed = true;
                let of = Some(at);
                failed = tx.apply().err().map(|error| Failed { error, of });
            }
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
        match changed {
            true => Ok(self.seal_up(write, ledger)?),
            false => Ok(()),
        }
    }

    /// Commits what was written, and the ledger that counts it.
    fn seal_up(&mut self, write: Write, mut ledger: Ledger) -> Result<()> {
        ledger.epoch += 1;
        (ledger.audit_seq, ledger.audit_hash) = self.audit.durable_head();
        ledger.written_at = Some(self.clock.now());
        ledger.set_notes(&write)?;
        let sealed = ledger.seal(&self.keys)?;
        write.put_record(Records::Meta, ledger::KEY, &sealed)?;
        let terms = self.new_terms(&write, &ledger)?;
        let digest = digest(&[sealed.as_bytes()]);
        self.tried = Some(digest);
        write.commit()?;
        terms.into_iter().for_each(|terms| self.keys.take_up(terms));
        self.trouble.is_over();
        self.took(ledger, digest);
        Ok(())
    }

    /// The ledger as it is on the disk now: what a killed process leaves, its anchor knows of.
    fn took(&mut self, ledger: Ledger, digest: [u8; 32]) {
        if let Some(anchor) = &self.anchor {
            anchor.note(&self.keys, ledger.epoch, digest, self.clock.now());
        }
        self.epoch.store(ledger.epoch, Ordering::Release);
        self.ledger = ledger;
        self.acknowledged = digest;
        self.tried = None;
    }

    fn heal(&mut self) -> Result<()> {
        if !self.suspect {
            return Ok(());
        }
        let store = &self.store;
        self.trouble.measured(|| store.reopen())?;
        let view = self.store.read()?;
        let (ledger, digest) = Ledger::read_with_digest(&self.keys, &view)?;
        if digest != self.acknowledged && Some(digest) != self.tried {
            // Nor is it read: what it holds was true once, and spent refresh tokens are in it.
            drop(view);
            self.store.shut();
            return Err(Error::Damaged(format!(
                "the file was put back while it was open: it holds commit {}, and {} was the last \
                 one acknowledged",
                ledger.epoch, self.ledger.epoch
            )));
        }
        self.take_up_stored_terms()?;
        (self.take_up)(&self.keys, &view)?;
        self.took(ledger, digest);
        self.suspect = false;
        tracing::info!(epoch = self.ledger.epoch, "the store was opened anew");
        Ok(())
    }
}

/// Why a group of changes was not committed.
struct Failed {
    error: Error,
    /// Which job's own changes could not be made, where it was one's.
    of: Option<usize>,
}

impl Failed {
    /// What the job at this place of the group is told. Another's damage is not its own: it may
    /// ask again, and be stored.
    fn told_to(&self, at: usize) -> Error {
        match self.of {
            Some(of) if of != at => Error::Storage(format!(
                "another change of the same group could not be made ({}); ask again",
                self.error.code()
            )),
            _ => self.error.clone(),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, of: None }
    }
}

/// Runs an operation. One that panics has changed nothing: what it staged is dropped.
fn run_alone<T>(operation: impl FnOnce(&mut Tx<'_>) -> Result<T>, tx: &mut Tx<'_>) -> Result<T> {
    // The panic hook has said where.
    catch_unwind(AssertUnwindSafe(|| operation(tx))).unwrap_or_else(|_| {
        let why = "the operation panicked, which is a bug; nothing of it was stored";
        Err(Error::Storage(why.into()))
    })
}

/// Ends the process where the writer unwinds: without it every write would be refused for ever, by
/// a process that looks alive.
struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the store panicked; the process ends, and a restart reads the file");
            std::process::abort();
        }
    }
}

/// The answer of a job that cannot run.
fn refuse(job: Job, error: Error) -> Answer {
    job(Err(error)).1
}

#[cfg(test)]
mod tests;
