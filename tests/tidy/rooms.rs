//! Who may import whom: DESIGN section 2 as a table.
//!
//! It promises: a row for every room, read by the check and by the test that the ladder has no
//! circle.
//! It never: looks at test code, which may build what its room is given in real life (a test of
//! `store` needs somebody to make a `Sealed`).

use crate::paths::{Path, paths};
use crate::scan::Source;
use crate::{Violation, violation};

/// Written in a row for all four rooms of the base.
const BASE: &str = "base";

/// The rooms of the base. They know nobody of the project.
const BASE_ROOMS: &[&str] = &["limits", "clock", "secret", "error"];

/// A room and whom it may import. An entry with `::` is one name of a room and nothing else of it.
pub const LADDER: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("error", &[]),
    ("model", &[BASE]),
    ("seal", &[BASE]),
    ("store", &[BASE, "seal::Sealed"]),
    ("provider", &[BASE, "model"]),
    ("vault", &[BASE, "model", "seal", "store"]),
    ("bearer", &[BASE, "model", "vault", "provider"]),
    ("remote", &[BASE, "model", "vault", "provider"]),
    ("connect", &[BASE, "model", "vault", "provider", "remote"]),
    ("refresh", &[BASE, "model", "vault", "provider", "remote"]),
    (
        "http",
        &[BASE, "model", "vault", "bearer", "connect", "refresh"],
    ),
    ("sandbox", &[BASE]),
    (
        "cli",
        &[
            BASE, "model", "vault", "provider", "bearer", "connect", "refresh", "http", "sandbox",
        ],
    ),
    ("main", &["cli", "error"]),
];

/// `lib.rs` names every room: it is the map.
const EXEMPT: &str = "lib";

/// Finds imports that go up or sideways, and the ways of writing that would hide one.
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let Some(room) = source.room().filter(|room| *room != EXEMPT) else {
            continue;
        };
        if !LADDER.iter().any(|(known, _)| *known == room) {
            let what = format!("`{room}` is no room; add it to the ladder or move the file");
            found.push(violation(source, 1, "unknown room", what));
            continue;
        }
        for path in paths(&source.tokens) {
            if !path.test {
                found.extend(check_path(source, room, &path));
            }
        }
        found.extend(hidden(source));
    }
    found
}

/// Judges one path of a file that lies in `room`.
fn check_path(source: &Source, room: &str, path: &Path) -> Option<Violation> {
    let fault = |rule, what| Some(violation(source, path.line, rule, what));
    let climbs = path
        .segments
        .iter()
        .take_while(|s| *s == "super" || *s == "self")
        .filter(|s| *s == "super")
        .count();
    if climbs > 0 && climbs >= source.depth() {
        return fault(
            "climb",
            "`super` leads out of the room; say `crate::…`".to_owned(),
        );
    }
    if !["crate", "strongroom"].contains(&path.segments[0].as_str()) {
        return None;
    }
    let target = path.segments.get(1).filter(|target| *target != room)?;
    if !LADDER.iter().any(|(known, _)| known == target) {
        let what = format!("`{target}` is no room; name what you need by the room it lives in");
        return fault("unknown room", what);
    }
    let name = path.segments.get(2).map(String::as_str);
    if may_import(room, target, name) {
        return None;
    }
    let may = allowed(room).join(", ");
    let what = format!("`{room}` may not know `{target}`; it may know: {may}");
    fault("rooms", what)
}

/// Ways to write an import that the table could not judge.
fn hidden(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for window in source.tokens.windows(3) {
        let [a, b, c] = window else { continue };
        let root = a.is("crate") || a.is("strongroom");
        let what = if a.test {
            continue;
        } else if root && b.is("::") && c.is("{") {
            "grouped import of several rooms; one `use crate::room::…;` per line"
        } else if a.is("use") && (b.is("crate") || b.is("strongroom")) && !c.is("::") {
            "the crate under another name hides who imports whom"
        } else if a.is("extern") && b.is("crate") {
            "`extern crate` hides who imports whom"
        } else {
            continue;
        };
        found.push(violation(source, a.line, "hidden import", what.to_owned()));
    }
    found
}

/// Whether `room` may import `target`, or of it the one thing `name`.
pub fn may_import(room: &str, target: &str, name: Option<&str>) -> bool {
    allowed(room).iter().any(|entry| {
        let (known, only) = match entry.split_once("::") {
            Some((known, only)) => (known, Some(only)),
            None => (*entry, None),
        };
        known == target && (only.is_none() || only == name)
    })
}

/// A room's row, the base written out.
fn allowed(room: &str) -> Vec<&'static str> {
    let row = LADDER.iter().find(|(known, _)| *known == room);
    let row = row.map_or(&[][..], |(_, row)| *row);
    row.iter()
        .flat_map(|entry| match *entry {
            BASE => BASE_ROOMS.to_vec(),
            other => vec![other],
        })
        .collect()
}

/// A circle in a table of this shape, as the rooms along it; nothing where there is none.
pub fn circle(table: &[(&str, &[&str])]) -> Option<Vec<String>> {
    let mut left: Vec<_> = table.to_vec();
    // Whoever imports nobody that is left cannot lie on a circle.
    loop {
        let leaf = left.iter().position(|(_, row)| {
            !row.iter().any(|entry| {
                let target = entry.split("::").next().unwrap_or(entry);
                left.iter().any(|(room, _)| *room == target)
            })
        });
        match leaf {
            Some(index) => _ = left.remove(index),
            None if left.is_empty() => return None,
            None => return Some(left.iter().map(|(room, _)| (*room).to_owned()).collect()),
        }
    }
}
