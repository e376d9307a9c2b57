//! R2: kill -9 at every point of a refresh, against providers that rotate and detect reuse.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use strongroom::secret::Secret;
use tokio::task::JoinSet;

use crate::keyed::ask;
use crate::protocol::{Mode, Point, Scene, Target, Trigger};
use crate::seeded::Seeded;
use crate::sent::{Before, times};
use crate::support::{CLIENT_SECRET, PATIENCE};

/// Kills in the gate, all modes together.
const GATE: u64 = 200;
/// Kills of one vault.
const KILLS_PER_VAULT: u64 = 25;
/// Vaults at one time.
const LANES: usize = 2;
/// Refreshes that are measured, of each vault whose provider has no grace.
const MEASURED: usize = 20;

/// Where the kills are found to have come; a run that is long enough has some of each.
const PLACES: [&str; 5] = [
    "before the intent",
    "intended, not sent",
    "sent, not processed",
    "processed, not committed",
    "committed",
];

/// What a mode came to.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    tokens: u64,
    lost: u64,
    /// Where the kills were found to have come.
    places: BTreeMap<&'static str, u64>,
    /// From the provider's commit to what a caller sees of ours.
    windows: Vec<Duration>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.tokens += other.tokens;
        self.lost += other.lost;
        for (place, count) in other.places {
            *self.places.entry(place).or_default() += count;
        }
        self.windows.extend(other.windows);
    }

    fn print(&mut self, mode: Mode) {
        println!(
            "R2 {mode:?}: {} kills of {} refreshes, grants lost: {}, all told as interrupted; \
             killed {:?}",
            self.kills, self.tokens, self.lost, self.places
        );
        self.windows.sort();
        let at = |hundredths: usize| {
            let index = (self.windows.len() * hundredths / 100).min(self.windows.len() - 1);
            self.windows[index].as_secs_f64() * 1000.0
        };
        if !self.windows.is_empty() {
            println!(
                "R2 {mode:?}: the window of loss, over {} refreshes: p50 {:.1} ms, p99 {:.1} ms",
                self.windows.len(),
                at(50),
                at(99)
            );
        }
    }
}

/// A grant that is gone.
struct Loss {
    user: String,
    /// The provider had spent its refresh token by what was sent before the kill.
    was_spent: bool,
}

/// What is wrong with a loss, where anything is: one may come between the provider's commit and
/// ours, and nowhere else.
fn misplaced(loss: &Loss, point: Point, was_interrupted: bool) -> Option<String> {
    let why = match (loss.was_spent, was_interrupted, point) {
        (false, _, _) => "the provider had not spent its token",
        (_, false, _) => "no refresh was interrupted",
        (_, _, Point::Committed) => "the new token was stored",
        _ => return None,
    };
    Some(format!("{} is lost, and {why}", loss.user))
}

/// What callers get of the targets: findings, the losses, and the tokens handed out.
type Answers = (Vec<String>, Vec<Loss>, Vec<(String, String)>);

