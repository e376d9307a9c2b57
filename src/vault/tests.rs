//! The whole vault on a simulated disk (C2, C4, D1, D3): what was acknowledged is never lost.
//!
//! ```text
//! given      what every load begins with
//! load       mixed work on a vault, and a model of what it comes to
//! crowd      tokens of many owners, for lists and their indexes
//! contents   what a vault holds, read from its records, in the model's words
//! image      one thing a power cut left: opened, unlocked, added up, compared
//! cut        power cuts at every operation of a log, and judges of what they leave
//! behind     the file checked behind the first answers: what is said until then, and behind it
//! upkeep     power cuts while a vault is made, backed up, compacted, restored
//! ```
//! The long forms: `STRONGROOM_RUNS=1000000 cargo test --release --lib c2_`,
//! `STRONGROOM_RUNS=100 cargo test --release --lib upkeep` (images of each moment) and
//! `STRONGROOM_RUNS=1000 cargo test --release --lib d1_` (or `d3_`).

mod behind;
mod birth;
mod contents;
pub(super) mod crowd;
mod cut;
mod given;
mod image;
mod load;
mod powercut;
mod spoilt;
mod trouble;
mod upkeep;
