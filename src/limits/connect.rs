//! The bounds of connecting a person, and of pages elsewhere that ask for it.
//!
//! It promises: a link, a trip, a guess and a wait for a link have their bounds here.
//! It never: holds what an asker may set; a link's own life is below these.

use std::time::Duration;

/// Life of a connect link, unless asked for less.
pub const LINK_LIFE_DEFAULT: Duration = Duration::from_secs(600);
/// Longest life of a connect link.
pub const LINK_LIFE_MAX: Duration = Duration::from_secs(3600);
/// Life of one trip to a provider (`state`), RFC 9700 4.7.
pub const STATE_LIFE: Duration = Duration::from_secs(600);
/// A link's end is remembered this long, so that whoever asked can learn of it.
pub const LINK_MEMORY: Duration = Duration::from_secs(86_400);
/// Wrong codes typed on one link before it is dead (a code has six digits).
pub const CODE_TRIES_MAX: u32 = 5;
/// Longest long poll of a link's state: under the 60 s of common request time-outs.
pub const LINK_WAIT_MAX: Duration = Duration::from_secs(55);
/// Long polls at one time where nothing sets it lower. A server lets a quarter of its connections
/// wait so.
pub const LINK_WAITERS_MAX: usize = 16_384;
/// How long a browser may remember what a preflight told it.
pub const PREFLIGHT_LIFE: Duration = Duration::from_secs(600);
/// Most header fields that a preflight lets through. An SDK of Descope's sends about eight.
pub const PREFLIGHT_HEADERS_MAX: usize = 32;
/// Shortest key of which the last four characters are shown to its owner after storing, in
/// characters: two thirds of it stay unsaid.
pub const KEY_SHOWN_CHARS_MIN: usize = 12;
