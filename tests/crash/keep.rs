//! C4: kill -9 in the middle of a backup, of a compaction and of a restore.
//!
//! `STRONGROOM_RUNS` is the number of kills of each.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};

use serde_json::json;
use strongroom::clock::Clock;
use strongroom::error::Result;
use strongroom::model::access::Caller;
use strongroom::model::app::{App, AppKind};
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{
    KdfParams, NewCredential, NewToken, RecoveryCode, Settings, Unlocker, Vault,
};

use crate::process::Home;
use crate::seeded::Seeded;
use crate::support::{PASSPHRASE, PATIENCE};

const RUNS: u64 = 8;
/// Enough for a backup to take a while, and to be of several transactions.
const TOKENS: usize = 1_500;

/// A vault with many tokens, closed.
struct Large {
    home: tempfile::TempDir,
    recovery: String,
}

impl Large {
    fn create() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let new = Vault::create(
            &home.path().join("data"),
            Secret::new(PASSPHRASE.into()),
            KdfParams::FLOOR,
            Settings::default(),
            clock.clone(),
        )
        .unwrap();
        let (vault, me) = (new.vault, Caller::local());
        let app = App {
            name: "maps".into(),
            return_urls: vec![],
            ..App::of(AppId::parse("maps").unwrap(), AppKind::ApiKey, clock.now())
        };
        let address = |user: usize| Address {
            app: app.id.clone(),
            owner: Owner::User(UserId::parse(format!("u{user}")).unwrap()),
            account: None,
            scopes: Scopes::default(),
        };
        let added = vault.add_app(&me, app.clone(), None).unwrap();
        added.wait().unwrap();
        let receipts: Vec<_> = (0..TOKENS)
            .map(|user| {
                let credential = NewCredential::ApiKey(Secret::new(format!("key of {user}")));
                let address = address(user);
                let new = NewToken::of(address, credential);
                vault.store_token(&me, new).unwrap()
            })
            .collect();
        for receipt in receipts {
            receipt.wait().unwrap();
        }
        vault.close().unwrap();
        let made = Self {
            recovery: new.recovery_code.expose().clone(),
            home,
        };
        std::fs::write(made.at("recovery"), &made.recovery).unwrap();
        std::fs::create_dir(made.at("backups")).unwrap();
        made
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn unlocker(&self) -> Unlocker {
        Unlocker::RecoveryCode(RecoveryCode::parse(&self.recovery).unwrap())
    }

    /// Starts the binary; the recovery code takes no key derivation.
    fn start(&self, arguments: &[&Path]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(arguments)
            .arg("--recovery-file")
            .arg(self.at("recovery"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// True where everything of it is whole.
    fn is_whole(&self, place: &Path) -> Result<bool> {
        let report = Vault::check_at(place, Some(&self.unlocker()), &mut |_, _| Ok(()))?;
        Ok(report.is_whole() && report.entries["tokens"] == TOKENS as u64)
    }
}

/// Kills `child` once what `watched` finds has grown to `bytes`, or looks on until it ended. True
/// where it was killed.
fn kill_at(mut child: Child, watched: impl Fn() -> Option<PathBuf>, bytes: u64) -> bool {
    let began = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        let length = |path| std::fs::metadata(path).ok().map(|about| about.len());
        if watched()
            .and_then(length)
            .is_some_and(|length| length >= bytes)
        {
            child.kill().unwrap();
            // It may have ended by itself just before: then it was not the kill.
            return child.wait().unwrap().signal() == Some(9);
        }
        assert!(began.elapsed() < PATIENCE, "neither grown nor ended");
        std::thread::yield_now();
    }
}

/// The files in a directory by the end of their names.
fn ending(directory: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect()
}

/// When the file was last written, if it is there.
fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|about| about.modified())
        .ok()
}

/// Goal: C4 a file under a backup's name is a whole backup, whenever the process was killed, and a
/// kill is in no later backup's way. Method: kill it at random lengths of what it writes; look at
/// what stands there; and let the last one end.
#[test]
fn c4_a_killed_backup_leaves_no_file_that_does_not_verify() {
    let mut chance = Seeded::new("C4 backup");
    let large = Large::create();
    let (to, data) = (large.at("backups"), large.at("data"));
    let begin = || large.start(&["backup".as_ref(), &to, "--data".as_ref(), &data]);
    // A backup is smaller than what it is taken from: one is let end, for its length.
    assert!(begin().wait().unwrap().success());
    let first = ending(&to, ".redb").pop().unwrap();
    let whole = std::fs::metadata(&first).unwrap().len();
    std::fs::remove_file(first).unwrap();
    let (mut killed, mut finished) = (0, 0);
    for run in 0..chance.runs(RUNS) {
        let at = chance.at(&format!("kill {run}"));
        let bytes = chance.rng().u64(0..whole);
        // By its end: the name carries the epoch, and a vault that closes makes one commit more.
        // What the last kill left stands there until it is replaced, and is not what is waited for.
        let left = ending(&to, ".partial").pop().map(|path| written(&path));
        let watched = || {
            let path = ending(&to, ".partial").pop()?;
            (Some(written(&path)) != left).then_some(path)
        };
        killed += u64::from(kill_at(begin(), watched, bytes));
        for file in ending(&to, ".redb") {
            assert!(large.is_whole(&file).unwrap(), "{at}");
            std::fs::remove_file(file).unwrap();
            finished += 1;
        }
        assert!(ending(&to, ".partial").len() <= 1, "{at}: they pile up");
    }
    println!("C4: {killed} backups were killed, {finished} had ended");
    assert!(killed > 0, "none was killed in the middle");
    assert!(begin().wait().unwrap().success());
    assert!(large.is_whole(&ending(&to, ".redb")[0]).unwrap());
    assert_eq!(ending(&to, ".partial").len(), 0);
    assert!(large.is_whole(&data).unwrap(), "the vault itself suffered");
}

