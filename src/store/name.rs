//! The name of the store's file, as far as a power cut leaves it.
//!
//! A compaction gives a new file the name of the old one. Before the directory is synced, a power
//! cut may bring the old one back, and what was written to the new one since is gone. A process
//! that is killed in between tells nobody. So a commit's sync counts once the directory was synced
//! by this process: once after each opening, and after each exchange.
//!
//! It promises: bytes that are durable are so under their name.
//! It never: syncs a directory more often than that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Medium;

/// The name of an open file, in a directory that a compaction stays in.
#[derive(Debug)]
pub(super) struct Name {
    medium: Arc<dyn Medium>,
    directory: PathBuf,
    is_durable: AtomicBool,
}

impl Name {
    /// The name of a file that was just opened or made.
    pub(super) fn of(medium: &dyn Medium, path: &Path) -> Arc<Self> {
        Arc::new(Self {
            medium: medium.held(),
            directory: path.parent().unwrap_or(path).to_owned(),
            is_durable: AtomicBool::new(false),
        })
    }

    /// It is another name than before.
    pub(super) fn changed(&self) {
        self.is_durable.store(false, Ordering::Release);
    }

    /// Makes it durable, unless it is.
    pub(super) fn settle(&self) -> io::Result<()> {
        if !self.is_durable.load(Ordering::Acquire) {
            self.medium.sync_directory(&self.directory)?;
            self.is_durable.store(true, Ordering::Release);
        }
        Ok(())
    }
}
