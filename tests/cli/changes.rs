//! Commands that change apps, keys and tokens at a server.

use serde_json::json;

use super::support::{KEY, Scripted, run_with};

/// Goal: a key's grants are what the options say. Method: a role, a confined role, a file.
#[test]
fn key_add_makes_grants_of_options() {
    let made = || (200, json!({"id": "0011", "key": "sr_0011_new"}));
    let server = Scripted::start(vec![made(), made(), made()]);
    let run = server
        .run(&["key", "add", "ci", "--role", "reader"])
        .ended(0);
    assert_eq!(run.out, "sr_0011_new");
    assert!(
        run.err.contains("0011") && run.err.contains("once"),
        "{}",
        run.err
    );
    let confined = [
        "key",
        "add",
        "shop",
        "--role",
        "reader",
        "--action",
        "connect",
        "--app",
        "github",
        "--tenant",
        "acme",
        "--no-user",
        "--scope",
        "repo",
        "--expires-in",
        "90d",
        "--connect-verify",
        "vouch",
        "--verify-url",
        "https://shop.example/vouch",
        "--return-url",
        "https://shop.example/done",
        "--json",
    ];
    assert_eq!(server.run(&confined).ended(0).json()["key"], "sr_0011_new");
    let grants = r#"[{"actions":["fetch"],"users":["u"]}]"#;
    let file = server.run_with(&["key", "add", "x", "--grants-file", "-"], grants);
    file.ended(0);
    let seen = server.seen();
    assert_eq!(
        seen[0].body,
        json!({"name": "ci", "role": "reader", "grants": []})
    );
    let body = &seen[1].body;
    let grant = json!([{
        "actions": ["fetch", "connect"], "apps": ["github"], "tenants": ["acme"], "users": [],
        "scopes": ["repo"],
    }]);
    assert_eq!(body["grants"], grant);
    assert!(body["role"].is_null() && body["expires_at"].is_string());
    assert_eq!(body["connect_verify"], json!(["vouch"]));
    assert_eq!(body["return_urls"], json!(["https://shop.example/done"]));
    assert_eq!(seen[2].body["grants"][0]["users"], json!(["u"]));
}

/// Goal: a key for JWTs takes its rule from the options, prints its id, and is listed with its
/// rule; without an issuer none of them is taken. Method: every option; a list; each alone.
#[test]
fn key_add_makes_a_rule_for_jwts_of_options() {
    let rule = json!({
        "issuer": "https://idp.example", "audiences": ["a", "b"], "no_audience": true,
        "jwks_url": "https://idp.example/keys", "user_claim": "email", "tenants_claim": "dct",
        "scope": "outbound.token.fetch", "tenant_tokens": true,
    });
    let listed = json!({"keys": [
        {"id": "0011", "name": "agents", "grants": [], "jwt": rule},
        {"id": "0022", "name": "plain", "grants": []},
    ]});
    let server = Scripted::start(vec![
        (200, json!({"id": "0011", "jwt": rule})),
        (200, listed),
    ]);
    let options = "key add agents --role server --jwt-issuer https://idp.example \
                   --jwt-audience a --jwt-audience b --jwt-no-audience \
                   --jwks-url https://idp.example/keys --user-claim email --tenants-claim dct \
                   --jwt-scope outbound.token.fetch --tenant-tokens";
    let options: Vec<&str> = options.split_whitespace().collect();
    assert_eq!(server.run(&options).ended(0).out, "0011");
    let list = server.run(&["key", "list"]).ended(0).out;
    assert!(
        list.contains("JWTs of https://idp.example for a, b"),
        "{list}"
    );
    assert!(list.contains("its holder"), "{list}");
    assert_eq!(server.seen()[0].body["jwt"], rule);
    for alone in [
        &["--jwt-audience", "a"][..],
        &["--jwt-no-audience"],
        &["--jwks-url", "https://idp.example/keys"],
        &["--user-claim", "email"],
        &["--tenants-claim", "dct"],
        &["--jwt-scope", "x"],
        &["--tenant-tokens"],
    ] {
        let options = [&["key", "add", "x", "--role", "reader"], alone].concat();
        run_with(&options, &[], "").ended(2);
    }
}

