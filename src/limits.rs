//! Every bound of the program, with its unit in its name and the reason for its size.
//!
//! It promises: a queue, body, loop, wait or list that has no bound here does not exist.
//! It never: holds a setting (settings are arguments, these are ceilings nobody turns off).

mod bearer;
mod catalogue;
mod cli;
mod connect;
mod console;
mod metadata;
mod order;
mod remote;
mod sandbox;
mod seal;

use std::time::Duration;

pub use self::bearer::{
    JWKS_ASK_EVERY, JWKS_BYTES_MAX, JWKS_FRESH_DEFAULT, JWKS_FRESH_MAX, JWKS_FRESH_MIN,
    JWKS_KEYS_MAX, JWKS_PLACE_LIFE, JWKS_STALE_MAX, JWKS_STALE_WAIT_MAX, JWKS_WAIT_MAX,
    JWKS_WAITERS_MAX, JWT_AUDIENCES_MAX, JWT_AUDIENCES_READ_MAX, JWT_BYTES_MAX, JWT_CLOCK_SKEW,
    JWT_KEYS_TRIED_MAX, JWT_KID_BYTES_MAX,
};
pub use self::catalogue::{
    APP_CHECK_MAX, ASSERTION_LIFE, CALL_BODY_BYTES_MAX, FIELD_PATH_BYTES_MAX, FIELDS_MAX,
    METADATA_MAX, METADATA_VALUE_BYTES_MAX, NAME_BYTES_MAX, OWN_CATALOGUE_BYTES_MAX,
    OWN_CATALOGUE_FILES_MAX, OWN_ENTRY_DEPTH_MAX, OWN_TEMPLATES_MAX, PATTERN_BYTES_MAX,
    PATTERN_COMPILED_BYTES_MAX, REFRESH_TOKEN_AHEAD, REFRESH_TOKEN_LIFE_MAX, REFRESH_TOKEN_WARNING,
    SECOND_TOKENS_MAX, VARIABLE_BYTES_MAX, VARIABLES_MAX,
};
pub use self::cli::{
    CLIENT_ANSWER_BYTES_MAX, CLIENT_BACKUP_POLL_EVERY, CLIENT_BACKUP_WAIT_MAX,
    CLIENT_CONNECT_TIMEOUT, CLIENT_CONNECT_WAIT_MAX, CLIENT_FOLLOW_EVERY,
    CLIENT_GRANTS_FILE_BYTES_MAX, CLIENT_POLL_FAILURES_MAX, CLIENT_POLL_PAUSE,
    CLIENT_QUESTIONS_MAX, CLIENT_ROTATION_EVERY, CLIENT_SETTINGS_FILE_BYTES_MAX, CLIENT_TIMEOUT,
    DESCRIPTORS_MIN, DESCRIPTORS_OURS, DESCRIPTORS_PER_CALL, IMPORT_HEAD_BYTES_MAX,
    IMPORT_TOKEN_BYTES_MAX, IMPORT_WINDOW,
};
pub use self::connect::{
    CODE_TRIES_MAX, KEY_SHOWN_CHARS_MIN, LINK_LIFE_DEFAULT, LINK_LIFE_MAX, LINK_MEMORY,
    LINK_WAIT_MAX, LINK_WAITERS_MAX, PREFLIGHT_HEADERS_MAX, PREFLIGHT_LIFE, STATE_LIFE,
};
pub use self::console::{
    CONSOLE_AUDIT_SCAN_MAX, CONSOLE_EXPORT_MAX, CONSOLE_IDLE, CONSOLE_KEY_DAYS_MAX, CONSOLE_LATE,
    CONSOLE_LATE_COUNTED, CONSOLE_LIFE, CONSOLE_LOOK_EVERY, CONSOLE_LOOKS_MAX, CONSOLE_PAGE,
    CONSOLE_REVEAL, CONSOLE_SESSIONS_MAX, CONSOLE_SESSIONS_OF_KEY_MAX, CONSOLE_TROUBLES,
    CONSOLE_WAITING, FIGURE_STRETCH_MS, FIGURE_STRETCHES,
};
pub use self::metadata::{
    METADATA_FRESH_DEFAULT, METADATA_FRESH_MAX, METADATA_FRESH_MIN, METADATA_READ_MAX,
    METADATA_READS_MAX, METADATA_REASON_CHARS_MAX, METADATA_RETRY_FIRST, METADATA_RETRY_MAX,
    METADATA_WAIT_MAX,
};
pub use self::remote::{
    CHALLENGE_PARAMS_MAX, CLIENT_DOUBT, CLIENT_REFUSED_FOR, CLIENT_RENEWED_EVERY,
    CLIENT_RENEWED_PAUSE, REMOTE_APPS_TURNS_MAX, REMOTE_ISSUERS_MAX, REMOTE_SETUP_MAX,
    REMOTE_URLS_TOLD_MAX,
};
pub use self::sandbox::{
    SANDBOX_ACCEPT_RETRY, SANDBOX_API_KEYS_MAX, SANDBOX_CODE_LIFE, SANDBOX_DRAIN_MAX,
    SANDBOX_DRIP_EVERY_MAX, SANDBOX_GRANTS_MAX, SANDBOX_HANG_MAX, SANDBOX_HUGE_BYTES_MAX,
    SANDBOX_ID_TOKEN_LIFE, SANDBOX_REQUEST_LIFE, SANDBOX_REQUESTS_SEEN_MAX, SANDBOX_SESSION_LIFE,
    SANDBOX_TOKENS_MAX, SANDBOX_TROUBLES_MAX, SANDBOX_VISITS_MAX,
};
pub use self::seal::{
    CIPHER_STACK_BYTES, HEADER_BYTES_MAX, HEADER_TRIES_MAX, KDF_LANES_MAX, KDF_MEMORY_KIB_DEFAULT,
    KDF_MEMORY_KIB_MAX, KDF_MEMORY_KIB_MIN, KDF_PASSES_MAX, KDF_PASSES_MIN,
    KDF_WORK_KIB_PASSES_MAX, KEY_FILE_BYTES_MAX, KEY_FILE_BYTES_MIN, KEY_SLOTS_MAX, KEY_TERMS_MAX,
    PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, PASSPHRASE_SCORE_MIN, RECORD_BYTES_MAX,
};

