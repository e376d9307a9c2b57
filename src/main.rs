//! The binary: the command line, and its exit code.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is given back: what JSON, HTTP and TLS were read from and written to
/// held secrets, and no type of ours wipes it (T13).
#[global_allocator]
static WIPED: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    strongroom::cli::run()
}
