//! The operator of the load: rotates the keys, changes slots, makes backups, locks and unlocks
//! while the clients work. None of it changes what the vault owes them.
//!
//! It promises: whether the slot it added opens the vault is known but for a change under way; a
//! backup under its final name is looked at after the kill.
//! It never: touches a client's things.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use strongroom::secret::{Secret, base64url};
use strongroom::vault::{Unlocker, Vault};

use crate::keyed::{Keyed, ask};
use crate::maintenance::opens;
use crate::support::Api;

/// What an operator did that was acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub rotations: u64,
    pub slots: u64,
    pub locks: u64,
    /// Begun, and whole under their final name after the kill.
    pub backups: u64,
    pub whole: u64,
    pub restored: u64,
}

/// The one slot that comes and goes.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Slot {
    None,
    /// Asked for, and not answered.
    Adding,
    There(u64),
    Removing,
}

/// An operator.
pub struct Operator {
    pub api: Api,
    pub done: Done,
    pub findings: Vec<String>,
    recovery_code: String,
    backups: PathBuf,
    slot: Slot,
    /// The key file of that slot.
    key_file: [u8; 32],
    rng: fastrand::Rng,
}

impl Operator {
    pub fn new(home: &Keyed, api: &Api, seed: u64) -> Self {
        let backups = home.path("backups");
        std::fs::create_dir(&backups).unwrap();
        Self {
            api: api.clone(),
            done: Done::default(),
            findings: Vec::new(),
            recovery_code: home.recovery_code.clone(),
            backups,
            slot: Slot::None,
            key_file: [0; 32],
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Works until the server is gone.
    pub async fn run(mut self) -> Self {
        while self.step().await.is_some() {}
        self
    }

    /// One thing; `None` where the server is gone.
    async fn step(&mut self) -> Option<()> {
        match self.rng.u32(0..40) {
            0..13 => {
                if self.post("/v1/rotate", json!({}), &[200, 409]).await? == 200 {
                    self.done.rotations += 1;
                }
            }
            13..26 => {
                let body = json!({ "directory": self.backups });
                if self.post("/v1/backup", body, &[200, 409]).await? == 200 {
                    self.done.backups += 1;
                }
            }
            26..38 => self.change_slot().await?,
            _ => {
                if self.post("/v1/lock", json!({}), &[200]).await? == 200 {
                    self.done.locks += 1;
                }
                let body = json!({ "passphrase": self.recovery_code });
                self.post("/v1/unlock", body, &[200, 409]).await?;
            }
        }
        Some(())
    }

    async fn post(&mut self, path: &str, body: Value, due: &[u16]) -> Option<u16> {
        let (status, said) = ask(&self.api, "POST", path, Some(body)).await?;
        if !due.contains(&status) {
            self.findings.push(format!("POST {path}: {status} {said}"));
        }
        Some(status)
    }

    async fn change_slot(&mut self) -> Option<()> {
        let mut body = json!({ "current": self.recovery_code });
        if let Slot::There(number) = self.slot {
            self.slot = Slot::Removing;
            let path = format!("/v1/slots/{number}");
            let (status, said) = ask(&self.api, "DELETE", &path, Some(body)).await?;
            self.slot = Slot::None;
            if status != 200 {
                self.findings
                    .push(format!("DELETE {path}: {status} {said}"));
            }
        } else {
            self.rng.fill(&mut self.key_file);
            body["kind"] = json!("key_file");
            body["key_file"] = json!(base64url(&self.key_file));
            self.slot = Slot::Adding;
            let (status, said) = ask(&self.api, "POST", "/v1/slots", Some(body)).await?;
            match said["number"].as_u64() {
                Some(number) => self.slot = Slot::There(number),
                None => self
                    .findings
                    .push(format!("POST /v1/slots: {status} {said}")),
            }
        }
        self.done.slots += 1;
        Some(())
    }

    /// Looks at what a kill left, before the server is started again.
    pub async fn judge(&mut self, home: &Keyed, chance: &mut fastrand::Rng) -> Vec<String> {
        let mut findings = std::mem::take(&mut self.findings);
        if self.slot != Slot::None {
            let unlocker = Unlocker::key_file(Secret::new(self.key_file.to_vec())).unwrap();
            let opens = opens(home, unlocker).await;
            if !opens && matches!(self.slot, Slot::There(_)) {
                findings.push("an acknowledged slot is lost".to_owned());
            }
            match (opens, &self.slot) {
                (false, _) => self.slot = Slot::None,
                (true, Slot::Adding | Slot::Removing) => self.slot = newest(home),
                (true, _) => {}
            }
        }
        for file in finished(&self.backups) {
            match is_whole(home, &file) {
                Ok(()) => self.done.whole += 1,
                Err(finding) => findings.push(finding),
            }
            if chance.u8(0..8) == 0 {
                self.done.restored += 1;
                findings.extend(restored(home, &file));
            }
            std::fs::remove_file(file).unwrap();
        }
        findings
    }
}

/// The slot that was added last.
fn newest(home: &Keyed) -> Slot {
    let slots = home.run(&["passphrase", "slots", "--json"]);
    let slots: Value = serde_json::from_slice(&slots.stdout).unwrap();
    let newest = slots["slots"].as_array().unwrap().last().unwrap();
    Slot::There(newest["number"].as_u64().unwrap())
}

/// The backups that have their final name.
fn finished(backups: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(backups).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "redb"))
        .collect()
}

fn is_whole(home: &Keyed, place: &Path) -> Result<(), String> {
    let key = Secret::new(std::fs::read(home.path("key")).unwrap());
    let unlocker = Unlocker::key_file(key).unwrap();
    match Vault::check_at(place, Some(&unlocker), &mut |_, _| Ok(())) {
        Ok(report) if report.is_whole() => Ok(()),
        Ok(report) => Err(format!("{}: {:?}", place.display(), report.problems)),
        Err(error) => Err(format!("{}: {error}", place.display())),
    }
}

/// Restores a backup beside the vault, and checks what that brought.
fn restored(home: &Keyed, backup: &Path) -> Vec<String> {
    let data = home.path("restored");
    let file = backup.to_str().unwrap();
    let to = data.to_str().unwrap();
    let output = home.run(&["restore", file, "--data", to, "--key-file", "key"]);
    let mut findings = Vec::new();
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        findings.push(format!("{file} is not restored: {told}"));
    }
    findings.extend(is_whole(home, &data).err());
    std::fs::remove_dir_all(data).unwrap();
    findings
}

/// Goal: a half backup under its final name, and a slot that is lost, are noticed. Method: plant
/// each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_backup_and_a_lost_slot_are_noticed() {
    let home = Keyed::in_memory();
    let nowhere = Api {
        client: crate::support::client(),
        url: String::new(),
        key: String::new(),
    };
    let mut operator = Operator::new(&home, &nowhere, 1);
    let mut chance = fastrand::Rng::with_seed(1);
    assert_eq!(operator.judge(&home, &mut chance).await, [""; 0]);
    let bytes = std::fs::read(home.path("data/vault.redb")).unwrap();
    let half = home.path("backups/strongroom-epoch-0000000001.redb");
    std::fs::write(half, &bytes[..bytes.len() / 2]).unwrap();
    operator.slot = Slot::There(4);
    let findings = operator.judge(&home, &mut chance).await;
    let is_there = |text: &str| findings.iter().any(|finding| finding.contains(text));
    assert!(is_there("slot is lost"), "{findings:?}");
    assert!(is_there("strongroom-epoch-0000000001.redb"), "{findings:?}");
}