// ---- words ----------------------------------------------------------------------------------

/// Most words of a search in the catalogue; what is beyond them says nothing.
pub const SEARCH_WORDS_MAX: usize = 8;
/// Longest app id, in bytes. Ids stand in URLs (`/callback/{app}`), so they stay short.
pub const APP_ID_BYTES_MAX: usize = 64;
/// Longest tenant id, user id or account name, in bytes. Fits an e-mail address (254) or a `sub`.
pub const OWNER_ID_BYTES_MAX: usize = 256;
/// Longest single scope, in bytes. Google's are URLs of about 60.
pub const SCOPE_BYTES_MAX: usize = 512;
/// Most scopes in one set. The widest known consent (Slack, admin) asks for about 90.
pub const SCOPES_MAX: usize = 128;
/// Longest description of a scope, in characters: a line on a page, two on a phone.
pub const SCOPE_DESCRIPTION_CHARS_MAX: usize = 120;
/// Longest name, description or reason given by a caller, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Longest path a caller may name, in bytes: the system's own bound.
pub const PATH_BYTES_MAX: usize = 4096;
/// Longest picture written out as a `data:` URL, in bytes: it stands in pages and lists.
pub const LOGO_BYTES_MAX: usize = 32 * 1024;
/// Longest URL we keep, in bytes.
pub const URL_BYTES_MAX: usize = 2048;
/// Longest access token, refresh token, id token or API key, in bytes. JWTs of 16 KiB are seen.
pub const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;
/// Most extra authorization or token parameters of an app.
pub const PARAMS_MAX: usize = 32;
/// Most return URLs of an app or access key.
pub const RETURN_URLS_MAX: usize = 32;
/// Most grants of one access key.
pub const GRANTS_MAX: usize = 64;
/// Most ids named by one side of a grant.
pub const GRANT_IDS_MAX: usize = 1024;
/// Most apps on one connect link: a person gives up long before.
pub const LINK_APPS_MAX: usize = 16;

// ---- how many ---------------------------------------------------------------------------------

