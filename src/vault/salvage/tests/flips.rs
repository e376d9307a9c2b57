//! F1: flipped bits.
//!
//! It promises: each case depends on the seed and its number alone.
//! It never: knows what lies where, but for the roots, of which it tries every bit.

use super::seeded::Seeded;
use super::*;

/// Where redb keeps flags, geometry and the roots of its two commits: every bit is tried.
const ROOTS: u64 = 320 * 8;
/// Opens at the gate; the long run tries every byte (one bit in each) and more.
const GATE: u64 = 20_000;

/// The bit that names the newer of redb's two commits. In the file of a killed server nothing tells
/// whether it was flipped or the server was killed between the two syncs of its last commit, so it
/// leads one commit back: a rollback of the whole file, which an anchor elsewhere notices (T5), and
/// which is the one exception. In the file of a stopped server it is refused.
const NEWER: u64 = 9 * 8;
/// What the last commit of the image brought: one record.
const ONE_COMMIT_BACK: &str = "1 missing, 0 extra, 0 other";

/// The bit of a case: first all of the roots, then one at random in a byte that is sampled, or
/// every byte in turn where there are cases enough.
fn bit(seeded: &Seeded, case: u64, length: u64, cases: u64) -> u64 {
    if case < ROOTS {
        return case;
    }
    let mut chance = seeded.case(case);
    let rng = chance.rng();
    let every = cases >= ROOTS + length;
    let byte = if every {
        (case - ROOTS) % length
    } else {
        rng.u64(..length)
    };
    byte * 8 + rng.u64(..8)
}

fn flipped(bytes: &[u8], bit: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    bytes
}

/// Goal: a flipped bit anywhere is an error or harmless, and never a wrong or missing record.
/// Method: flip all bits of the roots and others at random, in the file of a server that was
/// stopped and of one that was killed; open, unlock, read all, compare.
#[test]
fn f1_a_flipped_bit_is_refused_or_harmless_and_never_wrong_or_silent() {
    let seeded = Seeded::new("F1");
    let cases = seeded.runs(GATE) / 2;
    for (how, image) in [("stopped", Image::new()), ("killed", Image::killed())] {
        let length = image.bytes.len() as u64;
        let tally = run(cases, |case| {
            let bit = bit(&seeded, case, length, cases);
            image.judge(&flipped(&image.bytes, bit), ALL_CHECKS)
        });
        println!(
            "F1, {how}: {} records, {length} bytes, {cases} flips: {} harmless, {} refused, \
             {} wrong",
            image.content.len(),
            tally.whole,
            tally.refused,
            tally.wrong.len()
        );
        let shown: Vec<_> = tally
            .wrong
            .iter()
            .map(|(case, what)| (bit(&seeded, *case, length, cases), what.as_str()))
            .filter(|wrong| how == "stopped" || *wrong != (NEWER, ONE_COMMIT_BACK))
            .take(20)
            .collect();
        assert!(
            shown.is_empty(),
            "{}: bits of {how}: {shown:?}",
            seeded.at("bits")
        );
        assert!(tally.refused > 0 && tally.whole > 0, "{tally:?}");
    }
}
