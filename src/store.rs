//! The record store: redb behind a narrow door, bytes by address.
//!
//! ```text
//! table        key                                             value
//! header       "header"                                        the vault's header, authenticated
//! tokens       app:16 tenant:16 user:16 account+scopes:16      sealed (hot, cold)
//! apps         app:16                                          sealed (settings, client secret)
//! keys         key id:16                                       sealed (key and hash)
//! links        link id:16                                      sealed (link, PKCE verifier)
//! intents      token key:64                                    sealed (intent)
//! meta         "ledger" | "home"                               sealed
//! owners       tenant:16 user:16 app:16 account+scopes:16      empty: tokens by owner
//! ids          token id:16                                     token key:64
//! due          time in ms:8 (big-endian), token key:64         empty: when a token falls due
//! link_owners  tenant:16 user:16 app:16                        link id:16, the newest
//! ```
//! Every 16-byte part is an HMAC under the index key (the ids are random besides), so keys say
//! nothing; order is kept where ranges need it.
//!
//! It promises:
//! * D1 A commit that returned is on the disk: two phases, quick repair, fsync.
//! * D2 An existing file is opened, never created, and checked whole on open; a new one is created
//!   exclusively. A file others may read, a link, a device or an empty file is refused.
//! * D3 A value is [`crate::seal::Sealed`], but for the header and for index tables, whose values
//!   are addresses.
//!
//! It never: sees plaintext, or says that something is stored when the disk did not.

#[cfg(test)]
pub(crate) mod faulty;
mod file;
pub mod raw;
mod view;

use std::path::Path;
use std::sync::RwLock;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

pub use self::view::{Read, Scan, View, Write};

use crate::error::{Error, Result};
use crate::limits;

type Bytes = &'static [u8];
type Definition = TableDefinition<'static, Bytes, Bytes>;

/// Tables whose values are sealed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Records {
    /// Tokens.
    Tokens,
    /// Apps.
    Apps,
    /// Access keys.
    Keys,
    /// Connect links.
    Links,
    /// Refreshes that have begun.
    Intents,
    /// The ledger and the host.
    Meta,
}

impl Records {
    /// Every table.
    pub const ALL: [Self; 6] = [
        Self::Tokens,
        Self::Apps,
        Self::Keys,
        Self::Links,
        Self::Intents,
        Self::Meta,
    ];

    /// Every table the ledger counts.
    pub const COUNTED: [Self; 5] = [
        Self::Tokens,
        Self::Apps,
        Self::Keys,
        Self::Links,
        Self::Intents,
    ];

    /// The name, which sealed records are bound to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Apps => "apps",
            Self::Keys => "keys",
            Self::Links => "links",
            Self::Intents => "intents",
            Self::Meta => "meta",
        }
    }

    fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}

/// Tables whose values are addresses, or nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Index {
    /// Tokens by owner.
    Owners,
    /// Tokens by id.
    Ids,
    /// Tokens by the time they fall due.
    Due,
    /// The newest link of an owner and app.
    LinkOwners,
}

impl Index {
    /// Every index; the ledger counts them too.
    pub const ALL: [Self; 4] = [Self::Owners, Self::Ids, Self::Due, Self::LinkOwners];

    /// The name, which the ledger binds entries to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Ids => "ids",
            Self::Due => "due",
            Self::LinkOwners => "link_owners",
        }
    }

    fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}

const HEADER: Definition = TableDefinition::new("header");
const HEADER_KEY: &[u8] = b"header";

/// An open store.
pub struct Store {
    place: Place,
    // Taken for writing only to open the file anew after an I/O error; held for lines, and never
    // while something waits.
    database: RwLock<Option<Database>>,
}

enum Place {
    File(std::path::PathBuf),
    Memory,
    #[cfg(test)]
    Faulty(faulty::Faulty),
}

