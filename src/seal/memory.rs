//! The one allocation that holds keys.
//!
//! It promises: its pages are not written to a core dump and not inherited by a forked child; they
//! are locked out of swap where the system's limit allows, and [`KeyPage::is_locked`] says whether;
//! they are wiped before they go back to the system. What made the keys leaves none on its stack.
//! It never: grows or moves.

use memmap2::{Advice, MmapMut, MmapOptions};
use zeroize::Zeroize;

use crate::error::{Error, Result};

/// 32-byte keys in one locked page.
pub(super) struct KeyPage {
    page: MmapMut,
    locked: bool,
}

/// Overwrites the stack below its caller: values that were moved leave copies there, which no
/// wiping type knows of.
#[inline(never)]
pub(super) fn wipe_stack<const BYTES: usize>() {
    let mut stack = [0_u8; BYTES];
    // Whoever looks into the box would see zeros: so they are written, and here.
    std::hint::black_box(&mut stack);
}

/// Keys that fit a page.
pub(super) const KEYS_MAX: usize = 4096 / 32;

impl KeyPage {
    /// Takes a page.
    ///
    /// # Errors
    /// [`Error::Settings`] where the system gives no page.
    pub(super) fn new() -> Result<Self> {
        let page = MmapOptions::new()
            .len(KEYS_MAX * 32)
            .map_anon()
            .map_err(|error| Error::Settings(format!("no memory for the keys: {error}")))?;
        // Each of these is a second belt (the process is not dumpable as a whole), so a kernel that
        // lacks one is no reason to refuse; the lock's outcome is shown by `strongroom status`.
        let locked = page.lock().is_ok();
        let _ = page.advise(Advice::DontDump);
        let _ = page.advise(Advice::DontFork);
        Ok(Self { page, locked })
    }

    /// Whether the page is locked out of swap.
    pub(super) fn is_locked(&self) -> bool {
        self.locked
    }

    /// Writes a key at `place`.
    pub(super) fn put(&mut self, place: usize, key: &[u8; 32]) {
        self.page[place * 32..(place + 1) * 32].copy_from_slice(key);
    }

    /// Lends the key at `place`.
    pub(super) fn key(&self, place: usize) -> &[u8; 32] {
        self.page[place * 32..(place + 1) * 32]
            .try_into()
            .expect("32 bytes")
    }
}

impl Drop for KeyPage {
    fn drop(&mut self) {
        self.page.zeroize();
    }
}
