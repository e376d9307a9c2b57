//! C4: `init` and `passphrase`, killed at any moment.
//!
//! `STRONGROOM_RUNS` is the number of kills of each command.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use strongroom::clock::Clock;
use strongroom::error::Error;
use strongroom::secret::Secret;
use strongroom::vault::{Settings, Unlocker, Vault};

use crate::keyed::{INIT, Keyed, ask};
use crate::seeded::Seeded;
use crate::support::client;

/// Kills of each command in the gate.
const GATE: u64 = 12;
/// The longest that a command was seen to take, and a little more: the kill comes before.
const COMMAND_MAX: Duration = Duration::from_secs(20);

/// No key derivation to wait for.
const OPENER: [&str; 2] = ["--key-file", "key"];

fn add_key_file(file: &str) -> Vec<&str> {
    [&["passphrase", "add-key-file", file][..], &OPENER].concat()
}

/// Runs a command and kills it, unless it ends before or is let end.
async fn killed(home: &Keyed, arguments: &[&str], after: Option<Duration>) -> Output {
    let mut child = home.command(arguments).spawn().unwrap();
    let Some(after) = after else {
        return child.wait_with_output().unwrap();
    };
    let for_ever = std::future::pending::<()>();
    // That it never ends is the point.
    let _ = tokio::time::timeout(after, for_ever).await;
    child.kill().unwrap();
    child.wait_with_output().unwrap()
}

fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How long a command takes when nobody kills it.
fn measured(home: &Keyed, arguments: &[&str]) -> Duration {
    let began = Instant::now();
    let output = home.run(arguments);
    assert!(output.status.success(), "{}", told(&output));
    began.elapsed().min(COMMAND_MAX)
}

/// A random moment within a command that takes `usual`; the first run is cut for sure, and the
/// second one is let end.
fn moment(rng: &mut fastrand::Rng, usual: Duration, run: u64) -> Option<Duration> {
    // Most that matters comes at the end, behind the key derivations.
    let from = if rng.bool() { 0.6 } else { 0.0 };
    match run {
        0 => Some(usual / 10),
        1 => None,
        _ => Some(usual.mul_f64(from + rng.f64() * (1.2 - from))),
    }
}

/// Whether something opens the vault.
pub async fn opens(home: &Keyed, unlocker: Unlocker) -> bool {
    let directory = home.path("data");
    let open = move || {
        let vault = Vault::open(&directory, Settings::default(), Clock::system()).unwrap();
        let opened = vault.unlock(&unlocker, "a test");
        vault.close().unwrap();
        opened
    };
    match tokio::task::spawn_blocking(open).await.unwrap() {
        Ok(()) => true,
        Err(Error::UnlockFailed) => false,
        Err(other) => panic!("neither opened nor wrong: {other}"),
    }
}

async fn passphrase_opens(home: &Keyed, passphrase: &str) -> bool {
    opens(
        home,
        Unlocker::from_typed(Secret::new(passphrase.to_owned())),
    )
    .await
}

async fn key_file_opens(home: &Keyed, name: &str) -> bool {
    let bytes = Secret::new(std::fs::read(home.path(name)).unwrap());
    match Unlocker::key_file(bytes) {
        Ok(unlocker) => opens(home, unlocker).await,
        Err(_) => false,
    }
}

fn write_passphrase(home: &Keyed, name: &str, passphrase: &str) {
    std::fs::write(home.path(name), format!("{passphrase}\n")).unwrap();
}

/// Goal: an `init` that is killed leaves a vault or a directory that the next `init` takes; a vault
/// that is not whole is served by nobody, with a reason.
/// Method: kill it at random moments, try to serve what is there, and run it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_init_leaves_the_way_free() {
    let mut seeded = Seeded::new("C4 init");
    let runs = seeded.runs(GATE);
    assert!(runs >= 2, "one is cut, and one ends");
    let home = Keyed::new();
    std::fs::remove_dir_all(home.path("data")).unwrap();
    let usual = measured(&home, &INIT);
    let (mut cut, mut whole) = (0, 0);
    for run in 0..runs {
        std::fs::remove_dir_all(home.path("data")).unwrap();
        let after = moment(seeded.rng(), usual, run);
        let output = killed(&home, &INIT, after).await;
        let at = seeded.at(&format!("init {run}, killed after {after:?}"));
        cut += u64::from(was_killed(&output));
        let served = home.run(&["passphrase", "slots", "--json"]);
        let again = home.run(&INIT);
        let refusal = told(&again);
        if again.status.success() {
            assert!(!served.status.success(), "{at}: a vault was replaced");
            let why = told(&served);
            let is_told = why.contains("never finished") || why.contains("there is no vault");
            assert!(is_told, "{at}: {why}");
        } else {
            whole += 1;
            assert!(served.status.success(), "{at}: {} {refusal}", told(&served));
            assert!(
                refusal.contains("there is a vault in it"),
                "{at}: {refusal}"
            );
        }
        let slots: Value = match served.status.success() {
            true => serde_json::from_slice(&served.stdout).unwrap(),
            false => serde_json::from_slice(&home.run(&["passphrase", "slots", "--json"]).stdout)
                .unwrap(),
        };
        assert_eq!(
            slots["slots"].as_array().map(Vec::len),
            Some(2),
            "{at}: {slots}"
        );
        assert!(
            passphrase_opens(&home, crate::support::PASSPHRASE).await,
            "{at}"
        );
    }
    println!("C4 init: {runs} runs, {cut} of them killed, {whole} vaults were whole");
    assert!(cut > 0 && whole > 0, "{cut} killed, {whole} whole");
}

