//! The binary itself in trouble: disks that are full, descriptors that run out, files that are not
//! what they should be.
//!
//! | test of the catalogue | where it is shown |
//! |---|---|
//! | D2 disk full, for real: a tmpfs that is filled | `full` |
//! | D4 no file descriptors: 64 of them, 1000 silent clients | `descriptors` |
//! | D5 two processes | `files` |
//! | overload: who waits does not hold up the rest | `overload` |
//! | D7 permissions, links, pipes, directories | `files` |
//!
//! Mounting needs root. Who may not mount gets a namespace in which it is allowed; where there is
//! none either, the tests that need it say aloud that they are skipped. The full disk of the unit
//! tests (`store/disk`, `vault/writer`, `refresh`) needs nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
mod browser;
mod descriptors;
mod files;
mod full;
mod house;
mod overload;
#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
mod support;