/// Most tokens of one app and owner (accounts times scope sets). A fetch looks at all of them.
pub const TOKENS_PER_OWNER_AND_APP_MAX: usize = 64;
/// Most tokens that are stored in one step.
pub const BATCH_TOKENS_MAX: usize = 1000;
/// Most apps. They are listed in one answer.
pub const APPS_MAX: usize = 4096;
/// Most access keys. They are listed in one answer.
pub const ACCESS_KEYS_MAX: usize = 4096;
/// Most connect links that wait at one time; the oldest lapse by themselves after ten minutes.
pub const LINKS_OPEN_MAX: usize = 10_000;
/// History entries kept in a token's cold part: so that three usual records share a page.
pub const HISTORY_MAX: usize = 10;
/// Entries of one page of a list, at most.
pub const PAGE_MAX: usize = 1000;
/// Entries of one page of a list, unless asked for.
pub const PAGE_DEFAULT: usize = 100;
/// Records a filtered list looks at before it hands out a cursor, so that one call stays short.
pub const LIST_SCAN_MAX: usize = 10_000;
/// Tokens that wait for their owner, counted in one call at most.
pub const WAITING_COUNT_MAX: usize = 1000;

// ---- store ------------------------------------------------------------------------------------

/// redb's cache, in bytes. A cache of 32 MiB costs 2 us a read at a million records and keeps the
/// process small.
pub const STORE_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// redb's cache while it checks a whole file, in bytes: it comes to each page once.
pub const STORE_CHECK_CACHE_BYTES: usize = 1024 * 1024;
/// What opening may write to memory where the disk refuses writes, in bytes: opening a file of a
/// million records writes less than a hundredth of that.
pub const STORE_LAYER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest wait for reads that have begun when the file is opened anew: most take microseconds.
pub const STORE_READERS_WAIT_MAX: Duration = Duration::from_secs(1);
/// Records that do not open and are told of one by one, in one run of the process.
pub const SPOILT_TOLD_MAX: usize = 1000;
/// Most writes in one commit. Beyond 100 a group gains little and its first waiter waits longer.
pub const COMMIT_GROUP_MAX: usize = 256;
/// Records of one transaction of a copy that is being made: a copy takes the memory of one of them.
pub const COPY_CHUNK_RECORDS_MAX: usize = 1024;
/// Bytes of one transaction of a copy, within one record: a thousand of the longest would be
/// 512 MiB.
pub const COPY_CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Room that a compaction leaves on the disk, in bytes: days of the trail, without which nothing is
/// handed out.
pub const COMPACT_ROOM_LEFT_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Bytes read at one time where a file is copied as it is.
pub const COPY_BUFFER_BYTES: usize = 1024 * 1024;
/// Most that may be written to a store opened aside, in bytes. Opening one that was not closed in
/// order writes a few pages.
pub const OVERLAY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of a damaged file is searched for headers at one time, in bytes.
pub const SALVAGE_STRETCH_BYTES: usize = 1024 * 1024;
/// Longest leaf taken from a damaged file, in bytes: redb splits a leaf that holds more than one
/// long pair, so twice the longest record has room to spare.
pub const SALVAGE_LEAF_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;
/// Longest key taken from a damaged file, in bytes; one of `due`, the longest there is, has 72.
pub const SALVAGE_KEY_BYTES_MAX: usize = 128;
/// Longest definition of a table in redb's file, in bytes; ours have below 100.
pub const SALVAGE_DEFINITION_BYTES_MAX: usize = 512;
/// Most places of a damaged file that are looked at as headers; a file holds a few.
pub const SALVAGE_HEADERS_FOUND_MAX: usize = 256;
/// Most headers of a damaged file that are tried; each wrong one costs its key derivations.
pub const SALVAGE_HEADERS_TRIED_MAX: usize = 8;
/// How far epoch and versions leap where a newer ledger may have been lost: more commits than a
/// disk takes in a year at 125 a second.
pub const SALVAGE_LEAP: u64 = 1 << 32;
/// Most lost records that are named one by one; beyond them a person reads the counts.
pub const SALVAGE_LOST_NAMED_MAX: usize = 1000;
/// First pause between two tries of a disk that goes on failing; doubled for each further one.
pub const STORE_HEAL_EVERY: Duration = Duration::from_secs(1);
/// Longest such pause: room that was made is used within this.
pub const STORE_HEAL_EVERY_MAX: Duration = Duration::from_secs(5);
/// Where opening the file takes long, since it is checked whole, the longest pause is so many times
/// as long: those who read, who wait for it, get most of the time.
pub const STORE_HEAL_COSTS: u32 = 10;
/// Longest pause at all.
pub const STORE_HEAL_EVERY_MAX_OF_A_LARGE_FILE: Duration = Duration::from_secs(60);
/// Writes that may wait for the writer; more are told to come back.
pub const WRITE_QUEUE_MAX: usize = 8192;

// ---- check ------------------------------------------------------------------------------------

