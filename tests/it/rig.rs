//! A Strongroom, a sandbox and one clock, and the steps that the tests of refresh share.
//!
//! It promises: waits end by [`PATIENCE`]; a crash is a copy of the directory as it lies on the
//! disk.
//! It never: sleeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::{Clock, Timestamp};
use strongroom::sandbox::{Counts, Endpoint, Issued, Misbehaviour, Rotation, Settings};

use crate::support::{
    Api, Inside, NewHome, Outside, PASSPHRASE, PATIENCE, clock, new_home, reopen,
};

/// How a rig differs from the usual.
pub struct Setup {
    pub scheduler: bool,
    /// Longest wait for the provider's answer.
    pub timeout: Duration,
    pub rotation: Rotation,
    pub life: Duration,
    /// The provider's time, where it is not ours.
    pub truth: Option<Clock>,
}

pub const WITH_GRACE: Rotation = Rotation::On {
    grace: Duration::from_secs(30),
};
pub const WITHOUT_GRACE: Rotation = Rotation::On {
    grace: Duration::ZERO,
};

impl Default for Setup {
    fn default() -> Self {
        Self {
            scheduler: false,
            timeout: PATIENCE,
            rotation: WITH_GRACE,
            life: Duration::from_secs(3600),
            truth: None,
        }
    }
}

impl Setup {
    pub fn scheduled() -> Self {
        Self {
            scheduler: true,
            ..Self::default()
        }
    }
}

pub struct Rig {
    pub clock: Clock,
    pub outside: Outside,
    pub inside: Inside,
    pub api: Api,
    pub admin: String,
    pub directory: PathBuf,
    // Removed when the rig goes.
    home: tempfile::TempDir,
}

