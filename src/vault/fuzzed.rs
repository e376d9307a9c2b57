//! Operations with faults between them, drawn from bytes: what the fuzz target `operations` runs.
//!
//! It promises: after each disaster the vault opens with its key file, and each owner's token is
//! one of those that what was asked and answered allows: what was acknowledged, or, where an answer
//! was an error, that or what was there before.
//! It never: is part of a program (it is built for tests and fuzzing alone).

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Ask, Found, NewCredential, NewToken, Settings, Vault};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::model::access::Caller;
use crate::model::app::{App, AppKind};
use crate::model::{Address, AppId, Owner, Scopes, TokenId, UserId};
use crate::seal::Unlocker;
use crate::secret::Secret;
use crate::store::faulty::Faulty;

const USERS: u8 = 6;
/// Most steps of one input: a disaster costs milliseconds.
const STEPS_MAX: usize = 64;

/// What an owner's token may be: `None` is none.
type Possible = Vec<Option<String>>;

struct Run {
    disk: Faulty,
    clock: Clock,
    vault: Vault,
    /// The disk refuses, or has refused since the vault was last opened.
    troubled: bool,
    possible: BTreeMap<u8, Possible>,
    known: BTreeMap<u8, TokenId>,
    serial: u32,
}

/// Runs what `bytes` say.
///
/// # Panics
/// Where the vault holds what it must not, lacks what it must hold, or does not open.
pub fn operations(bytes: &[u8]) {
    let run = Run::new().expect("a sound disk");
    run.operations(bytes);
}

impl Run {
    fn operations(mut self, bytes: &[u8]) {
        let mut bytes = bytes.iter().copied();
        for _ in 0..STEPS_MAX {
            let Some(step) = bytes.next() else { break };
            self.step(step, bytes.next().unwrap_or_default());
        }
        self.disaster(false);
        self.disaster(true);
        self.vault.close().expect("a sound disk");
    }

    fn new() -> Result<Self> {
        let disk = Faulty::default();
        let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
        let (file, settings) = (key_file()?, Settings::default());
        let slots = [(&file, "fuzz")];
        let (vault, _) = Vault::create_on_disk(&disk, &slots, settings, clock.clone())?;
        let now = clock.now();
        let app = App {
            name: "Maps".into(),
            return_urls: vec![],
            ..App::of(AppId::parse("maps")?, AppKind::ApiKey, now)
        };
        vault.add_app(&Caller::local(), app, None)?.wait()?;
        Ok(Self {
            disk,
            clock,
            vault,
            troubled: false,
            possible: (0..USERS).map(|user| (user, vec![None])).collect(),
            known: BTreeMap::new(),
            serial: 0,
        })
    }

    fn step(&mut self, step: u8, more: u8) {
        let user = more % USERS;
        match step % 8 {
            0..=2 => self.store(user),
            3 => self.remove(user),
            4 => self.look(user),
            5 => {
                self.disk.fail_after(u32::from(more / 4));
                self.troubled = true;
            }
            6 => {
                self.disk.fail_once_after(u32::from(more / 4));
                self.troubled = true;
            }
            _ => self.disaster(more % 2 == 1),
        }
    }

    fn store(&mut self, user: u8) {
        self.serial += 1;
        // Some long ones, so that the file grows and pages are split.
        let value = format!("{:>1$}", self.serial, 1 + usize::from(user) * 700);
        let credential = NewCredential::ApiKey(Secret::new(value.clone()));
        let new = address(user).map(|address| NewToken::of(address, credential));
        let stored = new
            .and_then(|new| self.vault.store_token(&Caller::local(), new))
            .and_then(|receipt| receipt.wait());
        match stored {
            Ok(summary) => {
                self.possible.insert(user, vec![Some(value)]);
                self.known.insert(user, summary.id);
            }
            Err(error) => {
                self.expect_trouble(&error);
                self.possible.entry(user).or_default().push(Some(value));
            }
        }
    }

