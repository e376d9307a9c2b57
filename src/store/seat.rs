//! Which file a store has, as it is open, and who reads it.
//!
//! It promises: who reads is counted with the file that is read.
//! It never: opens.

use std::sync::Arc;

use redb::{Database, StorageBackend};

use super::name::Name;
use super::readers::Readers;
use super::view::SharedView;

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
}

/// Where the bytes are.
pub(super) enum Place {
    Memory,
    /// The file stays open, and locked, for as long as the store has it.
    Disk {
        file: Arc<dyn StorageBackend>,
        name: Arc<Name>,
        cache_bytes: usize,
    },
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

    /// What is open, which is not any more. Nobody is to read anew meanwhile.
    pub(super) fn take(&mut self) -> Option<Open> {
        self.shared.forget();
        self.open.take()
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
