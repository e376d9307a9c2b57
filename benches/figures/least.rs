//! The least that a vault does for a fetch, on the bare hyper: the limit of what the product does.
//!
//! It has the product's primitives and settings and none of its rules: reads the body, compares a
//! keyed hash of the bearer token, makes as many keyed hashes as an index key has parts, gets the
//! record from redb by a table that stays open, copies and opens its hot part, seals an entry of
//! the trail's usual length bound to the one before, appends it to a file before the answer leaves
//! (synced every 50 ms), and answers with what it opened, unparsed. It parses nothing, decides
//! nothing, and wipes nothing. Measures nothing itself.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};
use strongroom::clock::{Clock, Timestamp};
use strongroom::limits;
use strongroom::seal::{KdfParams, Keyring, Purpose, Unlocker, digest};
use strongroom::secret::Secret;

use crate::answers::Template;
use crate::dataset::{PASSPHRASE, fetch_body};
use crate::{Outcome, hello};

/// The first argument of a process that is to be one.
pub const WORD: &str = "least-vault";

type Bytewise = TableDefinition<'static, &'static [u8], &'static [u8]>;

const RECORDS: Bytewise = TableDefinition::new("records");
/// Parts of an index key: app, tenant, user.
const PARTS: usize = 3;
/// What an entry of a fetch has before it is sealed.
const ENTRY: [u8; 320] = [b'e'; 320];
/// About what a record's part is bound to.
const ASSOCIATED: [u8; 150] = [7; 150];

/// Serves until standard input ends: `DIRECTORY RECORDS BYTES BEARER [CERTIFICATE KEY]`. `BYTES`
/// is the answer's length.
pub fn run(mut words: impl Iterator<Item = String>) -> Outcome<()> {
    let mut word = || words.next().ok_or("a word is missing");
    let (directory, records, bytes) = (word()?, word()?.parse()?, word()?.parse()?);
    let bearer = word()?;
    let least = Arc::new(Least::new(directory.as_ref(), records, bytes, &bearer)?);
    least.sync_in_groups();
    hello::serve_until_left(hello::tls(words)?, move |request| {
        let least = Arc::clone(&least);
        async move {
            least.answer(request).await.unwrap_or_else(|error| {
                let mut answer = hello::json(Bytes::from(error.to_string()));
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            })
        }
    })
}

struct Least {
    keys: Keyring,
    bearer: Secret<[u8; 32]>,
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
    trail: Mutex<Trail>,
    // Holds the lock of the file that the table reads.
    _database: Database,
}

struct Trail {
    file: Arc<File>,
    last: [u8; 32],
}

impl Least {
    fn new(directory: &Path, records: usize, bytes: usize, bearer: &str) -> Outcome<Self> {
        let passphrase = Unlocker::Passphrase(Secret::new(PASSPHRASE.to_owned()));
        let now: Timestamp = Clock::system().now();
        let (keys, _) = Keyring::create(&[(&passphrase, "bench")], KdfParams::FLOOR, now)?;
        let database = Database::builder()
            .set_cache_size(limits::STORE_CACHE_BYTES)
            .create(directory.join("least.redb"))?;
        let plain = vec![b'x'; bytes];
        let mut template = Template::new("POST", "/", "", "", &fetch_body());
        for users in (0..records).collect::<Vec<_>>().chunks(20_000) {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(RECORDS)?;
                for user in users {
                    template.aim(*user);
                    let (_, body) = split(template.bytes()).ok_or("a request without a body")?;
                    let sealed = keys.seal_apart(Purpose::Cookie, &ASSOCIATED, &plain);
                    table.insert(place(&keys, body).as_slice(), sealed.as_slice())?;
                }
            }
            write.commit()?;
        }
        let hash = keys.hash(Purpose::AccessKeys, &[bearer.as_bytes()]);
        let file = File::create_new(directory.join("least.trail"))?;
        Ok(Self {
            bearer: Secret::new(hash),
            records: database.begin_read()?.open_table(RECORDS)?,
            trail: Mutex::new(Trail {
                file: Arc::new(file),
                last: [0; 32],
            }),
            keys,
            _database: database,
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Outcome<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let bearer = head.headers.get(AUTHORIZATION).ok_or("no bearer")?;
        let bearer = bearer
            .to_str()?
            .strip_prefix("Bearer ")
            .ok_or("no bearer")?;
        let hash = self.keys.hash(Purpose::AccessKeys, &[bearer.as_bytes()]);
        if !self.bearer.equals(&hash) {
            return Err("another bearer".into());
        }
        let body = body.collect().await?.to_bytes();
        let place = place(&self.keys, &body);
        let sealed = self.records.get(place.as_slice())?.ok_or("no record")?;
        let sealed = sealed.value().to_vec();
        let opened = self
            .keys
            .open_apart(Purpose::Cookie, &ASSOCIATED, &sealed)
            .ok_or("a record does not open")?;
        self.record()?;
        Ok(hello::json(Bytes::copy_from_slice(&opened)))
    }

    fn record(&self) -> Outcome<()> {
        let mut trail = self.trail.lock().expect("no holder panics");
        let sealed = self.keys.seal_apart(Purpose::Audit, &trail.last, &ENTRY);
        trail.last = digest(&[&sealed]);
        Ok((&*trail.file).write_all(&sealed)?)
    }

    fn sync_in_groups(self: &Arc<Self>) {
        let file = Arc::clone(&self.trail.lock().expect("no holder panics").file);
        std::thread::spawn(move || {
            loop {
                std::thread::park_timeout(limits::AUDIT_FSYNC_EVERY);
                file.sync_data().expect("the trail is synced");
            }
        });
    }
}

/// Where a record lies: as many keyed hashes as an index key has parts.
fn place(keys: &Keyring, body: &[u8]) -> Vec<u8> {
    let part = |at: usize| keys.hash(Purpose::Index, &[b"part", &[at as u8], b"is", body]);
    (0..PARTS).flat_map(|at| part(at)[..16].to_vec()).collect()
}

/// Head and body of a request.
fn split(request: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = crate::answers::find(request, b"\r\n\r\n")?;
    Some((&request[..end], &request[end + 4..]))
}
