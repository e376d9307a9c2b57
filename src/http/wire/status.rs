//! How a server stands, in words.
//!
//! It promises: why a backup, a compaction or a rotation failed is told as an answer would tell it.
//! It never: passes the operating system's words on, which name paths.

use std::path::PathBuf;

use serde::Serialize;

use super::words_of;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::vault::{
    AnchorStatus, Backup, BackupState, Checking, Compaction, CompactionState, KeyTerm, Pause,
    Rotation, RotationState, SlotInfo, Status,
};

/// What everybody who reaches the server may know.
#[derive(Serialize)]
pub struct HealthShape {
    locked: bool,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_because: Option<&'static str>,
}

impl HealthShape {
    /// What is told of this.
    pub fn of(status: &Status) -> Self {
        Self {
            locked: status.locked,
            version: env!("CARGO_PKG_VERSION"),
            locked_because: status.locked_because.filter(|_| status.locked),
        }
    }
}

/// What every access key may know.
#[derive(Serialize)]
pub struct StatusShape {
    locked: bool,
    version: &'static str,
    project_id: Option<String>,
    checking: Option<Checking>,
    epoch: Option<u64>,
    audit_seq: Option<u64>,
    keys_in_locked_memory: Option<bool>,
    refresh_paused: bool,
    refresh_paused_because: Option<Pause>,
    backup: Option<BackupShape>,
    compaction: Option<CompactionShape>,
    key_term: Option<KeyTerm>,
    rotation: Option<RotationShape>,
    anchor: Option<AnchorStatus>,
    clock_off_s: i64,
    clock_set_back_s: Option<u64>,
    slots: Vec<SlotInfo>,
}

impl StatusShape {
    /// What is told of these; the backup and the compaction to who may make one.
    pub fn of(
        status: Status,
        (backup, compaction): (Option<Backup>, Option<Compaction>),
        slots: Vec<SlotInfo>,
    ) -> Self {
        Self {
            locked: status.locked,
            version: env!("CARGO_PKG_VERSION"),
            project_id: status.project_id,
            checking: status.checking,
            epoch: status.epoch,
            audit_seq: status.audit_seq,
            keys_in_locked_memory: status.keys_in_locked_memory,
            refresh_paused: status.refresh_paused,
            refresh_paused_because: status.refresh_paused_because,
            backup: backup.as_ref().map(BackupShape::of),
            compaction: compaction.as_ref().map(CompactionShape::of),
            key_term: status.key_term,
            rotation: status.rotation.as_ref().map(RotationShape::of),
            anchor: status.anchor,
            clock_off_s: status.clock_off_s,
            clock_set_back_s: status.clock_set_back_s,
            slots,
        }
    }
}

/// A backup, for who may make one.
#[derive(Serialize)]
pub struct BackupShape {
    state: BackupState,
    file: PathBuf,
    epoch: u64,
    done: u64,
    total: u64,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShape>,
}

#[derive(Serialize)]
struct ErrorShape {
    code: &'static str,
    message: String,
    hint: &'static str,
}

impl ErrorShape {
    fn of(error: &Error) -> Self {
        Self {
            code: error.code(),
            message: words_of(error),
            hint: error.hint(),
        }
    }
}

impl BackupShape {
    /// What is told of this one.
    pub fn of(backup: &Backup) -> Self {
        Self {
            state: backup.state,
            file: backup.file.clone(),
            epoch: backup.epoch,
            done: backup.done,
            total: backup.total,
            started_at: backup.started_at,
            error: backup.error.as_ref().map(ErrorShape::of),
        }
    }
}

/// A compaction, for who may make one.
#[derive(Serialize)]
pub struct CompactionShape {
    state: CompactionState,
    done: u64,
    total: u64,
    started_at: Timestamp,
    bytes_before: u64,
    bytes_after: Option<u64>,
    writes_waited_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShape>,
}

impl CompactionShape {
    /// What is told of this one.
    pub fn of(compaction: &Compaction) -> Self {
        Self {
            state: compaction.state,
            done: compaction.done,
            total: compaction.total,
            started_at: compaction.started_at,
            bytes_before: compaction.bytes_before,
            bytes_after: compaction.bytes_after,
            writes_waited_ms: compaction.writes_waited_ms,
            error: compaction.error.as_ref().map(ErrorShape::of),
        }
    }
}

/// How far a key rotation is.
#[derive(Serialize)]
pub struct RotationShape {
    term: u32,
    records_done: u64,
    records_total: u64,
    state: RotationState,
    error: Option<String>,
}

impl RotationShape {
    /// What is told of this one.
    pub fn of(rotation: &Rotation) -> Self {
        Self {
            term: rotation.term,
            records_done: rotation.records_done,
            records_total: rotation.records_total,
            state: rotation.state,
            error: rotation.error.as_ref().map(words_of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what the operating system said of a path stays in the log, however long a failure is
    /// shown. Method: a rotation, a backup and a compaction that failed over a path; their JSON.
    #[test]
    fn a_status_names_no_path_of_the_system() {
        let path = "/srv/secret-place";
        let error = Some(Error::Storage(format!("cannot write {path}: no space")));
        let rotation = Rotation {
            term: 2,
            records_done: 1,
            records_total: 2,
            state: RotationState::Waiting,
            error: error.clone(),
        };
        let backup = Backup {
            state: BackupState::Failed,
            file: "/backups/b.redb".into(),
            epoch: 1,
            done: 0,
            total: 2,
            started_at: Timestamp::from_unix_ms(0),
            error: error.clone(),
        };
        let compaction = Compaction {
            state: CompactionState::Failed,
            done: 0,
            total: 3,
            started_at: Timestamp::from_unix_ms(0),
            bytes_before: 4096,
            bytes_after: None,
            writes_waited_ms: None,
            error,
        };
        let shown = [
            serde_json::json!(RotationShape::of(&rotation)),
            serde_json::json!(BackupShape::of(&backup)),
            serde_json::json!(CompactionShape::of(&compaction)),
        ];
        for shown in shown {
            let text = shown.to_string();
            assert!(text.contains("the store could not do it"), "{text}");
            assert!(!text.contains(path), "{text}");
        }
    }
}
