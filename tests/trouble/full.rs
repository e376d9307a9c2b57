//! D2: a disk that is full, for real.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::Clock;
use strongroom::sandbox::{Endpoint, Misbehaviour};

use crate::house::{House, Server, elsewhere};
use crate::support::{Outside, PATIENCE, Said};

/// Refusals in a row that show that a disk is full: a smaller write may still find a page.
const REFUSALS: usize = 5;

/// A served vault, its provider, and what was acknowledged.
struct Story {
    server: Server,
    house: House,
    outside: Outside,
    /// API keys by user.
    acknowledged: BTreeMap<String, String>,
    /// The access token of `demo`, as last handed out.
    access: String,
    allowed: String,
}

impl Story {
    async fn begin(house: House) -> Self {
        let outside = Outside::start(&Clock::system()).await;
        let allowed = outside.issuer.trim_start_matches("http://").to_owned();
        let server = house.serve(None, &["--allow-host", &allowed]);
        server.api.add_demo(&outside).await;
        let maps = json!({ "id": "maps", "kind": "api_key", "name": "Maps" });
        let (status, said) = server.api.post("/v1/apps", maps).await;
        assert_eq!(status, 201, "{said}");
        let issued = outside.sandbox.grant("demo", "ada", &["calendar.read"]);
        let life = Duration::from_secs(3600);
        let access = issued.access_token.expose().clone();
        let token = json!({
            "app": "demo", "user": "u", "access_token": access,
            "refresh_token": issued.refresh_token.expose(),
            "expires_at": Clock::system().now().plus(life).to_string(),
        });
        let (status, said) = server.api.put("/v1/tokens", token).await;
        assert_eq!(status, 200, "{said}");
        let mut story = Self {
            server,
            house,
            outside,
            acknowledged: BTreeMap::new(),
            access,
            allowed,
        };
        for _ in 0..10 {
            let (status, said) = story.put().await;
            assert_eq!(status, 200, "{said}");
        }
        story
    }

    /// Stores one more API key; it counts once that was acknowledged.
    async fn put(&mut self) -> Said {
        let user = format!("user-{}", self.acknowledged.len());
        let key = format!("{user}-{}", "k".repeat(2000));
        let body = json!({ "app": "maps", "user": user, "api_key": key });
        let said = self.server.api.put("/v1/tokens", body).await;
        if said.0 == 200 {
            self.acknowledged.insert(user, key);
        }
        said
    }

    /// Stores until the disk takes no more. The last refusal comes back.
    async fn put_until_refused(&mut self) -> Said {
        let mut refusals = 0;
        for _ in 0..2000 {
            let (status, said) = self.put().await;
            refusals = if status == 200 { 0 } else { refusals + 1 };
            if refusals == REFUSALS {
                return (status, said);
            }
        }
        panic!("the disk is never full");
    }

    /// Stores until that succeeds again, without a restart.
    async fn put_until_taken(&mut self) {
        let (clock, begun) = (Clock::system(), Clock::system().now());
        let taken = async {
            while self.put().await.0 != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, taken)
            .await
            .expect("it never recovers");
        let took = clock.now().since(begun);
        println!(
            "D2: written again {} ms after there was room",
            took.as_millis()
        );
    }

    /// Asks for a token other than the one handed out last: a refresh.
    async fn refresh(&self) -> Said {
        let ask = json!({ "app": "demo", "user": "u", "rejected": self.access });
        self.server.api.post("/v1/token", ask).await
    }

    /// Whose API keys were acknowledged and are not handed out, to the letter.
    async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (user, key) in &self.acknowledged {
            let ask = json!({ "app": "maps", "user": user });
            let (status, said) = self.server.api.post("/v1/token", ask).await;
            if (status, said["access_token"].as_str()) != (200, Some(&**key)) {
                missing.push(format!("{user}: {status} {said}"));
            }
        }
        missing
    }

    async fn everything_is_there(&self) {
        assert_eq!(self.missing().await, Vec::<String>::new());
        let (status, said) = self.server.api.token("u").await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(said["access_token"], self.access);
    }

    /// Starts anew, having been ended by `how`; everything is there and the trail is whole.
    async fn survives(mut self, how: impl FnOnce(Server)) -> Self {
        how(self.server);
        self.server = self.house.serve(None, &["--allow-host", &self.allowed]);
        self.everything_is_there().await;
        let (_, verified) = self.server.api.post("/v1/audit/verify", json!({})).await;
        assert_eq!(verified["problems"], json!([]), "{verified}");
        let (status, said) = self.refresh().await;
        assert_eq!((status, &said["outcome"]), (200, &json!("ok")), "{said}");
        assert_eq!(self.outside.sandbox.counts().reuse_detected, 0);
        self
    }

    fn asked(&self) -> u64 {
        self.outside.sandbox.counts().token_requests
    }
}

