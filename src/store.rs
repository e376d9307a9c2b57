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
//! meta         "ledger" | "home" | "restored"                  sealed
//! owners       tenant:16 user:16 app:16 account+scopes:16      empty: tokens by owner
//! ids          token id:16                                     token key:64
//! due          time in ms:8 (big-endian), token key:64         empty: when a token falls due
//! link_owners  tenant:16 user:16 app:16                        link id:16, the newest
//! users        user:16 tenant:16 app:16 account+scopes:16      empty: tokens of tenants' users
//! waiting      token key:64                                    empty: tokens that are not active
//! ```
//! Every 16-byte part is an HMAC under the index key (the ids are random besides), so keys say
//! nothing; order is kept where ranges need it. `users` and `waiting` came later: a file of an
//! earlier version has neither until they are filled.
//!
//! It promises:
//! * D1 A commit that returned is on the disk: two phases, quick repair, fsync.
//! * D2 An existing file is opened, never created, and checked whole on open; a new one is created
//!   exclusively. A file others may read, a link, a device or an empty file is refused.
//!   Where the disk refuses writes, an existing file is opened for reading (`disk`): who only reads
//!   is served, and no write is taken.
//! * D3 A value is [`crate::seal::Sealed`], but for the header and for index tables, whose values
//!   are addresses.
//! * D4 A copy is whole (`copy`); a store that is opened aside is not written to (`overlay`).
//! * D5 A compaction leaves the old file or the new one, each whole, whenever it is cut short; who
//!   reads meanwhile reads on (`compact`).
//! * D6 A file that is read before it is checked is not written to, and a read of it that goes
//!   wrong is an error (`behind`).
//!
//! It never: sees plaintext, or says that something is stored when the disk did not.

mod behind;
mod compact;
mod copy;
mod disk;
#[cfg(any(test, fuzzing))]
pub(crate) mod faulty;
mod file;
mod medium;
mod name;
mod overlay;
pub mod raw;
mod readers;
mod seat;
mod tables;
mod view;

use std::path::Path;
use std::sync::{Arc, RwLock};

use redb::{Database, Durability, StorageBackend, TableDefinition};

pub use self::behind::{Checked, Watch};
pub use self::compact::clear_partial;
pub use self::copy::{Progress, copy_file, is_free, publish};
pub use self::medium::{Body, FileSystem, Medium, file_system, sync_parent_of};
pub use self::tables::{Index, Records};
pub use self::view::{Read, Scan, View, Write};

use self::disk::Disk;
use self::name::Name;
use self::seat::{Open, Place, Seat};

use crate::error::{Error, Result};
use crate::limits;

type Bytes = &'static [u8];
type Definition = TableDefinition<'static, Bytes, Bytes>;

const HEADER_NAME: &str = "header";
const HEADER: Definition = TableDefinition::new(HEADER_NAME);
const HEADER_KEY: &[u8] = b"header";

/// An open store.
pub struct Store {
    // Taken for writing to open the file anew after an I/O error: whoever reads waits then, for as
    // long as reads that have begun take to end, and the file to be checked. And for the moment in
    // which another file takes its place.
    seat: RwLock<Seat>,
}

impl Store {
    /// Creates the file at `path`, exclusively, with `header` in it.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it exists; [`Error::Storage`] where the disk refuses.
    pub fn create(medium: &dyn Medium, path: &Path, header: &[u8]) -> Result<Self> {
        let file = medium.store_file(path, true)?;
        let begin = || {
            let store = Self::on(file, Name::of(medium, path), medium.cache_bytes())?;
            store.lay_out(header)?;
            sync_parent_of(medium, path)?;
            Ok(store)
        };
        // It is ours: it was made exclusively. Left behind, it would be in the next try's way.
        begin().inspect_err(|_| medium::take_away(medium, path))
    }

