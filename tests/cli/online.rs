//! Commands that ask a server: what they send, what they print, how they end.

use serde_json::{Value, json};

use super::support::{KEY, Scripted, run_with};

fn error(code: &str) -> Value {
    json!({"error": {"code": code, "message": format!("it is {code}"), "hint": "do so"}})
}

/// Goal: `$(strongroom token get …)` works. Method: an `ok` outcome; the request's every field.
#[test]
fn token_get_prints_the_token_alone() {
    let answer = json!({
        "outcome": "ok", "access_token": "gho_secret", "token_type": "Bearer",
        "expires_at": null, "scopes": ["repo"], "missing_scopes": [], "token_id": "tok_1",
    });
    let server = Scripted::start(vec![(200, answer.clone()), (200, answer.clone())]);
    let run = server.run(&[
        "token",
        "get",
        "github",
        "--user",
        "alice",
        "--tenant",
        "acme",
        "--scope",
        "repo",
        "--min-ttl",
        "5m",
        "--reason",
        "deploy",
        "--connect",
    ]);
    let run = run.ended(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("gho_secret", ""));
    let whole = server.run(&["token", "get", "github", "--user", "alice", "--json"]);
    assert_eq!(whole.ended(0).json(), answer);
    let seen = server.seen();
    assert_eq!(seen[0].what, "POST /v1/token");
    assert!(
        seen[0]
            .head
            .contains(&format!("authorization: Bearer {KEY}\r\n"))
    );
    let asked = json!({
        "app": "github", "user": "alice", "tenant": "acme", "scopes": ["repo"],
        "min_ttl_s": 300, "reason": "deploy", "connect": {},
    });
    assert_eq!(seen[0].body, asked);
    assert_eq!(seen[1].body, json!({"app": "github", "user": "alice"}));
}

/// Goal: each outcome has its exit code and words. Method: a table of answers.
#[test]
fn every_outcome_of_token_get_has_its_exit_code() {
    let link = json!({"id": "con_1", "url": "https://v/c/1", "code": "123456"});
    let table: [(u16, Value, i32, &str, &str); 7] = [
        (
            404,
            json!({"outcome": "connect_required", "connect": null}),
            7,
            "nobody",
            "connect github --user alice",
        ),
        (
            404,
            json!({"outcome": "connect_required", "connect": link}),
            7,
            "nobody",
            "code 123456",
        ),
        (
            409,
            json!({"outcome": "reconnect_required", "reason": "revoked", "message": "gone"}),
            8,
            "gone (revoked)",
            "strongroom connect",
        ),
        (
            202,
            json!({"outcome": "pending", "retry_after_s": 5}),
            9,
            "right now",
            "in 5 s",
        ),
        (
            403,
            json!({"outcome": "declined"}),
            10,
            "declined",
            "strongroom connect",
        ),
        (
            403,
            json!({"outcome": "denied"}),
            4,
            "may not have",
            "grant",
        ),
        (
            503,
            json!({"outcome": "unavailable", "retry_after_s": 30}),
            6,
            "provider",
            "in 30 s",
        ),
    ];
    for (status, answer, code, message, hint) in table {
        let server = Scripted::start(vec![(status, answer.clone()), (status, answer.clone())]);
        let run = server
            .run(&["token", "get", "github", "--user", "alice"])
            .ended(code);
        assert_eq!(run.out, "");
        assert!(run.failure().0.contains(message), "{}", run.err);
        assert!(run.failure().1.contains(hint), "{}", run.err);
        let json = server.run(&["token", "get", "github", "--user", "alice", "--json"]);
        assert_eq!(json.ended(code).json(), answer);
    }
}

/// Goal: the server's errors keep their words and get their exit codes. Method: a table.
#[test]
fn errors_of_the_server_have_their_exit_codes() {
    for (status, word, code) in [
        (400, "invalid_request", 2),
        (503, "locked", 3),
        (401, "unauthenticated", 4),
        (403, "denied", 4),
        (404, "not_found", 5),
        (429, "busy", 6),
        (409, "conflict", 1),
        (500, "from_the_future", 1),
    ] {
        let server = Scripted::start(vec![(status, error(word))]);
        let run = server.run(&["app", "list"]).ended(code);
        assert_eq!(run.failure(), (format!("it is {word}").as_str(), "do so"));
    }
    let strange = Scripted::start(vec![(502, json!("bad gateway")), (200, json!(null))]);
    strange.run(&["app", "list"]).ended(6);
    let escape = Scripted::start(vec![(400, error("\u{1b}[2J"))]);
    assert!(!escape.run(&["app", "list"]).ended(1).err.contains('\u{1b}'));
    let gone = Scripted::start(vec![]);
    let url = gone.url.clone();
    gone.seen();
    let run = run_with(
        &["app", "list", "--url", &url],
        &[("STRONGROOM_KEY", KEY)],
        "",
    )
    .ended(6);
    assert!(
        run.failure()
            .0
            .starts_with(&format!("no server can be reached at {url}"))
    );
    assert!(run.failure().1.contains("strongroom serve"), "{}", run.err);
}

