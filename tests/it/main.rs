//! Strongroom whole, over real sockets, against the sandbox provider.
//!
//! | promise | where it is shown |
//! |---|---|
//! | the main job, end to end (issue item 2) | `story` |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod browser;
mod story;
mod support;
