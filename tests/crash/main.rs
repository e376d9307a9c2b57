//! The binary itself, killed in the middle of things.
//!
//! | promise | where it is shown |
//! |---|---|
//! | a connection outlives kill -9 in mid-refresh where the provider has a grace (issue item 8) | `refresh` |
//! | without a grace it says `interrupted_refresh`, never `revoked` | `refresh` |
//! | a backup or restore that is killed leaves nothing that is half (C4) | `keep` |
//! | V14 a rotation of the keys goes on after kill -9, and slots change while it serves | `rotation` |
//! | a killed process loses no commit of its anchor; an older file is noticed (F4) | `anchor` |
//! | V19 a server that checks its file behind the first answers may be killed or ended | `behind` |
//! | an import that broke off is run again and brings in each token once | `import` |
//! | own templates are read again on SIGHUP (issue 6) | `reread` |
//! | the command line does the main job against a served vault | `commands` |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod anchor;
mod behind;
#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
mod browser;
mod commands;
mod import;
mod keep;
mod process;
mod refresh;
mod reread;
mod rotation;
#[path = "../harness/seeded.rs"]
#[allow(dead_code, reason = "shared with other harnesses")]
mod seeded;
#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
mod support;
