//! The promises of the rooms `seal`, `store`, `vault` and `model`, proved from outside.
//!
//! Each test's name begins with the number of the promise it proves: S in `seal`, D in `store`,
//! V and A in `vault`, M (the rules of `model`). What needs a look inside a room is proved there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod anchor;
mod audit;
mod authority;
mod backup_load;
mod backups;
mod behind;
mod checks;
mod choice;
mod compaction;
mod golden;
mod header;
mod ledger;
mod links;
mod many;
mod matrix;
mod owners;
mod plan;
mod readable;
mod refresh;
mod rotation;
#[path = "../harness/seeded.rs"]
mod seeded;
mod slots;
mod support;
