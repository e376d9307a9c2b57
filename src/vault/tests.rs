//! The whole vault on a simulated disk (C2, C4, D1, D3): what was acknowledged is never lost.
//!
//! ```text
//! given      what every load begins with
//! load       mixed work on a vault, and a model of what it comes to
//! contents   what a vault holds, read from its records, in the model's words
//! image      one thing a power cut left: opened, unlocked, added up, compared
//! ```
//! The long forms: `STRONGROOM_RUNS=1000000 cargo test --release --lib c2_` and
//! `STRONGROOM_RUNS=1000 cargo test --release --lib d1_` (or `d3_`).

mod birth;
mod contents;
mod given;
mod image;
mod load;
mod powercut;
mod spoilt;
mod trouble;
