//! F1: flipped bits.
//!
//! It promises: each case depends on the seed and its number alone.
//! It never: knows what lies where, but for the roots, of which it tries every bit.

use std::sync::Arc;

use super::seeded::Seeded;
use super::*;

/// Where redb keeps flags, geometry and the roots of its two commits: every bit is tried.
const ROOTS: u64 = 320 * 8;
const PAGE: u64 = 4096;
/// Opens at the gate, half of either file. Where `STRONGROOM_RUNS` is twice a file's length or
/// more, every byte is tried.
const GATE: u64 = 20_000;

/// The bit that names the newer of redb's two commits. In the file of a killed server nothing tells
/// whether it was flipped or the server was killed between the two syncs of its last commit, so it
/// leads one commit back: a rollback of the whole file, which an anchor elsewhere notices (T5), and
/// which is the one exception. In the file of a stopped server it is refused.
const NEWER: u64 = 9 * 8;
/// What the last commit of the image brought: one record.
const ONE_COMMIT_BACK: &str = "1 missing, 0 extra, 0 other";

/// The bits to flip, one a case. First all of the roots; then at the gate one at random in a byte
/// that is sampled; where there are runs enough all of the pages that hold the vault's header, and
/// one in every other byte.
fn bits(image: &Image, seeded: &Seeded, runs: u64) -> Vec<u64> {
    let length = image.bytes.len() as u64;
    let mut bits: Vec<u64> = (0..ROOTS.min(runs)).collect();
    let one_of = |byte: Option<u64>, case: u64| {
        let mut chance = seeded.case(case);
        let rng = chance.rng();
        byte.unwrap_or_else(|| rng.u64(..length)) * 8 + rng.u64(..8)
    };
    if runs < length {
        bits.extend((ROOTS..runs).map(|case| one_of(None, case)));
        return bits;
    }
    let header = header_pages(image);
    for byte in ROOTS / 8..length {
        match header.contains(&(byte / PAGE)) {
            true => bits.extend(byte * 8..byte * 8 + 8),
            false => bits.push(one_of(Some(byte), byte)),
        }
    }
    bits
}

/// The pages in which the header lies, wherever a copy of it is left.
fn header_pages(image: &Image) -> Vec<u64> {
    let header = &image.rows[0].2;
    let bytes = image.bytes.windows(header.len()).enumerate();
    let copies = bytes.filter(|(_, window)| window == header);
    let pages = copies.flat_map(|(at, _)| at as u64 / PAGE..=(at + header.len()) as u64 / PAGE);
    pages.collect()
}

fn flipped(bytes: &[u8], bit: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    bytes
}

/// Goal: a flipped bit anywhere is an error or harmless, and never a wrong or missing record.
/// Method: flip all bits of the roots and others at random, in the file of a server that was
/// stopped and of one that was killed; open, unlock, read all, compare; some of it the real way.
#[test]
fn f1_a_flipped_bit_is_refused_or_harmless_and_never_wrong_or_silent() {
    let seeded = Seeded::new("F1");
    let runs = seeded.runs(GATE) / 2;
    for (how, image) in [("stopped", Image::new()), ("killed", Image::killed())] {
        let bits = Arc::new(bits(&image, &seeded, runs));
        let image = Arc::new(image);
        let (judged, flips) = (Arc::clone(&image), Arc::clone(&bits));
        let tally = run(bits.len() as u64, move |case| {
            let bit = flips[usize::try_from(case).unwrap()];
            judged.judge_both(&flipped(&judged.bytes, bit), case)
        });
        println!(
            "F1, {how}: {} records, {} bytes, {} flips: {}",
            image.content.len(),
            image.bytes.len(),
            bits.len(),
            tally.told()
        );
        let shown: Vec<_> = tally
            .wrong
            .iter()
            .map(|(case, what)| (bits[usize::try_from(*case).unwrap()], what.as_str()))
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

/// Goal: the long run is what it is said to be. Method: the bits that it flips: each byte has one,
/// those of the roots and of the header's pages have all.
#[test]
fn f1_the_long_run_flips_every_byte_and_every_bit_of_roots_and_header() {
    let image = Image::new();
    let length = image.bytes.len() as u64;
    let bits = bits(&image, &Seeded::new("F1 plan"), length);
    let mut flips = vec![0_u8; image.bytes.len()];
    for bit in bits {
        flips[usize::try_from(bit / 8).unwrap()] |= 1 << (bit % 8);
    }
    let header = header_pages(&image);
    assert!(!header.is_empty());
    for (byte, flips) in (0_u64..).zip(flips) {
        let all = byte < ROOTS / 8 || header.contains(&(byte / PAGE));
        let wanted = if all { 8 } else { 1 };
        assert_eq!(flips.count_ones(), wanted, "byte {byte}");
    }
}