impl Store {
    /// Creates the file at `path`, exclusively, with `header` in it.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it exists; [`Error::Storage`] where the disk refuses.
    pub fn create(path: &Path, header: &[u8]) -> Result<Self> {
        let file = file::create(path)?;
        let begin = || {
            let store = Self {
                place: Place::File(path.to_owned()),
                database: RwLock::new(Some(on_file(file)?)),
            };
            store.lay_out(header)?;
            file::sync_directory_of(path)?;
            Ok(store)
        };
        begin().inspect_err(|_| {
            // It is ours: it was made exclusively. Left behind, it would be in the next try's way.
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "left behind by a failed init");
            }
        })
    }

    /// A store without a file, gone when the process ends.
    ///
    /// # Errors
    /// [`Error::Storage`] where there is no memory.
    pub fn in_memory(header: &[u8]) -> Result<Self> {
        let backend = redb::backends::InMemoryBackend::new();
        let database = builder()
            .create_with_backend(backend)
            .map_err(view::storage)?;
        let store = Self {
            place: Place::Memory,
            database: RwLock::new(Some(database)),
        };
        store.lay_out(header)?;
        Ok(store)
    }

    /// A store on a disk that fails on demand; laid out with `header` where there is one.
    #[cfg(test)]
    pub(crate) fn on_backend(disk: &faulty::Faulty, header: Option<&[u8]>) -> Result<Self> {
        let store = Self {
            place: Place::Faulty(disk.clone()),
            database: RwLock::new(Some(on_faulty(disk)?)),
        };
        header.map_or(Ok(()), |header| store.lay_out(header))?;
        Ok(store)
    }

    /// Opens an existing file and checks it whole.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none, [`Error::Settings`] where it is not ours alone,
    /// [`Error::Conflict`] where another process has it, [`Error::Damaged`] where it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let database = open_file(path)?;
        Ok(Self {
            place: Place::File(path.to_owned()),
            database: RwLock::new(Some(database)),
        })
    }

    /// Opens the file anew: after an I/O error only that tells what was committed.
    ///
    /// # Errors
    /// As [`Store::open`]; the store then stays closed, and this may be called again.
    pub fn reopen(&self) -> Result<()> {
        let mut database = self.database.write().expect("no holder panics");
        if matches!(self.place, Place::Memory) {
            let what = "a store in memory cannot be opened again";
            return Err(Error::Storage(what.into()));
        }
        // Closed first: redb holds a lock on the file. Its error is the one we come from.
        drop(database.take());
        *database = match &self.place {
            Place::File(path) => Some(open_file(path)?),
            Place::Memory => None,
            #[cfg(test)]
            Place::Faulty(disk) => Some(on_faulty(disk)?),
        };
        Ok(())
    }

    /// Closes the file.
    ///
    /// # Errors
    /// [`Error::Storage`] where the last bytes could not be written.
    pub fn close(&self) -> Result<()> {
        let database = self.database.write().expect("no holder panics").take();
        match database {
            Some(database) => database.close().map_err(view::storage),
            None => Ok(()),
        }
    }

    /// A view of what is committed now.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store is closed or the disk fails.
    pub fn read(&self) -> Result<Read> {
        let database = self.database.read().expect("no holder panics");
        let database = database.as_ref().ok_or_else(closed)?;
        database.begin_read().map(Read::new).map_err(view::storage)
    }

    /// A transaction. There is one writer; a second one would wait.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store is closed or the disk failed before.
    pub fn write(&self) -> Result<Write> {
        let database = self.database.read().expect("no holder panics");
        let database = database.as_ref().ok_or_else(closed)?;
        let mut transaction = database.begin_write().map_err(view::storage)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(view::storage)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        Ok(Write::new(transaction))
    }

    /// The vault's header, as stored.
    ///
    /// # Errors
    /// [`Error::Damaged`] where there is none: this is not one of our files, or was emptied.
    pub fn header(&self) -> Result<Vec<u8>> {
        self.read()?
            .header()?
            .ok_or_else(|| Error::Damaged("the file has no vault header".into()))
    }

    fn lay_out(&self, header: &[u8]) -> Result<()> {
        let write = self.write()?;
        write.create_tables()?;
        write.put_header(header)?;
        write.commit()
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(limits::STORE_CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    builder
}

#[cfg(test)]
fn on_faulty(disk: &faulty::Faulty) -> Result<Database> {
    let mut builder = builder();
    builder.set_cache_size(faulty::CACHE_BYTES);
    builder
        .create_with_backend(disk.clone())
        .map_err(view::storage)
}

fn open_file(path: &Path) -> Result<Database> {
    on_file(file::open(path)?)
}

fn on_file(file: std::fs::File) -> Result<Database> {
    redb::backends::FileBackend::new(file)
        .and_then(|backend| builder().create_with_backend(backend))
        .map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Error::Conflict(
                "the vault's file is in use by another process; stop that one first".into(),
            ),
            other => view::storage(other),
        })
}

fn closed() -> Error {
    Error::Storage(
        "the store is closed after an error; it is opened again with the next write".into(),
    )
}
