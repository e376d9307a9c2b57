//! `passphrase`: the ways to unlock a stopped server's vault.

use std::os::unix::fs::MetadataExt;

use strongroom::clock::Clock;
use strongroom::vault::{Settings, Vault};

use serde_json::{Value, json};

use super::support::{Made, PASSPHRASE, PASSPHRASE_2, Run, Scripted, init, path, run, run_with};

const CHEAP: [&str; 2] = ["--kdf-memory-mib", "64"];

fn passphrase(made: &Made, arguments: &[&str], input: &str) -> Run {
    let all = [&["passphrase"], arguments, &["--data", made.data()]].concat();
    run_with(&all, &[], input)
}

fn kinds(made: &Made) -> Vec<String> {
    let slots = passphrase(made, &["slots", "--json"], "").ended(0).json();
    let slots = slots["slots"].as_array().expect("a list").clone();
    let kind = |slot: &serde_json::Value| slot["kind"].as_str().expect("a word").to_owned();
    slots.iter().map(kind).collect()
}

/// Goal: a forgotten passphrase is replaced. Method: set with the recovery code; the new one opens,
/// the old one does not.
#[test]
fn the_recovery_code_replaces_a_forgotten_passphrase() {
    let made = init();
    let new = made.file("new.txt", PASSPHRASE_2);
    let arguments = [
        &["set", "--recovery", "--new-passphrase-file", &new],
        &CHEAP[..],
    ]
    .concat();
    let run = passphrase(&made, &arguments, &made.recovery_code).ended(0);
    assert!(run.err.contains("changed"), "{}", run.err);
    assert!(!run.all().contains(PASSPHRASE_2) && !run.all().contains(&made.recovery_code));
    let key = made.data.with_file_name("vault.key");
    let key = key.to_str().unwrap();
    let add = ["add-key-file", key, "--create"];
    passphrase(&made, &add, PASSPHRASE).ended(4);
    passphrase(&made, &add, PASSPHRASE_2).ended(0);
    assert_eq!(kinds(&made), ["recovery code", "passphrase", "key file"]);
}

/// Goal: slots come and go. Method: add a passphrase and a key file, open with each, remove one.
#[test]
fn slots_are_added_used_and_removed() {
    let made = init();
    let new = made.file("new.txt", PASSPHRASE_2);
    let add = ["add", "--new-passphrase-file", &new, "--label", "Ada"];
    passphrase(&made, &[&add[..], &CHEAP].concat(), PASSPHRASE).ended(0);
    let key = made.data.with_file_name("vault.key");
    let file = key.to_str().unwrap().to_owned();
    let create = ["add-key-file", &file, "--create"];
    let added = passphrase(&made, &create, PASSPHRASE_2).ended(0);
    assert!(added.err.contains("slot 4"), "{}", added.err);
    assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&key).unwrap().len(), 32);
    let again = passphrase(&made, &create, PASSPHRASE_2).ended(1);
    assert!(again.failure().0.contains("cannot make"), "{}", again.err);

    let table = passphrase(&made, &["slots"], "").ended(0).out;
    assert!(
        table.starts_with("SLOT\tOPENED BY\tLABEL\tMADE\tKDF MEMORY\n"),
        "{table}"
    );
    assert!(
        table.contains("3\tpassphrase\tAda\t") && table.contains("\t64 MiB\n"),
        "{table}"
    );

    let remove = ["remove-slot", "1", "--key-file", &file];
    let refused = passphrase(&made, &remove, "").ended(2);
    assert!(refused.failure().1.contains("--yes"), "{}", refused.err);
    let sure = [&remove[..], &["--yes"]].concat();
    passphrase(&made, &sure, "").ended(0);
    passphrase(&made, &sure, "").ended(5);
    assert_eq!(kinds(&made), ["recovery code", "passphrase", "key file"]);
    passphrase(&made, &["remove-slot", "4", "--yes"], PASSPHRASE).ended(4);
    passphrase(&made, &["remove-slot", "4", "--yes"], PASSPHRASE_2).ended(0);
}

/// Goal: a key file that opens nothing is not in the next try's way. Method: a stopped vault and a
/// label it refuses; the same command again, rightly.
#[test]
fn a_key_file_that_was_not_added_is_taken_away() {
    let made = init();
    let key = made.data.with_file_name("vault.key");
    let create = ["add-key-file", path(&key), "--create", "--label"];
    let long = "x".repeat(65);
    let refused = passphrase(&made, &[&create[..], &[&long]].concat(), PASSPHRASE).ended(2);
    assert!(refused.failure().0.contains("label"), "{}", refused.err);
    assert!(!key.exists());
    passphrase(&made, &[&create[..], &["safe"]].concat(), PASSPHRASE).ended(0);
    assert!(key.exists());
}

