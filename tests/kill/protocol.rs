//! One provider, one vault, and refreshes that are killed at a point of their protocol.
//!
//! ```text
//!   commit the intent | connect, send | process | answer, half, whole | commit | answer the caller
//!   ^ at once         ^ no seat free  ^ received  ^ processed ^ half  ^ answered ^ committed
//! ```
//!
//! It promises: where the provider holds a request, the kill comes exactly then; the provider's own
//! ledger says which refresh token is live.
//! It never: lets a held request go on after the kill.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::Clock;
use strongroom::sandbox::{Counts, Endpoint, Misbehaviour, Rotation};
use strongroom::secret::Secret;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::keyed::{Keyed, Running, ask};
use crate::support::{Api, Outside, PATIENCE, client};

/// Calls to one provider host at one time.
const SEATS: u32 = 16;

/// What the provider does with a refresh token that was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// (a) It is gone at once.
    NoGrace,
    /// (b), (c) It works on for so many seconds.
    Grace(u64),
    /// (d) It works until its successor is used.
    UntilNewUsed,
}

impl Mode {
    pub const ALL: [Self; 4] = [
        Self::NoGrace,
        Self::Grace(5),
        Self::Grace(60),
        Self::UntilNewUsed,
    ];

    fn rotation(self) -> Rotation {
        match self {
            Self::UntilNewUsed => Rotation::PreviousUntilNewUsed,
            Self::NoGrace | Self::Grace(_) => Rotation::On {
                grace: Duration::from_secs(self.grace_s()),
            },
        }
    }

    /// Seconds in which the restart must come.
    pub fn grace_s(self) -> u64 {
        match self {
            Self::NoGrace | Self::UntilNewUsed => 0,
            Self::Grace(seconds) => seconds,
        }
    }
}

/// Where the kill comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Point {
    /// 0 to 20 ms after the refresh was asked for.
    Anywhere,
    /// 0 to 3 ms after it was asked for: around the intent's commit.
    AtOnce,
    /// The intent is committed, and there is no seat for the call.
    NotSent,
    /// The provider has the request and has not looked at it.
    Received,
    /// The provider has spent the refresh token, and says nothing.
    Processed,
    /// Half an answer is on its way or there.
    HalfAnswered,
    /// The answer is on its way, there, or just committed.
    Answered,
    /// The new token is stored, and nobody was told.
    Committed,
}

impl Point {
    pub const ALL: [Self; 8] = [
        Self::Anywhere,
        Self::AtOnce,
        Self::NotSent,
        Self::Received,
        Self::Processed,
        Self::HalfAnswered,
        Self::Answered,
        Self::Committed,
    ];

    fn trouble(self) -> Option<Misbehaviour> {
        match self {
            Self::Received => Some(Misbehaviour::Silence),
            // The sandbox's clock moves by hand, and never so far at a time.
            Self::Processed => Some(Misbehaviour::Delay(Duration::from_secs(600))),
            Self::HalfAnswered => Some(Misbehaviour::HalfAnswer),
            Self::Anywhere | Self::AtOnce | Self::NotSent | Self::Answered | Self::Committed => {
                None
            }
        }
    }
}

/// Who wants the refresh.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// A caller who saw the access token rejected.
    Rejected,
    /// A caller who says so.
    Forced,
    /// The scheduler: a refresh token alone was stored.
    Due,
}

/// A token whose refresh is cut.
pub struct Target {
    pub user: String,
    id: String,
    /// What the vault was given.
    pub access_token: Option<String>,
    pub refresh_token: Secret<String>,
}

impl Target {
    /// The request for it, by somebody who knows that the first access token is worth nothing.
    pub fn wish(&self) -> Value {
        let mut wish = json!({ "app": "demo", "user": self.user, "with_refresh_token": true });
        if let Some(rejected) = &self.access_token {
            wish["rejected"] = json!(rejected);
        }
        wish
    }
}

/// A provider, a vault, and what must stay as it is.
pub struct Scene {
    pub mode: Mode,
    pub clock: Clock,
    pub outside: Outside,
    pub home: Keyed,
    pub running: Option<Running>,
    client: reqwest::Client,
    allowed: String,
    pub bystanders: Vec<Target>,
    serial: u64,
}

impl Scene {
    pub async fn new(mode: Mode) -> Self {
        let clock = Clock::test(Clock::system().now());
        let outside = Outside::with(&clock, |settings| settings.rotation = mode.rotation()).await;
        let mut scene = Self {
            mode,
            allowed: outside.issuer.trim_start_matches("http://").to_owned(),
            clock,
            outside,
            home: Keyed::new(),
            running: None,
            client: client(),
            bystanders: Vec::new(),
            serial: 0,
        };
        scene.start().await.unwrap();
        scene.api().add_demo(&scene.outside).await;
        for _ in 0..2 {
            let bystander = scene.store(Trigger::Rejected).await;
            scene.bystanders.push(bystander);
        }
        scene
    }

    /// Starts the server.
    ///
    /// # Errors
    /// What it said, where it does not start.
    pub async fn start(&mut self) -> Result<(), String> {
        let more = ["--allow-host", &self.allowed];
        self.running = Some(self.home.start(&self.client, &more).await?);
        Ok(())
    }

    pub fn api(&self) -> Api {
        let running = self.running.as_ref();
        running.expect("it runs between two kills").api.clone()
    }

