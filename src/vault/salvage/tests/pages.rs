//! F2: files cut short or lengthened, pages exchanged, copied and zeroed.
//!
//! It promises: each case depends on the seed and its number alone.
//! It never: knows which page holds what.

use super::seeded::Seeded;
use super::*;

const PAGE: usize = 4096;
const GATE: u64 = 1500;

/// The image with damage number `case`, and its name.
fn damaged(image: &Image, seeded: &Seeded, case: u64) -> (&'static str, Vec<u8>) {
    let mut chance = seeded.case(case);
    let rng = chance.rng();
    let mut bytes = image.bytes.clone();
    let pages = bytes.len() / PAGE;
    let (one, two) = (rng.usize(..pages), rng.usize(..pages));
    let page = |n: usize| n * PAGE..(n + 1) * PAGE;
    let name = match case % 6 {
        0 => {
            bytes.truncate(rng.usize(..image.bytes.len()));
            "cut anywhere"
        }
        1 => {
            bytes.truncate(one * PAGE);
            "cut at a page"
        }
        2 => {
            let garbage = rng.usize(1..3 * PAGE);
            bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(garbage));
            "garbage behind"
        }
        3 => {
            let (first, second) = (bytes[page(one)].to_vec(), bytes[page(two)].to_vec());
            bytes[page(one)].copy_from_slice(&second);
            bytes[page(two)].copy_from_slice(&first);
            "pages exchanged"
        }
        4 => {
            bytes.copy_within(page(one), two * PAGE);
            "a page copied over another"
        }
        _ => {
            // Every page in turn.
            let at = usize::try_from(case / 6).unwrap() % pages;
            bytes[page(at)].fill(0);
            "a page zeroed"
        }
    };
    (name, bytes)
}

/// Goal: damage by the page is an error or harmless, and never a wrong or missing record. Method:
/// six kinds of it at places of chance, and every page zeroed; open, unlock, read all, compare.
#[test]
fn f2_a_cut_lengthened_or_shuffled_file_is_refused_or_harmless() {
    let seeded = Seeded::new("F2");
    let image = Image::new();
    let cases = seeded.runs(GATE);
    let tally = run(cases, |case| {
        image.judge(&damaged(&image, &seeded, case).1, ALL_CHECKS)
    });
    println!(
        "F2: {cases} damaged files: {} harmless, {} refused, {} wrong",
        tally.whole,
        tally.refused,
        tally.wrong.len()
    );
    let shown: Vec<_> = tally
        .wrong
        .iter()
        .take(20)
        .map(|(case, what)| (case, damaged(&image, &seeded, *case).0, what))
        .collect();
    assert!(shown.is_empty(), "{}: {shown:?}", seeded.at("pages"));
    assert!(tally.refused > 0 && tally.whole > 0, "{tally:?}");
}

/// Goal: an empty file, and one that was no vault, are refused. Method: open them.
#[test]
fn f2_an_empty_or_foreign_file_is_refused() {
    let image = Image::new();
    for bytes in [Vec::new(), vec![0; 100], vec![0x5a; 100_000]] {
        let end = image.judge(&bytes, ALL_CHECKS);
        assert!(
            matches!(end, End::Refused(_)),
            "{} bytes: {end:?}",
            bytes.len()
        );
    }
}
