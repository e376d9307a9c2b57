//! Operations on a vault, model and all, with faults of its disk and power cuts between them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| strongroom::vault::fuzzed::operations(data));
