//! The house rules as data, read over the text of the sources: rooms, doors, shape, leftovers,
//! tests. A broken rule is named with file and line.
//!
//! Goal: the rules cannot rot, and no reviewer spends a word on them. Method: each rule is a pure
//! function over (path, text) pairs; `planted.rs` plants a violation of each and asks for its name.

mod doors;
mod leftovers;
mod outside;
mod paths;
mod planted;
mod rooms;
mod scan;
mod shape;

use std::fmt;
use std::path::Path;

use scan::Source;

/// A broken rule, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    file: String,
    line: usize,
    rule: &'static str,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            what,
        } = self;
        write!(f, "{file}:{line}: {rule}: {what}")
    }
}

/// The rules by name. `planted.rs` fails where one of them has no planted violation.
const RULES: &[&str] = &[
    "rooms",
    "climb",
    "unknown room",
    "hidden import",
    "doors",
    "module comment",
    "file length",
    "line length",
    "function length",
    "file name",
    "unsafe",
    "unfinished",
    "silenced lint",
    "ignored test",
    "glob import",
    "sleeping test",
    "fixed port",
    "top level",
];

fn violation(source: &Source, line: usize, rule: &'static str, what: String) -> Violation {
    assert!(
        RULES.contains(&rule),
        "`{rule}` is missing in the list of rules"
    );
    let file = source.path.clone();
    Violation {
        file,
        line,
        rule,
        what,
    }
}

/// A rule, or a few of one kind: pure over what was read.
type Check = fn(&[Source]) -> Vec<Violation>;

/// Every rule over sources.
const CHECKS: &[Check] = &[
    rooms::check,
    doors::check,
    shape::check_module_comment,
    shape::check_lengths,
    shape::check_names,
    leftovers::check,
    outside::check_sleeps,
    outside::check_ports,
];

/// All violations of all rules, in order of file and line.
fn check(sources: &[Source]) -> Vec<Violation> {
    let mut found: Vec<_> = CHECKS.iter().flat_map(|check| check(sources)).collect();
    found.sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
    found
}

/// Folders whose Rust files are read.
const FOLDERS: &[&str] = &["src", "tests", "benches", "fuzz"];
/// Folders in them that hold what others made.
const FOLDERS_SKIPPED: &[&str] = &["target", "node_modules", "artifacts", "corpus"];

/// Reads every Rust file below `folder` of the repository.
fn read_folder(root: &Path, folder: &str, sources: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        return;
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the folder can be read").file_name())
        .map(|name| name.into_string().expect("file names are UTF-8"))
        .collect();
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            if !FOLDERS_SKIPPED.contains(&name.as_str()) {
                read_folder(root, &path, sources);
            }
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(root.join(&path)).expect("sources are UTF-8");
            sources.push(Source::new(&path, &text));
        }
    }
}

fn report(violations: &[Violation]) -> String {
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    format!("{} broken house rules\n{}", lines.len(), lines.join("\n"))
}

/// Goal: the tree keeps every rule. Method: read it all, and list what does not.
#[test]
fn the_tree_keeps_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in FOLDERS {
        read_folder(root, folder, &mut sources);
    }
    let lines: usize = sources.iter().map(|s| s.text.lines().count()).sum();
    println!("tidy: {} files, {lines} lines", sources.len());
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"));
    let violations = check(&sources);
    assert!(violations.is_empty(), "{}", report(&violations));
}

/// Goal: nothing strays to the top of the repository. Method: list it, dot-files aside.
#[test]
fn the_top_of_the_repository_holds_only_what_belongs_there() {
    let root = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository can be read");
    let names: Vec<String> = root
        .map(|entry| entry.expect("the repository can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let violations = outside::check_top_level(&names);
    assert!(violations.is_empty(), "{}", report(&violations));
}

/// Goal: a table nobody can build is noticed. Method: take away leaves until none is left.
#[test]
fn the_ladder_of_rooms_has_no_circle() {
    assert_eq!(rooms::circle(rooms::LADDER), None);
}
