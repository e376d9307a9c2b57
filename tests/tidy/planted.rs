//! The test of the test: a violation of each rule is planted, and must be named, with its line.
//!
//! Method: plants are data. The rows of the tables (rooms, doors) make their own plants, so that a
//! new row is proven without a new test.

use std::collections::BTreeSet;

use crate::scan::Source;
use crate::{RULES, Violation, check, doors, leftovers, outside, rooms, shape};

/// The opening comment of a file that keeps the rules.
const OPENING: &str = "//! What it is for.\n//!\n//! It promises: a lot.\n//! It never: stops.\n";
/// The first line after it.
const FIRST: usize = 5;

/// Planted violations: the rule to be named, the file, the line to be named, and the code that
/// follows the opening comment, where `⏎` begins a new line.
const PLANTS: &str = r##"
rooms          | src/http/api.rs        | 5 | use crate::store::Store;
rooms          | src/http/api.rs        | 5 | use crate::store::{A, B};
rooms          | src/http/api.rs        | 5 | use crate::store;
rooms          | src/http/api.rs        | 5 | pub use crate::seal::Keyring;
rooms          | src/http.rs            | 6 | fn f() {⏎    crate::seal::open();⏎}
rooms          | src/store.rs           | 5 | use crate::seal::Keyring;
rooms          | src/store/tables.rs    | 5 | use crate::seal::{Sealed, Keyring};
rooms          | src/store.rs           | 5 | use crate::seal;
rooms          | src/vault/tokens.rs    | 5 | type T = crate::http::App;
rooms          | src/seal.rs            | 5 | macro_rules! m { () => { $crate::model::AppId } }
rooms          | src/connect.rs         | 5 | use crate::refresh::fresh;
rooms          | src/main.rs            | 5 | use strongroom::vault::Vault;
rooms          | src/clock.rs           | 5 | use crate::error::Error;
climb          | src/http.rs            | 5 | use super::store::Store;
climb          | src/http/api.rs        | 5 | use super::super::store::Store;
climb          | src/http/api.rs        | 5 | fn f() { self::super::super::store::g() }
unknown room   | src/services.rs        | 1 |
unknown room   | src/http.rs            | 5 | use crate::Vault;
hidden import  | src/http.rs            | 5 | use crate::{⏎    vault::Vault,⏎};
hidden import  | src/http.rs            | 5 | use crate as house;
hidden import  | src/http.rs            | 5 | extern crate self as house;
doors          | src/vault.rs           | 5 | use {redb::Database, std::fmt};
doors          | src/model.rs           | 6 | use std::{⏎    env, fmt,⏎};
doors          | src/vault/writer.rs    | 5 | use tokio::sync::mpsc;
doors          | src/http/pace.rs       | 5 | use std::time::{Duration, Instant};
line length    | src/model.rs           | 5 | /// LONG
doors          | src/http/api.rs        | 5 | fn f() { tokio::task::spawn(g()) }
doors          | src/http/api.rs        | 6 | fn f(s: S) { s⏎    .expose() }
doors          | src/http/api.rs        | 5 | fn f(s: S) { s.map(Secret::expose) }
doors          | src/vault.rs           | 7 | #[cfg(test)]⏎mod tests {⏎    use redb::Key;⏎}
line length    | tests/it.rs            | 5 | // LONG
file name      | src/http/utils.rs      | 1 |
file name      | src/http/mod.rs        | 1 |
file name      | tests/common/server.rs | 1 |
unsafe         | src/seal.rs            | 6 | fn f() {⏎    unsafe { g() }⏎}
unfinished     | src/seal.rs            | 6 | fn f() {⏎    todo!()⏎}
unfinished     | src/seal.rs            | 5 | fn f() { unimplemented!() }
unfinished     | src/seal.rs            | 5 | fn f() { dbg!(1); }
unfinished     | src/seal.rs            | 5 | // later: TODO
unfinished     | src/seal.rs            | 5 | /* FIXME */
silenced lint  | src/seal.rs            | 5 | #[allow(dead_code)]⏎fn f() {}
silenced lint  | src/seal.rs            | 6 | ⏎#![allow(dead_code)]
silenced lint  | src/seal.rs            | 5 | #[cfg_attr(test, expect(dead_code))]
ignored test   | tests/it.rs            | 6 | #[test]⏎#[ignore = "slow"]⏎fn f() {}
glob import    | src/seal.rs            | 5 | use std::fmt::*;
glob import    | src/seal.rs            | 5 | pub use self::{a::b, c::*};
sleeping test  | tests/it/x.rs          | 6 | fn f() {⏎    std::thread::sleep(S);⏎}
sleeping test  | tests/it/x.rs          | 5 | use tokio::{spawn, time::sleep};
sleeping test  | src/http.rs            | 6 | #[cfg(test)]⏎fn f() { time::sleep(S) }
fixed port     | tests/it.rs            | 5 | fn f() { TcpListener::bind("127.0.0.1:8080") }
fixed port     | tests/it.rs            | 5 | fn f() { TcpListener::bind(("::1", 8_080_u16)) }
fixed port     | tests/it.rs            | 5 | const A: &[&str] = &["--listen", "[::1]:80"];
"##;

