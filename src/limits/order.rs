//! How the bounds stand to each other, held when the program is compiled.
//!
//! It promises: a bound that only makes sense beside another keeps its place.
//! It never: is a bound itself.

use super::{
    BACKOFF_MAX, CREDENTIAL_BYTES_MAX, DRAIN_MAX, FLIGHT_MAX, FLIGHTS_MAX, KDF_MEMORY_KIB_DEFAULT,
    KDF_MEMORY_KIB_MAX, KDF_MEMORY_KIB_MIN, KDF_PASSES_MIN, KDF_WORK_KIB_PASSES_MAX,
    LANE_REFRESHES_MAX, LINK_WAIT_MAX, LIST_SCAN_MAX, PAGE_DEFAULT, PAGE_MAX, PROVIDER_CALLS_MAX,
    PROVIDER_CALLS_PER_HOST_MAX, PROVIDER_CONNECT_TIMEOUT, PROVIDER_TIMEOUT, RECORD_BYTES_MAX,
    REFRESH_PAUSE_MAX, REFRESH_WAIT_MAX, REFRESHES_MAX, REQUEST_TIMEOUT, RETRY_AFTER_MAX,
    UNLOCK_WAIT_MAX, UPLOAD_BODY_BYTES_MAX,
};

const _: () = assert!(KDF_MEMORY_KIB_MIN <= KDF_MEMORY_KIB_DEFAULT);
const _: () = assert!(KDF_MEMORY_KIB_DEFAULT <= KDF_MEMORY_KIB_MAX);
const _: () =
    assert!((KDF_MEMORY_KIB_DEFAULT as u64) * (KDF_PASSES_MIN as u64) <= KDF_WORK_KIB_PASSES_MAX);
const _: () = assert!(RECORD_BYTES_MAX > 4 * CREDENTIAL_BYTES_MAX);
const _: () = assert!(UPLOAD_BODY_BYTES_MAX > 3 * CREDENTIAL_BYTES_MAX);
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX && PAGE_MAX <= LIST_SCAN_MAX);
const _: () = assert!(FLIGHT_MAX.as_secs() > 2 * (PROVIDER_TIMEOUT.as_secs() * 2) + 30);
const _: () = assert!(PROVIDER_CALLS_PER_HOST_MAX < PROVIDER_CALLS_MAX);
const _: () = assert!(LANE_REFRESHES_MAX < REFRESHES_MAX && REFRESHES_MAX < FLIGHTS_MAX);
const _: () = assert!(PROVIDER_TIMEOUT.as_secs() < DRAIN_MAX.as_secs());
const _: () = assert!(PROVIDER_CONNECT_TIMEOUT.as_secs() < PROVIDER_TIMEOUT.as_secs());
const _: () = assert!(UNLOCK_WAIT_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(LINK_WAIT_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(REFRESH_WAIT_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(REFRESH_PAUSE_MAX.as_secs() >= BACKOFF_MAX.as_secs());
const _: () = assert!(REFRESH_PAUSE_MAX.as_secs() >= RETRY_AFTER_MAX.as_secs() * 21 / 20);
