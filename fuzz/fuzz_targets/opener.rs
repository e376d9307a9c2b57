//! A whole vault file through the opener: the golden vault with changes in it.
//!
//! An input is a list of changes: two bytes of length to cut from the end (in 512s, 0: none), then
//! runs of place (3 bytes), kind (1), bytes.
#![no_main]

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use strongroom::clock::{Clock, Timestamp};
use strongroom::model::access::Caller;
use strongroom::model::{Owner, TenantId};
use strongroom::secret::Secret;
use strongroom::vault::{Ask, Found, Settings, Unlocker, Vault};

struct Golden {
    file: Vec<u8>,
    recovery: String,
    slots: usize,
    home: PathBuf,
}

fn golden() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1");
        let known = std::fs::read_to_string(directory.join("known.txt")).unwrap();
        let known: BTreeMap<&str, &str> = known
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let home = place.join(format!("strongroom-fuzz-{}", std::process::id()));
        let file = std::fs::read(directory.join("vault.redb")).unwrap();
        make(&home, &file);
        let vault = Vault::open(&home, Settings::default(), clock()).unwrap();
        let slots = vault.slots().unwrap().len();
        vault.close().unwrap();
        Golden {
            file,
            recovery: known["recovery"].to_owned(),
            slots,
            home,
        }
    })
}

fn clock() -> Clock {
    Clock::test(Timestamp::from_unix_ms(1_790_000_100_000))
}

fn make(home: &Path, file: &[u8]) {
    let _ = std::fs::remove_dir_all(home);
    let audit = home.join("audit");
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(audit)
        .unwrap();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(home.join("vault.redb"))
        .and_then(|mut made| made.write_all(file))
        .unwrap();
}

fn changed(golden: &Golden, data: &[u8]) -> Vec<u8> {
    let mut file = golden.file.clone();
    let Some((cut, mut rest)) = data.split_first_chunk::<2>() else {
        return file;
    };
    while let Some((change, after)) = rest.split_first_chunk::<5>() {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % file.len();
        match change[3] % 4 {
            0 => file[place] ^= change[4],
            1 => file[place] = change[4],
            2 => {
                let page = place / 4096 * 4096;
                let from = usize::from(change[4]) * 4096 % file.len();
                let copied = file[from..from + 4096].to_vec();
                file[page..page + 4096].copy_from_slice(&copied);
            }
            _ => {
                let length = usize::from(change[4])
                    .min(file.len() - place)
                    .min(after.len());
                file[place..place + length].copy_from_slice(&after[..length]);
            }
        }
        rest = after;
    }
    let kept = file
        .len()
        .saturating_sub(usize::from(u16::from_le_bytes(*cut)) * 512);
    file.truncate(kept);
    file
}

fuzz_target!(|data: &[u8]| {
    let golden = golden();
    make(&golden.home, &changed(golden, data));
    let settings = Settings {
        accept_host: true,
        ..Settings::default()
    };
    let Ok(vault) = Vault::open(&golden.home, settings, clock()) else {
        return;
    };
    // A slot that is gone or another costs a derivation to find out: too slow to be tried here.
    if vault.slots().is_ok_and(|slots| slots.len() == golden.slots) {
        let code = Unlocker::from_typed(Secret::new(golden.recovery.clone()));
        if vault.unlock(&code, "fuzz").is_ok() {
            hands_out_what_was_stored(&vault);
        }
    }
    let _ = vault.close();
});

fn hands_out_what_was_stored(vault: &Vault) {
    let ask = Ask {
        app: strongroom::model::AppId::parse("maps").unwrap(),
        owner: Owner::Tenant(TenantId::parse("tenant").unwrap()),
        account: None,
        scopes: None,
        min_ttl: std::time::Duration::ZERO,
        with_refresh_token: false,
    };
    match vault.fetch(&Caller::local(), &ask) {
        Ok(Found::Fresh(handed)) => assert!(handed.value.equals(b"golden-api-key")),
        Ok(_) => panic!("a record is missing, and unlocking said nothing"),
        // What the check on opening does not read may be damaged.
        Err(_) => {}
    }
}
