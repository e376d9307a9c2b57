//! The bounds of what issuers say of themselves: how long it counts, and how often it is read.
//!
//! It promises: an issuer decides neither that it is asked without end nor that it is never asked.
//! It never: makes anybody wait long for what may be old and is good enough.

use std::time::Duration;

use super::{PROVIDER_TIMEOUT, REFRESH_WAIT_MAX};

/// An issuer's metadata counts this long where the issuer does not say.
pub const METADATA_FRESH_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// An issuer's metadata counts at least this long, whatever the issuer says.
pub const METADATA_FRESH_MIN: Duration = Duration::from_secs(3600);
/// An issuer's metadata counts at most this long: an endpoint that has moved is known by then.
pub const METADATA_FRESH_MAX: Duration = Duration::from_secs(7 * 86_400);
/// First wait after metadata could not be read; doubled for each further failure.
pub const METADATA_RETRY_FIRST: Duration = Duration::from_secs(60);
/// Longest wait after metadata could not be read.
pub const METADATA_RETRY_MAX: Duration = Duration::from_secs(6 * 3600);
/// Longest wait of a refresh, or of a person, for metadata: what is kept will do.
pub const METADATA_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest time that reading an issuer's metadata takes, that of an MCP server before it included.
pub const METADATA_READ_MAX: Duration = Duration::from_secs(75);
/// Issuers that are asked at one time. Whoever finds no place goes on with what is kept.
pub const METADATA_READS_MAX: usize = 16;
/// Longest account of why metadata was not taken over, in characters.
pub const METADATA_REASON_CHARS_MAX: usize = 400;

const _: () = assert!(METADATA_FRESH_MIN.as_secs() <= METADATA_FRESH_DEFAULT.as_secs());
const _: () = assert!(METADATA_FRESH_DEFAULT.as_secs() <= METADATA_FRESH_MAX.as_secs());
const _: () = assert!(METADATA_RETRY_FIRST.as_secs() <= METADATA_RETRY_MAX.as_secs());
const _: () = assert!(METADATA_RETRY_MAX.as_secs() <= METADATA_FRESH_DEFAULT.as_secs());
const _: () = assert!(METADATA_WAIT_MAX.as_secs() < REFRESH_WAIT_MAX.as_secs());
const _: () = assert!(METADATA_READ_MAX.as_secs() > 2 * PROVIDER_TIMEOUT.as_secs());
