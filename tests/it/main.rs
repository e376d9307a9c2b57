//! Strongroom whole, over real sockets, against the sandbox provider.
//!
//! | promise | where it is shown |
//! |---|---|
//! | the main job, end to end (issue item 2) | `story` |
//! | C1: nobody is sent to a provider before the proof (O3) | `connect_proof` |
//! | a provider that misbehaves (issue item 7; R5, R8) | `misbehaviour` |
//! | storms of callers (issue item 3; R1) | `storm` |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod api_shape;
mod browser;
mod connect_life;
mod connect_pages;
mod connect_proof;
mod connect_provider;
mod connect_state;
mod misbehaviour;
mod rig;
mod scene;
mod storm;
mod story;
mod support;
