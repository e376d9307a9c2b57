//! A file that is read and never written: what redb writes to it while it is open stays in memory.
//!
//! It promises: the file's bytes are those that were there, whatever was done to the store; while
//! it is open no process of ours writes to it.
//! It never: keeps more of what is written than [`limits::OVERLAY_BYTES_MAX`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use super::medium::Body;
use crate::limits;

/// Bytes of one block of what was written.
const BLOCK: usize = 4096;

/// The file, and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: Arc<dyn Body>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes of the store now.
    length: u64,
    /// Bytes of the file that still count: what was cut off and grown again is zeros.
    below: u64,
    written: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Overlay {
    /// Lays an overlay over a file, which is open for reading and locked by whoever calls.
    ///
    /// # Errors
    /// Where the file's length cannot be had.
    pub(super) fn over(file: Arc<dyn Body>) -> io::Result<Self> {
        let length = file.length()?;
        Ok(Self {
            file,
            state: Mutex::new(State {
                length,
                below: length,
                written: BTreeMap::new(),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// One block as it stands: what was written, else the file's bytes, else zeros.
    fn block(&self, state: &State, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        if let Some(block) = state.written.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK]);
        let start = number * BLOCK as u64;
        let there = state.below.saturating_sub(start).min(BLOCK as u64);
        let there = usize::try_from(there).expect("at most a block");
        self.file.read_exact_at(&mut block[..there], start)?;
        Ok(block)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > state.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for_blocks(offset, out.len(), |number, within, range| {
            let block = self.block(&state, number)?;
            out[range].copy_from_slice(&block[within]);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.below = state.below.min(length);
        let kept = length.div_ceil(BLOCK as u64);
        state.written.split_off(&kept);
        // What is beyond the new end must be zeros should the store grow again.
        let cut = usize::try_from(length % BLOCK as u64).expect("less than a block");
        if cut > 0
            && let Some(last) = state.written.get_mut(&(kept - 1))
        {
            last[cut..].fill(0);
        }
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        for_blocks(offset, data.len(), |number, within, range| {
            let mut block = self.block(&state, number)?;
            block[within].copy_from_slice(&data[range]);
            state.written.insert(number, block);
            if state.written.len() * BLOCK > limits::OVERLAY_BYTES_MAX {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            Ok(())
        })
    }
}

/// Cuts a stretch of bytes into blocks: the block's number, the range within it, the range within
/// the stretch.
fn for_blocks(
    offset: u64,
    bytes: usize,
    mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < bytes {
        let at = offset + done as u64;
        let start = usize::try_from(at % BLOCK as u64).expect("less than a block");
        let some = (BLOCK - start).min(bytes - done);
        each(at / BLOCK as u64, start..start + some, done..done + some)?;
        done += some;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    /// Goal: the overlay is the file with the writes done, and the file is untouched. Method:
    /// random writes, cuts and growths beside a plain vector; compare all of it after each.
    #[test]
    fn an_overlay_reads_as_if_it_were_written_and_the_file_stays_as_it_was() {
        let mut chance = Seeded::new("overlay");
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let original: Vec<u8> = (0..30_000).map(|_| chance.rng().u8(..)).collect();
        std::fs::write(&path, &original).unwrap();
        let overlay = Overlay::over(Arc::new(std::fs::File::open(&path).unwrap())).unwrap();
        let mut model = original.clone();
        for step in 0..300 {
            let rng = chance.rng();
            if rng.u8(..) < 40 {
                let length = rng.usize(1..40_000);
                model.resize(length, 0);
                overlay.set_len(length as u64).unwrap();
            } else {
                let start = rng.usize(..model.len());
                let bytes = rng.usize(..=(model.len() - start).min(9_000));
                let data = vec![rng.u8(..); bytes];
                model[start..start + bytes].copy_from_slice(&data);
                overlay.write(start as u64, &data).unwrap();
            }
            let mut found = vec![0; model.len()];
            overlay.read(0, &mut found).unwrap();
            assert!(found == model, "{}", chance.at(&format!("step {step}")));
            assert!(overlay.read(1, &mut found).is_err(), "past the end");
        }
        assert!(
            std::fs::read(&path).unwrap() == original,
            "the file changed"
        );
    }
}
