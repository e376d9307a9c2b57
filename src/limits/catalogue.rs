//! Bounds of the catalogue, and of what is kept of a service beside a credential.
//!
//! It promises: as its parent.
//! It never: more than its parent.

use std::time::Duration;

use super::REQUEST_TIMEOUT;

/// Longest name of a value, in bytes. Names are paths of fields (`authed_user.id`) at the longest.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest path to a field of an answer, in bytes.
pub const FIELD_PATH_BYTES_MAX: usize = 128;
/// Longest pattern, in bytes. That of Salesforce's hosts is 220.
pub const PATTERN_BYTES_MAX: usize = 512;
/// Most memory a compiled pattern takes, in bytes: patterns may come from an operator's file.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// Longest value of a variable, in bytes: a host name has 253.
pub const VARIABLE_BYTES_MAX: usize = 512;
/// Most variables of a service.
pub const VARIABLES_MAX: usize = 16;
/// Most fields of a key. Twilio's and Datadog's keys have two.
pub const FIELDS_MAX: usize = 8;
/// Most values kept beside a credential.
pub const METADATA_MAX: usize = 32;
/// Longest value kept beside a credential, in bytes: a URL, an id, a name.
pub const METADATA_VALUE_BYTES_MAX: usize = 1024;
/// Most tokens in one answer beside the first. Slack has one.
pub const SECOND_TOKENS_MAX: usize = 4;
/// Longest life of a refresh token that is believed. QuickBooks' end after five years.
pub const REFRESH_TOKEN_LIFE_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A refresh token that lapses unless it is used is used this long before it does: long enough for
/// an operator to come back from a holiday's outage.
pub const REFRESH_TOKEN_AHEAD: Duration = Duration::from_secs(7 * 86_400);
/// Life of a client's proof by its private key: one request, and a clock that is off a little.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(60);
/// A refresh token that ends whatever is done is warned of this long before: two weeks, in which
/// most people are asked something once.
pub const REFRESH_TOKEN_WARNING: Duration = Duration::from_secs(14 * 86_400);
/// Longest fixed body of a call to a service, in bytes: a GraphQL query.
pub const CALL_BODY_BYTES_MAX: usize = 2048;
/// Most files of an operator's own catalogue.
pub const OWN_CATALOGUE_FILES_MAX: usize = 256;
/// Longest an operator's own catalogue is, all files together, in bytes: eight times what is built
/// in.
pub const OWN_CATALOGUE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Most entries of an operator's own catalogue. All are listed in one answer.
pub const OWN_TEMPLATES_MAX: usize = 1024;
/// How deep a mistake in an entry is looked for. The schema is less deep.
pub const OWN_ENTRY_DEPTH_MAX: usize = 8;
/// Longest check of an app: below the life of a request, and above a wait for a seat and one slow
/// answer.
pub const APP_CHECK_MAX: Duration = Duration::from_secs(70);

const _: () = assert!(APP_CHECK_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
