//! F2: files cut short or lengthened, pages exchanged, copied and zeroed.
//!
//! It promises: each case depends on the seed and its number alone.
//! It never: knows which page holds what.

use std::sync::Arc;

use super::seeded::Seeded;
use super::*;

const PAGE: usize = 4096;
/// Files at the gate, and every page zeroed. Where `STRONGROOM_RUNS` is the file's length or more,
/// every length is cut to, and every two pages are exchanged and copied.
const GATE: u64 = 1500;

/// What is done to a file; pages by number.
#[derive(Clone, Copy, Debug)]
enum Damage {
    CutTo(usize),
    /// So many bytes behind, of this case's chance.
    Garbage(usize, u64),
    Exchanged(usize, usize),
    Copied(usize, usize),
    Zeroed(usize),
}

impl Damage {
    /// One of chance.
    fn any(seeded: &Seeded, case: u64, length: usize) -> Self {
        let mut chance = seeded.case(case);
        let rng = chance.rng();
        let pages = length / PAGE;
        let (one, two) = (rng.usize(..pages), rng.usize(..pages));
        match case % 5 {
            0 => Self::CutTo(rng.usize(..length)),
            1 => Self::CutTo(one * PAGE),
            2 => Self::Garbage(rng.usize(1..3 * PAGE), case),
            3 => Self::Exchanged(one, two),
            _ => Self::Copied(one, two),
        }
    }

    /// All that the harness does to a file of this length.
    fn all(seeded: &Seeded, length: usize, runs: u64) -> Vec<Self> {
        let pages = length / PAGE;
        let mut all: Vec<_> = (0..pages).map(Self::Zeroed).collect();
        all.extend((0..runs).map(|case| Self::any(seeded, case, length)));
        if runs >= length as u64 {
            all.extend((0..length).map(Self::CutTo));
            for one in 0..pages {
                all.extend((0..one).map(|two| Self::Exchanged(one, two)));
                let others = (0..pages).filter(|two| one != *two);
                all.extend(others.map(|two| Self::Copied(one, two)));
            }
        }
        all
    }

    fn done_to(self, bytes: &[u8], seeded: &Seeded) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let page = |n: usize| n * PAGE..(n + 1) * PAGE;
        match self {
            Self::CutTo(length) => bytes.truncate(length),
            Self::Garbage(length, case) => {
                let mut chance = seeded.case(case);
                bytes.extend(std::iter::repeat_with(|| chance.rng().u8(..)).take(length));
            }
            Self::Exchanged(one, two) => {
                let (first, second) = (bytes[page(one)].to_vec(), bytes[page(two)].to_vec());
                bytes[page(one)].copy_from_slice(&second);
                bytes[page(two)].copy_from_slice(&first);
            }
            Self::Copied(from, to) => bytes.copy_within(page(from), to * PAGE),
            Self::Zeroed(n) => bytes[page(n)].fill(0),
        }
        bytes
    }
}

/// Goal: damage by the page is an error or harmless, and never a wrong or missing record. Method:
/// files cut, lengthened, with pages exchanged and copied, and every page zeroed; open, unlock,
/// read all, compare; some of it the real way.
#[test]
fn f2_a_cut_lengthened_or_shuffled_file_is_refused_or_harmless() {
    let seeded = Arc::new(Seeded::new("F2"));
    let image = Arc::new(Image::new());
    let length = image.bytes.len();
    let all = Arc::new(Damage::all(&seeded, length, seeded.runs(GATE)));
    let (judged, chance, done) = (Arc::clone(&image), Arc::clone(&seeded), Arc::clone(&all));
    let tally = run(all.len() as u64, move |case| {
        let damage = done[usize::try_from(case).unwrap()];
        judged.judge_both(&damage.done_to(&judged.bytes, &chance), case)
    });
    println!(
        "F2: {length} bytes, {} damaged files: {}",
        all.len(),
        tally.told()
    );
    let shown: Vec<_> = tally
        .wrong
        .iter()
        .take(20)
        .map(|(case, what)| (all[usize::try_from(*case).unwrap()], what))
        .collect();
    assert!(shown.is_empty(), "{}: {shown:?}", seeded.at("pages"));
    assert!(tally.refused > 0 && tally.whole > 0, "{tally:?}");
}

/// Goal: the long run is what it is said to be. Method: what it does to a file of some pages: every
/// length, every page zeroed, every two exchanged and copied both ways.
#[test]
fn f2_the_long_run_cuts_at_every_length_and_takes_every_two_pages() {
    let (length, pages) = (5 * PAGE, 5);
    let mut cut = vec![false; length];
    let mut zeroed = vec![false; pages];
    let mut exchanged = vec![false; pages * pages];
    let mut copied = vec![false; pages * pages];
    for damage in Damage::all(&Seeded::new("F2 plan"), length, length as u64) {
        match damage {
            Damage::CutTo(length) => cut[length] = true,
            Damage::Zeroed(n) => zeroed[n] = true,
            Damage::Exchanged(one, two) => {
                exchanged[one * pages + two] = true;
                exchanged[two * pages + one] = true;
            }
            Damage::Copied(from, to) => copied[from * pages + to] = true,
            Damage::Garbage(..) => {}
        }
    }
    let pairs = |seen: &[bool]| (0..pages * pages).all(|at| seen[at] || at / pages == at % pages);
    assert!(cut.iter().chain(&zeroed).all(|seen| *seen));
    assert!(pairs(&exchanged) && pairs(&copied));
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
