//! What salvage brings back from damaged files, and what it says of it.
//!
//! It promises: what salvage calls complete is compared with what was stored, record by record.
//! It never: takes the report's word for what came through.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::running::{CPU_MAX, timed};
use super::seeded::Seeded;
use super::*;
use crate::vault::Wreck;
use crate::vault::salvage::sort::Found;

/// Damaged files at the gate; each is scanned whole.
const GATE: u64 = 60;

/// The version of each record.
type Versions = BTreeMap<(Records, Vec<u8>), u64>;

fn silent(_: &'static str, _: u64, _: u64) {}

/// What salvage takes of a damaged file, and whether it says that this is everything.
fn taken(image: &Image, bytes: Vec<u8>) -> Result<(Versions, bool)> {
    let wreck = Wreck::of(bytes)?;
    let keys = wreck.keys(&image.unlocker())?;
    let found = Found::read(&wreck.raw, &keys, &silent)?;
    let (_, keys) = wreck.header_of(&found, keys)?;
    let plan = found.plan(&wreck.raw, &keys);
    let taken = plan.taken.iter().map(|(table, key, place)| {
        let sealed = Sealed::parse(&wreck.raw.read(*place)).unwrap();
        ((*table, key.clone()), sealed.version())
    });
    let complete = plan.tables.iter().all(|table| table.is_as_it_was());
    Ok((taken.collect(), complete))
}

/// Per mille of the image's records that came through as they were last written.
fn yielded(image: &Image, bytes: Vec<u8>, what: &str) -> usize {
    let (outcome, busy) = timed(|| taken(image, bytes));
    assert!(busy <= CPU_MAX, "{what}: busy for {busy:?}");
    let (taken, complete) = match outcome {
        Ok(taken) => taken,
        // Without its header nothing of a vault can be opened, and salvage says so.
        Err(Error::Damaged(_) | Error::UnlockFailed) => return 0,
        Err(other) => panic!("{what}: {other}"),
    };
    let stored: BTreeMap<_, _> = image
        .content
        .iter()
        .map(|(key, (version, _))| (key.clone(), *version))
        .collect();
    if complete {
        assert_eq!(taken, stored, "{what} is called complete");
    }
    let same = stored
        .iter()
        .filter(|(key, version)| taken.get(*key) == Some(version));
    same.count() * 1000 / stored.len()
}

/// Goal: of a file with one flipped byte 95 % of the records come back on average, and nothing is
/// called complete that is not. Method: flip a byte at random, salvage, compare.
#[test]
fn f1_salvage_brings_back_nearly_everything_and_says_where_it_is_not_all() {
    let seeded = Seeded::new("F1 salvage");
    let image = Image::new();
    assert_eq!(yielded(&image, image.bytes.clone(), "undamaged"), 1000);
    let (_, complete) = taken(&image, image.bytes.clone()).unwrap();
    assert!(complete, "an undamaged file is complete");
    let cases = seeded.runs(GATE);
    let mut sum = 0;
    for case in 0..cases {
        let mut chance = seeded.case(case);
        let mut bytes = image.bytes.clone();
        let at = chance.rng().usize(..bytes.len());
        bytes[at] ^= chance.rng().u8(1..);
        sum += yielded(&image, bytes, &seeded.at(&format!("byte {at}")));
    }
    let average = sum / usize::try_from(cases).unwrap();
    println!("F1 salvage: {cases} damaged files, {average} per mille of the records on average");
    assert!(average >= 950, "{}: {average} per mille", seeded.at("all"));
}

/// Goal: where a page is gone nearly everything else comes back. Method: zero and cut pages.
#[test]
fn f2_salvage_brings_back_what_a_lost_page_did_not_hold() {
    let seeded = Seeded::new("F2 salvage");
    let image = Image::new();
    let cases = seeded.runs(GATE / 3);
    let mut sum = 0;
    for case in 0..cases {
        let mut chance = seeded.case(case);
        let mut bytes = image.bytes.clone();
        let page = chance.rng().usize(..bytes.len() / 4096);
        bytes[page * 4096..(page + 1) * 4096].fill(0);
        sum += yielded(&image, bytes, &seeded.at(&format!("page {page}")));
    }
    let average = sum / usize::try_from(cases).unwrap();
    println!("F2 salvage: {cases} files without a page, {average} per mille on average");
    assert!(average >= 800, "{}: {average} per mille", seeded.at("all"));
}

/// Puts an image on the disk as a vault's data directory.
pub(super) fn lay_out(bytes: &[u8], directory: &Path) {
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir_all(directory.join("audit")).unwrap();
    mode(directory, 0o700);
    mode(&directory.join("audit"), 0o700);
    std::fs::write(directory.join("vault.redb"), bytes).unwrap();
    mode(&directory.join("vault.redb"), 0o600);
    std::fs::write(directory.join("audit/0000000001.seg"), b"an old trail").unwrap();
}

/// Goal: the new vault opens with the same code, adds up, goes on from a higher epoch, tells of the
/// salvage first of all, and lacks what is lost alone; the damaged file stays as it was. Method:
/// damage a token everywhere it lies, salvage, open.
#[test]
fn a_salvaged_vault_opens_with_the_same_code_and_lacks_only_what_is_lost() {
    let mut image = Image::new();
    // One on which no refresh has begun: that would be lost with it.
    let has_intent = |key: &[u8]| {
        let mut intents = image.rows.iter().filter(|row| row.0 == "intents");
        intents.any(|row| row.1 == key)
    };
    let (_, _, value) = image
        .rows
        .iter()
        .find(|row| row.0 == "tokens" && !has_intent(&row.1))
        .cloned()
        .unwrap();
    while let Some(at) = image.bytes.windows(value.len()).position(|w| w == value) {
        image.bytes[at + value.len() / 2] ^= 1;
    }
    let home = tempfile::tempdir().unwrap();
    let (from, into) = (home.path().join("broken"), home.path().join("saved"));
    lay_out(&image.bytes, &from);
    let clock = Clock::test(NOW);
    let refused = Vault::open(&from, Settings::default(), clock.clone()).err();
    assert!(matches!(refused, Some(Error::Damaged(_))), "{refused:?}");
    let wreck = Wreck::open(&from).unwrap();
    let salvaged = wreck
        .salvage(&image.unlocker(), &into, clock.clone(), &silent)
        .unwrap();
    assert!(!salvaged.complete);
    let came = salvaged.came_through() as usize;
    let older = salvaged.older() as usize;
    assert_eq!(
        came + salvaged.lost_in_all() as usize,
        image.content.len(),
        "{salvaged:?}"
    );
    assert_eq!(older + salvaged.lost_in_all() as usize, 1, "{salvaged:?}");
    assert_eq!((salvaged.proven, salvaged.trail_files), (true, 1));
    assert_eq!(std::fs::read(from.join("vault.redb")).unwrap(), image.bytes);
    for (path, mode) in [("", 0o700), ("vault.redb", 0o600), ("audit", 0o700)] {
        let about = std::fs::metadata(into.join(path)).unwrap();
        assert_eq!(about.mode() & 0o777, mode, "{path}");
    }
    let vault = Vault::open(&into, Settings::default(), clock).unwrap();
    vault.unlock(&image.unlocker(), "").unwrap();
    let me = Caller::local();
    let page = vault.list(&me, &Filter::default(), 200, None).unwrap();
    assert_eq!(page.tokens.len(), TOKENS - 1 + older);
    let report = vault.check(&me, &mut |_, _| Ok(())).unwrap();
    assert_eq!((report.problems.len(), report.not_filled.len()), (0, 0));
    assert!(report.entries["users"] > 20, "{report:?}");
    let trail = vault.audit(&me, None, 200).unwrap().entries;
    let first = trail.last().unwrap();
    assert_eq!(first.seq, 1);
    assert!(
        first.outcome.contains("salvaged from a damaged file"),
        "{first:?}"
    );
    assert!(vault.verify_audit(&me).unwrap().problems.is_empty());
    put_token(&vault, TOKENS + 1, "after");
    vault.close().unwrap();
}

/// Goal: a salvage that does not work out leaves nothing behind, and never writes where something
/// is. Method: the wrong code; a directory that is not empty; a file without a header.
#[test]
fn a_salvage_that_fails_leaves_nothing_behind() {
    let image = Image::new();
    let home = tempfile::tempdir().unwrap();
    let (from, into) = (home.path().join("broken"), home.path().join("saved"));
    lay_out(&image.bytes, &from);
    let wreck = Wreck::open(&from).unwrap();
    let clock = Clock::test(NOW);
    let wrong = Unlocker::RecoveryCode(RecoveryCode::generate());
    let refused = wreck.salvage(&wrong, &into, clock.clone(), &silent).err();
    assert_eq!(refused, Some(Error::UnlockFailed));
    assert!(!into.exists());
    let refused = wreck
        .salvage(&image.unlocker(), &from, clock, &silent)
        .err();
    assert!(matches!(refused, Some(Error::Conflict(_))), "{refused:?}");
    let names = std::fs::read_dir(&from).unwrap().count();
    assert_eq!(names, 2);
    drop(wreck);
    let bytes = vec![0; 50_000];
    assert!(matches!(Wreck::of(bytes).err(), Some(Error::Damaged(_))));
    let vault = Vault::open(&from, Settings::default(), Clock::test(NOW)).unwrap();
    let busy = Wreck::open(&from).err();
    assert!(matches!(busy, Some(Error::InUse)), "{busy:?}");
    vault.close().unwrap();
}