fn terminated(server: Server) {
    assert_eq!(server.terminate(), Some(0));
}

/// A refusal that says what is wrong and what to do.
fn is_refused(said: &Said, codes: &[&str]) {
    let error = &said.1["error"];
    let (code, hint) = (
        error["code"].as_str().unwrap(),
        error["hint"].as_str().unwrap(),
    );
    assert!(codes.contains(&code) && !hint.is_empty(), "{said:?}");
}

/// Goal: where the store's disk is full and the trail's is not, what is stored is handed out, a
/// refresh whose intent finds no room is not sent, and with room all works again, without a restart
/// and with nothing lost. Method: a disk of 1 MiB for the store, filled; as many refreshes as find
/// room, and ten that might not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_full_disk_under_the_store_keeps_nobody_from_reading() {
    let Some(house) = House::on_disks(1024, Some(4096)) else {
        return elsewhere("full::d2_a_full_disk_under_the_store_keeps_nobody_from_reading");
    };
    let mut story = Story::begin(house).await;
    let filler = story.house.disks[0].fill();
    let refused = story.put_until_refused().await;
    is_refused(&refused, &["storage", "outcome_unknown"]);
    assert_eq!(refused.0, 507);
    story.everything_is_there().await;
    let mut unsent = 0;
    for _ in 0..10 {
        let before = story.asked();
        let (status, said) = story.refresh().await;
        match said["outcome"].as_str() {
            Some("ok") => story.access = said["access_token"].as_str().unwrap().to_owned(),
            Some("unavailable") => {
                assert_eq!(status, 503);
                assert_eq!(story.asked(), before, "sent without an intent: {said}");
                unsent += 1;
            }
            _ => panic!("{said}"),
        }
        story.put().await;
    }
    assert!(unsent > 0, "every intent found room");
    story.everything_is_there().await;
    drop(filler);
    story.put_until_taken().await;
    let (status, said) = story.refresh().await;
    assert_eq!((status, &said["outcome"]), (200, &json!("ok")), "{said}");
    story.access = said["access_token"].as_str().unwrap().to_owned();
    story.survives(terminated).await;
}

/// Goal: this harness sees what is lost, and what is not what was stored. Method: a model that was
/// told "acknowledged" of a key that never was stored, and of another value of one that was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_key_that_was_lost_would_be_seen() {
    let mut story = Story::begin(House::plain()).await;
    story.everything_is_there().await;
    story
        .acknowledged
        .insert("nobody".into(), "never stored".into());
    story
        .acknowledged
        .insert("user-3".into(), "another one".into());
    let missing = story.missing().await;
    assert!(missing[0].starts_with("nobody: 404"), "{missing:?}");
    assert!(missing[1].starts_with("user-3: 200"), "{missing:?}");
    assert_eq!(missing.len(), 2);
}

/// Goal: a token that the provider granted while the disk was full is served at once, stored when
/// there is room, and there after a kill -9. Method: the provider hangs while the disk is filled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_what_was_granted_while_the_disk_was_full_is_served_and_stored_later() {
    let Some(house) = House::on_disks(1024, Some(4096)) else {
        return elsewhere(
            "full::d2_what_was_granted_while_the_disk_was_full_is_served_and_stored_later",
        );
    };
    let mut story = Story::begin(house).await;
    story
        .outside
        .sandbox
        .misbehave(Endpoint::Token, Misbehaviour::Hang, Some(1));
    let asking = {
        let (api, rejected) = (story.server.api.clone(), story.access.clone());
        let ask = json!({ "app": "demo", "user": "u", "rejected": rejected });
        tokio::spawn(async move { api.post("/v1/token", ask).await })
    };
    let asked = async {
        while story.asked() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    let filler = story.house.disks[0].fill();
    story.put_until_refused().await;
    story.outside.sandbox.behave();
    let (status, said) = asking.await.unwrap();
    assert_eq!((status, &said["outcome"]), (200, &json!("ok")), "{said}");
    let granted = said["access_token"].as_str().unwrap().to_owned();
    assert_ne!(granted, story.access);
    story.access = granted;
    println!(
        "D2: the result {} to wait for the disk",
        if story.server.has_logged("it is kept in memory") {
            "had"
        } else {
            "did not have"
        }
    );
    story.everything_is_there().await;
    drop(filler);
    story.put_until_taken().await;
    let stored = async {
        while last_refreshed(&story).await.is_null() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stored)
        .await
        .expect("it is never stored");
    story.survives(Server::kill).await;
}

