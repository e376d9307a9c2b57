//! Salvage: what a damaged vault file still holds, brought into a new vault.
//!
//! ```text
//! raw file --> headers --> keys --> every pair that authenticates, its highest version
//!                                     |  against what the newest commit refers to, and its ledger
//!                                     v
//!          new vault: same keys and slots, the records as sealed, indexes and ledger made anew
//! ```
//! Pages that are not in use any more hold older versions and removed records, genuine as they are.
//! So what is taken is decided table by table:
//!
//! * The newest commit is the one whose tree holds the ledger with the highest epoch of the file.
//! * What its tree refers to is taken, in the highest version that authenticates.
//! * What it does not refer to was removed, and is left out, where the tree tells everything: it is
//!   whole, and either the ledger proves it (count and hash over keys and versions, which do not
//!   need the values), or everything of the table authenticates and the damage lies elsewhere.
//! * Otherwise it is taken too: a removed token that comes back can be removed again. How many may
//!   be such is told.
//! * A refresh that had begun is taken only with the token version that it was planned on: it would
//!   spend a refresh token once more.
//!
//! It promises: the damaged file is not written to; a record comes through whole and authentic or
//! not at all; the new vault is verified before it is called made; where a step fails, nothing is
//! left behind; the new vault starts with refresh paused, since its refresh tokens may be spent.
//! It never: repairs in place, or brings an older header in use where the newer one can be read.

mod build;
mod report;
mod sort;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use self::report::{Lost, Salvaged, SalvagedTable};

use super::create::unfinished;
use super::unlock::FILE;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::{Header, Keyring, Unlocker};
use crate::store::FileSystem;
use crate::store::raw::Raw;

/// A damaged vault, opened to be read.
pub struct Wreck {
    raw: Raw,
    /// Where it lies; `None` for an image in memory.
    directory: Option<PathBuf>,
    /// What looks like a header, newest first, each once.
    headers: Vec<Header>,
}

/// Told how far it has come: what is done now, how much of it, and how much there is.
pub type SalvageProgress<'a> = &'a dyn Fn(&'static str, u64, u64);

impl Wreck {
    /// Opens the damaged vault in a directory, to be read and left as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Settings`] where it was never finished; [`Error::InUse`] where
    /// a process has it open; [`Error::Damaged`] where it has no header, without which nothing in
    /// it can be opened.
    pub fn open(directory: &Path) -> Result<Self> {
        unfinished::check(&FileSystem, directory)?;
        let raw = Raw::open(&directory.join(FILE))?;
        Self::new(raw, Some(directory.to_owned()))
    }

    /// An image of a file.
    #[cfg(test)]
    fn of(image: Vec<u8>) -> Result<Self> {
        Self::new(Raw::of(image), None)
    }

    fn new(raw: Raw, directory: Option<PathBuf>) -> Result<Self> {
        let marked = raw.marked(
            Header::MARK,
            limits::HEADER_BYTES_MAX,
            limits::SALVAGE_HEADERS_FOUND_MAX,
        );
        let mut headers: Vec<Header> = Vec::new();
        for bytes in marked {
            if let Ok(header) = Header::parse_first(&bytes)
                && !headers.contains(&header)
            {
                headers.push(header);
            }
        }
        headers.sort_by_key(|header| std::cmp::Reverse(header.age()));
        if headers.is_empty() {
            return Err(Error::Damaged(
                "no vault header that can be read is left in the file, and without one nothing in \
                 it can be opened"
                    .into(),
            ));
        }
        Ok(Self {
            raw,
            directory,
            headers,
        })
    }

    /// Brings what still authenticates into a new vault in `into`, which opens with the same
    /// passphrase, recovery code and key files. Takes as long as reading the file and deriving a
    /// key for each header that does not open.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] where no header opens; [`Error::Conflict`] where `into` is not
    /// empty; [`Error::TooNew`]; [`Error::Storage`].
    pub fn salvage(
        &self,
        unlocker: &Unlocker,
        into: &Path,
        clock: Clock,
        progress: SalvageProgress<'_>,
    ) -> Result<Salvaged> {
        let keys = self.keys(unlocker)?;
        let found = sort::Found::read(&self.raw, &keys, progress)?;
        let (header, keys) = self.header_of(&found, keys)?;
        let plan = found.plan(&self.raw, &keys);
        build::build(self, header, keys, &plan, into, (clock, progress))
    }

    /// The keys, by the newest header that opens.
    fn keys(&self, unlocker: &Unlocker) -> Result<Keyring> {
        for header in self.headers.iter().take(limits::SALVAGE_HEADERS_TRIED_MAX) {
            match Keyring::unlock(header, unlocker) {
                Err(Error::UnlockFailed) => {}
                other => return other,
            }
        }
        Err(Error::UnlockFailed)
    }

    /// The header that is to be the new vault's: the one that the newest ledger names, or else the
    /// newest of those that these keys signed. With its terms.
    fn header_of(&self, found: &sort::Found, keys: Keyring) -> Result<(Header, Keyring)> {
        let signed = || self.headers.iter().filter(|header| keys.signed(header));
        let named = signed().find(|header| {
            let ledger = found.ledger.as_ref();
            ledger.is_some_and(|ledger| ledger.check_header(&header.to_bytes()).is_ok())
        });
        let header = named.or_else(|| signed().next()).cloned();
        let header = header.ok_or(Error::UnlockFailed)?;
        let keys = keys.under(&header)?;
        Ok((header, keys))
    }
}