/// Goal: C4 whenever a compaction is killed, the vault is whole and what was left is in no later
/// one's way. Method: kill it at random lengths of the new file, and as soon as that has the
/// vault's name; look at the vault; let the last one end.
#[test]
fn c4_a_killed_compaction_leaves_a_whole_vault() {
    use std::os::unix::fs::MetadataExt;
    let mut chance = Seeded::new("C4 compaction");
    let large = Large::create();
    let data = large.at("data");
    let (file, partial) = (data.join("vault.redb"), data.join("vault.redb.partial"));
    let begin = || large.start(&["compact".as_ref(), "--data".as_ref(), &data]);
    assert!(begin().wait().unwrap().success());
    let whole = std::fs::metadata(&file).unwrap().len();
    let (mut killed, mut partials) = (0, 0);
    for run in 0..chance.runs(RUNS) {
        let at = chance.at(&format!("kill {run}"));
        let (left, inode) = (written(&partial), file.metadata().unwrap().ino());
        let (mut bytes, mut exchanged) = (chance.rng().u64(0..whole), false);
        if run % 4 == 3 {
            (bytes, exchanged) = (0, true);
        }
        let watched = || match exchanged {
            true => (file.metadata().ok()?.ino() != inode).then(|| file.clone()),
            false => (written(&partial) != left).then(|| partial.clone()),
        };
        killed += u64::from(kill_at(begin(), watched, bytes));
        partials += u64::from(partial.exists());
        assert!(large.is_whole(&data).unwrap(), "{at}");
    }
    println!("C4: {killed} compactions were killed, {partials} left a partial file");
    assert!(killed > 0 && partials > 0, "none was killed in the middle");
    assert!(begin().wait().unwrap().success());
    assert!(large.is_whole(&data).unwrap());
    assert!(!partial.exists());
}

/// Goal: C4 a killed restore never leaves half a vault that serves. Method: kill it at random
/// lengths of what it copies, and behind that; what stands there is whole, or refused by `serve`'s
/// own way in with what to do; and the same command once more takes the last one over.
#[test]
fn c4_a_killed_restore_leaves_no_half_vault_that_serves() {
    let mut chance = Seeded::new("C4 restore");
    let large = Large::create();
    let vault = Vault::open(&large.at("data"), Settings::default(), Clock::system()).unwrap();
    vault.unlock(&large.unlocker(), "").unwrap();
    let backup = vault
        .backup(&Caller::local(), &large.at("backups"), &mut |_, _| Ok(()))
        .unwrap();
    vault.close().unwrap();
    let whole = std::fs::metadata(&backup.file).unwrap().len();
    let (mut killed, mut refused) = (0, 0);
    let mut unfinished = None;
    for run in 0..chance.runs(RUNS) {
        let at = chance.at(&format!("kill {run}"));
        let to = large.at(&format!("restored{run}"));
        let child = large.start(&["restore".as_ref(), &backup.file, "--data".as_ref(), &to]);
        // Half of them while it copies, half of them once it opens what it copied.
        let (watched, bytes) = match run % 2 {
            0 => (to.join("vault.redb"), chance.rng().u64(0..=whole)),
            _ => (to.join("audit"), 0),
        };
        killed += u64::from(kill_at(child, || Some(watched.clone()), bytes));
        match Vault::open(&to, Settings::default(), Clock::system()) {
            Ok(vault) => {
                vault.unlock(&large.unlocker(), "").unwrap();
                assert!(vault.is_refresh_paused(), "{at}");
                vault.close().unwrap();
                assert!(large.is_whole(&to).unwrap(), "{at}");
            }
            Err(error) => {
                let why = error.to_string();
                let told = why.contains("never finished") || why.contains("no such");
                assert!(told, "{at}: {why}");
                refused += 1;
                unfinished = Some(to);
            }
        }
    }
    println!("C4: {killed} restores were killed, {refused} directories are refused");
    assert!(killed > 0 && refused > 0, "none was killed in the middle");
    let to = unfinished.expect("some were refused");
    let mut last = large.start(&["restore".as_ref(), &backup.file, "--data".as_ref(), &to]);
    assert!(last.wait().unwrap().success());
    assert!(large.is_whole(&to).unwrap());
}