/// A token as it was stored.
pub struct Stored {
    pub id: String,
    pub access: String,
    pub refresh: String,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let clock = clock();
        let change = |settings: &mut Settings| {
            settings.rotation = setup.rotation;
            settings.access_token_life = setup.life;
        };
        let outside = Outside::with(setup.truth.as_ref().unwrap_or(&clock), change).await;
        let NewHome {
            home,
            directory,
            vault,
            admin,
            ..
        } = new_home(&clock);
        let inside = serve(vault, &setup).await;
        let api = inside.api(&admin);
        api.add_demo(&outside).await;
        Self {
            clock,
            outside,
            inside,
            api,
            admin,
            directory,
            home,
        }
    }

    /// Ends in order, and starts again, unlocked.
    pub async fn restart(self, setup: Setup) -> Self {
        self.inside.end().await;
        let directory = self.directory;
        let (inside, api) = unlocked(&directory, &self.clock, &self.admin, &setup).await;
        Self {
            clock: self.clock,
            outside: self.outside,
            inside,
            api,
            admin: self.admin,
            directory,
            home: self.home,
        }
    }

    /// What a crash at this moment would leave, started again: the other one goes on in its own
    /// directory, and is not looked at any more.
    pub async fn crash(self, setup: Setup) -> Self {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("data");
        copy(&self.directory, &directory);
        let (inside, api) = unlocked(&directory, &self.clock, &self.admin, &setup).await;
        Self {
            clock: self.clock,
            outside: self.outside,
            inside,
            api,
            admin: self.admin,
            directory,
            home,
        }
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn grant(&self, user: &str) -> Issued {
        self.outside.sandbox.grant("demo", user, &["calendar.read"])
    }

    /// Stores a token whose access token lasts this many seconds from now.
    pub async fn store(&self, user: &str, seconds: u64) -> Stored {
        let expires_at = self.now().plus(Duration::from_secs(seconds));
        self.put(user, self.grant(user), expires_at).await
    }

    /// Stores a token whose access token ended a second ago.
    pub async fn store_expired(&self, user: &str) -> Stored {
        let expires_at = self.now().minus(Duration::from_secs(1));
        self.put(user, self.grant(user), expires_at).await
    }

    pub async fn put(&self, user: &str, issued: Issued, expires_at: Timestamp) -> Stored {
        let (access, refresh) = (
            issued.access_token.expose().clone(),
            issued.refresh_token.expose().clone(),
        );
        let body = json!({
            "app": "demo", "user": user, "scopes": ["calendar.read"],
            "access_token": access, "refresh_token": refresh, "expires_at": expires_at,
        });
        let (status, said) = self.api.put("/v1/tokens", body).await;
        assert_eq!(status, 200, "{said}");
        Stored {
            id: said["id"].as_str().unwrap().to_owned(),
            access,
            refresh,
        }
    }

    pub fn at_token(&self, how: Misbehaviour, times: Option<u32>) {
        self.outside.sandbox.misbehave(Endpoint::Token, how, times);
    }

    pub fn behave(&self) {
        self.outside.sandbox.behave();
    }

    /// Requests to the token endpoint so far.
    pub fn asked(&self) -> u64 {
        self.outside.sandbox.counts().token_requests
    }

    /// Refreshes that succeeded at the provider so far.
    pub fn refreshed(&self) -> u64 {
        self.outside.sandbox.counts().refreshes_ok
    }

    /// Waits until the token endpoint is asked no more.
    pub async fn quiet(&self) {
        const QUIET: Duration = Duration::from_millis(30);
        let mut watching = self.outside.sandbox.watch();
        loop {
            let before = watching.borrow_and_update().token_requests;
            let more = watching.wait_for(|now| now.token_requests != before);
            if tokio::time::timeout(QUIET, more).await.is_err() {
                return;
            }
        }
    }

    /// Waits, without a turn of the processor, until the provider's counts are as wanted.
    pub async fn sees(&self, at_most: Duration, is_so: impl FnMut(&Counts) -> bool) {
        let mut watching = self.outside.sandbox.watch();
        let seen = tokio::time::timeout(at_most, watching.wait_for(is_so)).await;
        seen.expect("the provider sees it in time").unwrap();
    }

    /// Waits until so many refreshes have succeeded, within a minute of the clock, ten seconds at a
    /// time: what a step set going gets its time on a busy machine too before the next.
    pub async fn refreshed_within_a_minute(&self, what: &str, count: u64) {
        const STEPS: u32 = 6;
        for _ in 0..STEPS {
            self.advance(60 / u64::from(STEPS));
            let mut watching = self.outside.sandbox.watch();
            let done = watching.wait_for(|now| now.refreshes_ok >= count);
            if tokio::time::timeout(PATIENCE / 60, done).await.is_ok() {
                return;
            }
        }
        // The clock's minute is over; how long the machine takes is not the clock's.
        until(what, || self.refreshed() >= count).await;
    }

    pub async fn summary(&self, id: &str) -> Value {
        let (status, said) = self.api.get(&format!("/v1/tokens/{id}")).await;
        assert_eq!(status, 200, "{said}");
        said
    }

    /// The refresh token as stored.
    pub async fn refresh_token(&self, id: &str) -> String {
        let path = format!("/v1/tokens/{id}/reveal");
        let (status, said) = self.api.post(&path, json!({})).await;
        assert_eq!(status, 200, "{said}");
        said["refresh_token"].as_str().unwrap().to_owned()
    }

    /// Fetches; status, outcome and reason come back as one line, and the whole answer.
    pub async fn fetch(&self, user: &str) -> (String, Value) {
        let (status, said) = self.api.token(user).await;
        (line(status, &said), said)
    }

    /// Fetches, which is to succeed; the access token comes back.
    pub async fn access(&self, user: &str) -> String {
        let (line, said) = self.fetch(user).await;
        assert_eq!(line, "200 ok", "{user}: {said}");
        said["access_token"].as_str().unwrap().to_owned()
    }

    /// The words of the audit trail about a token, oldest first.
    pub async fn trail(&self, id: &str) -> Vec<String> {
        let (status, said) = self.api.get("/v1/audit?limit=1000").await;
        assert_eq!(status, 200, "{said}");
        let entries = said["entries"].as_array().unwrap();
        let about = entries.iter().rev().filter(|entry| entry["token"] == id);
        about
            .map(|entry| entry["outcome"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Status, outcome or error code, and reason.
pub fn line(status: u16, said: &Value) -> String {
    let outcome = said["outcome"].as_str();
    let what = outcome.or(said["error"]["code"].as_str()).unwrap_or("?");
    match said["reason"].as_str() {
        Some(reason) => format!("{status} {what} {reason}"),
        None => format!("{status} {what}"),
    }
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "it did not come to this: {what}");
}

/// Gives everybody else a turn, many times: whoever had something to do at this moment has begun.
pub async fn give_way() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn serve(vault: strongroom::vault::Vault, setup: &Setup) -> Inside {
    let timeout = setup.timeout;
    Inside::serve_with(vault, setup.scheduler, |settings| {
        strongroom::provider::egress::EgressSettings {
            timeout,
            ..settings
        }
    })
    .await
}

async fn unlocked(directory: &Path, clock: &Clock, admin: &str, setup: &Setup) -> (Inside, Api) {
    let inside = serve(reopen(directory, clock), setup).await;
    let api = inside.api(admin);
    let (status, said) = api
        .post("/v1/unlock", json!({ "passphrase": PASSPHRASE }))
        .await;
    assert_eq!(status, 200, "{said}");
    (inside, api)
}

/// Copies a directory as it lies on the disk.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            // Keeps the mode as well.
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}
