//! Commands that wait for something, and those about the server itself.

use serde_json::{Value, json};

use super::support::{PASSPHRASE, Scripted};

fn link(status: &str, state: &str) -> Value {
    let app =
        json!({"app": "github", "state": state, "token_id": "tok_1", "missing_scopes": ["x"]});
    json!({"id": "con_1", "status": status, "user": "alice", "apps": [app]})
}

fn made() -> (u16, Value) {
    let expires_at = "2027-01-01T00:00:00Z";
    let url = "https://v.example/connect/t";
    (
        200,
        json!({"id": "con_1", "url": url, "code": "123456", "expires_at": expires_at}),
    )
}

/// Goal: `connect` prints link and code, waits, and says how it ended. Method: a link that is
/// opened and finished, with a server that is away once meanwhile.
#[test]
fn connect_waits_until_the_person_is_done() {
    let busy = json!({"error": {"code": "shutting_down", "message": "m", "hint": "h"}});
    let server = Scripted::start(vec![
        made(),
        (200, link("issued", "waiting")),
        (503, busy),
        (200, link("visited", "waiting")),
        (200, link("finished", "connected")),
    ]);
    let run = server.run(&[
        "connect",
        "github",
        "--user",
        "alice",
        "--scope",
        "repo",
        "--account",
        "work",
        "--verify",
        "code",
        "--expires-in",
        "5m",
        "--return-url",
        "https://app.example/done",
    ]);
    let run = run.ended(0);
    let out = "Open:  https://v.example/connect/t\nCode:  123456\nToken: tok_1\n";
    assert_eq!(run.out, out);
    for part in ["was opened", "github: connected.", "not granted: x"] {
        assert!(run.err.contains(part), "{part} is missing in {}", run.err);
    }
    let seen = server.seen();
    let asked = json!({
        "apps": [{"app": "github", "scopes": ["repo"], "account": "work"}], "user": "alice",
        "verify": "code", "expires_in_s": 300, "return_url": "https://app.example/done",
    });
    assert_eq!(
        (seen[0].what.as_str(), &seen[0].body),
        ("POST /v1/connect", &asked)
    );
    assert_eq!(seen[1].what, "GET /v1/connect/con_1?wait=55");
}

/// Goal: a link that ends otherwise has exit code 10 and its reason. Method: each end.
#[test]
fn connect_says_why_it_did_not_come_to_it() {
    for (status, state, part) in [
        ("finished", "declined", "did not connect every app"),
        ("expired", "waiting", "lapsed"),
        ("withdrawn", "waiting", "withdrawn"),
        ("wrong_person", "waiting", "somebody else"),
        ("too_many_codes", "waiting", "wrong codes"),
        ("replaced", "failed", "newer link"),
    ] {
        let server = Scripted::start(vec![made(), (200, link(status, state))]);
        let run = server
            .run(&["connect", "github", "--tenant", "acme", "--json"])
            .ended(10);
        assert!(run.failure().0.contains(part), "{}", run.err);
        assert!(run.failure().1.contains("for a new link"));
        let lines: Vec<Value> = run
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["code"], &lines[1]["status"]),
            (&json!("123456"), &json!(status))
        );
    }
    let server = Scripted::start(vec![made()]);
    server
        .run(&["connect", "a", "b", "--user", "u", "--scope", "x"])
        .ended(2);
    server
        .run(&["connect", "a", "b", "--user", "u", "--no-wait"])
        .ended(0);
    assert_eq!(
        server.seen()[0].body["apps"],
        json!([{"app": "a"}, {"app": "b"}])
    );
}

fn entry(seq: u64, action: &str) -> Value {
    json!({"seq": seq, "action": action, "outcome": "ok", "allowed": true})
}

/// Goal: following misses nothing and shows each entry once. Method: pages that overlap, a page too
/// short for what happened, then a locked vault that ends it.
#[test]
fn audit_follows_without_a_gap() {
    let page = |seqs: &[u64], cursor: Option<&str>| {
        let entries: Vec<Value> = seqs.iter().map(|seq| entry(*seq, "fetch")).collect();
        (200, json!({"entries": entries, "cursor": cursor}))
    };
    let own = json!({"entries": [entry(9, "audit"), entry(8, "fetch")], "cursor": "c"});
    let locked =
        json!({"error": {"code": "locked", "message": "the vault is locked", "hint": "h"}});
    let server = Scripted::start(vec![
        page(&[3, 2], Some("c")),
        page(&[7, 6, 5], Some("c5")),
        page(&[4, 3, 2], Some("c2")),
        (200, own),
        (503, locked),
    ]);
    let run = server.run(&["audit", "--limit", "2", "--follow"]).ended(3);
    let numbers: Vec<u64> = run
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8]);
    let seen = server.seen();
    assert_eq!(seen[0].what, "GET /v1/audit?limit=2");
    assert_eq!(seen[2].what, "GET /v1/audit?limit=1000&cursor=c5");
}

/// Goal: a broken trail is told by the exit code. Method: verify twice.
#[test]
fn audit_verify_tells_a_broken_trail_by_its_exit_code() {
    let whole = json!({"entries": 5, "last_seq": 5, "problems": []});
    let broken = json!({"entries": 4, "last_seq": 5, "problems": ["entry 3 is missing"]});
    let server = Scripted::start(vec![(200, whole.clone()), (200, broken)]);
    assert_eq!(server.run(&["audit", "--verify"]).ended(0).json(), whole);
    let run = server.run(&["audit", "--verify"]).ended(1);
    assert!(
        run.out.contains("entry 3") && run.err.contains("not whole"),
        "{}",
        run.err
    );
    assert_eq!(server.seen()[0].what, "POST /v1/audit/verify");
}

