//! Work between two commits: nobody writes meanwhile, and what comes waits in the queue.
//!
//! It promises: the work is given a store that can be written, and the ledger that is on its disk;
//! if it has left the store in trouble, that is mended before the next commit.
//! It never: writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use super::super::ledger::Ledger;
use super::{Job, Message, Worker, Writer};
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::Keyring;
use crate::store::{Read, Store};

/// What is done while nobody writes, or is told why it cannot be.
pub(super) type Between = Box<dyn FnOnce(Result<Quiet<'_>>) + Send>;

/// A store that stands still.
pub(in crate::vault) struct Quiet<'a> {
    pub(in crate::vault) store: &'a Store,
    keys: &'a Keyring,
    acknowledged: [u8; 32],
    stopping: &'a AtomicBool,
}

impl Quiet<'_> {
    /// Refuses to go on once the writer is to end.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(in crate::vault) fn may_go_on(&self) -> Result<()> {
        match self.stopping.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Error::Locked),
        }
    }

    /// Refuses a file that is not the vault as it was last acknowledged, or does not add up.
    ///
    /// # Errors
    /// [`Error::Damaged`]; what `tick` answers.
    pub(in crate::vault) fn verify(
        &self,
        view: &Read,
        tick: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let (ledger, digest) = Ledger::read_with_digest(self.keys, view)?;
        if digest != self.acknowledged {
            return Err(Error::Damaged(
                "the file's ledger is not the one last acknowledged".into(),
            ));
        }
        ledger.check_header(&view.header()?)?;
        ledger.verify_watched(self.keys, view, tick)
    }
}

/// What is waiting, as one group, and what came behind it.
pub(super) fn gather(first: Message, messages: &Receiver<Message>) -> (Vec<Job>, Option<Message>) {
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(Message::Job(job)) = next {
        group.push(job);
        next = match group.len() < limits::COMMIT_GROUP_MAX {
            true => messages.try_recv().ok(),
            false => None,
        };
    }
    (group, next)
}

impl Writer {
    /// Queues work that is done between two commits.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Locked`].
    pub(in crate::vault) fn submit_between(&self, work: Between) -> Result<()> {
        self.send(Message::Between(work))
    }
}

impl Worker {
    pub(super) fn between(&mut self, work: Between) {
        let stands = match self.trouble.refusal() {
            Some(error) => Err(error),
            None => self.heal(),
        };
        work(stands.map(|()| Quiet {
            store: &self.store,
            keys: &self.keys,
            acknowledged: self.acknowledged,
            stopping: &self.stopping,
        }));
        if self.suspect || self.store.write().is_ok() {
            return;
        }
        // A read that failed is remembered by the store: it is opened anew, before anybody writes.
        self.suspect = true;
        self.trouble.failed();
        if let Err(error) = self.heal() {
            tracing::error!(%error, "the store cannot be written; it is tried again");
        }
    }
}
