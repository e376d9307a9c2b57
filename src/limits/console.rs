//! The bounds of the operator's console.
//!
//! It promises: what a browser that is signed in can ask for at once has a bound here.
//! It never: bounds what an access key may do elsewhere.

use std::time::Duration;

/// A session ends when nobody has clicked for so long: a coffee, and not a lunch.
pub const CONSOLE_IDLE: Duration = Duration::from_secs(15 * 60);
/// A session ends after so long whatever is done: a working day.
pub const CONSOLE_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions at one time; beyond that who has been idle longest is signed out.
pub const CONSOLE_SESSIONS_MAX: usize = 256;
/// Sessions of one access key at one time, so that who holds one key signs out nobody else.
pub const CONSOLE_SESSIONS_OF_KEY_MAX: usize = 16;
/// A page that keeps itself fresh goes on record so often, for each session, screen and search.
pub const CONSOLE_LOOK_EVERY: Duration = Duration::from_secs(5 * 60);
/// Screens and searches that are told apart for that, of one session; beyond that who was told of
/// longest ago is told of again.
pub const CONSOLE_LOOKS_MAX: usize = 16;
/// Apps in trouble that the first screen names; the table of apps has them all.
pub const CONSOLE_TROUBLES: usize = 20;
/// A credential in plain text leaves the page again after so long.
pub const CONSOLE_REVEAL: Duration = Duration::from_secs(30);
/// Rows of one page of a table: what a person reads before searching.
pub const CONSOLE_PAGE: usize = 50;
/// Stretches of time in which fetches and refreshes are counted: a day of quarters of an hour.
pub const FIGURE_STRETCHES: usize = 96;
/// Length of such a stretch, in milliseconds.
pub const FIGURE_STRETCH_MS: u64 = 15 * 60 * 1000;
/// A refresh is late when it should have been made so long ago: a retry or two are no lateness.
pub const CONSOLE_LATE: Duration = Duration::from_secs(5 * 60);
/// Late refreshes are counted so far, and then "or more" is said.
pub const CONSOLE_LATE_COUNTED: usize = 1000;
/// Tokens that wait for their owners, named on the first screen; the table has the others.
pub const CONSOLE_WAITING: usize = 5;
/// Longest life of a key that is made at the console, in days; one that never ends can be made too.
pub const CONSOLE_KEY_DAYS_MAX: u64 = 3650;
/// Entries of the trail that a search looks through before it hands out a cursor.
pub const CONSOLE_AUDIT_SCAN_MAX: usize = 10_000;
/// Entries of one export of the trail.
pub const CONSOLE_EXPORT_MAX: usize = 10_000;
