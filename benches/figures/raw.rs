//! redb and the disk alone, with the settings of the vault's store: what no vault on them beats.
//!
//! It has no policy, audit trail, index, ledger or sealing. Measures nothing itself.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use redb::{Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};
use strongroom::limits;
use strongroom::store::{Records, Scan, Store, View, file_system};

use crate::Outcome;
use crate::dataset::Replica;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const RECORDS: Table = TableDefinition::new("records");
/// What the vault keeps beside a token, with the lengths of key and value: its owner, its id and
/// when it falls due.
const BESIDE: [(Table, usize, usize); 3] = [
    (TableDefinition::new("owners"), 64, 0),
    (TableDefinition::new("ids"), 16, 64),
    (TableDefinition::new("due"), 64, 0),
];
/// And beside every commit.
const META: Table = TableDefinition::new("meta");
const LEDGER_BYTES: usize = 300;
const KEY_BYTES: usize = 64;
const NONCE_BYTES: usize = 24;
/// About what a record's parts are bound to.
const ASSOCIATED: [u8; 150] = [7; 150];

/// How long sealed tokens are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A whole record, on the average.
    pub record: usize,
    /// The part that a fetch opens.
    pub hot: usize,
    /// All of them together.
    pub all: u64,
}

/// Reads the sizes of a vault's sealed tokens, which takes no key.
pub fn sizes(copy: &Replica) -> Outcome<Sizes> {
    let store = Store::open(&*file_system(), &copy.file())?;
    let (mut count, mut all, mut hot) = (0_u64, 0_u64, 0_u64);
    store
        .read()?
        .scan_records(Records::Tokens, b"", None, &mut |_, sealed| {
            // format:1 term:4 version:8 parts:1, then the length of the first part.
            let length = sealed.as_bytes()[14..18].try_into().expect("4 bytes");
            hot += u64::from(u32::from_le_bytes(length));
            all += sealed.as_bytes().len() as u64;
            count += 1;
            Ok(Scan::Go)
        })?;
    store.close()?;
    if count != copy.records as u64 {
        return Err(format!("{count} records, not {}", copy.records).into());
    }
    Ok(Sizes {
        record: usize::try_from(all / count)?,
        hot: usize::try_from(hot / count)?,
        all,
    })
}

/// A file of redb's with one sealed value a record.
pub struct Raw {
    database: Database,
    cipher: XChaCha20Poly1305,
    sizes: Sizes,
    value: Vec<u8>,
}

impl Raw {
    /// A new file with as many records of these sizes, under random keys, which come back.
    pub fn filled(path: &Path, records: usize, sizes: Sizes) -> Outcome<(Self, Vec<[u8; 64]>)> {
        let database = Database::builder()
            .set_cache_size(limits::STORE_CACHE_BYTES)
            .create(path)?;
        let cipher = XChaCha20Poly1305::new(&Key::from([9; 32]));
        let nonce = [3; NONCE_BYTES];
        let plain = vec![b'a'; sizes.hot - NONCE_BYTES - 16];
        let payload = Payload {
            msg: &plain,
            aad: &ASSOCIATED,
        };
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| "a value does not seal")?;
        let mut value = [nonce.as_slice(), &sealed].concat();
        value.resize(sizes.record, 0);
        let raw = Self {
            database,
            cipher,
            sizes,
            value,
        };
        let keys: Vec<[u8; KEY_BYTES]> = (0..records).map(|_| random()).collect();
        for keys in keys.chunks(20_000) {
            let write = raw.begin()?;
            {
                let mut table = write.open_table(RECORDS)?;
                for key in keys {
                    table.insert(key.as_slice(), raw.value.as_slice())?;
                }
            }
            write.commit()?;
        }
        Ok((raw, keys))
    }

    /// Reads a record, copies it out and opens its first part: its length comes back.
    pub fn fetch(&self, key: &[u8; KEY_BYTES]) -> Outcome<usize> {
        let read = self.database.begin_read()?;
        let table = read.open_table(RECORDS)?;
        let value = table.get(key.as_slice())?.ok_or("a record is missing")?;
        let copied = value.value().to_vec();
        let (nonce, body) = copied[..self.sizes.hot]
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or("a value is too short")?;
        let payload = Payload {
            msg: body,
            aad: &ASSOCIATED,
        };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload);
        Ok(plain.map_err(|_| "a value does not open")?.len())
    }

    /// Stores so many new records in one durable commit; with the entries beside them, or without.
    pub fn commit(&self, group: usize, beside: bool) -> Outcome<()> {
        let write = self.begin()?;
        {
            let mut table = write.open_table(RECORDS)?;
            for _ in 0..group {
                let key = random();
                table.insert(key.as_slice(), self.value.as_slice())?;
            }
        }
        if beside {
            for (name, key, value) in BESIDE {
                let mut table = write.open_table(name)?;
                for _ in 0..group {
                    table.insert(&random()[..key], &self.value[..value])?;
                }
            }
            let mut meta = write.open_table(META)?;
            meta.insert(b"ledger".as_slice(), &self.value[..LEDGER_BYTES])?;
        }
        Ok(write.commit()?)
    }

    fn begin(&self) -> Outcome<WriteTransaction> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_two_phase_commit(true);
        write.set_quick_repair(true);
        Ok(write)
    }
}

/// A file that is only written to and synced.
pub struct Log(File);

impl Log {
    /// A new one.
    pub fn new(path: &Path) -> Outcome<Self> {
        Ok(Self(File::create_new(path)?))
    }

    /// Appends so many bytes and waits for the disk.
    pub fn append(&mut self, bytes: usize) -> Outcome<()> {
        self.0.write_all(&vec![b'a'; bytes])?;
        Ok(self.0.sync_data()?)
    }
}

fn random() -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    fastrand::fill(&mut key);
    key
}