/// When the stored token was refreshed, as the store has it.
async fn last_refreshed(story: &Story) -> Value {
    let (status, list) = story.server.api.get("/v1/tokens?app=demo").await;
    assert_eq!(status, 200, "{list}");
    list["tokens"][0]["last_refreshed_at"].clone()
}

/// Asks until the answer is no success.
async fn until_refused<F: Future<Output = Said>>(ask: impl Fn() -> F) -> Said {
    for _ in 0..1000 {
        let said = ask().await;
        if said.0 != 200 {
            return said;
        }
    }
    panic!("the trail is never full");
}

/// What is true of every vault whose trail finds no room: everything is refused, nothing is asked
/// of a provider, and with room all is as it was.
async fn refuses_what_it_cannot_record(mut story: Story, disk: usize) {
    let filler = story.house.disks[disk].fill();
    let ask = json!({ "app": "maps", "user": "user-0" });
    // What is left of the last page takes a few entries, of the shortest kind a few more.
    let api = &story.server.api;
    let refused = until_refused(|| api.post("/v1/token", ask.clone())).await;
    until_refused(|| api.get("/v1/tokens")).await;
    let codes = ["audit_unavailable"];
    for said in [
        refused,
        story.server.api.post("/v1/token", ask).await,
        story.put().await,
        story.server.api.get("/v1/tokens").await,
        story.refresh().await,
    ] {
        is_refused(&said, &codes);
        assert_eq!(said.0, 503, "{said:?}");
    }
    assert_eq!(story.asked(), 0, "asked without a record");
    let (status, health) = story.server.api.get("/health").await;
    assert_eq!((status, &health["locked"]), (200, &json!(false)));
    drop(filler);
    story.put_until_taken().await;
    story.everything_is_there().await;
    let story = story.survives(Server::kill).await;

    // Killed while full: what was torn then is cut off by the next start.
    let filler = story.house.disks[disk].fill();
    let ask = json!({ "app": "maps", "user": "user-0" });
    while story.server.api.post("/v1/token", ask.clone()).await.0 == 200 {}
    let Story {
        server,
        house,
        outside,
        acknowledged,
        allowed,
        ..
    } = story;
    server.kill();
    drop(filler);
    let server = house.serve(None, &["--allow-host", &allowed]);
    let (_, said) = server.api.token("u").await;
    let access = said["access_token"].as_str().unwrap().to_owned();
    let story = Story {
        server,
        house,
        outside,
        acknowledged,
        access,
        allowed,
    };
    story.survives(terminated).await;
}

/// Goal: a full disk under the trail refuses everything, for as long as it is full and no longer,
/// and leaves a chain that verifies. Method: a disk of its own for `audit`, filled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_full_disk_under_the_trail_refuses_everything_and_loses_nothing() {
    let Some(house) = House::on_disks(4096, Some(256)) else {
        return elsewhere(
            "full::d2_a_full_disk_under_the_trail_refuses_everything_and_loses_nothing",
        );
    };
    refuses_what_it_cannot_record(Story::begin(house).await, 1).await;
}

/// Goal: the same where both lie on one disk, as they usually do. Method: that disk is filled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_full_disk_under_everything_loses_nothing() {
    let Some(house) = House::on_disks(2048, None) else {
        return elsewhere("full::d2_a_full_disk_under_everything_loses_nothing");
    };
    refuses_what_it_cannot_record(Story::begin(house).await, 0).await;
}

/// Goal: a compaction that finds no room says so, takes away what it made, and the vault goes on.
/// Method: a disk that is smaller than what a compaction leaves to the trail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_compaction_without_room_changes_nothing() {
    let Some(house) = House::on_disks(4096, None) else {
        return elsewhere("full::d2_a_compaction_without_room_changes_nothing");
    };
    let mut story = Story::begin(house).await;
    let api = &story.server.api;
    let (status, begun) = api.post("/v1/compact", json!({})).await;
    assert_eq!(status, 200, "{begun}");
    let ended = api.ended("compaction").await;
    assert_eq!(ended["state"], "failed", "{ended}");
    is_refused(&(507, ended), &["storage"]);
    assert!(story.server.has_logged("no room for a compacted file"));
    assert!(!story.house.data().join("vault.redb.partial").exists());
    assert_eq!(story.put().await.0, 200);
    story.everything_is_there().await;
    story.survives(Server::kill).await;
}
