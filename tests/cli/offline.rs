//! `init`: a new vault and what it hands over.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::support::{PASSPHRASE, init, path, run, run_with};

/// Goal: what `init` makes is its owner's alone, and what it prints is complete.
/// Method: modes of everything made; JSON from a passphrase file.
#[test]
fn a_new_vault_is_its_owners_alone() {
    let home = tempfile::tempdir().unwrap();
    let (data, file) = (home.path().join("vault"), home.path().join("pass"));
    std::fs::write(&file, format!("{PASSPHRASE}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let arguments = [
        "init",
        "--data",
        path(&data),
        "--passphrase-file",
        path(&file),
        "--kdf-memory-mib",
        "64",
        "--json",
    ];
    let made = run(&arguments).ended(0);
    assert_eq!(made.err, "");
    let made = made.json();
    assert!(made["access_key"].as_str().unwrap().starts_with("sr_"));
    assert!(made["recovery_code"].as_str().unwrap().starts_with("SR-"));
    let project = made["project_id"].as_str().unwrap();
    assert!(project.starts_with('P') && project.len() == 28, "{project}");
    let mode = |name: &str| std::fs::metadata(data.join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("audit"), 0o700);
    assert_eq!(mode("vault.redb"), 0o600);
    for entry in std::fs::read_dir(data.join("audit")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
    let again = run(&arguments).ended(1);
    assert!(again.failure().0.contains("is not empty"), "{}", again.err);
}

/// Goal: whoever inits again after a kill is told what became of the first try. Method: leave the
/// mark of an unfinished vault in the directory.
#[test]
fn init_says_that_an_earlier_one_was_cut_short() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(home.path().join("unfinished"), "").unwrap();
    let arguments = [
        "init",
        "--data",
        path(home.path()),
        "--kdf-memory-mib",
        "64",
    ];
    let said = run_with(&arguments, &[], PASSPHRASE).ended(0).err;
    assert_eq!(
        said,
        "An init was cut short here; what it left is taken away.\n"
    );
    assert!(!home.path().join("unfinished").exists());
}

/// Goal: a person knows what to do with what is printed. Method: the text on standard output.
#[test]
fn init_labels_what_it_prints_and_says_what_is_next() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("vault");
    let arguments = ["init", "--data", path(&data), "--kdf-memory-mib", "64"];
    let text = run_with(&arguments, &[], PASSPHRASE).ended(0).out;
    for part in [
        "Recovery code:  SR-",
        "Access key:     sr_",
        "Project id:     P",
        "strongroom serve --data",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

/// Goal: `--data` may come from the environment. Method: `STRONGROOM_DATA`.
#[test]
fn the_data_directory_may_come_from_the_environment() {
    let made = init();
    let run = run_with(
        &["passphrase", "slots", "--json"],
        &[("STRONGROOM_DATA", made.data())],
        "",
    );
    assert_eq!(run.ended(0).json()["slots"].as_array().unwrap().len(), 2);
}

/// Goal: a weak or ambiguous passphrase makes no vault. Method: one of each kind.
#[test]
fn weak_and_ambiguous_passphrases_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("vault");
    let arguments = ["init", "--data", path(&data), "--kdf-memory-mib", "64"];
    for (passphrase, part) in [
        ("short", "at least 10 characters"),
        ("password123456", "too easy to guess"),
        ("", "is empty"),
        ("\n", "is empty"),
        (" violet harbour mumbles often", "white space"),
        ("violet harbour mumbles often\n\n", "white space"),
        ("violet harbour\nmumbles often", "line break"),
    ] {
        let run = run_with(&arguments, &[], passphrase).ended(2);
        let said = run.err.lines().any(|line| line.contains(part));
        assert!(said, "{passphrase:?}: {}", run.err);
        assert!(!run.all().contains("mumbles") && !run.all().contains("password123"));
        assert!(!data.exists(), "{passphrase:?} made something");
    }
    let cheap = ["init", "--data", path(&data), "--kdf-memory-mib", "8"];
    let run = run_with(&cheap, &[], PASSPHRASE).ended(2);
    assert!(run.failure().0.contains("64 MiB"), "{}", run.err);
}

/// Goal: a passphrase file that everybody may read is noticed. Method: mode 0644, then 0600.
#[test]
fn a_secret_file_open_to_everybody_is_warned_about() {
    let made = init();
    let file = made.file("wrong.txt", "not the passphrase at all");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let arguments = [
        "passphrase",
        "remove-slot",
        "1",
        "--data",
        made.data(),
        "--passphrase-file",
        &file,
    ];
    let run_open = run(&arguments).ended(4);
    assert!(
        run_open.err.contains("Everybody on this machine may read"),
        "{}",
        run_open.err
    );
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!run(&arguments).err.contains("Everybody"));
}
