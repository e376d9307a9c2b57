//! `salvage`: a damaged vault's records brought into a new one.

use super::support::{Made, PASSPHRASE, Run, init, path, run, run_with};

fn salvage(made: &Made, into: &str, more: &[&str], input: &str) -> Run {
    let arguments = ["salvage", "--data", made.data(), "--into", into];
    run_with(&[&arguments[..], more].concat(), &[], input)
}

/// Changes a bit of a byte of the vault's file.
fn damage(made: &Made, byte: usize) {
    let file = made.data.join("vault.redb");
    let mut bytes = std::fs::read(&file).expect("it is there");
    bytes[byte] ^= 1;
    std::fs::write(file, bytes).expect("it can be written");
}

/// Goal: a vault that redb refuses comes back by one command, and a person reads what came of it.
/// Method: damage redb's magic number, salvage, unlock the new one; once more as JSON.
#[test]
fn a_vault_that_does_not_open_comes_back_whole_where_no_record_is_hurt() {
    let made = init();
    damage(&made, 0);
    let broken = run(&["passphrase", "slots", "--data", made.data()]);
    assert_eq!(broken.code, 1, "{}", broken.err);
    let into = made.data.with_file_name("saved");
    let saved = salvage(&made, path(&into), &[], PASSPHRASE).ended(0);
    assert!(
        saved.out.starts_with("TABLE\tCAME THROUGH\t"),
        "{}",
        saved.out
    );
    for part in [
        "keys\t1\t0\t0\t0\t0\n",
        "Everything came through: 1 records, the ledger proves it.",
        "strongroom serve --accept-rollback",
    ] {
        assert!(saved.out.contains(part), "{part}: {}", saved.out);
    }
    let told = saved.err.starts_with("reading the damaged file: ");
    assert!(
        told && saved.err.contains("was left as it is"),
        "{}",
        saved.err
    );
    let slots = ["passphrase", "slots", "--json", "--data", path(&into)];
    let slots = run(&slots).ended(0).json();
    assert_eq!(slots["slots"].as_array().unwrap().len(), 2);
    let remove = ["passphrase", "remove-slot", "1", "--yes", "--recovery"];
    let remove = [&remove[..], &["--data", path(&into)]].concat();
    run_with(&remove, &[], &made.recovery_code).ended(0);

    // Told before what opens the vault is looked at.
    let again = salvage(&made, path(&into), &[], "not the passphrase").ended(1);
    assert!(again.failure().0.contains("is not empty"), "{}", again.err);
    let into = made.data.with_file_name("again");
    let json = salvage(
        &made,
        path(&into),
        &["--json", "--recovery"],
        &made.recovery_code,
    );
    let json = json.ended(0).json();
    assert_eq!(json["complete"], true);
    assert_eq!(json["tables"][2]["came_through"], 1);
}

/// Goal: what is lost is told by the exit code and in words. Method: hurt the one record there is.
#[test]
fn what_is_lost_is_told_and_the_exit_code_says_so() {
    let made = init();
    let bytes = std::fs::read(made.data.join("vault.redb")).unwrap();
    // A sealed record begins with format 1, term 1, a version, which is small yet, and one part.
    let sealed = |window: &[u8]| {
        window[..5] == [1, 1, 0, 0, 0] && window[6..13] == [0; 7] && window[13] == 1
    };
    let places = bytes.windows(14).enumerate().filter(|(_, w)| sealed(w));
    let places: Vec<usize> = places.map(|(at, _)| at + 60).collect();
    places.iter().for_each(|at| damage(&made, *at));
    let into = made.data.with_file_name("saved");
    let saved = salvage(&made, path(&into), &[], PASSPHRASE).ended(13);
    assert!(
        saved.out.contains("0 records came through"),
        "{}",
        saved.out
    );
    assert!(saved.out.contains("No ledger can be read"), "{}", saved.out);
}

/// Goal: nothing is made where nothing can be opened. Method: a wrong passphrase, no vault, no
/// header.
#[test]
fn a_salvage_that_cannot_be_leaves_nothing_behind() {
    let made = init();
    let into = made.data.with_file_name("saved");
    let wrong = salvage(&made, path(&into), &[], "not the passphrase").ended(4);
    assert_eq!(wrong.failure().0, "this does not open the vault");
    assert!(wrong.failure().1.contains("restore a backup"));
    let nothing = [
        "salvage",
        "--data",
        "/nowhere/at/all",
        "--into",
        path(&into),
    ];
    run(&nothing).ended(5);
    std::fs::write(made.data.join("vault.redb"), vec![0; 9000]).unwrap();
    let empty = salvage(&made, path(&into), &[], PASSPHRASE).ended(12);
    assert!(
        empty.failure().0.contains("no vault header"),
        "{}",
        empty.err
    );
    assert!(!into.exists());
}