    /// A store without a file, gone when the process ends.
    ///
    /// # Errors
    /// [`Error::Storage`] where there is no memory.
    pub fn in_memory(header: &[u8]) -> Result<Self> {
        let backend = redb::backends::InMemoryBackend::new();
        let store = Self::in_passing(backend)?;
        store.lay_out(header)?;
        Ok(store)
    }

    /// A store on a disk that fails on demand; laid out with `header` where there is one.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn on_backend(disk: &faulty::Faulty, header: Option<&[u8]>) -> Result<Self> {
        match header {
            Some(header) => Self::create(disk, Path::new(faulty::FILE), header),
            None => Self::open(disk, Path::new(faulty::FILE)),
        }
    }

    /// Opens an existing file and checks it whole. Where the disk refuses writes it is open for
    /// reading alone ([`Store::is_for_reading_alone`]).
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none, [`Error::Settings`] where it is not ours alone,
    /// [`Error::InUse`] where another process has it, [`Error::Damaged`] where it is damaged.
    pub fn open(medium: &dyn Medium, path: &Path) -> Result<Self> {
        let looked_at = medium.open(path, false);
        let file = medium.store_file(path, false)?;
        let store = Self::on(file, Name::of(medium, path), medium.cache_bytes())?;
        still_named(looked_at, path).map(|()| store)
    }

    fn on(file: Arc<dyn StorageBackend>, name: Arc<Name>, cache_bytes: usize) -> Result<Self> {
        let open = open(Arc::clone(&file), Arc::clone(&name), cache_bytes)?;
        if let Some(why) = &open.refuses {
            tracing::warn!(
                why,
                "the disk refuses writes; the vault is open for reading alone"
            );
        }
        let place = Place::Disk {
            file,
            name,
            cache_bytes,
        };
        Ok(Self::seated(place, open))
    }

    fn seated(place: Place, open: Open) -> Self {
        Self {
            seat: RwLock::new(Seat::new(place, open)),
        }
    }

    /// Opens an existing file and checks it whole, without changing it: what is written to this
    /// store is forgotten with it.
    ///
    /// # Errors
    /// As [`Store::open`], but that the file may be anybody's.
    pub fn open_aside(medium: &dyn Medium, path: &Path) -> Result<Self> {
        let file = medium.open_to_read(path)?;
        let backend = overlay::Overlay::over(file)
            .map_err(|error| Error::Storage(format!("cannot read {}: {error}", path.display())))?;
        Self::in_passing(backend)
    }

    /// A store whose writes are gone with it.
    fn in_passing(backend: impl StorageBackend) -> Result<Self> {
        let database = builder(limits::STORE_CACHE_BYTES)
            .create_with_backend(backend)
            .map_err(view::storage)?;
        let open = Open {
            database,
            refuses: None,
            is_checked: true,
        };
        Ok(Self::seated(Place::Memory, open))
    }

    /// Opens the file anew: after an I/O error only that tells what was committed.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::Storage`] where the disk refuses writes, which are refused
    /// then; what can be read is. This may be called again.
    pub fn reopen(&self) -> Result<()> {
        let mut seat = self.seat.write().expect("no holder panics");
        let Place::Disk {
            file,
            name,
            cache_bytes,
        } = &seat.place
        else {
            let what = "a store in memory cannot be opened again";
            return Err(Error::Storage(what.into()));
        };
        let (file, name, cache_bytes) = (Arc::clone(file), Arc::clone(name), *cache_bytes);
        seat.drained();
        // Closed first: its writes must not come behind those of the next. Its error is the one we
        // come from.
        let _ = seat.end();
        let open = seat.open.insert(open(file, name, cache_bytes)?);
        open.refuses
            .as_deref()
            .map_or(Ok(()), |why| Err(refused(why)))
    }

    /// True where the disk refuses writes and what is there is read. [`Store::reopen`] tries anew.
    pub fn is_for_reading_alone(&self) -> bool {
        let seat = self.seat.read().expect("no holder panics");
        let open = seat.open.as_ref();
        open.is_some_and(|open| open.refuses.is_some())
    }

    /// Lets nobody read or write until it is opened anew; other processes are kept out.
    pub fn shut(&self) {
        let _ = self.seat.write().expect("no holder panics").end();
    }

    /// Closes the file and lets other processes have it.
    ///
    /// # Errors
    /// [`Error::Storage`] where the last bytes could not be written.
    pub fn close(&self) -> Result<()> {
        let mut seat = self.seat.write().expect("no holder panics");
        let closed = seat.end();
        seat.let_go();
        closed
    }

    /// A view of what is committed now.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store is closed or the disk fails.
    pub fn read(&self) -> Result<Read> {
        self.seat.read().expect("no holder panics").read()
    }

    /// A transaction. There is one writer; a second one would wait.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store is closed, the disk refuses writes or failed before.
    pub fn write(&self) -> Result<Write> {
        let seat = self.seat.read().expect("no holder panics");
        let open = seat.open.as_ref().ok_or_else(closed)?;
        if let Some(why) = &open.refuses {
            return Err(refused(why));
        }
        if !open.is_checked {
            return Err(behind::unchecked());
        }
        let mut transaction = open.database.begin_write().map_err(view::storage)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(view::storage)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        Ok(Write::new(transaction, Arc::clone(&seat.shared)))
    }

    /// The vault's header, as stored.
    ///
    /// # Errors
    /// [`Error::Damaged`] where there is none: this is not one of our files, or was emptied.
    pub fn header(&self) -> Result<Vec<u8>> {
        self.read()?.header()
    }

    fn lay_out(&self, header: &[u8]) -> Result<()> {
        let write = self.write()?;
        write.create_tables()?;
        write.put_header(header)?;
        write.commit()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // In this order: what redb writes at its end must not come behind the next process's
        // first. And whoever still reads must not keep that one out.
        if let Ok(mut seat) = self.seat.write() {
            let _ = seat.end();
            seat.let_go();
        }
    }
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder.set_check_integrity_on_open(true);
    builder
}

