//! What the command line says about itself, and about arguments that cannot be right.

use super::support::{KEY, run, run_with};

const COMMANDS: [&str; 45] = [
    "dev",
    "init",
    "serve",
    "unlock",
    "lock",
    "status",
    "app",
    "app add",
    "app list",
    "app show",
    "app set",
    "app remove",
    "app templates",
    "app check",
    "app update",
    "connect",
    "token",
    "token get",
    "token put",
    "token list",
    "token show",
    "token refresh",
    "token reveal",
    "token remove",
    "key",
    "key add",
    "key list",
    "key remove",
    "audit",
    "backup",
    "compact",
    "restore",
    "check",
    "passphrase",
    "passphrase set",
    "passphrase add",
    "passphrase add-key-file",
    "passphrase add-recovery-code",
    "passphrase slots",
    "passphrase remove-slot",
    "rotate",
    "salvage",
    "sandbox",
    "completions",
    "",
];

/// Goal: a person can learn from the help. Method: ask every command, look for its parts.
#[test]
fn every_command_has_a_summary_an_explanation_and_an_example() {
    for command in COMMANDS {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = run(&arguments).ended(0).out;
        let paragraphs: Vec<&str> = help.split("\n\n").collect();
        assert!(
            paragraphs[0].len() > 10,
            "`{command}` has no summary:\n{help}"
        );
        assert!(
            !paragraphs[1].starts_with("Usage"),
            "`{command}` has no explanation:\n{help}"
        );
        assert!(
            help.contains(&format!("Usage: strongroom {command}")),
            "{help}"
        );
        assert!(
            help.contains("\nExample"),
            "`{command}` has no example:\n{help}"
        );
        let example = help.split("\nExample").last().unwrap();
        let called = example.contains(&format!("strongroom {command}"));
        assert!(
            called
                || COMMANDS
                    .iter()
                    .any(|c| c.starts_with(&format!("{command} ")))
        );
    }
}

/// Goal: scripts can rely on exit codes. Method: the help lists them.
#[test]
fn the_help_lists_exit_codes_and_variables() {
    let help = run(&["--help"]).ended(0).out;
    for part in [
        "Exit codes:",
        "\n   3  the vault is locked",
        "STRONGROOM_KEY",
        "STRONGROOM_LOG",
    ] {
        assert!(help.contains(part), "{part} is missing");
    }
    let version = run(&["--version"]).ended(0).out;
    assert_eq!(
        version.trim(),
        concat!("strongroom ", env!("CARGO_PKG_VERSION"))
    );
}

/// Goal: no secret is taken from arguments, and one typed there anyway is not repeated.
/// Method: every way a person might try.
#[test]
fn secrets_are_never_taken_from_arguments() {
    let tries: [&[&str]; 12] = [
        &["unlock", "--passphrase", "hunter2hunter2"],
        &["unlock", "--passphrase=hunter2hunter2"],
        &["unlock", "hunter2hunter2"],
        &["init", "--data", "x", "--passphrase", "hunter2hunter2"],
        &["serve", "--data", "x", "--passphrase=hunter2hunter2"],
        &[
            "passphrase",
            "set",
            "--data",
            "x",
            "--new-passphrase=hunter2hunter2",
        ],
        &[
            "passphrase",
            "set",
            "--data",
            "x",
            "--recovery",
            "hunter2hunter2",
        ],
        &[
            "token",
            "get",
            "a",
            "--user",
            "u",
            "--key",
            "hunter2hunter2",
        ],
        &[
            "token",
            "get",
            "a",
            "--user",
            "u",
            "--rejected=hunter2hunter2",
        ],
        &[
            "token",
            "put",
            "a",
            "--user",
            "u",
            "--api-key",
            "hunter2hunter2",
        ],
        &["token", "put", "a", "--user", "u", "hunter2hunter2"],
        &["app", "add", "a", "--client-secret=hunter2hunter2"],
    ];
    for arguments in tries {
        let run = run(arguments).ended(2);
        assert!(!run.all().contains("hunter2"), "{arguments:?}: {}", run.err);
        run.failure();
    }
    let (message, hint) = {
        let run = run(&["unlock", "--passphrase", "x"]);
        (run.failure().0.to_owned(), run.failure().1.to_owned())
    };
    assert_eq!(message, "there is no option `--passphrase` here");
    assert!(hint.contains("standard input, never from arguments"));
    assert!(hint.ends_with("`strongroom unlock --help` explains it"));
}

