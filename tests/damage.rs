//! F1, memory: a damaged vault file makes nobody take memory for what it says.
//!
//! Alone in its process, whose address space is limited: an allocation of more than 64 MiB beyond
//! what the process has fails, and ends it.

#[path = "harness/seeded.rs"]
mod seeded;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom::clock::{Clock, Timestamp};
use strongroom::secret::Secret;
use strongroom::vault::{KdfParams, RecoveryCode, Settings, Unlocker, Vault};

use seeded::Seeded;

const MEMORY_MAX: u64 = 64 * 1024 * 1024;
const GATE: u64 = 300;

/// The size of the process's address space, in bytes.
fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("the kernel tells") * 1024
}

/// Goal: opening a damaged file takes no memory that its bytes ask for. Method: limit the process's
/// address space to 64 MiB more than it has; flip bits, half of them in the roots; open and unlock.
#[test]
fn f1_no_damaged_file_makes_the_process_take_64_mib() {
    let seeded = Seeded::new("F1 memory");
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("vault");
    let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
    let passphrase = Secret::new("violet harbour mumbles often".to_owned());
    let settings = Settings::default();
    let made = Vault::create(
        &directory,
        passphrase,
        KdfParams::FLOOR,
        settings.clone(),
        clock.clone(),
    )
    .unwrap();
    made.vault.close().unwrap();
    let code = made.recovery_code.expose().clone();
    drop(made);
    let file = directory.join("vault.redb");
    let whole = std::fs::read(&file).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let vault = Vault::open(&directory, settings.clone(), clock.clone())?;
        let unlocker = Unlocker::RecoveryCode(RecoveryCode::parse(&code).unwrap());
        vault.unlock(&unlocker, "")?;
        vault.close()
    };
    open(&whole).unwrap();
    let before = getrlimit(Resource::As);
    let limit = Rlimit {
        current: Some(address_space() + MEMORY_MAX),
        maximum: before.maximum,
    };
    setrlimit(Resource::As, limit).unwrap();
    let mut refused = 0;
    for case in 0..seeded.runs(GATE) {
        let mut chance = seeded.case(case);
        let rng = chance.rng();
        let all = if rng.bool() { 320 } else { whole.len() };
        let mut bytes = whole.clone();
        bytes[rng.usize(..all)] ^= 1 << rng.u8(..8);
        refused += u32::from(open(&bytes).is_err());
    }
    assert!(refused > 0, "{}", seeded.at("the end"));
}