/// Goal: unlocking sends the passphrase and no key, and is no failure twice. Method: over a Unix
/// socket: wrong, right, right again.
#[test]
fn unlock_works_over_a_unix_socket() {
    let refused = |code: &str| json!({"error": {"code": code, "message": "no", "hint": "h"}});
    let home = tempfile::tempdir().unwrap();
    let server = Scripted::on_socket(
        &home.path().join("s"),
        vec![
            (401, refused("unlock_failed")),
            (200, json!({"locked": false})),
            (409, refused("already_unlocked")),
        ],
    );
    server.run_with(&["unlock"], "wrong").ended(4);
    let run = server
        .run_with(&["unlock", "--passphrase-file", "-"], PASSPHRASE)
        .ended(0);
    assert_eq!(
        (run.out.as_str(), run.err.as_str()),
        ("", "The vault is unlocked.\n")
    );
    server.run_with(&["unlock"], PASSPHRASE).ended(0);
    let seen = server.seen();
    assert_eq!(
        (seen[1].what.as_str(), &seen[1].body["passphrase"]),
        ("POST /v1/unlock", &json!(PASSPHRASE))
    );
    assert!(!seen[1].head.contains("authorization"), "{}", seen[1].head);
    assert!(
        seen[1].head.contains("host: localhost\r\n"),
        "{}",
        seen[1].head
    );
}

/// Goal: scripts can wait for an unlocked server. Method: locked, then unlocked.
#[test]
fn status_tells_a_locked_vault_by_its_exit_code() {
    let slot = json!({
        "number": 1, "kind": "passphrase", "label": "made at init",
        "created_at": "2026-01-01T00:00:00Z", "kdf_memory_kib": 262_144,
    });
    let server = Scripted::start(vec![
        (200, json!({"locked": true, "version": "0.1.0"})),
        (200, json!({"locked": false, "version": "0.1.0"})),
        (
            200,
            json!({"locked": false, "epoch": 7, "refresh_paused": true, "slots": [slot]}),
        ),
        (200, json!({"locked": false, "version": "0.1.0"})),
        (
            200,
            json!({
                "locked": false, "refresh_paused": true, "refresh_paused_because": "restored",
            }),
        ),
    ]);
    let locked = server.run(&["status"]).ended(3);
    assert_eq!(locked.out, "locked   yes\nversion  0.1.0\n");
    let open = server.run(&["status"]).ended(0);
    assert!(
        open.out.contains("1\tpassphrase\tmade at init\t"),
        "{}",
        open.out
    );
    assert!(open.out.contains("\t256 MiB\n") && open.err.contains("--accept-host"));
    let restored = server.run(&["status"]).ended(0);
    assert!(
        restored.err.contains("--accept-rollback"),
        "{}",
        restored.err
    );
}

/// Goal: a person sees how far the check behind the first answers is, and what waits for it; who
/// is refused meanwhile may ask again. Method: a server in mid-check.
#[test]
fn status_tells_how_far_a_check_behind_is() {
    let checking = json!({"done": 5, "total": 20, "started_at": "2026-01-01T00:00:00Z"});
    let refused = json!({"error": {"code": "checking", "message": "m", "hint": "h"}});
    let server = Scripted::start(vec![
        (200, json!({"locked": false, "version": "0.1.0"})),
        (200, json!({"locked": false, "checking": checking})),
        (503, refused),
    ]);
    let run = server.run(&["status"]).ended(0);
    assert!(run.out.contains("checking  5 of 20 steps\n"), "{}", run.out);
    assert!(run.err.contains("everything else waits"), "{}", run.err);
    server.run(&["app", "list"]).ended(6);
}

/// Goal: a rotation tells how far it is without a terminal, what it waits for once, and why it
/// stopped with what to do. Method: a server that gets on, waits twice, goes on and stops.
#[test]
fn rotate_tells_how_far_it_is_and_why_it_stopped() {
    let status = |state: &str, done: u64, error: Value| {
        let rotation = json!({
            "term": 2, "records_done": done, "records_total": 10, "state": state, "error": error,
        });
        (200, json!({"locked": false, "rotation": rotation}))
    };
    let begun = (200, json!({"term": 2, "state": "running"}));
    let server = Scripted::start(vec![
        begun,
        status("running", 3, json!(null)),
        status("waiting", 3, json!("it is full")),
        status("waiting", 3, json!("it is full")),
        status("failed", 9, json!("1 records do not open")),
    ]);
    let run = server.run(&["rotate"]).ended(1);
    let told: Vec<&str> = run.err.lines().collect();
    assert_eq!(told[0], "key rotation: 30 %");
    assert_eq!(told[1], "key rotation waits: it is full");
    assert_eq!(told[2], "key rotation: 90 %");
    assert_eq!(
        told[3],
        "strongroom: the rotation stopped: 1 records do not open"
    );
    assert!(told[4].contains("make a backup and `strongroom check` it"));
    assert!(!run.err.contains("every record"), "{}", run.err);
}
