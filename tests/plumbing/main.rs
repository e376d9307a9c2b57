//! The endpoint's plumbing over real sockets: time, size and number limits, the orderly end, Unix
//! sockets, TLS. Every wait is bounded by `support::PATIENCE`.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers stand outside of test functions"
)]

mod alone;
mod framing;
mod listening;
mod serving;
mod slow;
mod support;