/// Goal: lists are tables for pipes and JSON for programs. Method: two pages of tokens.
#[test]
fn token_list_follows_pages_and_prints_a_table_or_json() {
    let token = |id: &str| {
        json!({
            "id": id, "app": "github", "user": "alice", "tenant": null, "account": null,
            "state": "active", "expires_at": "2027-01-01T00:00:00Z", "scopes": ["a", "b"],
        })
    };
    let pages = || {
        vec![
            (200, json!({"tokens": [token("tok_1")], "cursor": "next"})),
            (200, json!({"tokens": [token("tok_2")], "cursor": null})),
        ]
    };
    let server = Scripted::start([pages(), pages()].concat());
    let table = server
        .run(&["token", "list", "--user", "alice"])
        .ended(0)
        .out;
    let rows = "tok_1\tgithub\t-\talice\t-\tactive\t2027-01-01T00:00:00Z\ta b\n";
    let header = "ID\tAPP\tTENANT\tUSER\tACCOUNT\tSTATE\tEXPIRES\tSCOPES\n";
    assert_eq!(
        table,
        format!("{header}{rows}{}", rows.replace("tok_1", "tok_2"))
    );
    let all = server.run(&[
        "token", "list", "--app", "a b", "--state", "active", "--json",
    ]);
    let all = all.ended(0).json();
    assert_eq!(all["tokens"].as_array().unwrap().len(), 2);
    let seen = server.seen();
    assert_eq!(seen[0].what, "GET /v1/tokens?user=alice&limit=100");
    assert_eq!(
        seen[1].what,
        "GET /v1/tokens?user=alice&limit=99&cursor=next"
    );
    assert_eq!(
        seen[2].what,
        "GET /v1/tokens?app=a+b&limit=100&state=active"
    );
}

/// Goal: credentials come by standard input or file. Method: an API key, then a token in files.
#[test]
fn token_put_takes_credentials_from_input_and_files() {
    let summary = json!({"id": "tok_1", "app": "maps", "user": "alice", "state": "active"});
    let server = Scripted::start(vec![(200, summary.clone()), (200, summary)]);
    let run = server.run_with(
        &["token", "put", "maps", "--user", "alice"],
        "key-of-alice\n",
    );
    let run = run.ended(0);
    assert!(
        run.out.contains("tok_1") && !run.all().contains("key-of-alice"),
        "{}",
        run.out
    );
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("r.txt");
    std::fs::write(&file, "refresh-of-alice").unwrap();
    let file = file.to_str().unwrap();
    let arguments = [
        "token",
        "put",
        "github",
        "--tenant",
        "acme",
        "--access-token-file",
        "-",
        "--refresh-token-file",
        file,
        "--expires-in",
        "1h",
        "--scope",
        "repo",
        "--verify-refresh",
    ];
    server.run_with(&arguments, "access-of-alice").ended(0);
    let seen = server.seen();
    let expected = json!({"app": "maps", "user": "alice", "api_key": "key-of-alice"});
    assert_eq!(
        (seen[0].what.as_str(), &seen[0].body),
        ("PUT /v1/tokens", &expected)
    );
    let body = &seen[1].body;
    assert_eq!(body["access_token"], "access-of-alice");
    assert_eq!(body["refresh_token"], "refresh-of-alice");
    assert_eq!(body["verify_refresh"], true);
    assert!(body["expires_at"].as_str().unwrap().ends_with('Z') && body["api_key"].is_null());
}

/// Goal: over TLS only a server that was vouched for gets the key. Method: a certificate given with
/// `--ca-file`; the same server without it; a file that is no certificate.
#[test]
fn tls_needs_a_certificate_that_is_trusted() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ca.pem");
    let (server, certificate) = Scripted::over_tls(vec![(200, json!({"apps": []}))]);
    std::fs::write(&file, certificate).unwrap();
    let file = file.to_str().unwrap();
    server.run(&["app", "list", "--ca-file", file]).ended(0);
    assert!(server.seen()[0].head.contains(KEY));

    let (stranger, _) = Scripted::over_tls(vec![(200, json!({"apps": []}))]);
    let url = stranger.url.clone();
    let key = [("STRONGROOM_KEY", KEY)];
    let arguments = ["app", "list", "--url", &url, "--ca-file", file];
    let run = run_with(&arguments, &key, "").ended(6);
    assert!(run.failure().0.contains("certificate"), "{}", run.err);
    assert!(!stranger.was_answered(), "the key went to a stranger");

    std::fs::write(file, "no certificate").unwrap();
    let run = run_with(&["app", "list", "--url", &url, "--ca-file", file], &key, "").ended(2);
    assert!(run.failure().0.contains("not a PEM file"), "{}", run.err);
}