/// Goal: wrong use is told like every other failure. Method: several kinds of it.
#[test]
fn wrong_use_is_told_in_two_lines_with_exit_code_2() {
    let cases: [(&[&str], &str); 10] = [
        (
            &["init"],
            "required arguments were not provided: --data <DIR>",
        ),
        (&["connect", "github"], "--user <USER>"),
        (
            &["token", "get", "github", "--user", "u", "--min-ttl", "5"],
            "90s, 10m, 12h or 30d",
        ),
        (
            &["serve", "--data", "x", "--listen", "vault.lan:0"],
            "is no address to listen on",
        ),
        (
            &[
                "serve",
                "--data",
                "x",
                "--allow-origin",
                "https://a.example/",
            ],
            "is not an origin as browsers write it",
        ),
        (&["dev", "--allow-origin", "*"], "is not an origin"),
        (&["dev", "--brand-accent", "red"], "#rrggbb"),
        (&["serve", "--data", "x", "--tls-cert", "c"], "--tls-key"),
        (&["token", "remove"], "required"),
        (&["key", "add", "k", "--action", "steal"], "steal"),
    ];
    for (arguments, part) in cases {
        let run = run(arguments).ended(2);
        let (message, hint) = run.failure();
        assert!(message.contains(part), "{arguments:?}: {message}");
        assert!(hint.contains("--help"), "{arguments:?}: {hint}");
        assert_eq!(run.out, "");
    }
    let near = run(&["token", "get", "a", "--usr", "u"]).ended(2);
    assert!(
        near.failure().1.contains("did you mean `--user`?"),
        "{}",
        near.err
    );
    assert_eq!(run(&["token"]).code, 2);
    assert_eq!(run(&[]).code, 2);
    let level = run_with(&["status"], &[("STRONGROOM_LOG", "loud")], "").ended(2);
    assert!(level.failure().1.contains("debug"));
}

/// Goal: completions work in the three shells. Method: they name the commands.
#[test]
fn completions_are_there_for_the_usual_shells() {
    for (shell, sign) in [
        ("bash", "complete -F _strongroom"),
        ("zsh", "#compdef strongroom"),
        ("fish", "complete -c strongroom"),
    ] {
        let script = run(&["completions", shell]).ended(0).out;
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("add-key-file"), "{shell}");
    }
    assert_eq!(run(&["completions", "cobol"]).code, 2);
}

/// Goal: the access key stays here. Method: addresses where it would not, and no key at all.
#[test]
fn the_key_goes_nowhere_in_the_clear() {
    let key = [("STRONGROOM_KEY", KEY)];
    let run = run_with(&["app", "list", "--url", "http://192.0.2.1:7420"], &key, "").ended(2);
    assert!(run.failure().0.contains("in the clear"), "{}", run.err);
    let run = run_with(
        &["app", "list", "--url", "https://u:p@vault.example"],
        &key,
        "",
    )
    .ended(2);
    assert!(
        run.failure().0.contains("user name or password"),
        "{}",
        run.err
    );
    let run = run_with(&["app", "list"], &[], "").ended(2);
    assert_eq!(run.failure().0, "no access key was given");
    let run = run_with(&["app", "list"], &[("STRONGROOM_KEY", "hunter2\n")], "").ended(2);
    assert!(run.failure().0.contains("begins with `sr_`") && !run.all().contains("hunter2"));
}
