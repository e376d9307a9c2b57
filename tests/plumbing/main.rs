//! The endpoint's plumbing over real sockets: time, size and number limits, the orderly end, Unix
//! sockets, TLS. Every wait is bounded by `support::PATIENCE`.

// The helpers stand outside of test functions, where the setting for tests does not reach.
#![allow(clippy::unwrap_used)]

mod alone;
mod listening;
mod serving;
mod support;
