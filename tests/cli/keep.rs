//! `backup`, `compact`, `restore`, `check` as a person or a script meets them.

use serde_json::{Value, json};

use super::support::{KEY, PASSPHRASE, Scripted, init, path, run_with};

/// Goal: the command follows a backup to its end, and ends as it did. Method: a server that says
/// "running", then "done", "failed", or nothing of it any more.
#[test]
fn backup_ends_as_the_servers_backup_does() {
    let backup = |state: &str| {
        json!({
            "state": state, "file": "/b/strongroom-epoch-0000000007.redb", "epoch": 7,
            "done": 3, "total": 10, "started_at": "2026-01-01T00:00:00Z",
        })
    };
    let status = |backup: serde_json::Value| (200, json!({"locked": false, "backup": backup}));
    let mut failed = backup("failed");
    failed["error"] = json!({"code": "storage", "message": "it is full", "hint": "make room"});
    let server = Scripted::start(vec![
        (200, backup("running")),
        status(backup("running")),
        status(backup("done")),
        (200, backup("running")),
        status(failed),
        (200, backup("running")),
        status(json!(null)),
    ]);
    let done = server.run(&["backup", "/b"]).ended(0);
    assert_eq!(done.out, "/b/strongroom-epoch-0000000007.redb\n");
    assert!(done.err.starts_with("backup: 30 %\n"), "{}", done.err);
    assert!(
        done.err.contains("does not hold the audit trail"),
        "{}",
        done.err
    );
    let failed = server.run(&["backup", "/b", "--json"]).ended(1);
    assert_eq!(failed.failure(), ("it is full", "make room"));
    let lost = server.run(&["backup", "/b", "--json"]).ended(1);
    assert!(lost.failure().0.contains("no longer knows"), "{}", lost.err);
}

/// Goal: a stopped server's vault is backed up, checked and restored without it. Method: each
/// command with the recovery code, JSON read; then damage and what is not there.
#[test]
fn a_stopped_vault_is_backed_up_checked_and_restored() {
    let made = init();
    let code = made.file("code", &made.recovery_code);
    let home = made.data.parent().unwrap();
    let backups = home.join("backups");
    std::fs::create_dir(&backups).unwrap();
    let with = |arguments: &[&str]| {
        let arguments = [arguments, &["--recovery-file", &code]].concat();
        run_with(&arguments, &[("STRONGROOM_KEY", KEY)], "")
    };
    let backup = ["backup", path(&backups), "--data", made.data(), "--json"];
    let done = with(&backup).ended(0).json();
    let file = done["file"].as_str().unwrap();
    assert!(file.ends_with(".redb") && done["epoch"].is_u64(), "{done}");
    // Each time the vault is closed it commits once more, so the next backup has another name.
    let epoch = |done: &Value| done["epoch"].as_u64().unwrap();
    let again = with(&backup).ended(0).json();
    let third = 2 * epoch(&again) - epoch(&done);
    assert!(third > epoch(&again));
    let taken = backups.join(format!("strongroom-epoch-{third:010}.redb"));
    std::fs::write(&taken, "somebody's").unwrap();
    let refused = with(&backup).ended(1);
    assert!(refused.failure().0.contains("exists already"));
    assert_eq!(std::fs::read(&taken).unwrap(), b"somebody's");
    let wrong = with(&["backup", path(&backups)]).ended(2);
    assert!(
        wrong.failure().1.contains("--access-key-file"),
        "{}",
        wrong.err
    );
    let report = with(&["check", file, "--json"]).ended(0).json();
    assert_eq!(
        (&report["verdict"], &report["opened"]),
        (&json!("whole"), &json!(true))
    );
    let text = with(&["check", "--data", made.data()]).ended(0).out;
    assert!(
        text.contains("is whole") && text.contains("audit trail"),
        "{text}"
    );
    let restored = home.join("restored");
    let restore = ["restore", file, "--data", path(&restored)];
    let told = with(&restore).ended(0).out;
    assert!(told.contains("--accept-rollback") && told.contains("Refreshing is paused"));
    // Told before anything is asked for: there is nothing on standard input.
    let told = run_with(&restore, &[("STRONGROOM_KEY", KEY)], "").ended(1);
    assert!(told.failure().0.contains("not empty"), "{}", told.err);

    let half = std::fs::read(file).unwrap();
    let damaged = home.join("half.redb");
    std::fs::write(&damaged, &half[..half.len() / 2]).unwrap();
    let report = with(&["check", path(&damaged)]).ended(12);
    assert!(report.out.contains("is DAMAGED") && report.out.contains("What to do"));
    let structure = run_with(&["check", path(&damaged), "--structure-only"], &[], "");
    assert_eq!(structure.ended(12).err, "");
    let elsewhere = home.join("elsewhere");
    let refused = with(&["restore", path(&damaged), "--data", path(&elsewhere)]).ended(12);
    assert!(
        refused.failure().1.contains("nothing was restored"),
        "{}",
        refused.err
    );
    assert!(!elsewhere.exists());
    let nothing = path(&home.join("nothing")).to_owned();
    with(&["check", &nothing]).ended(5);
    with(&["restore", &nothing, "--data", &nothing]).ended(5);
    with(&["check"]).ended(2);
}

