//! C1: kill -9 in the middle of a mixed load, hundreds of times.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::book::{Book, Compared, compare};
use crate::keyed::{Keyed, Running, ask, copy, put_back};
use crate::load::Client;
use crate::look::{Trail, look, try_keys};
use crate::operator::{Done, Operator};
use crate::seeded::Seeded;
use crate::support::{PATIENCE, client};

/// Kills in the gate.
const GATE: u64 = 300;
/// Kills of one vault; a trail that grows for ever would make each look slower.
const KILLS_PER_VAULT: u64 = 12;
/// Vaults at one time.
const LANES: u64 = 2;
/// Clients at one time.
const CLIENTS: u8 = 6;
/// The latest kill after the load began.
const LOAD_MS_MAX: u64 = 300;

/// What a run came to.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    acknowledged: u64,
    handed: u64,
    found: u64,
    not_found: u64,
    /// Starts that were cut before they listened.
    cut_starts: u64,
    done: Done,
    slowest_start: Duration,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.handed += other.handed;
        self.found += other.found;
        self.not_found += other.not_found;
        self.cut_starts += other.cut_starts;
        self.done.rotations += other.done.rotations;
        self.done.slots += other.done.slots;
        self.done.locks += other.done.locks;
        self.done.backups += other.done.backups;
        self.done.whole += other.done.whole;
        self.done.restored += other.done.restored;
        self.slowest_start = self.slowest_start.max(other.slowest_start);
    }
}

/// One vault and its clients.
struct Scene {
    home: Keyed,
    client: reqwest::Client,
    running: Option<Running>,
    clients: Vec<Client>,
    operator: Option<Operator>,
    /// What the server said that was killed last.
    said: String,
    rng: fastrand::Rng,
    trail: Trail,
    tally: Tally,
}

impl Scene {
    async fn new(home: Keyed, rng: &mut fastrand::Rng) -> Self {
        let client = client();
        let running = home.start(&client, &[]).await.unwrap();
        let api = &running.api;
        let body = json!({ "id": "links", "kind": "api_key" });
        let made = ask(api, "POST", "/v1/apps", Some(body)).await;
        assert_eq!(made.map(|(status, _)| status), Some(201));
        let clients = (0..CLIENTS).map(|number| Client::new(number, api, rng.u64(..)));
        let clients = clients.collect();
        Self {
            clients,
            operator: Some(Operator::new(&home, api, rng.u64(..))),
            said: String::new(),
            rng: rng.fork(),
            home,
            client,
            running: Some(running),
            trail: Trail::default(),
            tally: Tally::default(),
        }
    }

    /// Runs the load until so many answers have come, or so long, and kills the server then.
    /// The operator works, too, where it is wanted.
    async fn load(&mut self, answers: u64, at_most: Duration, with_operator: bool) {
        let running = self.running.take().expect("it runs between two kills");
        let answered = Arc::new(watch::Sender::new(0));
        let mut watching = answered.subscribe();
        let mut load = JoinSet::new();
        for mut client in self.clients.drain(..) {
            client.api = running.api.clone();
            load.spawn(client.run(Arc::clone(&answered)));
        }
        let mut operator = self.operator.take().expect("it is back after each load");
        operator.api = running.api.clone();
        let operator = tokio::spawn(async move {
            match with_operator {
                true => operator.run().await,
                false => operator,
            }
        });
        let enough = watching.wait_for(|count| *count >= answers);
        // Either end of the wait will do.
        let _ = tokio::time::timeout(at_most, enough).await;
        self.said = running.said();
        running.kill();
        let ended = tokio::time::timeout(PATIENCE, load.join_all()).await;
        self.clients = ended.expect("a client ends with its server");
        self.clients.sort_by_key(|client| client.number);
        let operator = tokio::time::timeout(PATIENCE, operator).await;
        self.operator = Some(operator.expect("it ends with its server").unwrap());
        self.tally.kills += 1;
    }

    /// Kills a start before it listens, or just then.
    async fn cut_start(&mut self) {
        let span = self.tally.slowest_start.mul_f64(self.rng.f64());
        self.tally.cut_starts += u64::from(self.home.cut_start(span).await);
    }

    /// Looks at what the kill left to the operator, starts the server again and compares; what was
    /// wrong comes back.
    async fn judge(&mut self) -> Vec<String> {
        let operator = self.operator.as_mut().expect("it is back");
        let mut findings = operator.judge(&self.home, &mut self.rng).await;
        self.tally.done = operator.done;
        findings.append(&mut self.compare().await);
        findings
    }

    async fn compare(&mut self) -> Vec<String> {
        let running = match self.home.start(&self.client, &[]).await {
            Ok(running) => running,
            Err(error) => return vec![error],
        };
        self.tally.slowest_start = self.tally.slowest_start.max(running.start);
        let api = running.api.clone();
        self.running = Some(running);
        let there = match look(&api, &mut self.clients).await {
            Ok(there) => there,
            Err(finding) => return vec![finding],
        };
        let mut books: Vec<Book> = self.clients.iter().map(|one| one.book.clone()).collect();
        let Compared {
            mut findings,
            found,
            not_found,
        } = compare(&mut books, &there);
        self.tally.found += found;
        self.tally.not_found += not_found;
        let mut handed = Vec::new();
        for (client, mut book) in self.clients.iter_mut().zip(books) {
            findings.append(&mut book.findings);
            handed.append(&mut book.handed);
            self.tally.acknowledged += std::mem::take(&mut book.acknowledged);
            client.book = book;
            findings.append(&mut try_keys(&api, client).await);
        }
        self.tally.handed += handed.len() as u64;
        findings.append(&mut self.trail.check(&api, &handed).await);
        findings
    }

