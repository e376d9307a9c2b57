//! The binary itself, killed with -9 hundreds of times, with a model of what it owes in the parent.
//!
//! | promise | where it is shown |
//! |---|---|
//! | C1: nothing acknowledged is lost, nothing else appears, every secret is on record | `loads` |
//! | C4: backups, slots and rotations under that load are whole, old or new, never neither | `operator` |
//! | C4: `init` and `passphrase`, killed, leave a way in and a way on | `maintenance` |
//! | R2: no grant is lost where a provider has a grace, and a loss is told where it has none | `points` |
//!
//! ```text
//! STRONGROOM_RUNS=10000 cargo test --test kill nothing_acknowledged_is_lost     the long run of C1
//! STRONGROOM_RUNS=10000 cargo test --test kill no_grant_is_lost                 the long run of R2
//! ```
//! Both print what they counted (`-- --nocapture`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod book;
#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
mod browser;
mod keyed;
mod load;
mod loads;
mod look;
mod maintenance;
mod operator;
mod points;
mod protocol;
#[path = "../harness/seeded.rs"]
#[allow(dead_code, reason = "shared with other harnesses")]
mod seeded;
mod sent;
#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
mod support;
