//! Which file a store has, as it is open, and who reads it.
//!
//! It promises: who reads is counted with the file that is read.
//! It never: opens.

use std::sync::Arc;

use redb::{Database, StorageBackend};

use super::behind::guarded;
use super::name::Name;
use super::readers::Readers;
use super::view::{SharedView, storage};
use crate::error::Result;
use crate::limits;

/// A file, and who reads it.
pub(super) struct Seat {
    pub(super) place: Place,
    pub(super) open: Option<Open>,
    pub(super) readers: Arc<Readers>,
    pub(super) shared: Arc<SharedView>,
}

/// The file as it is open.
pub(super) struct Open {
    pub(super) database: Database,
    /// Why the disk refuses writes, where it does: this is for reading alone then.
    pub(super) refuses: Option<String>,
    /// redb has checked it whole. Until then nothing is written to it.
    pub(super) is_checked: bool,
}

impl Open {
    /// Closes it. What one that is not checked writes at its end reaches no file, and whatever it
    /// stumbles over is not for us to tell.
    fn close(self) -> Result<()> {
        let is_checked = self.is_checked;
        let closed = guarded(!is_checked, || self.database.close().map_err(storage));
        if is_checked { closed } else { Ok(()) }
    }
}

/// Where the bytes are.
#[derive(Clone)]
pub(super) enum Place {
    Memory,
    /// The file stays open, and locked, for as long as the store has it.
    Disk {
        file: Arc<dyn StorageBackend>,
        name: Arc<Name>,
        cache_bytes: usize,
    },
}

impl Place {
    /// Memory that what is read may take, in bytes.
    pub(super) fn cache_bytes(&self) -> usize {
        match self {
            Self::Memory => limits::STORE_CACHE_BYTES,
            Self::Disk { cache_bytes, .. } => *cache_bytes,
        }
    }
}

impl Seat {
    pub(super) fn new(place: Place, open: Open) -> Self {
        Self {
            place,
            open: Some(open),
            readers: Arc::default(),
            shared: Arc::default(),
        }
    }

    /// Waits until nobody reads, for a bounded time.
    pub(super) fn drained(&self) {
        self.shared.forget();
        self.readers.drained();
    }

    /// Closes what is open. Nobody is to read anew meanwhile.
    pub(super) fn end(&mut self) -> Result<()> {
        self.shared.forget();
        self.open.take().map_or(Ok(()), Open::close)
    }

    /// Lets other processes have the file.
    pub(super) fn let_go(&self) {
        if let Place::Disk { file, .. } = &self.place
            && let Err(error) = file.close()
        {
            tracing::warn!(%error, "the vault's file stays locked until this process ends");
        }
    }
}