async fn ask_all(scene: &Scene, targets: &[Target], spent: &[bool]) -> Answers {
    let (mut findings, mut losses, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (target, was_spent) in targets.iter().zip(spent) {
        let answer = ask(&scene.api(), "POST", "/v1/token", Some(target.wish())).await;
        match &answer {
            Some((200, said)) if said["outcome"] == json!("ok") => {
                let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
                kept.push((target.user.clone(), text("access_token")));
                kept.push((target.user.clone(), text("refresh_token")));
                if Some(text("access_token")) == target.access_token {
                    findings.push(format!("{}: the rejected token came back", target.user));
                }
            }
            Some((409, said))
                if scene.mode == Mode::NoGrace
                    && said["reason"] == json!("interrupted_refresh") =>
            {
                losses.push(Loss {
                    user: target.user.clone(),
                    was_spent: *was_spent,
                });
            }
            other => findings.push(format!("{}: {other:?}", target.user)),
        }
    }
    (findings, losses, kept)
}

/// Starts the server again, inside the grace, and says what is wrong and how many are lost.
async fn judge(
    scene: &mut Scene,
    targets: &[Target],
    before: &Before,
    point: Point,
    tally: &mut Tally,
) -> Vec<String> {
    let processed = Before::of(scene).processed - before.processed;
    let last = targets.last().expect("a kill has a target");
    let sent = before.sent(scene).contains(last.refresh_token.expose());
    let is_spent = |target: &Target| !scene.outside.sandbox.is_live(&target.refresh_token);
    let spent: Vec<bool> = targets.iter().map(is_spent).collect();
    if let Err(error) = scene.start().await {
        return vec![error];
    }
    let (mut findings, mut losses, kept) = ask_all(scene, targets, &spent).await;
    for loss in &mut losses {
        // On a busy machine the provider comes to what was sent before the kill after our look at
        // its ledger. Of two requests the first has spent the token: the second alone would have
        // been answered.
        let all = before.sent(scene);
        let its = targets.iter().find(|target| target.user == loss.user);
        loss.was_spent |= its.is_some_and(|target| times(&all, target) > 1);
    }
    findings.extend(asked_twice(scene, targets, before));
    let place = place(scene, sent, processed > 0);
    let misplaced = |loss| misplaced(loss, point, is_interrupted(scene));
    findings.extend(losses.iter().filter_map(misplaced));
    tally.lost += losses.len() as u64;
    tally.tokens += targets.len() as u64;
    // Past the grace: what is live then is live for good.
    let grace = Duration::from_secs(scene.mode.grace_s() + 1);
    scene.clock.advance(grace);
    for (user, token) in kept {
        if !scene.outside.sandbox.is_live(&Secret::new(token)) {
            findings.push(format!("{user} has a dead token, and nobody was told"));
        }
    }
    findings.extend(bystanders(scene).await);
    let verified = ask(&scene.api(), "POST", "/v1/audit/verify", Some(json!({}))).await;
    if !verified
        .as_ref()
        .is_some_and(|(_, said)| said["problems"] == json!([]))
    {
        findings.push(format!("the trail: {verified:?}"));
    }
    *tally.places.entry(place).or_default() += 1;
    findings
}

/// True where the start found refreshes that were cut.
fn is_interrupted(scene: &Scene) -> bool {
    let said = scene.running.as_ref().expect("it was started").said();
    said.contains("interrupted refreshes are tried again")
}

/// Where the kill came, as the provider saw it, and as the start found it.
fn place(scene: &Scene, sent: bool, processed: bool) -> &'static str {
    match (is_interrupted(scene), sent, processed) {
        (false, false, _) => PLACES[0],
        (true, false, _) => PLACES[1],
        (true, true, false) => PLACES[2],
        (true, true, true) => PLACES[3],
        (false, true, _) => PLACES[4],
    }
}

/// One request before the kill and one after it is all that a refresh token may see.
fn asked_twice(scene: &Scene, targets: &[Target], before: &Before) -> Vec<String> {
    let sent = before.sent(scene);
    let times = |target: &Target| times(&sent, target);
    let mut findings: Vec<String> = Vec::new();
    for target in targets.iter().filter(|target| times(target) > 2) {
        let times = times(target);
        findings.push(format!(
            "{}: a double refresh: sent {times} times",
            target.user
        ));
    }
    let known = targets.iter().map(times).sum::<usize>();
    if known != sent.len() {
        let others = sent.len() - known;
        findings.push(format!(
            "a double refresh: {others} of tokens that were just renewed"
        ));
    }
    findings
}

/// What nobody refreshed is as it was.
async fn bystanders(scene: &Scene) -> Vec<String> {
    let mut findings = Vec::new();
    for bystander in &scene.bystanders {
        let mut wish = bystander.wish();
        wish.as_object_mut().unwrap().remove("rejected");
        let answer = ask(&scene.api(), "POST", "/v1/token", Some(wish)).await;
        let said = answer.map(|(_, said)| said).unwrap_or_default();
        let is_same = said["access_token"].as_str() == bystander.access_token.as_deref()
            && said["refresh_token"].as_str() == Some(bystander.refresh_token.expose());
        if !is_same || !scene.outside.sandbox.is_live(&bystander.refresh_token) {
            findings.push(format!("{}, which nobody touched: {said}", bystander.user));
        }
    }
    findings
}

