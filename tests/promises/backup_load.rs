//! D6: backups under a continuous mixed write load, each restored and compared with the model at
//! its epoch.
//!
//! Each writer owns some users and does one thing after the other, so what the vault must hold of
//! them is what a number of its steps left: all that were acknowledged before the backup's epoch
//! was, none that were begun after it. `STRONGROOM_RUNS=100` is the long run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom::model::access::Caller;
use strongroom::model::link::{LinkApp, LinkAppState, Proof};
use strongroom::vault::{BackupState, Filter, Found, NewLink, Vault};

use crate::backups::{back_up, check, furnished, open, restore};
use crate::seeded::Seeded;
use crate::support::*;

const WRITERS: usize = 4;
const USERS: usize = 6;
const RUNS: u64 = 10;

/// One step of a writer: between which commits it was made, and what it left.
#[derive(Clone)]
struct Step {
    /// The last commit when it was begun: it is in none up to that one.
    before: u64,
    /// The last commit when it was acknowledged: it is in that one at the latest.
    after: u64,
    user: usize,
    /// The token's value; `None`: removed.
    left: Option<String>,
}

type State = BTreeMap<usize, String>;

/// What a writer's users have after its first `steps` steps.
fn after(history: &[Step], steps: usize) -> State {
    let mut state = State::new();
    for step in &history[..steps] {
        match &step.left {
            Some(value) => drop(state.insert(step.user, value.clone())),
            None => drop(state.remove(&step.user)),
        }
    }
    state
}

/// Whether `found` is what the writer's users had at `epoch`.
fn agrees(history: &[Step], epoch: u64, found: &State) -> Result<(), String> {
    let least = history.iter().filter(|step| step.after <= epoch).count();
    // A step that removes nothing takes no commit: it ends at the epoch that it began at.
    let most = history
        .iter()
        .filter(|step| step.before < epoch || step.after <= epoch)
        .count();
    if (least..=most).any(|steps| after(history, steps) == *found) {
        return Ok(());
    }
    let words = |state: &State| -> Vec<(usize, String)> {
        let short = |value: &String| value.chars().take(20).collect();
        state
            .iter()
            .map(|(user, value)| (*user, short(value)))
            .collect()
    };
    Err(format!(
        "epoch {epoch}: {:?} is none of those after {least} to {most} steps, such as {:?}",
        words(found),
        words(&after(history, most))
    ))
}

fn user(writer: usize, user: usize) -> String {
    format!("writer{writer}-user{user}")
}

/// One step of a writer, done and acknowledged.
fn step(vault: &Vault, writer: usize, number: usize, rng: &mut fastrand::Rng) -> Step {
    let me = Caller::local();
    let chosen = rng.usize(..USERS);
    let owner = owner("load", &user(writer, chosen));
    let before = vault.status().epoch.unwrap();
    let value = format!("value {writer} {number}");
    let left = match rng.u8(..4) {
        0 => {
            let filter = Filter {
                app: Some(app_id("mail")),
                tenant: owner.tenant().cloned(),
                user: owner.user().cloned(),
                ..Filter::default()
            };
            for found in vault.list(&me, &filter, 10, None).unwrap().tokens {
                vault.remove_token(&me, found.id).unwrap().wait().unwrap();
            }
            None
        }
        // A long one now and then, so that pages split and merge.
        1 => {
            let long = format!("{value} {}", "x".repeat(rng.usize(..8_000)));
            store(
                vault,
                address("mail", &owner),
                granted(&long, Some("refresh")),
            );
            Some(long)
        }
        _ => {
            store(vault, address("mail", &owner), granted(&value, None));
            Some(value)
        }
    };
    Step {
        before,
        after: vault.status().epoch.unwrap(),
        user: chosen,
        left,
    }
}

/// A connect link, so that more than tokens is written; nobody looks at it again.
fn link(vault: &Vault, writer: usize, rng: &mut fastrand::Rng) {
    let new = NewLink {
        apps: vec![LinkApp {
            app: app_id("mail"),
            scopes: scopes(&[]),
            account: None,
            hints: Default::default(),
            variables: Default::default(),
            state: LinkAppState::Waiting,
        }],
        owner: owner("load", &user(writer, rng.usize(..USERS))),
        proof: Proof::None,
        return_url: None,
        opener_origin: None,
        life: std::time::Duration::from_secs(60),
    };
    vault
        .make_link(&Caller::local(), new)
        .unwrap()
        .wait()
        .unwrap();
}