/// Goal: `passphrase set` that is killed leaves the old passphrase or the new one, never neither;
/// the key file opens throughout.
/// Method: kill it at random moments; whichever passphrase opens is the next run's old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_change_of_passphrase_leaves_the_old_or_the_new_one() {
    let mut seeded = Seeded::new("C4 set");
    let runs = seeded.runs(GATE);
    assert!(runs >= 2, "one is cut, and one ends");
    let home = Keyed::new();
    let set = [
        &["passphrase", "set", "--kdf-memory-mib", "64"][..],
        &["--new-passphrase-file", "new"],
        &OPENER,
    ]
    .concat();
    let mut old = "copper lantern seldom weeps 0".to_owned();
    write_passphrase(&home, "new", &old);
    let usual = measured(&home, &set);
    let (mut cut, mut changed) = (0, 0);
    for run in 0..runs {
        let new = format!("copper lantern seldom weeps {}", run + 1);
        write_passphrase(&home, "new", &new);
        let after = moment(seeded.rng(), usual, run);
        let output = killed(&home, &set, after).await;
        let at = seeded.at(&format!(
            "set {run}, killed after {after:?}: {}",
            told(&output)
        ));
        let (is_old, is_new) = (
            passphrase_opens(&home, &old).await,
            passphrase_opens(&home, &new).await,
        );
        assert!(is_old != is_new, "{at}: old {is_old}, new {is_new}");
        cut += u64::from(was_killed(&output));
        // Who is told "changed" has it changed.
        assert!(is_new || was_killed(&output), "{at}");
        assert!(key_file_opens(&home, "key").await, "{at}");
        if is_new {
            changed += 1;
            old = new;
        }
    }
    println!("C4 passphrase set: {runs} runs, {cut} of them killed, {changed} changed");
    assert!(cut > 0 && changed > 0, "{cut} killed, {changed} changed");
}

/// Goal: a slot that is added or removed is there or not, and every other way in stays.
/// Method: kill `add-key-file --create` and `remove-slot` at random moments, in turn; at the end
/// the server is started by the first key file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_change_of_slots_leaves_every_other_way_in() {
    let mut seeded = Seeded::new("C4 slots");
    let runs = seeded.runs(GATE);
    assert!(runs >= 2, "one is cut, and one ends");
    let home = Keyed::new();
    let usual = measured(&home, &[&add_key_file("warm")[..], &["--create"]].concat());
    let (mut cut, mut added, mut removed) = (0, 0, 0);
    for run in 0..runs {
        let file = format!("key{run}");
        let create = [&add_key_file(&file)[..], &["--create"]].concat();
        let output = killed(&home, &create, moment(seeded.rng(), usual, run)).await;
        let at = seeded.at(&format!("slots {run}: {}", told(&output)));
        cut += u64::from(was_killed(&output));
        let is_there = home.path(&file).exists() && key_file_opens(&home, &file).await;
        assert!(is_there || was_killed(&output), "{at}");
        added += u64::from(is_there);
        if !is_there {
            // A file that is there may be used as it is; one that was cut short is named as such.
            let is_whole = std::fs::read(home.path(&file)).is_ok_and(|bytes| bytes.len() == 32);
            let next = if is_whole {
                add_key_file(&file)
            } else {
                create
            };
            if !is_whole {
                let _ = std::fs::remove_file(home.path(&file));
            }
            let output = home.run(&next);
            assert!(output.status.success(), "{at}: {}", told(&output));
        }
        let slots = home.run(&["passphrase", "slots", "--json"]);
        let slots: Value = serde_json::from_slice(&slots.stdout).unwrap();
        let newest = slots["slots"].as_array().unwrap().last().unwrap()["number"].to_string();
        let remove = [
            &["passphrase", "remove-slot", &newest, "--yes"][..],
            &OPENER,
        ]
        .concat();
        let output = killed(&home, &remove, moment(seeded.rng(), usual, run)).await;
        cut += u64::from(was_killed(&output));
        let is_gone = !key_file_opens(&home, &file).await;
        assert!(is_gone || was_killed(&output), "{at}: {}", told(&output));
        removed += u64::from(is_gone);
        if !is_gone {
            let output = home.run(&remove);
            assert!(output.status.success(), "{at}: {}", told(&output));
        }
        assert!(key_file_opens(&home, "key").await, "{at}");
    }
    assert!(passphrase_opens(&home, crate::support::PASSPHRASE).await);
    println!(
        "C4 slots: {} runs, {cut} killed, {added} added, {removed} removed",
        2 * runs
    );
    assert!(cut > 0 && added > 0 && removed > 0);
    let running = home.start(&client(), &[]).await.unwrap();
    let verified = ask(
        &running.api,
        "POST",
        "/v1/audit/verify",
        Some(serde_json::json!({})),
    );
    let (_, verified) = verified.await.unwrap();
    assert_eq!(verified["problems"], serde_json::json!([]), "{verified}");
}
