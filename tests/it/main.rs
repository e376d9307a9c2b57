//! Strongroom whole, over real sockets, against the sandbox provider.
//!
//! | promise | where it is shown |
//! |---|---|
//! | the main job, end to end (issue item 2) | `story` |
//! | a provider that misbehaves (issue item 7; R5, R8) | `misbehaviour` |
//! | storms of callers (issue item 3; R1) | `storm` |
//! | the scheduler by the test clock (R3, R4, R9) | `schedule` |
//! | forced refresh, what is handed out, revocation (R6, R7, R9, O9) | `forced` |
//! | the refresh protocol cut at its joints (R2, R4, R5) | `intents` |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod browser;
mod forced;
mod intents;
mod misbehaviour;
mod rig;
mod schedule;
mod storm;
mod story;
mod support;
