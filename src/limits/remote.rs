//! The bounds of remote MCP servers: how they are found, and how often we register at one.
//!
//! It promises: what a server says of itself is read within these.
//! It never: lets a server that refuses us have us register without end.

use std::time::Duration;

use super::{APPS_MAX, PROVIDER_TIMEOUT, REQUEST_TIMEOUT};

/// Most parameters of a challenge (`WWW-Authenticate`) that are read.
pub const CHALLENGE_PARAMS_MAX: usize = 64;
/// Most authorization servers of a remote server that are looked at.
pub const REMOTE_ISSUERS_MAX: usize = 16;
/// Most of them that a message names.
pub const REMOTE_URLS_TOLD_MAX: usize = 4;
/// Longest time it takes to find a remote server's authorization server and to register there.
pub const REMOTE_SETUP_MAX: Duration = Duration::from_secs(75);
/// A client that we registered and that is refused is registered anew at most this often: where a
/// server forgets its clients, no other client would do better.
pub const CLIENT_RENEWED_EVERY: Duration = Duration::from_secs(6 * 3600);
/// After a registration that failed, or for a client whose secret has ended, it is this long.
pub const CLIENT_RENEWED_PAUSE: Duration = Duration::from_secs(300);
/// A client that is refused for so long, with nothing better in between, is forgotten; a refusal
/// before that may be a hiccup, after which its tokens are good again.
pub const CLIENT_REFUSED_FOR: Duration = Duration::from_secs(300);
/// Tokens of a client that was refused once alone, and has another in its place, are kept so long.
pub const CLIENT_DOUBT: Duration = Duration::from_secs(86_400);
/// Most apps whose turn to register is remembered.
pub const REMOTE_APPS_TURNS_MAX: usize = APPS_MAX;

const _: () = assert!(REMOTE_SETUP_MAX.as_secs() > 2 * PROVIDER_TIMEOUT.as_secs());
const _: () = assert!(REMOTE_SETUP_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(CLIENT_RENEWED_PAUSE.as_secs() < CLIENT_RENEWED_EVERY.as_secs());
