//! Commands about apps and their templates: what is asked for, sent, and said.

use serde_json::{Value, json};

use super::support::{Scripted, run_with};

fn template() -> Value {
    json!({
        "id": "shop", "name": "Shop", "kind": "oauth", "category": "work",
        "certainty": "documented", "docs": "https://shop.example/docs",
        "oauth": {"client_auth": "post"},
        "variables": {
            "host": {"help": "The shop's host.", "example": "acme.example"},
            "theirs": {"help": "Theirs.", "asked_of": "person"},
        },
        "redirect_uris": {"own": "https://v.example/callback/{app}", "shared": "https://v/s"},
    })
}

fn app() -> Value {
    json!({"id": "shop", "name": "Shop", "kind": "oauth", "client_id": "c",
        "redirect_uri": "https://v.example/callback/shop"})
}

fn checked(level: &str) -> Value {
    json!({"app": "shop", "worst": level, "findings": [
        {"level": "ok", "about": "client_secret", "found": "there is one", "hint": ""},
        {"level": level, "about": "token_url", "found": "refuses", "hint": "compare"},
    ]})
}

fn none() -> Value {
    json!({"error": {"code": "not_found", "message": "there is no such template", "hint": "h"}})
}

/// Goal: without a terminal all that is missing is named in one failure, and nothing is made.
/// Method: an app whose id is a template's, and nothing else said; then a template there is not.
#[test]
fn app_add_names_all_that_is_missing_at_once() {
    let server = Scripted::start(vec![(200, template()), (404, none())]);
    let run = server.run(&["app", "add", "shop"]).ended(2);
    let (message, hint) = run.failure();
    for part in [
        "--client-id ID",
        "--client-secret-file FILE",
        "--value host=VALUE (The shop's host., such as `acme.example`)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("theirs"), "{message}");
    assert!(
        hint.contains("https://v.example/callback/shop") && hint.contains("shop.example/docs"),
        "{hint}"
    );
    let run = server
        .run(&["app", "add", "x", "--template", "nowhere"])
        .ended(2);
    assert!(run.failure().0.contains("`nowhere`"), "{}", run.err);
    let seen: Vec<String> = server.seen().into_iter().map(|seen| seen.what).collect();
    assert_eq!(
        seen,
        ["GET /v1/templates/shop", "GET /v1/templates/nowhere"]
    );
}

/// Goal: an app of a template is made of what was given, tried, and what was found is said, without
/// making the command fail. Method: options and a file of settings; the bodies; `--no-check`.
#[test]
fn app_add_makes_the_app_of_options_and_a_file_and_tries_it() {
    let server = Scripted::start(vec![
        (200, template()),
        (201, app()),
        (200, checked("error")),
        (200, template()),
        (201, app()),
    ]);
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let options = [
        "app",
        "add",
        "shop",
        "--client-id",
        "c",
        "--client-secret-file",
        secret.to_str().unwrap(),
        "--value",
        "host=acme.example",
        "--settings",
        "-",
    ];
    let settings = r#"{"client_id": "other", "dialect": {"lives": {"grace_s": 60}}}"#;
    let run = server.run_with(&options, settings).ended(0);
    assert!(
        run.out.contains("https://v.example/callback/shop"),
        "{}",
        run.out
    );
    for part in [
        "error: token_url: refuses",
        "compare",
        "https://shop.example/docs",
    ] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert!(!run.all().contains("s3cret"));
    let plain = [&options[..9], &["--no-check", "--json"]].concat();
    assert_eq!(server.run(&plain).ended(0).json(), app());
    let seen = server.seen();
    let expected = json!({
        "id": "shop", "template": "shop", "kind": "oauth", "client_id": "c",
        "client_secret": "s3cret", "values": {"host": "acme.example"},
        "dialect": {"lives": {"grace_s": 60}},
    });
    assert_eq!(
        (seen[1].what.as_str(), &seen[1].body),
        ("POST /v1/apps", &expected)
    );
    assert_eq!(seen[2].what, "POST /v1/apps/shop/check");
}

/// Goal: what is said by hand is no template's. Method: an id of a template with an issuer of its
/// own, and one that no template has; a file that is none.
#[test]
fn app_add_by_hand_asks_no_template() {
    let server = Scripted::start(vec![(201, app()), (404, none()), (201, app())]);
    let by_hand = "app add shop --issuer https://login.example --client-id c --client-auth none \
                   --no-check";
    let by_hand: Vec<&str> = by_hand.split_whitespace().collect();
    server.run(&by_hand).ended(0);
    let other = ["app", "add", "other", "--client-id", "c", "--no-check"];
    server.run(&other).ended(0);
    let seen = server.seen();
    let expected = json!({"id": "shop", "name": "shop", "kind": "oauth", "client_id": "c",
        "client_auth": "none", "issuer": "https://login.example"});
    assert_eq!(seen[0].body, expected);
    assert_eq!(
        seen[2].body,
        json!({"id": "other", "name": "other", "kind": "oauth",
        "client_id": "c"})
    );
    let key = [("STRONGROOM_KEY", super::support::KEY)];
    for wrong in ["[]", "{", ""] {
        let run = run_with(&["app", "add", "x", "--settings", "-"], &key, wrong).ended(2);
        run.failure();
    }
    let both = [
        "app",
        "add",
        "x",
        "--settings",
        "-",
        "--client-secret-file",
        "-",
    ];
    assert!(
        run_with(&both, &key, "{}")
            .ended(2)
            .failure()
            .0
            .contains("both")
    );
}

/// Goal: `app check` has an exit code of its own for an error. Method: each level.
#[test]
fn app_check_says_what_was_found_and_ends_so() {
    for (level, code) in [("ok", 0), ("warning", 0), ("error", 15)] {
        let server = Scripted::start(vec![(200, checked(level)), (200, checked(level))]);
        let run = server.run(&["app", "check", "shop"]).ended(code);
        let row = format!("{level}\ttoken_url\trefuses\tcompare\n");
        assert!(run.out.contains(&row), "{}", run.out);
        let json = server.run(&["app", "check", "shop", "--json"]).ended(code);
        assert_eq!(json.json(), checked(level));
        assert_eq!(server.seen()[0].what, "POST /v1/apps/shop/check");
    }
}

/// Goal: an update is shown, and made where that is agreed to. Method: without `--yes`, with it,
/// and where nothing differs.
#[test]
fn app_update_shows_first_and_changes_what_is_agreed_to() {
    let change = json!({"field": "pkce", "yours": false, "catalogue": true, "taken": true});
    let shown = |changes: Value, applied: bool| {
        let app = json!({"id": "shop", "template_outdated": !applied});
        json!({"template": "shop", "applied": applied, "changes": changes, "app": app})
    };
    let differs = || shown(json!([change]), false);
    let server = Scripted::start(vec![
        (200, differs()),
        (200, differs()),
        (200, shown(json!([change]), true)),
        (200, shown(json!([]), false)),
        (200, shown(json!([]), true)),
    ]);
    let run = server.run(&["app", "update", "shop"]).ended(0);
    assert!(run.out.contains("pkce\tno\tyes\tyes\n"), "{}", run.out);
    assert!(run.err.contains("Nothing was changed"), "{}", run.err);
    let agreed = "app update shop --keep token_url --value host=b --yes";
    let agreed: Vec<&str> = agreed.split_whitespace().collect();
    assert!(server.run(&agreed).ended(0).err.contains("is updated"));
    let same = server.run(&["app", "update", "shop"]).ended(0);
    assert!(
        same.err.contains("says what the catalogue says"),
        "{}",
        same.err
    );
    let seen = server.seen();
    assert_eq!(seen[0].body, json!({"only": [], "keep": [], "values": {}}));
    let body = json!({"only": [], "keep": ["token_url"], "values": {"host": "b"}, "apply": true});
    assert_eq!(
        (seen[2].what.as_str(), &seen[2].body),
        ("POST /v1/apps/shop/update", &body)
    );
    assert_eq!(seen[4].body["apply"], true);
}

/// Goal: a search shows how sure an entry is and what it asks for. Method: one with variables.
#[test]
fn app_templates_shows_what_is_asked_for() {
    let found = json!({"templates": [template()]});
    let server = Scripted::start(vec![(200, found.clone()), (200, found)]);
    let run = server.run(&["app", "templates", "shop"]).ended(0);
    assert!(
        run.out.contains("shop\tShop\twork\toauth\tdocumented\t"),
        "{}",
        run.out
    );
    let row = "shop\thost\tthe operator\t-\tacme.example\tThe shop's host.\n";
    assert!(run.out.contains(row), "{}", run.out);
    assert!(
        run.out.contains("shop\ttheirs\twhoever connects\t"),
        "{}",
        run.out
    );
    let all = server.run(&["app", "templates"]).ended(0);
    assert_eq!(all.out.lines().count(), 2, "{}", all.out);
}

/// Goal: `app set` keeps what has no option. Method: the body of the change.
#[test]
fn app_set_keeps_dialect_variables_and_fields() {
    let before = json!({
        "id": "shop", "name": "Shop", "kind": "oauth", "client_id": "c",
        "refresh_url": "https://p.example/r", "dialect": {"lives": {"grace_s": 60}},
        "variables": {"host": {}, "region": {}}, "values": {"host": "a"},
        "template_outdated": false,
    });
    let server = Scripted::start(vec![(200, before.clone()), (200, before.clone())]);
    server
        .run(&[
            "app",
            "set",
            "shop",
            "--value",
            "region=eu",
            "--name",
            "Mine",
        ])
        .ended(0);
    let mut expected = before;
    expected["name"] = json!("Mine");
    expected["values"]["region"] = json!("eu");
    expected
        .as_object_mut()
        .unwrap()
        .remove("template_outdated");
    assert_eq!(server.seen()[1].body, expected);
}

/// Goal: a logo that is none ends the start, and says what is wrong. Method: `serve` and `dev` with
/// no picture, none at all, one that is too large.
#[test]
fn a_bad_logo_ends_the_start() {
    let home = tempfile::tempdir().unwrap();
    let large = format!("<svg>{}</svg>", " ".repeat(40_000));
    for (name, content, part) in [
        ("logo.gif", Some("GIF89a"), "neither PNG nor SVG"),
        ("none.png", None, "cannot read the logo"),
        (
            "large.svg",
            Some(large.as_str()),
            "too large: at most 24 KiB",
        ),
    ] {
        let logo = home.path().join(name);
        if let Some(content) = content {
            std::fs::write(&logo, content).unwrap();
        }
        let logo = logo.to_str().unwrap();
        let dev = ["dev", "--listen", "127.0.0.1:0", "--brand-logo", logo];
        let run = run_with(&dev, &[], "");
        assert!(
            run.code != 0 && run.failure().0.contains(part),
            "{}",
            run.err
        );
    }
}

/// Goal: own templates that are wrong end the start, with the place that is. Method: `serve` and
/// `dev` with a bad file; nothing is opened for it.
#[test]
fn a_bad_catalogue_ends_the_start() {
    let home = tempfile::tempdir().unwrap();
    let bad = r#"[{"id": "acme", "name": 7}]"#;
    std::fs::write(home.path().join("own.json"), bad).unwrap();
    let directory = home.path().to_str().unwrap();
    let serve = ["serve", "--data", "nowhere", "--catalogue", directory];
    let dev = ["dev", "--listen", "127.0.0.1:0"];
    let variables = [("STRONGROOM_CATALOGUE", directory)];
    for run in [run_with(&serve, &[], ""), run_with(&dev, &variables, "")] {
        let run = run.ended(2);
        let (message, hint) = run.failure();
        let place = "own.json: entry 1 `acme` at line 1: `name`: invalid type";
        assert!(message.contains(place), "{message}");
        assert!(hint.contains("--help"), "{hint}");
    }
}