/// How long a kill would cost a grant: from the provider's commit until a caller sees ours.
async fn measure(scene: &mut Scene) -> Duration {
    let target = scene.store(Trigger::Rejected).await;
    let mut watching = scene.outside.sandbox.watch();
    let before = watching.borrow().refreshes_ok;
    let processed = tokio::spawn(async move {
        let seen = watching.wait_for(|now| now.refreshes_ok > before).await;
        seen.map(|_| Instant::now()).unwrap()
    });
    let asking = scene.want(&target, Trigger::Rejected).expect("a caller");
    let answer = tokio::time::timeout(PATIENCE, asking).await.unwrap();
    let answered = Instant::now();
    assert_eq!(answer.unwrap().map(|(status, _)| status), Some(200));
    answered.saturating_duration_since(processed.await.unwrap())
}

async fn kills_of_one_vault(
    seeded: Arc<Seeded>,
    mode: Mode,
    first: u64,
    count: u64,
) -> (Mode, Tally) {
    let mut chance = seeded.case(first);
    let mut scene = Scene::new(mode).await;
    let mut tally = Tally::default();
    for kill in first..first + count {
        let rng = chance.rng();
        let point = Point::ALL[usize::try_from(kill).unwrap() % Point::ALL.len()];
        let trigger = [Trigger::Rejected, Trigger::Forced, Trigger::Due][rng.usize(0..3)];
        let before = Before::of(&scene);
        let targets = scene.kill_at(point, trigger, rng).await;
        let away = rng.u64(0..=mode.grace_s() * 800);
        scene.clock.advance(Duration::from_millis(away));
        let findings = judge(&mut scene, &targets, &before, point, &mut tally).await;
        let said = scene.running.as_ref().map(|running| running.said());
        let at = seeded.at(&format!("kill {kill}, {mode:?}, {point:?}, {trigger:?}"));
        assert!(
            findings.is_empty(),
            "{at}: {findings:#?}\nthe server: {said:?}"
        );
        tally.kills += 1;
    }
    if mode == Mode::NoGrace {
        for _ in 0..MEASURED {
            tally.windows.push(measure(&mut scene).await);
        }
    }
    (mode, tally)
}

/// Goal: a refresh that is killed, wherever, costs no grant where the provider has a grace; where
/// it has none, a loss comes only between the provider's commit and ours, and is told as what it
/// is.
/// Method: a provider that holds the request at each point, a kill, a restart inside the grace, and
/// the provider's own ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_grant_is_lost_by_a_kill_in_a_refresh() {
    let seeded = Arc::new(Seeded::new("R2"));
    let kills = seeded.runs(GATE);
    let of_one_vault = KILLS_PER_VAULT.min(kills.div_ceil(Mode::ALL.len() as u64));
    let mut tallies: Vec<Tally> = Mode::ALL.iter().map(|_| Tally::default()).collect();
    let mut lanes = JoinSet::new();
    let (mut next, mut turn) = (0, 0);
    while next < kills || !lanes.is_empty() {
        while next < kills && lanes.len() < LANES {
            let count = of_one_vault.min(kills - next);
            let mode = Mode::ALL[turn % Mode::ALL.len()];
            lanes.spawn(kills_of_one_vault(Arc::clone(&seeded), mode, next, count));
            (next, turn) = (next + count, turn + 1);
        }
        if let Some(ended) = lanes.join_next().await {
            let (mode, tally) = ended.unwrap();
            let at = Mode::ALL.iter().position(|it| *it == mode).unwrap();
            tallies[at].add(tally);
        }
    }
    for (mode, tally) in Mode::ALL.into_iter().zip(&mut tallies) {
        tally.print(mode);
        assert!(mode == Mode::NoGrace || tally.lost == 0, "{tally:?}");
    }
    assert_eq!(tallies.iter().map(|tally| tally.kills).sum::<u64>(), kills);
    if kills >= GATE {
        // A run that hits nowhere, or loses nothing without a grace, has shown nothing.
        for place in PLACES {
            let hit = |tally: &Tally| tally.places.get(place).copied().unwrap_or(0);
            let hits: u64 = tallies.iter().map(hit).sum();
            assert!(hits > 0, "no kill came {place}: {tallies:?}");
        }
        assert!(tallies[0].lost > 0, "{:?}", tallies[0]);
    }
}