/// Most problems a check lists one by one; beyond that it counts.
pub const CHECK_PROBLEMS_MAX: usize = 100;
/// A check says how far it is once in so many entries.
pub const CHECK_TELL_EVERY: u64 = 256;
/// Whoever watches a ledger being added up hears of it once in so many entries.
pub const LEDGER_TELL_EVERY: u64 = 1024;
/// Threads that add up the ledger, at most: the disk has no more to give to more of them.
pub const LEDGER_THREADS_MAX: usize = 4;
/// Who is refused while the file is checked behind the first answers comes back after this at the
/// least, and so does the schedule.
pub const CHECK_RETRY_MIN: Duration = Duration::from_secs(1);
/// And after this at the most, however long the check may yet take.
pub const CHECK_RETRY_MAX: Duration = Duration::from_secs(30);

// ---- key rotation -----------------------------------------------------------------------------

/// Records resealed in one transaction: a write that waits behind it waits a few milliseconds.
pub const RESEAL_BATCH_MAX: usize = 128;
/// Bytes resealed in one transaction, the record that passes it included: the same for large ones.
pub const RESEAL_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Records looked at in one transaction where few are to be resealed.
pub const RESEAL_LOOK_MAX: usize = 4096;
/// Walks through all records before a rotation says that it cannot end. One does, by design.
pub const RESEAL_WALKS_MAX: u32 = 3;
/// First pause of a rotation whose disk is in trouble; doubled for each further one.
pub const ROTATION_PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause of a rotation between two tries.
pub const ROTATION_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at whether everybody who read before the old terms went is done.
pub const ROTATION_LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest wait for them, after which the old terms are wiped all the same. A request ends within
/// 90 s; a check of a large vault may read for minutes.
pub const ROTATION_READERS_MAX: Duration = Duration::from_secs(600);

// ---- filling of indexes that came later --------------------------------------------------------

/// Tokens entered in one transaction: a write that waits behind it waits a few milliseconds.
pub const FILL_BATCH_MAX: usize = 512;
/// Bytes of records looked at in one transaction, the one that passes it included.
pub const FILL_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// First pause of a filling whose disk is in trouble; doubled for each further one.
pub const FILL_PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause of a filling between two tries.
pub const FILL_PAUSE_MAX: Duration = Duration::from_secs(30);

// ---- the anchor ------------------------------------------------------------------------------

/// A commit is on the anchor's disk at most this much later than the operating system has it: what
/// a power cut may hide. A sync for each would slow every write to two disks.
pub const ANCHOR_SYNC_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an anchor's disk, by a commit or an end: a share that has gone away answers
/// nobody, and the vault goes on without.
pub const ANCHOR_WAIT_MAX: Duration = Duration::from_secs(2);

// ---- audit ------------------------------------------------------------------------------------

/// Longest audit entry, sealed, in bytes.
pub const AUDIT_ENTRY_BYTES_MAX: usize = 16 * 1024;
/// A segment is closed and the next begun at this length, in bytes.
pub const AUDIT_SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Entries reach the disk at most this much later than the operating system.
pub const AUDIT_FSYNC_EVERY: Duration = Duration::from_millis(50);
/// So many entries are synced without waiting for more: about 100 KiB, which takes the disk and the
/// core a fraction of a millisecond. In groups of 50 ms a busy server had megabytes to sync at
/// once, and whoever asked meanwhile waited for the core.
pub const AUDIT_GROUP_ENTRIES_MAX: u64 = 256;
/// Entries that a vault in memory keeps; beyond that the oldest go.
pub const AUDIT_MEMORY_ENTRIES_MAX: usize = 10_000;
/// Copies of one damaged segment that are kept aside, each as an unlock found it.
pub const AUDIT_ASIDE_MAX: u32 = 8;
/// At most one audit entry about failed authentications in this time.
pub const STRANGERS_EVERY: Duration = Duration::from_secs(1);

// ---- unlock -----------------------------------------------------------------------------------

/// Wait after the first wrong unlock; doubled for each further one.
pub const UNLOCK_DELAY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between unlock tries. Never a lock-out for ever: the owner's next try counts.
pub const UNLOCK_DELAY_MAX: Duration = Duration::from_secs(30);
/// Tries to unlock that wait for the one under way: a derivation takes about a second each.
pub const UNLOCK_LINE_MAX: usize = 8;
/// Longest wait in that line: with the derivation that follows it stays under a request's life.
pub const UNLOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// What who finds no place in that line is told to wait: about two derivations.
pub const UNLOCK_RETRY: Duration = Duration::from_secs(2);
/// A source that kept quiet for this long after its delay is a new one: whoever mistyped last night
/// does not begin today with half a minute.
pub const UNLOCK_FORGIVEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Sources whose wrong tries are remembered. To push one out takes this many derivations.
pub const UNLOCK_SOURCES_MAX: usize = 1024;
/// Lines of the system's table of TCP connections that are read to learn whose one is.
pub const TCP_TABLE_LINES_MAX: usize = 200_000;