fn found(vault: &Vault, writer: usize) -> State {
    let mut state = State::new();
    for chosen in 0..USERS {
        let owner = owner("load", &user(writer, chosen));
        let asked = vault.fetch(&Caller::local(), &ask(&address("mail", &owner)));
        if let Found::Fresh(handed) = asked.unwrap() {
            state.insert(chosen, handed.value.expose().clone());
        }
    }
    state
}

/// Goal: D6 a backup made while others write is the vault of one moment, and holds up nobody.
/// Method: four writers and ten backups, one after the other; each is checked, restored, and
/// compared with what each writer's users had at its epoch.
#[test]
fn d6_backups_under_load_are_each_the_vault_of_their_epoch() {
    let mut chance = Seeded::new("D6");
    let runs = chance.runs(RUNS);
    let (disk, vault, home) = furnished();
    let histories: Vec<Mutex<Vec<Step>>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let (stop, mut made, mut during) = (AtomicBool::new(false), Vec::new(), 0);
    std::thread::scope(|scope| {
        // Should a backup fail, the writers end all the same.
        let _ends = Ends(&stop);
        for (writer, history) in histories.iter().enumerate() {
            let mut chance = chance.case(writer as u64);
            let (vault, stop) = (&vault, &stop);
            scope.spawn(move || {
                for number in 0.. {
                    let done = step(vault, writer, number, chance.rng());
                    history.lock().unwrap().push(done);
                    if number % 16 == 0 {
                        link(vault, writer, chance.rng());
                    }
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                }
            });
        }
        let mut last = 0;
        while (made.len() as u64) < runs {
            if vault.status().epoch.unwrap() == last {
                std::thread::yield_now();
                continue;
            }
            let backup = back_up(&vault, home.path()).unwrap();
            assert_eq!(backup.state, BackupState::Done);
            during += vault.status().epoch.unwrap() - backup.epoch;
            last = backup.epoch;
            made.push(backup);
        }
        // What chance is left belongs to the cases.
        let _ = chance.rng();
    });
    let histories: Vec<Vec<Step>> = histories
        .into_iter()
        .map(|history| history.into_inner().unwrap())
        .collect();
    let steps: usize = histories.iter().map(Vec::len).sum();
    println!("D6: {runs} backups, {steps} writes, {during} commits while backups were made");
    assert!(during > 0, "nothing was written while backups were made");
    for (number, backup) in made.iter().enumerate() {
        let at = chance.at(&format!("backup {number}"));
        let to = home.path().join(format!("restored{number}"));
        let restored = restore(&disk, &backup.file, &to).unwrap();
        assert_eq!(restored.epoch, backup.epoch, "{at}");
        assert!(check(&disk, &to).unwrap().is_whole(), "{at}");
        let back = open(&disk, &to, false);
        for (writer, history) in histories.iter().enumerate() {
            agrees(history, backup.epoch, &found(&back, writer))
                .unwrap_or_else(|why| panic!("{at}, writer {writer}: {why}"));
        }
        back.close().unwrap();
    }
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Goal: the comparison sees a backup that lost an acknowledged write, holds one that came later,
/// or mixes two moments. Method: plant each in a small history.
#[test]
fn d6_the_model_sees_a_write_that_is_lost_early_or_mixed() {
    let step = |before, after, user, left: Option<&str>| Step {
        before,
        after,
        user,
        left: left.map(str::to_owned),
    };
    let history = [
        step(1, 2, 0, Some("a")),
        step(2, 3, 1, Some("b")),
        step(3, 5, 0, Some("c")),
        step(5, 6, 1, None),
    ];
    let state = |entries: &[(usize, &str)]| -> State {
        entries
            .iter()
            .map(|(user, value)| (*user, (*value).to_owned()))
            .collect()
    };
    let (both, newer) = (state(&[(0, "a"), (1, "b")]), state(&[(0, "c"), (1, "b")]));
    assert_eq!(agrees(&history, 3, &both), Ok(()));
    // The third step may be in epoch 4 or not.
    assert_eq!(agrees(&history, 4, &both), Ok(()));
    assert_eq!(agrees(&history, 4, &newer), Ok(()));
    assert!(
        agrees(&history, 5, &both).is_err(),
        "an acknowledged write is lost"
    );
    assert!(
        agrees(&history, 3, &newer).is_err(),
        "a later write is in it"
    );
    let mixed = state(&[(0, "a")]);
    assert!(
        agrees(&history, 5, &mixed).is_err(),
        "two moments are mixed"
    );
}
