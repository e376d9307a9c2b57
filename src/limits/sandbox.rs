//! The bounds of the sandbox provider.
//!
//! It promises: what a client of the sandbox can ask for has a bound here.
//! It never: bounds the vault.

use std::time::Duration;

/// Life of an authorization code. RFC 6749 4.1.2 allows ten minutes; a redirect takes a second.
pub const SANDBOX_CODE_LIFE: Duration = Duration::from_secs(60);
/// Life of an authorization request whose person has not answered yet.
pub const SANDBOX_REQUEST_LIFE: Duration = Duration::from_secs(600);
/// Life of a sign-in at the sandbox: a working day.
pub const SANDBOX_SESSION_LIFE: Duration = Duration::from_secs(8 * 3600);
/// Life of the sandbox's id tokens. They are read once, on arrival.
pub const SANDBOX_ID_TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Authorization requests, browser sessions and codes kept, of each; beyond that the oldest go.
pub const SANDBOX_VISITS_MAX: usize = 10_000;
/// Grants kept; beyond that the oldest go. Twice the largest load test.
pub const SANDBOX_GRANTS_MAX: usize = 200_000;
/// Access tokens and refresh tokens kept, of each; beyond that the oldest go.
pub const SANDBOX_TOKENS_MAX: usize = 400_000;
/// API keys kept; beyond that the oldest go.
pub const SANDBOX_API_KEYS_MAX: usize = 10_000;
/// Requests remembered for whoever looks at what a client sent.
pub const SANDBOX_REQUESTS_SEEN_MAX: usize = 256;
/// Misbehaviours that may wait their turn at one endpoint.
pub const SANDBOX_TROUBLES_MAX: usize = 256;
/// Longest answer made on purpose, in bytes: past every limit of a client, short of a full disk.
pub const SANDBOX_HUGE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Longest silence or delay made on purpose; then the connection is closed.
pub const SANDBOX_HANG_MAX: Duration = Duration::from_secs(600);
/// Longest pause between two bytes of an answer that drips.
pub const SANDBOX_DRIP_EVERY_MAX: Duration = Duration::from_secs(10);
/// Longest wait for open requests when the sandbox ends. It holds nothing worth waiting for.
pub const SANDBOX_DRAIN_MAX: Duration = Duration::from_secs(2);
/// Wait after a connection could not be accepted (out of file descriptors), before the next try.
pub const SANDBOX_ACCEPT_RETRY: Duration = Duration::from_millis(100);