/// Goal: a loss anywhere but between the two commits is seen, and one there is none's fault.
/// Method: one of each kind.
#[test]
fn a_loss_outside_its_window_is_noticed() {
    for (was_spent, was_interrupted, point, words) in [
        (true, true, Point::Processed, None),
        (true, true, Point::Answered, None),
        (false, true, Point::Received, Some("had not spent")),
        (true, false, Point::Answered, Some("no refresh was")),
        (true, true, Point::Committed, Some("was stored")),
    ] {
        let user = "u".to_owned();
        let found = misplaced(&Loss { user, was_spent }, point, was_interrupted);
        let is_so = match (&found, words) {
            (Some(found), Some(words)) => found.contains(words),
            (found, words) => found.is_none() && words.is_none(),
        };
        assert!(is_so, "{found:?} and not {words:?}");
    }
}

/// Goal: the harness sees a loss that is told as a revocation.
/// Method: the store is put back to what it was before the intent was committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_intent_is_noticed() {
    let mut scene = Scene::new(Mode::NoGrace).await;
    let (store, kept) = (scene.home.path("data/vault.redb"), scene.home.path("kept"));
    let mut watching = scene.outside.sandbox.watch();
    let target = scene.store(Trigger::Rejected).await;
    std::fs::copy(&store, &kept).unwrap();
    let before = Before::of(&scene);
    let delay = strongroom::sandbox::Misbehaviour::Delay(Duration::from_secs(600));
    let sandbox = scene.outside.sandbox.clone();
    sandbox.misbehave(strongroom::sandbox::Endpoint::Token, delay, Some(1));
    let asking = scene.want(&target, Trigger::Rejected).expect("a caller");
    let spent = watching.wait_for(|now| now.refreshes_ok > before.processed);
    tokio::time::timeout(PATIENCE, spent)
        .await
        .unwrap()
        .unwrap();
    scene.running.take().expect("it ran").kill();
    assert!(asking.await.unwrap().is_none(), "nobody was answered");
    std::fs::copy(&kept, &store).unwrap();
    let findings = judge(
        &mut scene,
        &[target],
        &before,
        Point::Processed,
        &mut Tally::default(),
    )
    .await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].contains("revoked"), "{findings:#?}");
}

/// Goal: the harness sees a provider that is asked more often than the one defined re-send allows.
/// Method: the harness sends the refresh token twice more, inside the grace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_refresh_is_noticed() {
    let mut scene = Scene::new(Mode::Grace(60)).await;
    let before = Before::of(&scene);
    let mut rng = fastrand::Rng::with_seed(3);
    let targets = scene
        .kill_at(Point::Processed, Trigger::Rejected, &mut rng)
        .await;
    let http = crate::support::client();
    for _ in 0..2 {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "demo"),
            ("client_secret", CLIENT_SECRET),
            ("refresh_token", targets[0].refresh_token.expose()),
        ];
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = http
            .post(format!("{}/token", scene.outside.issuer))
            .body(body);
        let kind = "application/x-www-form-urlencoded";
        let answer = request.header("content-type", kind).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }
    let findings = judge(
        &mut scene,
        &targets,
        &before,
        Point::Processed,
        &mut Tally::default(),
    )
    .await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].contains("a double refresh: sent 4 times"),
        "{findings:#?}"
    );
}
