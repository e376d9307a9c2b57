//! A rotation of the keys that is killed, and slots that change while the vault serves.
//!
//! `STRONGROOM_RUNS` is the number of kills.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Home, Served};
use crate::seeded::Seeded;
use crate::support::{Api, PASSPHRASE, PATIENCE};

/// Rotations that are killed in the gate.
const KILLS: u64 = 8;
/// Records of the longest kind, so that a batch holds few of them.
const USERS: usize = 160;
const NEW: &str = "granite otters whistle downwind";

fn value(user: usize) -> String {
    format!("{user:05}").repeat(12_000)
}

async fn fill(api: &Api) {
    let app = json!({ "id": "maps", "kind": "api_key", "name": "Maps" });
    let (status, said) = api.post("/v1/apps", app).await;
    assert_eq!(status, 201, "{said}");
    let stores = (0..USERS).map(|user| {
        let api = api.clone();
        let body = json!({ "app": "maps", "user": format!("u{user}"), "api_key": value(user) });
        tokio::spawn(async move { api.put("/v1/tokens", body).await })
    });
    for store in stores.collect::<Vec<_>>() {
        let (status, said) = store.await.unwrap();
        assert_eq!(status, 200, "{said}");
    }
}

async fn ended(api: &Api) -> Value {
    let begun = Instant::now();
    // Asked without a pause it would have little time for its work.
    let mut every = tokio::time::interval(Duration::from_millis(20));
    loop {
        every.tick().await;
        let (_, status) = api.get("/v1/status").await;
        if status["rotation"].is_null() {
            return status;
        }
        assert_ne!(status["rotation"]["state"], "failed", "{status}");
        assert!(begun.elapsed() < PATIENCE, "{status}");
    }
}

async fn on_record(api: &Api, text: &str) -> bool {
    let (_, said) = api.get("/v1/audit?limit=1000").await;
    let entries = said["entries"].as_array().unwrap();
    let holds = |entry: &Value| entry["outcome"].as_str().unwrap().contains(text);
    entries.iter().any(holds)
}

/// Lets so much time pass.
async fn pass(span: Duration) {
    // That it never ends is the point.
    let _ = tokio::time::timeout(span, std::future::pending::<()>()).await;
}

/// What was stored for these users is there as it was, and so is the trail.
async fn is_all_there(api: &Api, users: impl Iterator<Item = usize>, at: &str) {
    for user in users {
        let ask = json!({ "app": "maps", "user": format!("u{user}") });
        let (status, said) = api.post("/v1/token", ask).await;
        assert_eq!(status, 200, "{at}: {said}");
        assert_eq!(said["access_token"], value(user).as_str(), "{at}");
    }
    let (_, verified) = api.post("/v1/audit/verify", json!({})).await;
    assert_eq!(verified["problems"], json!([]), "{at}: {verified}");
}

/// Goal: V14 (C4) a rotation goes on after kill -9 at any moment of it, an acknowledged term is
/// never lost, and every value is there. Method: measure one; then kill the server at random
/// moments of so many, one in three of them killed again while it goes on; start it, wait for the
/// end, fetch a quarter, and all at last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_a_rotation_goes_on_after_a_kill_in_its_middle() {
    let mut seeded = Seeded::new("C4 rotation");
    let kills = seeded.runs(KILLS);
    let home = Home::init();
    let mut served = home.serve(&[]);
    fill(&served.api()).await;
    let rotate = |api: Api| async move { api.post("/v1/rotate", json!({})).await };
    assert_eq!(rotate(served.api()).await.0, 200);
    let begun = Instant::now();
    ended(&served.api()).await;
    let usual = begun.elapsed();
    let (mut resumed, mut again) = (0, 0);
    for kill in 0..kills {
        let (term, at) = (kill + 3, seeded.at(&format!("kill {kill}")));
        let (status, said) = rotate(served.api()).await;
        assert_eq!((status, &said["term"]), (200, &json!(term)), "{at}: {said}");
        pass(usual.mul_f64(seeded.rng().f64())).await;
        served.kill();
        served = home.serve(&[]);
        if seeded.rng().u8(0..3) == 0 {
            pass(usual.mul_f64(seeded.rng().f64())).await;
            again += 1;
            served.kill();
            served = home.serve(&[]);
        }
        let api = served.api();
        let status = ended(&api).await;
        assert_eq!(
            status["key_term"]["number"], term,
            "{at}: an acknowledged term is lost"
        );
        let text = format!("key rotation resumed: term {term}");
        resumed += u64::from(on_record(&api, &text).await);
        let quarter = seeded.rng().usize(0..4);
        is_all_there(&api, (quarter..USERS).step_by(4), &at).await;
    }
    println!(
        "C4 rotation: {kills} kills, {again} of them twice, {resumed} of rotations that went on; \
         one takes {usual:?}"
    );
    assert!(resumed > 0, "no kill came in the middle of a rotation");
    is_all_there(&served.api(), 0..USERS, "the end").await;
    assert_eq!(served.terminate(), Some(0));
}

