//! One thing that a power cut left: opened, unlocked, added up, its trail verified, read whole.
//!
//! It promises: a vault that does not open, does not add up, or panics is told as text.
//! It never: compares; that is for who knows what should be there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::audit::{self, Head};
use super::super::ledger::Ledger;
use super::super::*;
use super::contents::{Contents, difference, inventory_of, take_inventory};
use super::given::{clock, key_file, settings};
use super::load::rotation_ends;
use crate::error::Error;
use crate::seal::{Header, Keyring};
use crate::store::faulty::{Chance, Faulty, Tree};

impl Chance for fastrand::Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.usize(..bound)
    }
}

/// Something, or what is wrong.
pub(super) type Told<T> = std::result::Result<T, String>;

/// What was found.
pub(super) struct Seen {
    pub(super) contents: Contents,
    /// Whether it was cut while its key terms were rotated.
    pub(super) rotating: bool,
    /// The disk, with a log of all that opening did to it.
    pub(super) disk: Faulty,
}

/// How to look.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) mode: AuditMode,
    /// The audit entry that must be there, where the ledger does not remember a later one.
    pub(super) wanted: Head,
    /// Whether the whole trail is verified, or its end alone, as far as opening it does.
    pub(super) trail: bool,
    /// Whether the vault is unlocked as a server does it, with its threads and its own entries, or
    /// in the same steps without them, which is quicker. A whole one goes on with a rotation of the
    /// key terms that was cut short, to its end.
    pub(super) whole: bool,
}

/// Opens what was left, with one of the slots that it says it has, and looks at all of it.
pub(super) fn look(left: Tree, how: Look, rng: &mut fastrand::Rng) -> Told<Seen> {
    let disk = Faulty::holding(left);
    let looked = catch_unwind(AssertUnwindSafe(|| match how.whole {
        true => unlock(&disk, how, rng),
        false => recover(&disk, how, rng),
    }));
    let (contents, rotating) = looked.map_err(|_| "it panics".to_owned())??;
    Ok(Seen {
        contents,
        rotating,
        disk,
    })
}

fn told(what: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{what}: {error:?}")
}

/// The steps of [`Vault::unlock`].
fn recover(disk: &Faulty, how: Look, rng: &mut fastrand::Rng) -> Told<(Contents, bool)> {
    let store = Store::on_backend(disk, None).map_err(told("it does not open"))?;
    let stored = store.header().map_err(told("it has no header"))?;
    let header = Header::parse(&stored).map_err(told("its header"))?;
    let label = &rng.choice(header.slots()).ok_or("it has no slots")?.label;
    let keys = Keyring::unlock(&header, &key_file(label)).map_err(told("it does not unlock"))?;
    let view = store.read().map_err(told("it is not read"))?;
    let ledger = Ledger::read(&keys, &view).map_err(told("its ledger"))?;
    ledger.check_header(&stored).map_err(told("its header"))?;
    ledger.verify(&keys, &view).map_err(told("it"))?;
    drop(view);
    // Its end is looked at as if the ledger remembered what the caller knows to be there.
    let remembered = later(how.wanted, ledger.audit_head());
    let trail = Directory::on(&disk.medium(), Path::new("audit"));
    let problems = audit::recover(&keys, &trail, remembered, how.trail.then_some(remembered));
    let problems = problems.map_err(told("its trail is not read"))?;
    if !problems.is_empty() {
        return Err(format!("its trail: {}", problems.join("; ")));
    }
    let all = inventory_of(&keys, &store).map_err(told("it is not read"))?;
    store.close().map_err(told("it does not close"))?;
    Ok((all.contents, is_rotating(&header)))
}

fn later(one: Head, other: Head) -> Head {
    if one.seq > other.seq { one } else { other }
}

/// Whether records of an older key term may be there.
fn is_rotating(header: &Header) -> bool {
    header.terms().len() > 1
}

fn unlock(disk: &Faulty, how: Look, rng: &mut fastrand::Rng) -> Told<(Contents, bool)> {
    let vault =
        Vault::open_on_disk(disk, settings(how.mode), clock()).map_err(told("it does not open"))?;
    let header = vault
        .store()
        .header()
        .and_then(|bytes| Header::parse(&bytes));
    let rotating = is_rotating(&header.map_err(told("its header"))?);
    let slots = vault.slots().map_err(told("its slots are not read"))?;
    let label = &rng.choice(&slots).ok_or("it has no slots")?.label;
    vault
        .unlock(&key_file(label), "test")
        .map_err(told("it does not unlock"))?;
    let me = Caller::local();
    let all = take_inventory(&vault).map_err(told("it is not read"))?;
    if rotating {
        rotation_ends(&vault)?;
        let after = take_inventory(&vault).map_err(told("resealed, it is not read"))?;
        if after.contents != all.contents {
            let what = difference(&after.contents, &all.contents);
            return Err(format!("resealed, it holds something else: {what}"));
        }
    }
    let verified = vault
        .verify_audit(&me)
        .map_err(told("its trail is not read"))?;
    if !verified.problems.is_empty() {
        return Err(format!("its trail: {}", verified.problems.join("; ")));
    }
    let permit = vault.gate().permit(&me, Action::Audit, &Target::vault());
    let permit = permit.map_err(told("its trail is not read"))?;
    let verified = permit.audit().verify(how.wanted.seq, &how.wanted.hash);
    drop(permit);
    let verified = verified.map_err(told("its trail is not read"))?;
    if !verified.problems.is_empty() {
        return Err(format!("its trail: {}", verified.problems.join("; ")));
    }
    vault.close().map_err(told("it does not close"))?;
    Ok((all.contents, rotating))
}