// ---- the way out ------------------------------------------------------------------------------

/// Longest answer of a provider, in bytes.
pub const PROVIDER_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest wait for a TCP and TLS connection to a provider.
pub const PROVIDER_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a provider's whole answer. Slow token endpoints exist (some ERP systems).
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest metadata document, in bytes.
pub const METADATA_BYTES_MAX: usize = 256 * 1024;
/// Longest description of a provider's error that we keep, in characters.
pub const PROVIDER_TEXT_CHARS_MAX: usize = 200;
/// Longest error code of a provider that we keep, in characters.
pub const PROVIDER_CODE_CHARS_MAX: usize = 64;
/// Longest `Retry-After` we honour; a provider that says ten years is asked again in an hour.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Most fields of one name of an answer that are read: one of the provider, one of each proxy.
pub const ANSWER_FIELDS_MAX: usize = 8;
/// Calls to one provider host at one time.
pub const PROVIDER_CALLS_PER_HOST_MAX: usize = 16;
/// Calls to all providers at one time. Sixteen hosts that hang do not hold up the others.
pub const PROVIDER_CALLS_MAX: usize = 256;
/// Provider hosts remembered at one time: a token and a metadata host for each app.
pub const PROVIDER_HOSTS_MAX: usize = 2 * APPS_MAX;
/// An idle connection to a provider is kept this long. Node closes its own after 5 s, and a request
/// that meets a closing connection may be lost together with a single-use token.
pub const PROVIDER_IDLE_MAX: Duration = Duration::from_secs(4);
/// Shortest run of token-like characters that is struck from a provider's text. Access tokens are
/// longer; the longest word of RFC 6749's own error texts has 15.
pub const PROVIDER_TEXT_RUN_CHARS: usize = 20;
/// Most hosts an operator may exempt from the rules of the way out.
pub const ALLOWED_HOSTS_MAX: usize = 256;
/// Longest file of extra root certificates, in bytes: a whole system's store has 300 KiB.
pub const ROOTS_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

// ---- refresh ----------------------------------------------------------------------------------

/// Refreshes in flight at one time that callers and scheduler have begun, waiting ones included.
pub const FLIGHTS_MAX: usize = 8192;
/// Refreshes the scheduler has in flight at one time, all apps together.
pub const REFRESHES_MAX: usize = 256;
/// Refreshes the scheduler has in flight for one app: some wait for a commit while others call.
pub const LANE_REFRESHES_MAX: usize = 2 * PROVIDER_CALLS_PER_HOST_MAX;
/// The same while the last one of that app has failed: enough to notice that it is well again.
pub const LANE_PROBES_MAX: usize = 2;
/// Due tokens of one app that wait for their turn in memory; the rest wait in the store.
pub const LANE_QUEUE_MAX: usize = 128;
/// Due tokens of all apps that wait for their turn in memory.
pub const DUE_QUEUE_MAX: usize = 4096;
/// Records one transaction brings forward after an outage: as many as one commit group.
pub const HASTEN_BATCH_MAX: usize = COMMIT_GROUP_MAX;
/// After an outage what failed is tried anew within this long, and not all in one moment.
pub const HASTEN_SPREAD: Duration = Duration::from_secs(10);
/// Refresh this long ahead of expiry, or at half the token's life where that is less.
pub const REFRESH_AHEAD: Duration = Duration::from_secs(300);
/// Lifetime taken for a token whose provider never said one and whose app has no default.
pub const LIFETIME_GUESS: Duration = Duration::from_secs(3600);
/// Longest lifetime believed. A provider that says a century has made a mistake.
pub const LIFETIME_MAX: Duration = Duration::from_secs(400 * 86_400);
/// First wait after a failed refresh; doubled for each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(5);
/// Longest wait between refresh attempts.
pub const BACKOFF_MAX: Duration = Duration::from_secs(3600);
/// A caller has a failed refresh tried anew after this long, however long the scheduler would wait:
/// whoever mended the network or a client secret is not to wait an hour.
pub const RETRY_FOR_CALLERS: Duration = Duration::from_secs(30);
/// An access token that nobody refreshed for this long is refreshed to keep its refresh token
/// alive: the shortest idle lapse known is 30 days (Atlassian 90, Xero 60, QuickBooks 100).
pub const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(14 * 86_400);
/// A caller waits at most this long for a refresh in flight (the call itself goes on).
pub const REFRESH_WAIT_MAX: Duration = Duration::from_secs(75);
/// Callers that may wait for refreshes at one time where nothing sets it lower: a hundred for each
/// of a thousand tokens, in the program the vault is embedded in. A server lets half of its
/// connections wait: a provider that hangs must not hold them all.
pub const REFRESH_WAITERS_MAX: usize = 131_072;
/// A refresh in flight ends at the latest after this: twice a wait for a seat and a provider call,
/// and two commits. Nothing but a disk that hangs comes near: a call that is cut may lose a token.
pub const FLIGHT_MAX: Duration = Duration::from_secs(180);
/// A forced refresh younger than this is answered with what it brought: a debounce.
pub const FORCED_REFRESH_EVERY: Duration = Duration::from_secs(2);
/// Longest sleep of the scheduler, so that a missed notice heals by itself.
pub const SCHEDULER_SLEEP_MAX: Duration = Duration::from_secs(30);
/// A fetched token is valid for at least this long unless the caller asks for less or more.
pub const MIN_TTL_DEFAULT: Duration = Duration::from_secs(30);
/// Longest `min_ttl_s` a caller may ask for.
pub const MIN_TTL_MAX: Duration = Duration::from_secs(86_400);