    /// Stores a new grant's tokens; for the scheduler the refresh token alone.
    pub async fn store(&mut self, trigger: Trigger) -> Target {
        self.serial += 1;
        let user = format!("u{}", self.serial);
        let issued = self
            .outside
            .sandbox
            .grant("demo", &user, &["calendar.read"]);
        let mut body = json!({
            "app": "demo", "user": user, "refresh_token": issued.refresh_token.expose(),
        });
        let access_token = issued.access_token.expose().clone();
        let access_token = (trigger != Trigger::Due).then_some(access_token);
        if let Some(access_token) = &access_token {
            let hour = Duration::from_secs(3600);
            body["access_token"] = json!(access_token);
            body["expires_at"] = json!(Clock::system().now().plus(hour).to_string());
        }
        let stored = ask(&self.api(), "PUT", "/v1/tokens", Some(body)).await;
        let Some((200, stored)) = stored else {
            panic!("not stored: {stored:?}");
        };
        Target {
            user,
            id: stored["id"].as_str().unwrap().to_owned(),
            access_token,
            refresh_token: issued.refresh_token,
        }
    }

    /// Has one or more tokens refreshed and kills the server at the point.
    pub async fn kill_at(
        &mut self,
        point: Point,
        trigger: Trigger,
        rng: &mut fastrand::Rng,
    ) -> Vec<Target> {
        let mut targets = Vec::new();
        if point == Point::NotSent {
            targets = self.fill_the_seats().await;
        }
        let mut watching = self.outside.sandbox.watch();
        let before = *watching.borrow();
        if let Some(trouble) = point.trouble() {
            let sandbox = &self.outside.sandbox;
            sandbox.misbehave(Endpoint::Token, trouble, Some(1));
        }
        let target = self.store(trigger).await;
        let asking = self.want(&target, trigger);
        match point {
            Point::Anywhere => pass(rng.u64(0..20_000)).await,
            Point::AtOnce => pass(rng.u64(0..3_000)).await,
            Point::NotSent => self.has_begun(&target).await,
            Point::Received => {
                sees(&mut watching, |now| {
                    now.token_requests > before.token_requests
                })
                .await
            }
            Point::Processed => {
                sees(&mut watching, |now| now.refreshes_ok > before.refreshes_ok).await
            }
            Point::HalfAnswered => {
                sees(&mut watching, |now| now.refreshes_ok > before.refreshes_ok).await;
                pass(rng.u64(0..3_000)).await;
            }
            Point::Answered => {
                sees(&mut watching, |now| now.refreshes_ok > before.refreshes_ok).await;
                pass(rng.u64(0..12_000)).await;
            }
            Point::Committed => {
                sees(&mut watching, |now| {
                    now.token_requests > before.token_requests
                })
                .await;
                // Whoever asked hangs up; the refresh goes on.
                if let Some(asking) = &asking {
                    asking.abort();
                }
                self.is_stored(&target).await;
            }
        }
        self.running.take().expect("it ran").kill();
        if let Some(asking) = asking {
            // Its connection died with the server, or it was answered just before.
            let _ = asking.await;
        }
        targets.push(target);
        targets
    }

    /// Has so many refreshes received by the provider that there is no seat for another.
    async fn fill_the_seats(&mut self) -> Vec<Target> {
        let sandbox = self.outside.sandbox.clone();
        let mut watching = sandbox.watch();
        let before = watching.borrow().token_requests;
        sandbox.misbehave(Endpoint::Token, Misbehaviour::Silence, Some(SEATS));
        let mut targets = Vec::new();
        for _ in 0..SEATS {
            let target = self.store(Trigger::Due).await;
            targets.push(target);
        }
        sees(&mut watching, |now| {
            now.token_requests >= before + u64::from(SEATS)
        })
        .await;
        targets
    }

    /// A caller asks, and waits until it is answered or the server is gone.
    pub fn want(&self, target: &Target, trigger: Trigger) -> Option<JoinHandle<Answer>> {
        let api = self.api();
        let mut wish = target.wish();
        match trigger {
            Trigger::Due => return None,
            Trigger::Rejected => {}
            Trigger::Forced => {
                wish = json!({ "app": "demo", "user": target.user, "force_refresh": true });
            }
        }
        Some(tokio::spawn(async move {
            ask(&api, "POST", "/v1/token", Some(wish)).await
        }))
    }

    /// Waits until the refresh of a target is on record as begun, and committed.
    async fn has_begun(&mut self, target: &Target) {
        let api = self.api();
        let looks = async {
            loop {
                let page = ask(&api, "GET", "/v1/audit?limit=20", None).await;
                let (_, page) = page.expect("it runs");
                let begins = |entry: &Value| {
                    entry["outcome"] == json!("refresh begins")
                        && entry["token"] == json!(target.id)
                };
                if page["entries"].as_array().unwrap().iter().any(begins) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, looks)
            .await
            .expect("it begins");
        // One writer, in order: what is acknowledged now was committed after the intent.
        self.store(Trigger::Rejected).await;
    }

    async fn is_stored(&self, target: &Target) {
        let (api, path) = (self.api(), format!("/v1/tokens/{}", target.id));
        let looks = async {
            loop {
                let (_, summary) = ask(&api, "GET", &path, None).await.expect("it runs");
                if !summary["last_refreshed_at"].is_null() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, looks)
            .await
            .expect("it is stored");
    }
}

/// The answer to a request, if it came.
pub type Answer = Option<(u16, Value)>;

/// Lets so many microseconds pass.
async fn pass(micros: u64) {
    let for_ever = std::future::pending::<()>();
    // That it never ends is the point.
    let _ = tokio::time::timeout(Duration::from_micros(micros), for_ever).await;
}

async fn sees(watching: &mut watch::Receiver<Counts>, what: impl FnMut(&Counts) -> bool) {
    let seen = tokio::time::timeout(PATIENCE, watching.wait_for(what)).await;
    seen.expect("the provider sees it in time").unwrap();
}
