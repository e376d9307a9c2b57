//! The binary itself under floods: slow connections, guesses, looked at from outside by `/proc`.
//!
//! | catalogue | where it is shown | the long form |
//! |---|---|---|
//! | N2 slow-loris: head, body, never-read answers; RSS and descriptors (T24) | `slow` | `STRONGROOM_RUNS=10000` connections |
//! | N5 connect and reset: descriptors and RSS back to base | `slow` | the same |
//! | N7 unlock guessing: RSS of one derivation, the right passphrase meanwhile (T18) | `guess` | `STRONGROOM_RUNS=10000` tries |
//!
//! `plumbing` shows N2 with short time-outs, and that its check sees a server without any.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod child;
mod guess;
#[path = "../harness/seeded.rs"]
#[allow(dead_code, reason = "shared with harnesses that use all of it")]
mod seeded;
mod slow;