/// Two readings of one machine's clock that differ by more, in the wrong direction, are no
/// wavering: the clock was set back between them.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// What was uploaded without an end, and after a clock was set back what expires, is refreshed
/// within this long, and not all at once.
pub const REDATE_SPREAD: Duration = Duration::from_secs(60);
/// Longest a record may tell anybody to wait: a back-off, or a `Retry-After` and its jitter. Told
/// to wait longer, it was told by another clock.
pub const REFRESH_PAUSE_MAX: Duration = Duration::from_secs(3600 + 180);

// ---- the endpoint -----------------------------------------------------------------------------

/// Longest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest request body of a token upload, which may hold three credentials.
pub const UPLOAD_BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest request body of an upload of many tokens.
pub const BATCH_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most header fields of a request.
pub const HEADERS_MAX: usize = 64;
/// Read buffer of a connection, in bytes: the bound of a request's head.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Longest wait for a request's head, and for a TLS handshake.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a request's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of one request, the longest poll included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// Connections at one time, unless set lower.
pub const CONNECTIONS_MAX: usize = 1024;
/// Connections that wait to be accepted, per TCP address; the system may allow fewer.
pub const BACKLOG: u32 = 1024;
/// One seat is kept free for whoever comes next: where all are taken, a connection that has said
/// nothing for this long is closed. Long enough for a handshake and a request from another
/// continent.
pub const SILENCE_IN_A_FULL_HOUSE: Duration = Duration::from_millis(500);
/// Longest wait for a peer to take what it is sent, counted from the moment it first stalls.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the rest of a refused request, so that its refusal is read and not reset.
pub const LINGER_MAX: Duration = Duration::from_secs(1);
/// Most of a refused request that is read and thrown away, in bytes: twice the longest upload.
pub const LINGER_BYTES_MAX: usize = 2 * UPLOAD_BODY_BYTES_MAX;
/// First wait after a failed accept (no descriptors left); doubled for each further one.
pub const ACCEPT_BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest wait between accepts that fail.
pub const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Longest wait for whoever may still answer on a Unix socket that is in our place.
pub const SOCKET_PROBE_MAX: Duration = Duration::from_secs(1);
/// Longest `host:port` that is looked at, in bytes: a DNS name (253), brackets and a port.
pub const HOST_BYTES_MAX: usize = 264;
/// Most fields of a submitted form. Our largest page has fewer than ten.
pub const FORM_FIELDS_MAX: usize = 64;
/// Most cookies looked at. On loopback every port shares one jar, so some are not ours.
pub const COOKIES_MAX: usize = 128;
/// Longest certificate chain or private key file, in bytes.
pub const PEM_BYTES_MAX: usize = 1024 * 1024;
/// Longest wait for open requests and refreshes in flight at shutdown.
pub const DRAIN_MAX: Duration = Duration::from_secs(45);
