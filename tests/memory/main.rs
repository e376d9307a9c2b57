//! What a process remembers once its vault is locked (M1, M2 of the catalogue; T13, T14).
//!
//! | promise | where it is shown |
//! |---|---|
//! | locked, the server's memory holds no passphrase, recovery code, key, access key or token | `served` |
//! | unlocked, keys lie in the locked page alone, which core dumps leave out | `served` |
//! | no core file, whatever ends the process; nobody of the same user reads its memory | `served` |
//!
//! What may remain, and why no test here says otherwise:
//! * the read buffer of a connection that is open (the tests close theirs);
//! * the stack of a thread that handled a token, until it handles something else: the tests ask
//!   for `/health` a few times after locking. What handles keys wipes its stack by itself;
//! * the other end's buffers and the kernel's; TLS has buffers of its own, which go back to the
//!   allocator, and are wiped there, with their connection;
//! * in another's process (the library) what its allocator does not wipe: ours is set in `main.rs`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod scan;
mod served;
