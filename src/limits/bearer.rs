//! The bounds of JWTs as callers.
//!
//! It promises: what a stranger presents, and what an issuer answers, is read within these.
//! It never: lets who presents tokens decide how often an issuer is asked.

use std::time::Duration;

use super::{HEAD_BYTES_MAX, PROVIDER_TIMEOUT, REQUEST_TIMEOUT};

/// Longest JWT, in bytes: with its header it fits the head of a request.
pub const JWT_BYTES_MAX: usize = 16 * 1024;
/// Longest `kid` looked up, in bytes. Thumbprints have 43.
pub const JWT_KID_BYTES_MAX: usize = 256;
/// The issuer's clock and ours may differ by this much (RFC 7519 4.1.4: "a few minutes" at most).
pub const JWT_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// Most audiences of one rule.
pub const JWT_AUDIENCES_MAX: usize = 16;
/// Most audiences that a token may name: each is looked for among the rules.
pub const JWT_AUDIENCES_READ_MAX: usize = 64;
/// Keys of an issuer that one token is tried with: those of its `kid`, mostly one.
pub const JWT_KEYS_TRIED_MAX: usize = 4;

/// Longest key document of an issuer, in bytes. Microsoft's has 20 KiB, with certificates.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Most keys of an issuer.
pub const JWKS_KEYS_MAX: usize = 64;
/// An issuer is asked for its keys at most this often, whoever presents what.
pub const JWKS_ASK_EVERY: Duration = Duration::from_secs(10);
/// Keys are taken for fresh this long where the issuer does not say.
pub const JWKS_FRESH_DEFAULT: Duration = Duration::from_secs(300);
/// Keys are taken for fresh at least this long, whatever the issuer says.
pub const JWKS_FRESH_MIN: Duration = Duration::from_secs(60);
/// Keys are taken for fresh at most this long: a key that the issuer took back ends by then.
pub const JWKS_FRESH_MAX: Duration = Duration::from_secs(3600);
/// Keys that are not fresh any more are used this much longer while the issuer is out of reach.
pub const JWKS_STALE_MAX: Duration = Duration::from_secs(6 * 3600);
/// Where an issuer keeps its keys is looked up anew after this long.
pub const JWKS_PLACE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Longest wait for an issuer's keys, its metadata included.
pub const JWKS_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait for an issuer's keys while its last ones would do.
pub const JWKS_STALE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Requests that wait for an issuer's keys at one time. Those whose keys are at hand wait for none.
pub const JWKS_WAITERS_MAX: usize = 128;

const _: () = assert!(2 * JWT_BYTES_MAX <= HEAD_BYTES_MAX);
const _: () = assert!(JWKS_ASK_EVERY.as_secs() <= JWKS_FRESH_MIN.as_secs());
const _: () = assert!(JWKS_FRESH_MIN.as_secs() <= JWKS_FRESH_DEFAULT.as_secs());
const _: () = assert!(JWKS_FRESH_DEFAULT.as_secs() <= JWKS_FRESH_MAX.as_secs());
const _: () = assert!(JWKS_STALE_WAIT_MAX.as_secs() <= JWKS_WAIT_MAX.as_secs());
const _: () = assert!(JWKS_WAIT_MAX.as_secs() <= PROVIDER_TIMEOUT.as_secs());
const _: () = assert!(2 * JWKS_WAIT_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
