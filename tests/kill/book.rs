//! What the vault owes: every acknowledged write, by what it is about, and what was under way.
//!
//! A *thing* is what can be looked at from outside: an app, a token, a key, a link. A *change* says
//! what a thing's exact value is from then on, or that it is gone. A *write* is one request, and
//! its changes come together or not at all.
//!
//! It promises: whatever differs from what was acknowledged is a finding.
//! It never: forgives anything but a write that nobody was told about.

use std::collections::BTreeMap;

/// Things and their exact values.
pub type Things = BTreeMap<String, String>;
/// What becomes of one thing.
pub type Change = (String, Option<String>);

/// The book of one client.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// What was acknowledged.
    pub owed: Things,
    /// Asked for, and not answered.
    pub under_way: Option<Vec<Change>>,
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Marks of secrets that were handed out, which the trail must know.
    pub handed: Vec<String>,
    /// What the client itself found wrong.
    pub findings: Vec<String>,
}

impl Book {
    /// Writes down what is about to be asked for.
    pub fn begin(&mut self, changes: Vec<Change>) {
        self.under_way = Some(changes);
    }

    /// It was acknowledged.
    pub fn done(&mut self) {
        self.acknowledged += 1;
        for (thing, value) in self.under_way.take().unwrap_or_default() {
            set(&mut self.owed, thing, value);
        }
    }

    /// It was refused: nothing may have changed.
    pub fn refused(&mut self) {
        self.under_way = None;
    }

    /// True where the thing is there.
    pub fn has(&self, thing: &str) -> bool {
        self.owed.contains_key(thing)
    }
}

fn set(things: &mut Things, thing: String, value: Option<String>) {
    match value {
        Some(value) => things.insert(thing, value),
        None => things.remove(&thing),
    };
}

/// What a comparison came to.
#[derive(Debug, Default)]
pub struct Compared {
    pub findings: Vec<String>,
    /// Writes under way that are there, and that are not.
    pub found: u64,
    pub not_found: u64,
}

/// Compares what is there with all books; writes under way are settled by what is there.
pub fn compare(books: &mut [Book], there: &Things) -> Compared {
    let mut compared = Compared::default();
    let mut expected = Things::new();
    for book in books {
        if let Some(changes) = book.under_way.take().filter(|it| !it.is_empty()) {
            let mut after = book.owed.clone();
            for (thing, value) in &changes {
                set(&mut after, thing.clone(), value.clone());
            }
            let is_after = |(thing, _): &Change| there.get(thing) == after.get(thing);
            let is_before = |(thing, _): &Change| there.get(thing) == book.owed.get(thing);
            if changes.iter().all(is_after) {
                compared.found += 1;
                book.owed = after;
            } else if changes.iter().all(is_before) {
                compared.not_found += 1;
            } else {
                let what = "is neither done nor undone";
                compared.findings.push(format!("{changes:?} {what}"));
            }
        }
        expected.extend(book.owed.clone());
    }
    for (thing, value) in &expected {
        match there.get(thing) {
            Some(found) if found == value => {}
            Some(found) => {
                let what = format!("{thing} is {found}, and was acknowledged as {value}");
                compared.findings.push(what);
            }
            None => compared.findings.push(format!("{thing} is lost: {value}")),
        }
    }
    for (thing, value) in there {
        if !expected.contains_key(thing) {
            let what = format!("{thing} is there, and should not be: {value}");
            compared.findings.push(what);
        }
    }
    compared
}

/// Goal: the model itself can see each kind of fault.
/// Method: a book and a vault that differ in one thing.
#[test]
fn a_difference_is_a_finding_and_a_write_under_way_is_none() {
    let mut book = Book::default();
    for (thing, value) in [("a", "1"), ("b", "2")] {
        book.begin(vec![(thing.into(), Some(value.into()))]);
        book.done();
    }
    let there: Things = book.owed.clone();
    let findings = |book: &Book, there: &Things| {
        let mut books = [book.clone()];
        compare(&mut books, there).findings.len()
    };
    assert_eq!(findings(&book, &there), 0);
    let mut lost = there.clone();
    lost.remove("a");
    let mut wrong = there.clone();
    wrong.insert("a".into(), "3".into());
    let mut more = there.clone();
    more.insert("c".into(), "3".into());
    for faulty in [&lost, &wrong, &more] {
        assert_eq!(findings(&book, faulty), 1, "{faulty:?}");
    }
    // Under way: both gone, both there, and one of each.
    book.begin(vec![("a".into(), None), ("b".into(), None)]);
    assert_eq!(findings(&book, &there), 0);
    assert_eq!(findings(&book, &Things::new()), 0);
    assert!(findings(&book, &lost) > 0, "half a write");
}