    fn remove(&mut self, user: u8) {
        let Some(id) = self.known.get(&user).copied() else {
            return;
        };
        let removed = self
            .vault
            .remove_token(&Caller::local(), id)
            .and_then(|receipt| receipt.wait());
        match removed {
            Ok(_) => {
                self.possible.insert(user, vec![None]);
                self.known.remove(&user);
            }
            // An earlier try that was answered by an error may have removed it.
            Err(Error::NotFound(_)) => {
                let none = self.possible[&user].contains(&None);
                assert!(none, "a token that must be there is not");
            }
            Err(error) => {
                self.expect_trouble(&error);
                self.possible.entry(user).or_default().push(None);
            }
        }
    }

    /// Looks at one owner's token, as a caller.
    fn look(&mut self, user: u8) {
        let possible = &self.possible[&user];
        match self.found(user) {
            Ok(found) => assert!(possible.contains(&found), "user {user}: another token"),
            Err(error) => self.expect_trouble(&error),
        }
    }

    fn found(&self, user: u8) -> Result<Option<String>> {
        let Address { app, owner, .. } = address(user)?;
        let ask = Ask {
            app,
            owner,
            account: None,
            scopes: None,
            min_ttl: Duration::ZERO,
            with_refresh_token: false,
        };
        match self.vault.fetch(&Caller::local(), &ask)? {
            Found::Fresh(handed) => Ok(Some(handed.value.expose().clone())),
            _ => Ok(None),
        }
    }

    fn expect_trouble(&self, error: &Error) {
        assert!(self.troubled, "on a sound disk: {error}");
    }

    /// Ends the process as it were, with or without its power, mends the disk, opens the vault, and
    /// looks at everything.
    fn disaster(&mut self, power: bool) {
        // What it could not write is told; here it is expected.
        let closed = self.vault.close();
        assert!(closed.is_ok() || self.troubled, "{closed:?}");
        if power {
            self.disk.cut_power();
        }
        self.disk.mend();
        let opened = Vault::open_on_disk(&self.disk, Settings::default(), self.clock.clone());
        self.vault = opened.expect("a mended disk opens");
        let unlocked = key_file().and_then(|file| self.vault.unlock(&file, "fuzz"));
        unlocked.expect("the records add up");
        self.troubled = false;
        for user in 0..USERS {
            let found = self.found(user).expect("a mended disk is read");
            let possible = self.possible.entry(user).or_default();
            assert!(possible.contains(&found), "user {user} after a disaster");
            if found.is_none() {
                self.known.remove(&user);
            }
            *possible = vec![found];
        }
    }
}

fn key_file() -> Result<Unlocker> {
    Unlocker::key_file(Secret::new(vec![0x5a; 64]))
}

fn address(user: u8) -> Result<Address> {
    Ok(Address {
        app: AppId::parse("maps")?,
        owner: Owner::User(UserId::parse(format!("u{user}"))?),
        account: None,
        scopes: Scopes::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::Run;
    use crate::seeded::Seeded;
    use crate::store::faulty::Lies;

    /// Goal: what the fuzzer runs is sound before it runs. Method: random inputs of its kind.
    #[test]
    fn d1_random_operations_with_faults_between_them_lose_nothing() {
        let seeded = Seeded::new("operations");
        for case in 0..seeded.runs(60) {
            let mut bytes = [0; 96];
            seeded.case(case).rng().fill(&mut bytes);
            super::operations(&bytes);
        }
    }
    /// Goal: it sees a fault, and none where there is none. Method: store one token and cut the
    /// power, on a disk that says it synced and did not, and on one that did.
    #[test]
    fn d1_random_operations_see_a_disk_that_lies_about_its_syncs() {
        let run = |lies| {
            let run = Run::new().unwrap();
            run.disk.lie(lies);
            catch_unwind(AssertUnwindSafe(|| run.operations(&[0, 0, 7, 1])))
        };
        assert!(run(Lies::None).is_ok());
        let seen = run(Lies::Store).unwrap_err();
        let seen = seen.downcast::<String>().unwrap();
        assert_eq!(*seen, "user 0 after a disaster");
    }
}