/// Goal: C4 the looking on sees a file that does not verify. Method: plant half a backup under a
/// backup's name.
#[test]
fn c4_half_a_backup_under_its_name_would_be_seen() {
    let large = Large::create();
    let whole = std::fs::read(large.at("data/vault.redb")).unwrap();
    let planted = large.at("backups/strongroom-epoch-0000000001.redb");
    std::fs::write(&planted, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(large.is_whole(&planted), Ok(false));
}

/// Goal: a served vault is backed up, restored and checked by the command line alone, while it
/// serves. Method: each command against a real server; a restored vault served until it refreshes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_backs_up_a_served_vault_and_restores_it() {
    let home = Home::init();
    let served = home.serve(&[]);
    let api = served.api();
    let app = json!({"id": "maps", "name": "Maps", "kind": "api_key"});
    assert_eq!(api.post("/v1/apps", app).await.0, 201);
    let token = json!({"app": "maps", "user": "alice", "api_key": "key-of-alice"});
    let (status, said) = api.send("PUT", "/v1/tokens", Some(token)).await;
    assert_eq!(status, 200, "{said}");
    let backups = home.home.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let to = backups.to_str().unwrap();
    let made = served.run(&["backup", to, "--json"], "");
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{told}");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let file = made["file"].as_str().unwrap();
    let again = served.run(&["backup", to], "");
    assert_eq!(again.status.code(), Some(1), "a backup was overwritten");
    assert_eq!(
        served.run(&["backup", "relative"], "").status.code(),
        Some(2)
    );
    let busy = home.run(&["check", "--structure-only"]);
    assert_eq!(
        busy.status.code(),
        Some(11),
        "a running server's file was looked at"
    );
    let status = api.get("/v1/status").await.1;
    assert_eq!(status["backup"]["state"], "done", "{status}");
    assert_eq!(served.terminate(), Some(0));

    let pass = home.home.path().join("passphrase");
    let with = ["--passphrase-file", pass.to_str().unwrap()];
    let checked = home.run(&[&["check", file, "--json"], with.as_slice()].concat());
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(
        (checked.status.code(), &report["verdict"]),
        (Some(0), &json!("whole"))
    );
    let mut bytes = std::fs::read(file).unwrap();
    for byte in bytes.iter_mut().skip(4096).step_by(64) {
        *byte ^= 1;
    }
    let damaged = backups.join("damaged.redb");
    std::fs::write(&damaged, bytes).unwrap();
    let damaged = damaged.to_str().unwrap();
    let checked = home.run(&[&["check", damaged], with.as_slice()].concat());
    let text = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(12), "{text}");
    assert!(
        text.contains("is DAMAGED") && text.contains("What to do:"),
        "{text}"
    );

    let data = home.data();
    std::fs::rename(&data, data.with_extension("lost")).unwrap();
    let restored = home.run(&[&["restore", file], with.as_slice()].concat());
    let told = String::from_utf8_lossy(&restored.stderr);
    assert!(restored.status.success(), "{told}");
    for (arguments, paused) in [(vec![], true), (vec!["--accept-rollback"], false)] {
        let served = home.serve(&arguments);
        let status = served.api().get("/v1/status").await.1;
        assert_eq!(status["refresh_paused"], json!(paused), "{status}");
        let got = served.run(&["token", "get", "maps", "--user", "alice"], "");
        assert_eq!(String::from_utf8_lossy(&got.stdout).trim(), "key-of-alice");
        assert_eq!(served.terminate(), Some(0));
    }
}

/// Goal: a served vault is compacted by the command line while it serves, and a start takes away
/// what a kill left. Method: the command against a real server; a half file beside the vault's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_compacts_a_served_vault() {
    let home = Home::init();
    let partial = home.data().join("vault.redb.partial");
    std::fs::write(&partial, "half").unwrap();
    let served = home.serve(&[]);
    assert!(!partial.exists());
    let app = json!({"id": "maps", "name": "Maps", "kind": "api_key"});
    assert_eq!(served.api().post("/v1/apps", app).await.0, 201);
    let compacted = served.run(&["compact", "--json"], "");
    let told = String::from_utf8_lossy(&compacted.stderr);
    assert!(compacted.status.success(), "{told}");
    let compacted: serde_json::Value = serde_json::from_slice(&compacted.stdout).unwrap();
    assert!(compacted["bytes_after"].is_u64() && compacted["writes_waited_ms"].is_u64());
    assert_eq!(served.terminate(), Some(0));
    let served = home.serve(&[]);
    assert_eq!(served.api().get("/v1/apps/maps").await.0, 200);
    assert_eq!(served.terminate(), Some(0));
}
