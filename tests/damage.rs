//! F1 to F3, memory: a damaged vault file makes nobody take memory for what it says.
//!
//! Alone in its process, whose address space is limited: an allocation of more than 64 MiB beyond
//! what the process has fails, and ends it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "harness/seeded.rs"]
mod seeded;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom::clock::{Clock, Timestamp};
use strongroom::error::Result;
use strongroom::model::access::Caller;
use strongroom::model::app::{App, AppKind};
use strongroom::model::link::{LinkApp, LinkAppState, Proof};
use strongroom::model::{Account, Address, AppId, Owner, Scopes, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{
    Filter, KdfParams, NewCredential, NewLink, NewToken, RecoveryCode, Settings, Unlocker, Vault,
};
use tempfile::TempDir;

use seeded::Seeded;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const MEMORY_MAX: usize = 64 * 1024 * 1024;
const PAGE: usize = 4096;
/// Damaged files at the gate.
const GATE: u64 = 1400;
/// With an app, links and an access key about a hundred records.
const TOKENS: usize = 96;

/// A closed vault, and what opens it.
struct Image {
    _home: TempDir,
    directory: PathBuf,
    code: String,
    file: Vec<u8>,
    /// The rows of its tokens.
    tokens: Vec<(Vec<u8>, Vec<u8>)>,
}

fn tokens_table() -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new("tokens")
}

fn furnish(vault: &Vault) {
    let me = Caller::local();
    let maps = AppId::parse("maps").unwrap();
    let app = App {
        name: "Maps".into(),
        return_urls: vec![],
        ..App::of(maps.clone(), AppKind::ApiKey, NOW)
    };
    vault.add_app(&me, app, None).unwrap().wait().unwrap();
    let owner = |n: usize| Owner::User(UserId::parse(format!("user-{n}")).unwrap());
    for n in 0..TOKENS {
        let address = Address {
            app: maps.clone(),
            owner: owner(n % 7),
            account: Some(Account::parse(format!("account-{n}")).unwrap()),
            scopes: Scopes::default(),
        };
        let key = format!("key {n} {}", "x".repeat(n * 20));
        let credential = NewCredential::ApiKey(Secret::new(key));
        let new = NewToken::of(address, credential);
        vault.store_token(&me, new).unwrap().wait().unwrap();
    }
    for n in 0..2 {
        let link = NewLink {
            apps: vec![LinkApp {
                app: maps.clone(),
                scopes: Scopes::default(),
                account: None,
                hints: Default::default(),
                variables: Default::default(),
                state: LinkAppState::Waiting,
            }],
            owner: owner(n),
            proof: Proof::Code,
            return_url: None,
            opener_origin: None,
            life: Duration::from_secs(600),
        };
        vault.make_link(&me, link).unwrap().wait().unwrap();
    }
}

impl Image {
    fn new() -> Self {
        // Memory where there is such a place: the file is written anew for each case.
        let memory = Path::new("/dev/shm");
        let home = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let home = home.unwrap();
        let directory = home.path().join("vault");
        let passphrase = Secret::new("violet harbour mumbles often".to_owned());
        let made = Vault::create(
            &directory,
            passphrase,
            KdfParams::FLOOR,
            Settings::default(),
            Clock::test(NOW),
        )
        .unwrap();
        furnish(&made.vault);
        made.vault.close().unwrap();
        let mut image = Self {
            _home: home,
            code: made.recovery_code.expose().clone(),
            file: std::fs::read(directory.join("vault.redb")).unwrap(),
            directory,
            tokens: Vec::new(),
        };
        let database = Database::open(image.path()).unwrap();
        let table = database.begin_read().unwrap().open_table(tokens_table());
        for row in table.unwrap().iter().unwrap() {
            let (key, value) = row.unwrap();
            let row = (key.value().to_vec(), value.value().to_vec());
            image.tokens.push(row);
        }
        assert_eq!(image.tokens.len(), TOKENS);
        image
    }

    fn path(&self) -> PathBuf {
        self.directory.join("vault.redb")
    }

    /// Opens what lies there, unlocks it, reads every token. How many there are comes back.
    fn read(&self) -> Result<usize> {
        // Each case's own trail, or it would grow with every case.
        for segment in std::fs::read_dir(self.directory.join("audit")).unwrap() {
            std::fs::remove_file(segment.unwrap().path()).unwrap();
        }
        let vault = Vault::open(&self.directory, Settings::default(), Clock::test(NOW))?;
        let unlocker = Unlocker::RecoveryCode(RecoveryCode::parse(&self.code).unwrap());
        let read = vault.unlock(&unlocker, "").and_then(|()| {
            let me = Caller::local();
            let page = vault.list(&me, &Filter::default(), 200, None)?;
            for token in &page.tokens {
                vault.reveal(&me, token.id)?;
            }
            Ok(page.tokens.len())
        });
        vault.close()?;
        read
    }