/// For a file that is checked otherwise.
fn unchecking_builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = builder(cache_bytes);
    builder.set_check_integrity_on_open(false);
    builder
}

fn open(file: Arc<dyn StorageBackend>, name: Arc<Name>, cache_bytes: usize) -> Result<Open> {
    open_disk(Disk::new(file, name), cache_bytes)
}

/// Opens a disk and checks it whole.
///
/// In two steps: the check sees every page once, and would fill a cache with them that nobody asks
/// for again. What it had of memory is then given back before the cache that stays takes its own.
fn open_disk(disk: Disk, cache_bytes: usize) -> Result<Open> {
    let checked = builder(cache_bytes.min(limits::STORE_CHECK_CACHE_BYTES))
        .create_with_backend(disk.clone())
        .map_err(opening)?;
    checked.close().map_err(view::storage)?;
    // The same file, which we have locked all along.
    let database = unchecking_builder(cache_bytes)
        .create_with_backend(disk.clone())
        .map_err(opening)?;
    Ok(Open {
        database,
        refuses: disk.opened(),
        is_checked: true,
    })
}

/// Whoever had a file may have put a compacted one in its place while we came: then what we have is
/// nobody's any more.
fn still_named(looked_at: std::io::Result<Arc<dyn Body>>, path: &Path) -> Result<()> {
    match looked_at.and_then(|file| file.is_named()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::InUse),
        Err(error) => Err(Error::Storage(format!(
            "cannot look at {}: {error}",
            path.display()
        ))),
    }
}

fn opening(error: redb::DatabaseError) -> Error {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => Error::InUse,
        other => view::storage(other),
    }
}

fn refused(why: &str) -> Error {
    Error::Storage(format!(
        "the disk refuses writes ({why}); what is stored can be read, and writing is tried again"
    ))
}

fn closed() -> Error {
    Error::Storage(
        "the store is closed after an error; it is opened again with the next write".into(),
    )
}
