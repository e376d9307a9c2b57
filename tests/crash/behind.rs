//! A vault whose file is checked behind the first answers: the binary, killed, ended and asked.

use std::time::Instant;

use serde_json::{Value, json};

use crate::process::{Home, Served};
use crate::support::PATIENCE;

fn ok(served: &Served, arguments: &[&str], input: &str) -> String {
    let output = served.run(arguments, input);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

async fn ask(served: &Served, user: &str) -> (u16, Value) {
    let body = json!({"app": "maps", "user": user});
    served.api().post("/v1/token", body).await
}

/// Asks until the check has ended: what is not found is not said to be to connect before that.
async fn is_missing_in_the_end(served: &Served, user: &str) {
    let begun = Instant::now();
    loop {
        let (status, said) = ask(served, user).await;
        if status == 404 {
            assert_eq!(said["outcome"], json!("connect_required"));
            return;
        }
        assert_eq!(
            (status, &said["outcome"]),
            (503, &json!("unavailable")),
            "{said}"
        );
        assert!(said["retry_after_s"].as_u64() >= Some(1), "{said}");
        assert!(begun.elapsed() < PATIENCE, "the check does not end");
    }
}

/// Goal: V19 a server that checks behind hands out what it has from its first answer on, ends in
/// order whenever it is told to, and a kill at any moment of it harms nothing. Method: start, ask
/// for what is there, kill or end at once, over and over; then let a check end, and write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v19_a_server_that_checks_behind_can_be_killed_and_ended_at_any_time() {
    let home = Home::init();
    let served = home.serve(&[]);
    ok(&served, &["app", "add", "maps", "--kind", "api-key"], "");
    ok(
        &served,
        &["token", "put", "maps", "--user", "ann"],
        "a key\n",
    );
    served.kill();
    for round in 0..6 {
        let served = home.serve(&["--check-behind"]);
        let (status, said) = ask(&served, "ann").await;
        assert_eq!(
            (status, &said["access_token"]),
            (200, &json!("a key")),
            "{said}"
        );
        match round % 2 {
            0 => served.kill(),
            _ => assert_eq!(served.terminate(), Some(0)),
        }
    }
    let served = home.serve(&["--check-behind"]);
    is_missing_in_the_end(&served, "bob").await;
    let shown = served.api().get("/v1/status").await.1;
    assert_eq!(shown["checking"], Value::Null);
    ok(
        &served,
        &["token", "put", "maps", "--user", "bob"],
        "his key\n",
    );
    assert_eq!(
        ask(&served, "bob").await.1["access_token"],
        json!("his key")
    );
    let trail = ok(&served, &["audit"], "");
    assert!(
        trail.contains("the vault's file was checked and is whole"),
        "{trail}"
    );
    assert_eq!(served.terminate(), Some(0));
    let served = home.serve(&[]);
    assert_eq!(ask(&served, "bob").await.0, 200);
}