/// Goal: whoever may hold a slot keeps its file, and whoever does not leaves none. Method: a server
/// that refuses for sure, one that may have added it, and one that goes away unheard.
#[test]
fn a_key_file_stays_where_the_server_may_have_taken_it() {
    let home = tempfile::tempdir().unwrap();
    let pass = home.path().join("pass");
    std::fs::write(&pass, PASSPHRASE).unwrap();
    let add = |name: &str, answer: Option<(u16, &str)>| {
        let key = home.path().join(name);
        let mut answers: Vec<(u16, Value)> = vec![(200, json!({"slots": []}))];
        answers.extend(answer.map(|(status, code)| {
            let error = json!({"code": code, "message": "no", "hint": "h"});
            (status, json!({ "error": error }))
        }));
        let server = Scripted::start(answers);
        let file = ["--passphrase-file", path(&pass)];
        let run = ["passphrase", "add-key-file", path(&key), "--create"];
        let run = server.run(&[&run[..], &file].concat());
        assert_ne!(run.code, 0, "{}", run.err);
        key.exists()
    };
    for (status, code) in [
        (401, "unlock_failed"),
        (403, "denied"),
        (409, "conflict"),
        (429, "busy"),
        (400, "invalid_request"),
        (507, "storage"),
    ] {
        assert!(!add(code, Some((status, code))), "{code} left a file");
    }
    for (status, code) in [
        (503, "timeout"),
        (507, "outcome_unknown"),
        (500, "internal"),
    ] {
        assert!(add(code, Some((status, code))), "{code} took the file away");
    }
    assert!(add("unheard", None), "no answer took the file away");
}

/// Goal: every wrong try says the same. Method: a wrong passphrase, code and key file.
#[test]
fn what_does_not_open_the_vault_is_answered_alike() {
    let made = init();
    let key = made.file("other.key", &"x".repeat(32));
    let code = "SR-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000";
    let tries: [(&[&str], &str); 3] = [
        (&["remove-slot", "1"], "not the passphrase"),
        (&["remove-slot", "1", "--recovery"], code),
        (&["remove-slot", "1", "--key-file", &key], ""),
    ];
    for (arguments, input) in tries {
        let run = passphrase(&made, arguments, input).ended(4);
        assert_eq!(run.failure().0, "this does not open the vault");
        assert!(
            run.failure()
                .1
                .contains("strongroom passphrase set --recovery --data DIR")
        );
    }
    let malformed = passphrase(&made, &["remove-slot", "1", "--recovery"], "SR-12").ended(2);
    assert_eq!(malformed.failure().0, "this is not a recovery code");
    let short = made.file("short.key", "abc");
    let short = passphrase(&made, &["add-key-file", &short], PASSPHRASE).ended(2);
    assert!(short.failure().0.contains("32 bytes"), "{}", short.err);
}

/// Goal: one standard input holds one secret. Method: ask for two from it.
#[test]
fn standard_input_holds_one_secret() {
    let made = init();
    let both = format!("{PASSPHRASE}\n");
    let run = passphrase(&made, &[&["set"], &CHEAP[..]].concat(), &both).ended(2);
    assert!(run.failure().0.contains("cannot hold both"), "{}", run.err);
    let two = ["set", "--recovery", "--passphrase-file", "x"];
    assert_eq!(passphrase(&made, &two, "").code, 2);
}

/// Goal: nobody changes slots behind a server's back. Method: hold the vault open meanwhile.
#[test]
fn a_vault_that_is_in_use_is_left_alone() {
    let made = init();
    let open = Vault::open(&made.data, Settings::default(), Clock::system()).unwrap();
    let busy = passphrase(&made, &["set"], PASSPHRASE).ended(11);
    assert!(
        busy.failure().0.contains("in use by another process"),
        "{}",
        busy.err
    );
    assert!(busy.failure().1.contains("stop the server"), "{}", busy.err);
    drop(open);
    let nothing = run(&["passphrase", "slots", "--data", "/nowhere/at/all"]).ended(5);
    assert!(nothing.failure().0.contains("no vault in /nowhere/at/all"));
}
