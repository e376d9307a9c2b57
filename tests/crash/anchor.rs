//! An anchor, a process that is killed, and an older file put back (F4).

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Home, Served};

fn ok(served: &Served, arguments: &[&str], input: &str) -> String {
    let output = served.run(arguments, input);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn put(served: &Served, key: &str) {
    ok(served, &["token", "put", "maps", "--user", "ann"], key);
}

async fn health(served: &Served) -> Value {
    served.api().get("/health").await.1
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// Goal: a killed process loses no commit of its anchor: whatever was acknowledged is noticed to be
/// missing from an older file. The server starts locked, refreshes nothing, says why to whoever
/// asks, and is let in by the operator's word. Method: keep the file of a stopped server; start,
/// store, kill -9; put the file back; start without and with `--accept-rollback`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_a_killed_server_knows_an_older_file_by_its_anchor() {
    let home = Home::init();
    let anchor = home.home.path().join("anchor");
    let anchor = anchor.to_str().unwrap();
    let (file, aside) = (home.data().join("vault.redb"), home.home.path().join("old"));
    let served = home.serve(&["--anchor", anchor]);
    ok(&served, &["app", "add", "maps", "--kind", "api-key"], "");
    put(&served, "first\n");
    assert_eq!(served.terminate(), Some(0));
    copy(&file, &aside);
    let served = home.serve(&["--anchor", anchor]);
    put(&served, "second\n");
    served.kill();
    let served = home.serve(&["--anchor", anchor]);
    assert_eq!(
        health(&served).await["locked"],
        json!(false),
        "its own file is let in"
    );
    served.kill();

    copy(&aside, &file);
    let served = home.serve(&["--anchor", anchor]);
    let said = health(&served).await;
    assert_eq!(said["locked"], json!(true));
    assert_eq!(said["locked_because"], json!("rolled_back"));
    let shown = served.run(&["status"], "");
    assert_eq!(shown.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("--accept-rollback"));
    let typed = served.run(&["unlock"], crate::support::PASSPHRASE);
    assert_eq!(typed.status.code(), Some(14), "an exit code of its own");
    assert_eq!(served.terminate(), Some(0));

    let served = home.serve(&["--anchor", anchor, "--accept-rollback"]);
    let trail = ok(&served, &["audit"], "");
    assert!(
        trail.contains("this is an older copy of the vault"),
        "{trail}"
    );
    let got = ok(&served, &["token", "get", "maps", "--user", "ann"], "");
    assert_eq!(got.trim(), "first");
    let status: Value = serde_json::from_str(&ok(&served, &["status", "--json"], "")).unwrap();
    assert_eq!(status["anchor"]["epoch"], status["epoch"]);
    assert_eq!(status["anchor"]["behind"], json!(false));
    assert_eq!(served.terminate(), Some(0));

    let without = home.serve(&["--accept-rollback"]);
    assert!(ok(&without, &["audit"], "").contains("and none was given"));
    assert_eq!(without.terminate(), Some(0));
}
