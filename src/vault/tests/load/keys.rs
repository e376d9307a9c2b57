//! The load's work on access keys, key slots, locks and key terms.
//!
//! It promises: a rotation is begun where none is under way; where one is, the vault is locked and
//! unlocked in the midst of it; its worker goes on behind the steps that follow.
//! It never: changes what there is by rotating.

use super::super::image::Told;
use super::*;
use crate::seal::Header;
use crate::store::Records;
use crate::vault::index::Indexer;

/// How long a rotation may take to its end: minutes more than it does.
const PATIENCE: Duration = Duration::from_secs(180);

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(work)
}

impl Load {
    pub(in crate::vault::tests) fn access_key(&mut self) -> Vec<Step> {
        let me = Caller::local();
        let at = self.disk.position();
        let count = self
            .model
            .keys()
            .filter(|k| k.starts_with("key k-"))
            .count();
        if count > 2 {
            let name = format!("k-{}", self.any("key k-").expect("counted"));
            let id = self.keys[&name].clone();
            let outcome = block_on(self.vault.remove_key(&me, &id));
            let edits = vec![Edit::remove(format!("key {name}"))];
            return vec![self.done(format!("remove key {name}"), at, edits, outcome)];
        }
        let name = format!("k-{}", self.serial);
        let new = NewKey {
            name: name.clone(),
            role: Some(crate::model::access::Role::Server),
            ..NewKey::default()
        };
        let outcome = block_on(self.vault.add_key(&me, new)).map(|(key, _)| {
            self.keys.insert(name.clone(), key.id);
        });
        let edits = vec![Edit::put(format!("key {name}"), "")];
        vec![self.done(format!("add key {name}"), at, edits, outcome)]
    }

    pub(super) fn slot(&mut self) -> Vec<Step> {
        let me = Caller::local();
        let at = self.disk.position();
        let count = self.model.keys().filter(|k| k.starts_with("slot ")).count();
        if count > 2 {
            let label = self.any("slot ").expect("counted");
            let outcome = self.vault.remove_slot(&me, self.slots[&label]);
            let edits = vec![Edit::remove(format!("slot {label}"))];
            return vec![self.done(format!("remove slot {label}"), at, edits, outcome)];
        }
        let label = format!("file {}", self.serial);
        let added = self
            .vault
            .add_slot(&me, key_file(&label), &label, KdfParams::FLOOR);
        let outcome = added.map(|number| {
            self.slots.insert(label.clone(), number);
        });
        let edits = vec![Edit::put(format!("slot {label}"), "key file")];
        vec![self.done(format!("add slot {label}"), at, edits, outcome)]
    }

    pub(in crate::vault::tests) fn lock_and_unlock(&mut self) -> Vec<Step> {
        let at = self.disk.position();
        let label = self.any("slot ").expect("the last one stays");
        let locked = self.vault.lock(&Caller::local());
        let outcome = locked.and_then(|()| self.vault.unlock(&key_file(&label), "test"));
        let what = format!("lock, and unlock by slot {label}");
        vec![self.done(what, at, vec![], outcome)]
    }

    /// Begins a key rotation, or locks and unlocks while one is under way.
    pub(in crate::vault::tests) fn rotate(&mut self) -> Vec<Step> {
        let at = self.disk.position();
        if self.vault.status().rotation.is_some() {
            return self.lock_and_unlock();
        }
        let outcome = self.vault.rotate_keys(&Caller::local()).map(|_| ());
        vec![self.done("rotate".into(), at, vec![], outcome)]
    }

    /// Refuses a gate that knows other access keys than the store holds. To be asked after
    /// [`Load::look_again`].
    pub(in crate::vault::tests) fn keys_are_known(&self) -> Told<()> {
        let known = self.vault.keys(&Caller::local());
        let known = known.map_err(|error| format!("its keys are not listed: {error:?}"))?;
        let known: BTreeMap<String, String> = known
            .iter()
            .map(|key| (key.name.clone(), key.id.clone()))
            .collect();
        let stored = &self.keys;
        match known == *stored {
            true => Ok(()),
            false => Err(format!("keys known: {known:?}, stored: {stored:?}")),
        }
    }

    /// Takes every access key from the store, behind the gate's back.
    pub(in crate::vault::tests) fn lose_the_keys(&self) {
        let permit = self
            .vault
            .gate()
            .permit(&Caller::local(), Action::Keys, &Target::vault())
            .unwrap();
        let ids: Vec<String> = self.keys.values().cloned().collect();
        let lost = permit.write_step(move |tx| {
            for id in &ids {
                let place = Indexer(tx.keys()).access_key(id);
                tx.remove(Records::Keys, &place);
            }
            Ok(())
        });
        lost.unwrap().wait().unwrap();
    }
}

/// Waits for the end of a rotation that is under way, and looks whether the old terms are gone.
pub(in crate::vault::tests) fn rotation_ends(vault: &Vault) -> Told<()> {
    let clock = Clock::system();
    let begun = clock.now();
    while let Some(rotation) = vault.status().rotation {
        let is_over = clock.now().since(begun) > PATIENCE;
        if rotation.state == RotationState::Failed || is_over {
            return Err(format!("the rotation does not end: {rotation:?}"));
        }
        std::thread::yield_now();
    }
    let header = vault
        .store()
        .header()
        .and_then(|bytes| Header::parse(&bytes));
    let header = header.map_err(|error| format!("its header: {error:?}"))?;
    match header.terms() {
        [_] => Ok(()),
        terms => Err(format!("the rotation ended and left {terms:?}")),
    }
}
