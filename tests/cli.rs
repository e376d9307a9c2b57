//! The command line as people and scripts use it: the binary itself, its words and exit codes.

#[path = "cli/apps.rs"]
mod apps;
#[path = "cli/changes.rs"]
mod changes;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/keep.rs"]
mod keep;
#[path = "cli/offline.rs"]
mod offline;
#[path = "cli/online.rs"]
mod online;
#[path = "cli/salvage.rs"]
mod salvage;
#[path = "cli/slots.rs"]
mod slots;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/waiting.rs"]
mod waiting;