/// Goal: a key that opens nothing, or grants nobody can read, is refused here. Method: try them.
#[test]
fn key_add_refuses_what_makes_no_sense() {
    let key = [("STRONGROOM_KEY", KEY)];
    for arguments in [
        &["key", "add", "x"][..],
        &["key", "add", "x", "--app", "github"],
        &["key", "add", "x", "--grants-file", "-"],
        &[
            "key",
            "add",
            "x",
            "--role",
            "reader",
            "--user",
            "u",
            "--no-user",
        ],
    ] {
        let run = run_with(arguments, &key, r#"[{"actions":["steal"]}]"#).ended(2);
        run.failure();
    }
}

/// Goal: what cannot be undone asks first. Method: no terminal, with and without `--yes`.
#[test]
fn removals_need_a_confirmation() {
    let revocations = json!({"revoked": 2, "failed": 1});
    let server = Scripted::start(vec![
        (
            200,
            json!({"deleted": true, "tokens_deleted": 3, "revocations": revocations}),
        ),
        (
            200,
            json!({"deleted": true, "revocation": {"result": "failed"}}),
        ),
        (
            200,
            json!({"deleted": 1000, "more": true, "revocations": {"revoked": 1000}}),
        ),
        (
            200,
            json!({"deleted": 5, "more": false, "revocations": {"revoked": 5}}),
        ),
        (200, json!({"deleted": true})),
    ]);
    for arguments in [
        &["app", "remove", "github"][..],
        &["token", "remove", "tok_1"],
        &["token", "remove", "--user", "alice"],
        &["key", "remove", "0011"],
    ] {
        let run = server.run(arguments).ended(2);
        assert!(run.failure().1.contains("--yes"), "{}", run.err);
    }
    let app = server
        .run(&["app", "remove", "github", "--yes"])
        .ended(0)
        .err;
    assert!(
        app.contains("3 tokens. 2 revoked") && app.contains("1 could not"),
        "{app}"
    );
    let one = server
        .run(&["token", "remove", "tok_1", "--yes"])
        .ended(0)
        .err;
    assert!(one.contains("may still work there"), "{one}");
    let many = server
        .run(&["token", "remove", "--user", "alice", "--yes"])
        .ended(0)
        .err;
    assert!(
        many.contains("1005 tokens are removed. 1005 revoked"),
        "{many}"
    );
    server.run(&["key", "remove", "0011", "--yes"]).ended(0);
    let seen: Vec<String> = server.seen().into_iter().map(|seen| seen.what).collect();
    assert_eq!(seen[0], "DELETE /v1/apps/github");
    assert_eq!(seen[2], "DELETE /v1/tokens?user=alice");
    assert_eq!(seen[4], "DELETE /v1/keys/0011");
}

/// Goal: `app set` changes what is named and keeps the rest. Method: the body of the PUT.
#[test]
fn app_set_keeps_what_it_does_not_name() {
    let before = json!({
        "id": "github", "name": "GitHub", "kind": "oauth", "client_id": "old", "scopes": ["a"],
        "revocation_url": "https://p.example/revoke", "has_client_secret": true,
        "redirect_uri": "https://v.example/callback/github", "created_at": "2026-01-01T00:00:00Z",
        "callback": "own",
    });
    let server = Scripted::start(vec![(200, before.clone()), (200, before)]);
    let run = server.run_with(
        &[
            "app",
            "set",
            "github",
            "--client-id",
            "new",
            "--client-secret-file",
            "-",
            "--clear",
            "revocation_url",
            "--param",
            "prompt=consent",
            "--callback",
            "shared",
        ],
        "s3cret\n",
    );
    let run = run.ended(0);
    assert!(run.out.contains("https://v.example/callback/github") && !run.all().contains("s3cret"));
    let seen = server.seen();
    assert_eq!(seen[1].what, "PUT /v1/apps/github");
    let expected = json!({
        "id": "github", "name": "GitHub", "kind": "oauth", "client_id": "new", "scopes": ["a"],
        "client_secret": "s3cret", "authorization_params": {"prompt": "consent"},
        "callback": "shared",
    });
    assert_eq!(seen[1].body, expected);
}

/// Goal: an MCP server's app needs no more than its URL, and is registered anew by its cleared
/// client id. Method: what is sent, and what a person is told; no secret is asked for.
#[test]
fn app_add_takes_an_mcp_servers_url_and_no_more() {
    let app = json!({"id": "notes", "kind": "oauth", "redirect_uri": "https://v/callback/notes",
        "server_url": "https://mcp.example/mcp", "client_id": "c1", "resource": null,
        "registration": "auto", "issuer": null, "scopes": [],
        "remote": {"issuer": "https://as.example/", "client": "registered"}});
    let given = json!({"id": "notes", "redirect_uri": "https://v/callback/notes",
        "remote": {"client": "given"}});
    let answers = vec![
        (201, app.clone()),
        (201, given),
        (200, app.clone()),
        (200, app),
    ];
    let server = Scripted::start(answers);
    let mcp = ["--mcp", "https://mcp.example/mcp", "--no-check"];
    let run = server
        .run(&[&["app", "add", "notes"][..], &mcp].concat())
        .ended(0);
    assert!(run.err.contains("nothing to register"), "{}", run.err);
    assert!(run.out.contains("https://as.example/"), "{}", run.out);
    let more = [
        "--client-id",
        "c2",
        "--registration",
        "dynamic",
        "--resource",
        "omit",
    ];
    let all = [&["app", "add", "notes"][..], &mcp, &more].concat();
    let run = server.run_with(&all, "").ended(0);
    assert!(run.err.contains("Register the redirect URI"), "{}", run.err);
    server
        .run(&["app", "set", "notes", "--clear", "client_id"])
        .ended(0);
    let seen = server.seen();
    let plain = json!({"id": "notes", "name": "notes", "kind": "oauth",
        "server_url": "https://mcp.example/mcp"});
    assert_eq!(seen[0].body, plain);
    for (name, value) in [
        ("client_id", "c2"),
        ("registration", "dynamic"),
        ("resource", "omit"),
    ] {
        assert_eq!(seen[1].body[name], value);
    }
    let anew = json!({"id": "notes", "kind": "oauth", "client_id": "", "registration": "auto",
        "server_url": "https://mcp.example/mcp", "scopes": []});
    assert_eq!(seen[3].body, anew);
}