    fn data(&self) -> std::path::PathBuf {
        self.home.path("data")
    }
}

async fn kills_of_one_vault(seeded: Arc<Seeded>, first: u64, count: u64) -> Tally {
    let mut chance = seeded.case(first);
    // Every other vault on the disk itself, whose commits take their time.
    let home = match (first / KILLS_PER_VAULT) % 2 {
        0 => Keyed::in_memory(),
        _ => Keyed::new(),
    };
    let mut scene = Scene::new(home, chance.rng()).await;
    for kill in first..first + count {
        let rng = chance.rng();
        // By the number of answers as well as by time: early commits are of interest, too.
        let answers = if rng.bool() { rng.u64(0..60) } else { u64::MAX };
        let at_most = Duration::from_micros(rng.u64(0..LOAD_MS_MAX * 1000));
        let with_operator = rng.bool();
        scene.load(answers, at_most, with_operator).await;
        if kill % 4 == 3 {
            scene.cut_start().await;
        }
        let findings = scene.judge().await;
        let at = seeded.at(&format!("kill {kill}"));
        let said = scene.running.as_ref().map(Running::said);
        assert!(
            findings.is_empty(),
            "{at}: {findings:#?}\nkilled: {}\nthe server: {said:?}",
            scene.said
        );
    }
    scene.tally
}

/// Goal: what was acknowledged outlives kill -9, exactly; what was not is there whole or not at
/// all; every start succeeds; every secret that was handed out is on record.
/// Method: clients with a book each, a kill at a random moment, and a look at everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let seeded = Arc::new(Seeded::new("C1"));
    let kills = seeded.runs(GATE);
    let mut tally = Tally::default();
    let mut lanes = JoinSet::new();
    let mut next = 0;
    while next < kills || !lanes.is_empty() {
        while next < kills && (lanes.len() as u64) < LANES {
            let count = KILLS_PER_VAULT.min(kills - next);
            lanes.spawn(kills_of_one_vault(Arc::clone(&seeded), next, count));
            next += count;
        }
        if let Some(ended) = lanes.join_next().await {
            tally.add(&ended.unwrap());
        }
    }
    println!(
        "C1: {} kills, {} acknowledged writes checked, {} secrets on record, in flight: {} found \
         and {} not, slowest start {} ms",
        tally.kills,
        tally.acknowledged,
        tally.handed,
        tally.found,
        tally.not_found,
        tally.slowest_start.as_millis()
    );
    println!("C1: {} starts cut; {:?}", tally.cut_starts, tally.done);
    assert_eq!(tally.kills, kills);
    assert!(tally.acknowledged > kills, "there was a load: {tally:?}");
    assert!(tally.handed > 0 && tally.found + tally.not_found > 0);
    if kills >= GATE {
        let done = tally.done;
        let least = [done.rotations, done.slots, done.locks, done.whole];
        assert!(least.iter().all(|count| *count > 0), "{tally:?}");
        assert!(tally.cut_starts > 0 && done.restored > 0, "{tally:?}");
    }
}

/// Goal: the harness sees a write that was answered before it was durable.
/// Method: the data directory is put back to what it was before the last acknowledged write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_answered_too_early_is_noticed() {
    let mut scene = Scene::new(Keyed::in_memory(), &mut fastrand::Rng::with_seed(1)).await;
    scene.load(80, PATIENCE, false).await;
    assert_eq!(scene.judge().await, Vec::<String>::new());
    let running = scene.running.take().expect("it was judged");
    let api = running.api.clone();
    let before = tempfile::tempdir().unwrap();
    copy(&scene.data(), before.path());
    let book = &mut scene.clients[0].book;
    book.begin(vec![("app c0-late".into(), Some("late".into()))]);
    let body = json!({ "id": "c0-late", "kind": "api_key", "name": "late" });
    let made = ask(&api, "POST", "/v1/apps", Some(body)).await;
    assert_eq!(made.map(|(status, _)| status), Some(201));
    book.done();
    running.kill();
    put_back(before.path(), &scene.data());
    let findings = scene.judge().await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.contains("app c0-late is lost")),
        "{findings:#?}"
    );
}

/// Goal: the harness sees a wrong value, and a secret that left off the record.
/// Method: one letter is changed in the model, and a fetch is claimed that never was. Clients that
/// run side by side may have removed every token they made: then they go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_value_and_a_secret_off_the_record_are_noticed() {
    let mut scene = Scene::new(Keyed::in_memory(), &mut fastrand::Rng::with_seed(2)).await;
    for _ in 0..20 {
        scene.load(80, PATIENCE, false).await;
        assert_eq!(scene.judge().await, Vec::<String>::new());
        let mut clients = scene.clients.iter();
        if clients.any(|client| client.book.owed.keys().any(|it| is_token(it))) {
            break;
        }
    }
    scene.running.take().expect("it was judged").kill();
    let mut clients = scene.clients.iter_mut();
    let (thing, value) = clients
        .find_map(|client| client.book.owed.iter_mut().find(|(it, _)| is_token(it)))
        .expect("1,600 answers left a token");
    value.insert(0, '!');
    let thing = thing.clone();
    scene.clients[0]
        .book
        .handed
        .push("reason-of-nobody".to_owned());
    let findings = scene.judge().await;
    let is_there = |text: &str| findings.iter().any(|finding| finding.contains(text));
    assert!(is_there(&thing), "{findings:#?}");
    assert!(is_there("reason-of-nobody was handed out off the record"));
    assert_eq!(findings.len(), 2, "{findings:#?}");
}

fn is_token(thing: &str) -> bool {
    thing.starts_with("token ")
}