/// Code that keeps the rules although it looks as if it did not.
const INNOCENT: &str = r##"
src/store.rs           | use crate::seal::Sealed;⏎use crate::seal::Sealed as S;⏎use redb::Key;
src/http.rs            | pub(crate) mod api;⏎use crate::http::api::A;⏎use crate::vault::{B, C};
src/http/api.rs        | use super::wire;⏎// crate::store and unsafe and dbg!⏎fn f() {}
src/http/api.rs        | fn f() -> &'static str { "crate::store::X todo!() \" unsafe" }
src/http/api.rs        | fn f() { g(r#"a " unsafe "#, 'u', '\'', b'"', b"unsafe") }
src/http/api.rs        | /* a /* nested */ unsafe */⏎fn f<'a>(x: &'a str) -> &'a str { x }
src/http.rs            | #[cfg(test)]⏎mod tests {⏎    use super::*;⏎    use crate::store::S;⏎}
src/vault/writer.rs    | use tokio::sync::oneshot;⏎use tokio::sync::oneshot::{A, B};
src/vault/tests.rs     | use tokio::time::timeout;⏎use crate::http::X;⏎use super::*;
src/seal.rs            | #[allow(dead_code, reason = "the format has it")]⏎fn f() {}
src/seal.rs            | fn f() { g().expect("it is there"); }⏎fn unsafe_code() {}
src/model.rs           | // see https://example.com/LONG
src/model.rs           | /// | a | LONG
src/http/pace.rs       | use tokio::time::Instant;⏎fn f() { Instant::now() }
src/model.rs           | fn f(it: impl Iterator + use<'_>) { my_println!(); x.env(); clap(1) }
src/main.rs            | use strongroom::cli;⏎use strongroom::error::Error;
src/lib.rs             | pub mod store;⏎pub use crate::vault::Vault;
tests/it.rs            | use strongroom::store::Store;⏎fn f() { x.bind("127.0.0.1:0") }
tests/it.rs            | fn f() { bind((HOST, 0)); a("--listen", "127.0.0.1:0"); h("a:80") }
"##;

/// The rows of a table, each cut into its `N` fields.
fn rows<const N: usize>(table: &str) -> Vec<([String; N], String)> {
    let row = |line: &str| {
        let mut fields = line.splitn(N + 1, '|').map(str::trim);
        let head = std::array::from_fn(|_| fields.next().expect("a field").to_owned());
        let code = fields.next().expect("the code").replace('⏎', "\n");
        (head, code)
    };
    table.trim().lines().map(row).collect()
}

fn file(path: &str, code: &str) -> Source {
    let sentence = "a sentence that could be broken ".repeat(4);
    let code = match code.strip_suffix("LONG") {
        Some(start) if start.contains("://") => format!("{start}{}", "x".repeat(100)),
        Some(start) => format!("{start}{sentence}"),
        None => code.to_owned(),
    };
    Source::new(path, &format!("{OPENING}{code}\n"))
}

/// The violations of one file alone.
fn judge(path: &str, code: &str) -> Vec<Violation> {
    check(&[file(path, code)])
}

#[track_caller]
fn assert_named(found: &[Violation], rule: &str, path: &str, line: usize) {
    let named = found
        .iter()
        .any(|v| v.rule == rule && v.file == path && v.line == line);
    assert!(named, "`{rule}` at {path}:{line} was not named: {found:#?}");
}

#[test]
fn each_planted_violation_is_named_with_its_line() {
    for ([rule, path, line], code) in rows(PLANTS) {
        let found = judge(&path, &code);
        let line = line.parse().expect("a line number");
        assert_named(&found, &rule, &path, line);
        let alone = found.iter().all(|v| v.rule == rule);
        assert!(alone, "only `{rule}` is broken in {code:?}: {found:#?}");
    }
}

#[test]
fn a_violation_reads_as_file_line_rule_what() {
    let found = judge("src/http/api.rs", "use crate::seal::Keyring;");
    let shown: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert_eq!(shown.len(), 1);
    let start = "src/http/api.rs:5: rooms: `http` may not know `seal`; it may know: limits, clock";
    assert!(shown[0].starts_with(start), "{shown:?}");
}

#[test]
fn code_that_only_looks_wrong_is_left_alone() {
    for ([path], code) in rows(INNOCENT) {
        assert_eq!(judge(&path, &code), [], "{code}");
    }
}

/// Method: every pair of rooms, once as an import and once as a path.
#[test]
fn every_pair_of_rooms_is_judged_as_the_ladder_says() {
    for (room, _) in rooms::LADDER {
        for (target, _) in rooms::LADDER {
            let path = format!("src/{room}.rs");
            let free = room == target || rooms::may_import(room, target, Some("Thing"));
            for code in [
                format!("use crate::{target}::Thing;"),
                format!("fn f() {{ crate::{target}::thing() }}"),
            ] {
                let found = judge(&path, &code);
                if free {
                    assert_eq!(found, [], "{path}: {code}");
                } else {
                    assert_named(&found, "rooms", &path, FIRST);
                }
            }
        }
    }
}

#[test]
fn a_circle_in_the_ladder_is_named() {
    let planted: &[(&str, &[&str])] = &[
        ("error", &[]),
        ("store", &["error", "seal::Sealed"]),
        ("seal", &["model"]),
        ("model", &["store"]),
    ];
    let circle = rooms::circle(planted).expect("there is one");
    assert_eq!(circle, ["store", "seal", "model"]);
}

/// Method: each sign of each door, in a file that is not the door, and in each that is.
#[test]
fn every_door_is_guarded_and_opens_for_its_own() {
    for door in doors::DOORS {
        for sign in door.signs {
            let code = match sign {
                doors::Sign::Root(name) => format!("use {name}::Thing;"),
                doors::Sign::Anywhere(name) => format!("fn f() {{ a::{name}(b) }}"),
                doors::Sign::Macro(name) => format!("fn f() {{ {name}!(b) }}"),
                doors::Sign::Method(name) => format!("fn f() {{ a.{name}() }}"),
            };
            assert!(!door.admits("model.rs"), "{}", sign.name());
            let found = judge("src/model.rs", &code);
            assert_named(&found, "doors", "src/model.rs", FIRST);
            assert!(found[0].what.contains(&sign.name()), "{found:?}");
            for entry in door.may {
                let file = entry.replace("/*", "/x.rs").replace('*', ".rs");
                assert_eq!(judge(&format!("src/{file}"), &code), [], "{file}");
            }
        }
    }
}

#[test]
fn a_module_that_says_nothing_is_named() {
    let bare = Source::new("src/http.rs", "use std::fmt;\n");
    assert_named(&check(&[bare]), "module comment", "src/http.rs", 1);
    for phrase in shape::MODULE_PHRASES {
        let text = OPENING.replace(phrase, "It says");
        let found = check(&[Source::new("src/http.rs", &text)]);
        assert_named(&found, "module comment", "src/http.rs", 1);
        assert!(found[0].what.contains(phrase), "{found:?}");
        assert_eq!(check(&[Source::new("src/main.rs", &text)]), []);
        assert_eq!(check(&[Source::new("tests/it.rs", &text)]), []);
    }
    let found = check(&[Source::new("benches/parts.rs", OPENING)]);
    assert_named(&found, "module comment", "benches/parts.rs", 1);
    let text = OPENING.replace("It never", "It does not measure");
    assert_eq!(check(&[Source::new("benches/parts.rs", &text)]), []);
}

fn function_of(lines: usize) -> String {
    let inside = "    g('{', \"}\"); // }\n".repeat(lines - 2);
    format!("fn short(a: [u8; 2]);\nfn long(a: [u8; 2]) {{\n{inside}}}")
}

#[test]
fn what_is_too_long_is_named_and_what_just_fits_is_not() {
    let opening_lines = FIRST - 1;
    let fits = "// x\n".repeat(shape::FILE_LINES_MAX - opening_lines - 1) + "// x";
    assert_eq!(judge("src/http.rs", &fits), []);
    let found = judge("src/http.rs", &(fits + "\n// x"));
    assert_named(
        &found,
        "file length",
        "src/http.rs",
        shape::FILE_LINES_MAX + 1,
    );

    assert_eq!(
        judge("src/http.rs", &function_of(shape::FUNCTION_LINES_MAX)),
        []
    );
    let found = judge("src/http.rs", &function_of(shape::FUNCTION_LINES_MAX + 1));
    assert_named(&found, "function length", "src/http.rs", FIRST + 1);
    assert!(found[0].what.contains("`long` has 71 lines"), "{found:?}");

    let line = |chars: usize| {
        let text = "é ".repeat(chars);
        format!("// {}", text.chars().take(chars - 3).collect::<String>())
    };
    assert_eq!(judge("src/http.rs", &line(shape::LINE_CHARS_MAX)), []);
    let found = judge("src/http.rs", &line(shape::LINE_CHARS_MAX + 1));
    assert_named(&found, "line length", "src/http.rs", FIRST);
}

#[test]
fn every_banned_name_and_word_is_named() {
    for name in shape::NAMES_BANNED {
        let path = format!("src/http/{name}.rs");
        assert_named(&judge(&path, ""), "file name", &path, 1);
    }
    for name in leftovers::MACROS_BANNED {
        let found = judge("src/http.rs", &format!("fn f() {{ {name}!() }}"));
        assert_named(&found, "unfinished", "src/http.rs", FIRST);
    }
    for mark in leftovers::COMMENT_MARKS_BANNED {
        let found = judge("src/http.rs", &format!("/// {mark}: more"));
        assert_named(&found, "unfinished", "src/http.rs", FIRST);
    }
    for name in leftovers::SILENCERS {
        let found = judge("src/http.rs", &format!("#[{name}(unused)]\nfn f() {{}}"));
        assert_named(&found, "silenced lint", "src/http.rs", FIRST);
    }
    for sleep in outside::SLEEPS {
        let found = judge("tests/it.rs", &format!("fn f() {{ a::{sleep}(b) }}"));
        assert_named(&found, "sleeping test", "tests/it.rs", FIRST);
    }
}

#[test]
fn a_stray_at_the_top_of_the_repository_is_named() {
    let names = ["src", ".ci", "Cargo.toml", "notes.md", "docs"].map(str::to_owned);
    let found = outside::check_top_level(&names);
    let files: Vec<&str> = found.iter().map(|v| v.file.as_str()).collect();
    assert_eq!(files, ["notes.md", "docs"]);
    assert!(found.iter().all(|v| v.rule == "top level"));
}

/// Goal: a new rule comes with its plant. Method: judge all plants, and see which rule slept.
#[test]
fn every_rule_has_a_planted_violation() {
    let mut found: Vec<Violation> = rows(PLANTS)
        .iter()
        .flat_map(|([_, path, _], code)| judge(path, code))
        .collect();
    found.extend(check(&[Source::new("src/http.rs", "")]));
    found.extend(judge("src/http.rs", &"\n".repeat(shape::FILE_LINES_MAX)));
    found.extend(judge(
        "src/http.rs",
        &function_of(shape::FUNCTION_LINES_MAX + 1),
    ));
    found.extend(outside::check_top_level(&["notes.md".to_owned()]));
    let named: BTreeSet<&str> = found.iter().map(|v| v.rule).collect();
    assert_eq!(named, RULES.iter().copied().collect());
}