/// Goal: the command follows a compaction to its end, and ends as it did. Method: a server that
/// says "running", then "done", "failed", or nothing of it any more; a running server and a key
/// file.
#[test]
fn compact_ends_as_the_servers_compaction_does() {
    let compaction = |state: &str| {
        json!({
            "state": state, "done": 3, "total": 10, "started_at": "2026-01-01T00:00:00Z",
            "bytes_before": 9000, "bytes_after": null, "writes_waited_ms": null,
        })
    };
    let status = |compaction: Value| (200, json!({"locked": false, "compaction": compaction}));
    let mut done = compaction("done");
    done["bytes_after"] = json!(4000);
    done["writes_waited_ms"] = json!(12);
    let mut failed = compaction("failed");
    failed["error"] = json!({"code": "storage", "message": "it is full", "hint": "make room"});
    let server = Scripted::start(vec![
        (200, compaction("running")),
        status(compaction("running")),
        status(done),
        (200, compaction("running")),
        status(failed),
        (200, compaction("running")),
        status(json!(null)),
    ]);
    let told = server.run(&["compact"]).ended(0);
    assert_eq!(told.out, "9000 bytes on the disk before, 4000 after.\n");
    assert!(told.err.starts_with("compaction: 30 %\n"), "{}", told.err);
    let failed = server.run(&["compact", "--json"]).ended(1);
    assert_eq!(failed.failure(), ("it is full", "make room"));
    let lost = server.run(&["compact", "--json"]).ended(1);
    assert!(lost.failure().0.contains("no longer knows"), "{}", lost.err);
    let opener = ["compact", "--key-file", "/k"];
    let wrong = run_with(&opener, &[("STRONGROOM_KEY", KEY)], "").ended(2);
    assert!(wrong.failure().1.contains("--data"), "{}", wrong.err);
}

/// Goal: a stopped server's vault is compacted without it. Method: with the recovery code, as text
/// and as JSON; the vault is whole then; a directory without a vault.
#[test]
fn a_stopped_vault_is_compacted() {
    let made = init();
    let code = made.file("code", &made.recovery_code);
    let with =
        |arguments: &[&str]| run_with(&[arguments, &["--recovery-file", &code]].concat(), &[], "");
    let done = with(&["compact", "--data", made.data(), "--json"]).ended(0);
    let told = done.json();
    assert!(told["bytes_before"].as_u64().unwrap() > 0, "{told}");
    assert!(told["bytes_after"].as_u64().unwrap() > 0, "{told}");
    let done = with(&["compact", "--data", made.data()]).ended(0);
    assert!(
        done.out.contains("bytes on the disk before"),
        "{}",
        done.out
    );
    with(&["check", "--data", made.data()]).ended(0);
    let nothing = path(&made.data.join("nothing")).to_owned();
    with(&["compact", "--data", &nothing]).ended(5);
}

/// Goal: `--key-file` opens the vault, and the access key has a name of its own. Method: a stopped
/// vault backed up with a key file; a server that is shown the key of another file.
#[test]
fn a_backup_takes_what_opens_the_vault_and_the_access_key_by_names_of_their_own() {
    let made = init();
    let home = made.data.parent().unwrap();
    let key = home.join("vault.key");
    let add = [
        "passphrase",
        "add-key-file",
        path(&key),
        "--create",
        "--data",
    ];
    run_with(&[&add[..], &[made.data()]].concat(), &[], PASSPHRASE).ended(0);
    let backups = home.join("backups");
    std::fs::create_dir(&backups).unwrap();
    let backup = ["backup", path(&backups), "--key-file", path(&key)];
    run_with(&[&backup[..], &["--data", made.data()]].concat(), &[], "").ended(0);

    let refused = json!({"error": {"code": "denied", "message": "no", "hint": "h"}});
    let server = Scripted::start(vec![(403, refused)]);
    let file = made.file("access", KEY);
    let arguments = [
        "backup",
        "/b",
        "--access-key-file",
        &file,
        "--url",
        &server.url,
    ];
    run_with(&arguments, &[], "").ended(4);
    assert!(server.seen()[0].head.contains(KEY));
}