    /// Lays out the file with damage number `case`, and names it.
    fn damage(&self, seeded: &Seeded, case: u64) -> &'static str {
        let mut chance = seeded.case(case);
        let rng = chance.rng();
        let mut bytes = self.file.clone();
        let pages = bytes.len() / PAGE;
        let (one, two) = (rng.usize(..pages), rng.usize(..pages));
        let page = |n: usize| n * PAGE..(n + 1) * PAGE;
        let name = match case % 7 {
            0 => {
                bytes[rng.usize(..320)] ^= 1 << rng.u8(..8);
                "a bit of the roots flipped"
            }
            1 => {
                bytes[rng.usize(..self.file.len())] ^= 1 << rng.u8(..8);
                "a bit flipped"
            }
            2 => {
                bytes.truncate(rng.usize(1..self.file.len()));
                "cut"
            }
            3 => {
                let (first, second) = (bytes[page(one)].to_vec(), bytes[page(two)].to_vec());
                bytes[page(one)].copy_from_slice(&second);
                bytes[page(two)].copy_from_slice(&first);
                "pages exchanged"
            }
            4 => {
                bytes[page(one)].fill(0);
                "a page zeroed"
            }
            5 => {
                // Eight bytes that say as much as bytes can.
                let at = rng.usize(..self.file.len() - 8);
                bytes[at..at + 8].fill(0xff);
                "a number made large"
            }
            _ => "ciphertexts moved",
        };
        std::fs::write(self.path(), &bytes).unwrap();
        if name == "ciphertexts moved" {
            self.exchange(rng.usize(..TOKENS), rng.usize(1..TOKENS));
        }
        name
    }

    /// Exchanges what two tokens hold, by way of the store, whose own sums then hold.
    fn exchange(&self, one: usize, by: usize) {
        let (key, value) = &self.tokens[one];
        let (other_key, other_value) = &self.tokens[(one + by) % TOKENS];
        let database = Database::open(self.path()).unwrap();
        let write = database.begin_write().unwrap();
        {
            let mut table = write.open_table(tokens_table()).unwrap();
            table
                .insert(key.as_slice(), other_value.as_slice())
                .unwrap();
            table
                .insert(other_key.as_slice(), value.as_slice())
                .unwrap();
        }
        write.commit().unwrap();
    }
}

/// The size of the process's address space, in bytes.
fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("the kernel tells") * 1024
}

/// Whether this process can take so much memory.
fn can_take(bytes: usize) -> bool {
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

/// Goal: opening a damaged file takes no memory that its bytes ask for, and brings every token or
/// an error. Method: limit the process's address space to 64 MiB more than it has, and see that the
/// limit bites; damage the file of a vault of a hundred records, open, unlock, read all; see that
/// nothing was kept.
#[test]
fn f1_no_damaged_file_makes_the_process_take_64_mib() {
    let seeded = Seeded::new("F1 memory");
    let image = Image::new();
    assert_eq!(image.read(), Ok(TOKENS));
    assert!(can_take(MEMORY_MAX));
    let limit = Rlimit {
        current: Some(address_space() + MEMORY_MAX as u64),
        maximum: getrlimit(Resource::As).maximum,
    };
    setrlimit(Resource::As, limit).unwrap();
    assert!(!can_take(MEMORY_MAX) && can_take(MEMORY_MAX / 2));
    // By kind of damage: harmless, refused.
    let mut ends: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let cases = seeded.runs(GATE);
    for case in 0..cases {
        let name = image.damage(&seeded, case);
        let (harmless, refused) = ends.entry(name).or_default();
        match image.read() {
            Ok(tokens) => {
                *harmless += 1;
                let at = seeded.at(&format!("case {case}, {name}"));
                assert_eq!(tokens, TOKENS, "{at}");
            }
            Err(_) => *refused += 1,
        }
    }
    println!("F1 memory: {cases} damaged files (harmless, refused): {ends:?}");
    assert!(can_take(MEMORY_MAX / 2), "{}", seeded.at("the end"));
    assert!(ends.values().all(|(_, refused)| *refused > 0), "{ends:?}");
    let moved = ends["ciphertexts moved"];
    assert_eq!(moved.0, 0, "{}", seeded.at("moved ciphertexts"));
}
