//! The disk as redb sees it: the file, and where that refuses writes while it is being opened, a
//! layer in memory over it. A file that is not checked yet has a layer from the start (`behind`).
//!
//! redb writes when it opens (it marks the file as in use, and puts right what a failed commit
//! left), so a full or read-only disk would close the vault to those who only read. What it has
//! written by then is no more than a crash in mid-opening leaves; the rest goes to the layer.
//!
//! It promises: what is synced is durable under the file's name (`name`); what is read through a
//! layer is the file's own bytes and what redb put over them while it opened; a layer is begun
//! before the file is open and at no other time, is bounded, and never reaches the file.
//! A check that is told to stop is given no page more.
//! It never: answers for a commit. Who has a layer is read from and not written to.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use redb::{BackendError, StorageBackend};

use super::behind::Watch;
use super::name::Name;
use crate::limits;

/// The grain of a layer, in bytes: redb's page.
const BLOCK_BYTES: usize = 4096;

/// One opening of the file. A clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<dyn StorageBackend>,
    name: Arc<Name>,
    is_opening: AtomicBool,
    /// Set once there is a layer, so that those who read a healthy file take no lock.
    is_layered: AtomicBool,
    layer: RwLock<Option<Layer>>,
    /// Who watches the file being checked.
    watch: Option<Arc<Watch>>,
}

impl Disk {
    /// A file that is about to be opened. The locks that redb takes on it outlast this opening:
    /// no other process slips in while the file is opened anew.
    pub(super) fn new(file: Arc<dyn StorageBackend>, name: Arc<Name>) -> Self {
        Self::with(file, name, None, None)
    }

    /// A file that is opened beside whoever has it, and not written to.
    pub(super) fn aside(file: Arc<dyn StorageBackend>, name: Arc<Name>) -> io::Result<Self> {
        let layer = Layer::over(&*file, "it is not checked yet".to_owned())?;
        Ok(Self::with(file, name, Some(layer), None))
    }

    /// [`Self::new`], while somebody watches.
    pub(super) fn watched(
        file: Arc<dyn StorageBackend>,
        name: Arc<Name>,
        watch: Arc<Watch>,
    ) -> Self {
        Self::with(file, name, None, Some(watch))
    }

    fn with(
        file: Arc<dyn StorageBackend>,
        name: Arc<Name>,
        layer: Option<Layer>,
        watch: Option<Arc<Watch>>,
    ) -> Self {
        Self(Arc::new(Inner {
            file,
            name,
            is_opening: AtomicBool::new(true),
            is_layered: AtomicBool::new(layer.is_some()),
            layer: RwLock::new(layer),
            watch,
        }))
    }

    /// Ends the opening. Why the file refuses writes comes back, where it does.
    pub(super) fn opened(&self) -> Option<String> {
        self.0.is_opening.store(false, Ordering::Release);
        let layer = self.0.layer.read().expect("no holder panics");
        layer.as_ref().map(|layer| layer.why.clone())
    }

    fn is_layered(&self) -> bool {
        self.0.is_layered.load(Ordering::Acquire)
    }

    fn change(
        &self,
        on_file: impl FnOnce(&dyn StorageBackend) -> io::Result<()>,
        on_layer: impl FnOnce(&mut Layer, &dyn StorageBackend) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = &*self.0.file;
        if !self.is_layered() {
            let done = on_file(file);
            match done {
                Err(error) if self.0.is_opening.load(Ordering::Acquire) => {
                    let layer = Layer::over(file, error.to_string())?;
                    *self.0.layer.write().expect("no holder panics") = Some(layer);
                    self.0.is_layered.store(true, Ordering::Release);
                }
                done => return done,
            }
        }
        let mut layer = self.0.layer.write().expect("no holder panics");
        on_layer(layer.as_mut().expect("it was put there before"), file)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        if self.is_layered() {
            let layer = self.0.layer.read().expect("no holder panics");
            return Ok(layer.as_ref().expect("it was put there before").len);
        }
        self.0.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if let Some(watch) = &self.0.watch {
            watch.reads(out.len())?;
        }
        if self.is_layered() {
            let layer = self.0.layer.read().expect("no holder panics");
            let layer = layer.as_ref().expect("it was put there before");
            return layer.read(&*self.0.file, offset, out);
        }
        self.0.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(
            |file| file.set_len(len),
            |layer, _| {
                layer.set_len(len);
                Ok(())
            },
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        let on_file = |file: &dyn StorageBackend| {
            self.0.name.settle()?;
            file.sync_data()
        };
        self.change(on_file, |_, _| Ok(()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(
            |file| file.write(offset, data),
            |layer, file| layer.write(file, offset, data),
        )
    }

    fn close(&self) -> io::Result<()> {
        // The locks belong to the file, which the store closes when it ends.
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

/// What was written over the file, in memory.
#[derive(Debug)]
struct Layer {
    /// What the file said when it refused.
    why: String,
    len: u64,
    /// From here on nothing is the file's: it was shorter than this at some time.
    floor: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Layer {
    fn over(file: &dyn StorageBackend, why: String) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self {
            why,
            len,
            floor: len,
            blocks: BTreeMap::new(),
        })
    }

    fn read(&self, file: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(file, offset, out)?;
        for (index, start, part) in parts(offset, out.len()) {
            if let Some(block) = self.blocks.get(&index) {
                let there = &block[start..start + part.len()];
                out[part].copy_from_slice(there);
            }
        }
        Ok(())
    }

    /// The file's bytes as far as they go, and zeros behind them.
    fn read_file(&self, file: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let own = self.floor.saturating_sub(offset).min(out.len() as u64);
        let (own, behind) = out.split_at_mut(usize::try_from(own).expect("at most out's"));
        behind.fill(0);
        match own.is_empty() {
            true => Ok(()),
            false => file.read(offset, own),
        }
    }

    fn write(&mut self, file: &dyn StorageBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        for (index, start, part) in parts(offset, data.len()) {
            if !self.blocks.contains_key(&index) {
                if self.blocks.len() >= limits::STORE_LAYER_BYTES_MAX / BLOCK_BYTES {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                let mut block = vec![0; BLOCK_BYTES].into_boxed_slice();
                self.read_file(file, index * BLOCK_BYTES as u64, &mut block)?;
                self.blocks.insert(index, block);
            }
            let block = self.blocks.get_mut(&index).expect("it was put there");
            block[start..start + part.len()].copy_from_slice(&data[part]);
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.floor = self.floor.min(len);
            let (last, kept) = (len / BLOCK_BYTES as u64, len % BLOCK_BYTES as u64);
            let kept = usize::try_from(kept).expect("less than a block");
            if let Some(block) = self.blocks.get_mut(&last) {
                block[kept..].fill(0);
            }
            self.blocks.retain(|index, _| *index <= last);
        }
        self.len = len;
    }
}

/// Cuts `count` bytes from `offset` on by blocks: which block, from where in it, which bytes.
fn parts(offset: u64, count: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = usize::try_from(at % BLOCK_BYTES as u64).expect("less than a block");
        let part = done..count.min(done + BLOCK_BYTES - start);
        done = part.end;
        (!part.is_empty()).then_some((at / BLOCK_BYTES as u64, start, part))
    })
}

#[cfg(test)]
mod tests;
