//! The command line against a served vault.

use serde_json::Value;
use strongroom::clock::Clock;

use crate::process::{Home, Served};
use crate::support::{CLIENT_SECRET, Outside};

fn ok(served: &Served, arguments: &[&str], input: &str) -> String {
    let output = served.run(arguments, input);
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{arguments:?}: {said} {told}");
    said.into_owned()
}

/// Goal: what the README says works by the command line alone.
/// Method: each command in turn against a real server, JSON read where there is any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_does_the_main_job() {
    let outside = Outside::start(&Clock::system()).await;
    let home = Home::init();
    let allowed = outside.issuer.trim_start_matches("http://").to_owned();
    let served = home.serve(&["--allow-host", &allowed]);
    let secret = home.home.path().join("secret");
    std::fs::write(&secret, CLIENT_SECRET).unwrap();
    let secret = secret.to_str().unwrap();
    ok(
        &served,
        &[
            "app",
            "add",
            "demo",
            "--client-id",
            "demo",
            "--client-secret-file",
            secret,
            "--issuer",
            &outside.issuer,
            "--scope",
            "calendar.read",
        ],
        "",
    );
    ok(&served, &["app", "add", "maps", "--kind", "api-key"], "");
    assert!(ok(&served, &["app", "list"], "").contains("calendar.read"));
    ok(
        &served,
        &["token", "put", "maps", "--user", "alice"],
        "key-of-alice\n",
    );
    assert_eq!(
        ok(&served, &["token", "get", "maps", "--user", "alice"], "").trim(),
        "key-of-alice"
    );

    shows_and_removes(&served);
    ok(&served, &["lock"], "");
    let locked = served.run(&["token", "list"], "");
    assert_eq!(
        locked.status.code(),
        Some(3),
        "locked has an exit code of its own"
    );
    let busy = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    let told = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(
        !busy.status.success() && told.contains("in use by another process"),
        "{told}"
    );
    assert_eq!(served.terminate(), Some(0));
}

fn shows_and_removes(served: &Served) {
    let list: Value = serde_json::from_str(&ok(served, &["token", "list", "--json"], "")).unwrap();
    let id = list["tokens"][0]["id"].as_str().unwrap();
    assert!(ok(served, &["token", "reveal", id], "").contains("key-of-alice"));
    let missing = served.run(&["token", "get", "demo", "--user", "bob"], "");
    assert_eq!(
        missing.status.code(),
        Some(7),
        "connect_required has an exit code of its own"
    );
    let made = ok(
        served,
        &["key", "add", "mcp", "--role", "reader", "--json"],
        "",
    );
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("sr_"));
    ok(
        served,
        &["key", "remove", made["id"].as_str().unwrap(), "--yes"],
        "",
    );
    ok(served, &["token", "remove", id, "--yes"], "");
    assert!(ok(served, &["audit", "--limit", "5"], "").lines().count() == 5);
    assert!(ok(served, &["audit", "--verify"], "").contains("\"problems\":[]"));
}