fn ok(served: &Served, arguments: &[&str], input: &str) -> (String, String) {
    let output = served.run(arguments, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out} {err}");
    (out, err)
}

/// Goal: V14 a passphrase changed while it serves holds after a restart, and the old one opens no
/// more. Method: change it by the command line, with a wrong one first; start with each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_a_passphrase_changed_while_it_serves_holds_after_a_restart() {
    let home = Home::init();
    let served = home.serve(&[]);
    let new = home.home.path().join("new");
    std::fs::write(&new, NEW).unwrap();
    let set = [
        "passphrase",
        "set",
        "--kdf-memory-mib",
        "64",
        "--new-passphrase-file",
        new.to_str().unwrap(),
    ];
    let wrong = served.run(&set, "not the passphrase");
    assert_eq!(wrong.status.code(), Some(4), "{wrong:?}");
    let begun = Instant::now();
    loop {
        let changed = served.run(&set, PASSPHRASE);
        // After a wrong try the next one waits a little.
        match changed.status.code() {
            Some(0) => break,
            code => assert_eq!(code, Some(6), "{changed:?}"),
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(served.terminate(), Some(0));
    let file = home.passphrase_file();
    let old = home.run(&["serve", "--passphrase-file", file.to_str().unwrap()]);
    assert_eq!(
        old.status.code(),
        Some(4),
        "the old passphrase opens: {old:?}"
    );
    std::fs::write(&file, NEW).unwrap();
    let served = home.serve(&[]);
    // Until it answers it may not hear signals yet.
    assert_eq!(served.api().get("/v1/status").await.0, 200);
    assert_eq!(served.terminate(), Some(0));
}

/// Goal: V14 slots are added and removed while it serves, and hold after a restart; a rotation is
/// waited for. Method: a key file and a recovery code by the command line; start with the key file;
/// rotate in each way there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_slots_added_while_it_serves_open_it_after_a_restart() {
    let home = Home::init();
    let served = home.serve(&[]);
    let key = home.home.path().join("vault.key");
    let key = key.to_str().unwrap();
    let add = ["passphrase", "add-key-file", key, "--create"];
    let (_, said) = ok(&served, &add, PASSPHRASE);
    assert!(said.contains("as slot 3"), "{said}");
    let (code, _) = ok(
        &served,
        &["passphrase", "add-recovery-code", "--key-file", key],
        "",
    );
    assert!(code.starts_with("SR-"), "a recovery code is printed");
    let (slots, _) = ok(&served, &["passphrase", "slots", "--json"], "");
    let slots: Value = serde_json::from_str(&slots).unwrap();
    assert_eq!(slots["slots"].as_array().unwrap().len(), 4);
    let remove = ["passphrase", "remove-slot", "4", "--yes", "--recovery"];
    ok(&served, &remove, code.trim());
    let offline = home.run(&["passphrase", "slots"]);
    let told = String::from_utf8_lossy(&offline.stderr).into_owned();
    assert!(
        told.contains("leave `--data` and STRONGROOM_DATA out"),
        "{told}"
    );
    assert_eq!(served.terminate(), Some(0));

    let served = home.serve_with(&["--key-file", key]);
    let (status, _) = ok(&served, &["rotate", "--json"], "");
    let status: Value = serde_json::from_str(&status).unwrap();
    let expected = (&json!(2), &Value::Null);
    assert_eq!(
        (&status["key_term"]["number"], &status["rotation"]),
        expected
    );
    let (_, said) = ok(&served, &["rotate"], "");
    assert!(said.contains("sealed under key term 3"), "{said}");
    let (begun, _) = ok(&served, &["rotate", "--no-wait", "--json"], "");
    let begun: Value = serde_json::from_str(&begun).unwrap();
    assert_eq!(begun["term"], 4, "{begun}");
    ended(&served.api()).await;
    let (status, _) = ok(&served, &["status"], "");
    assert!(status.contains("key term"), "{status}");
    assert_eq!(served.terminate(), Some(0));
}
