//! Who is signed in at the console: sessions, each standing on an access key.
//!
//! It promises:
//! * V21 A session is worth what its access key is worth at that moment, and no more. It ends with
//!   the key (removed, or expired), with the vault's lock, with signing out, after
//!   [`limits::CONSOLE_IDLE`] in which no person did anything, and after [`limits::CONSOLE_LIFE`];
//! * signing in and out are on record, a key that was refused included.
//!
//! It never: keeps an access key, or what a browser's cookie holds: of the cookie a keyed hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Gate, Open};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{AccessKey, Action, Caller, Who};
use crate::seal::{Keyring, Purpose};
use crate::secret::{Secret, base64url, random};
use crate::vault::Vault;
use crate::vault::audit::Entry;

/// One of these is what a key needs to see anything at the console.
const SEES: [Action; 4] = [Action::List, Action::AppsRead, Action::Keys, Action::Audit];

/// The sessions of an unlocked vault, by the keyed hash of their cookies. They go with its keys.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<[u8; 32], Session>>>);

struct Session {
    key_id: String,
    began: Timestamp,
    /// When a person last did something.
    seen: Timestamp,
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.seen) >= limits::CONSOLE_IDLE
            || now.since(self.began) >= limits::CONSOLE_LIFE
            // A clock that was set back says nothing about how long it has been.
            || now < self.began
    }
}

/// Who sends a console's request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attention {
    /// A person: the session goes on.
    Person,
    /// A page that keeps itself fresh, whether or not anybody looks at it.
    Page,
}

/// Somebody at the console.
pub struct AtConsole {
    /// Who: the access key, as it is now.
    pub caller: Caller,
    /// What our own forms carry, and no other site can know: it belongs to this session alone.
    pub form_token: Secret<String>,
}

impl Sessions {
    fn held(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().expect("no holder panics")
    }

    fn begin(&self, place: [u8; 32], key_id: &str, now: Timestamp) {
        let mut held = self.held();
        held.retain(|_, session| !session.is_over(now));
        let of_key = |session: &Session| session.key_id == key_id;
        make_room(&mut held, limits::CONSOLE_SESSIONS_PER_KEY_MAX, of_key);
        make_room(&mut held, limits::CONSOLE_SESSIONS_MAX, |_| true);
        let session = Session {
            key_id: key_id.to_owned(),
            began: now,
            seen: now,
        };
        held.insert(place, session);
    }

    /// The id of the key that a session stands on.
    fn key_id(&self, place: &[u8; 32], now: Timestamp, attention: Attention) -> Option<String> {
        let mut held = self.held();
        let session = held.get_mut(place)?;
        if session.is_over(now) {
            held.remove(place);
            return None;
        }
        if attention == Attention::Person {
            session.seen = now;
        }
        Some(session.key_id.clone())
    }

    fn end(&self, place: &[u8; 32]) -> bool {
        self.held().remove(place).is_some()
    }

    fn end_all_of(&self, key_id: &str) -> usize {
        let mut held = self.held();
        let before = held.len();
        held.retain(|_, session| session.key_id != key_id);
        before - held.len()
    }
}

/// Ends the session that has been idle longest where there are `most` of a kind.
fn make_room(
    held: &mut HashMap<[u8; 32], Session>,
    most: usize,
    is_one: impl Fn(&Session) -> bool,
) {
    let ours = || held.iter().filter(|(_, session)| is_one(session));
    let idle = ours().min_by_key(|(_, session)| session.seen);
    if let Some(idle) = idle
        .map(|(place, _)| *place)
        .filter(|_| ours().count() >= most)
    {
        held.remove(&idle);
    }
}

fn place_of(keys: &Keyring, cookie: &Secret<String>) -> [u8; 32] {
    keys.hash(Purpose::Cookie, &[b"session", cookie.expose().as_bytes()])
}

impl Vault {
    /// Signs in at the console with an access key. What the browser's cookie is to hold comes back.
    ///
    /// # Errors
    /// Those of [`Vault::authenticate`]; [`Error::Denied`] for a key that sees nothing there.
    pub fn sign_in(&self, key: &Secret<String>, from: Arc<str>) -> Result<Secret<String>> {
        let caller = self.gate().authenticate(Some(key), Arc::clone(&from))?;
        let Some(access_key) = caller.key().filter(|key| sees_something(key)) else {
            return Err(self.refuse(&caller, "sign_in", "the key sees nothing at the console"));
        };
        let open = self.gate().opened_to(None)?;
        let cookie = Secret::new(base64url(&random::<32>()));
        self.gate().say(&open, &caller, "sign_in", "signed in")?;
        let place = place_of(&open.keys, &cookie);
        open.sessions
            .begin(place, &access_key.id, self.clock().now());
        Ok(cookie)
    }

    /// Whose session a cookie is.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::Unauthenticated`] where it is no session's, or one's that ended.
    pub fn at_console(
        &self,
        cookie: &Secret<String>,
        from: Arc<str>,
        attention: Attention,
    ) -> Result<AtConsole> {
        let open = self.gate().opened_to(None)?;
        let now = self.clock().now();
        let place = place_of(&open.keys, cookie);
        let key_id = open.sessions.key_id(&place, now, attention);
        let key_id = key_id.ok_or(Error::Unauthenticated)?;
        let Some(key) = self.gate().usable_key(&key_id, now)? else {
            open.sessions.end(&place);
            return Err(Error::Unauthenticated);
        };
        let parts: [&[u8]; 2] = [b"form", cookie.expose().as_bytes()];
        let form_token = base64url(&open.keys.hash(Purpose::Cookie, &parts));
        Ok(AtConsole {
            caller: Caller {
                who: Who::Key(key),
                from: format!("console, {from}").into(),
                reason: None,
            },
            form_token: Secret::new(form_token),
        })
    }

    /// Checks that who is at the console holds the access key still: asked for again before a
    /// credential is shown.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] where it is another key's, or none's. It is on record.
    pub fn holds_key(&self, caller: &Caller, key: &Secret<String>) -> Result<()> {
        let again = self
            .gate()
            .authenticate(Some(key), Arc::clone(&caller.from));
        match again {
            Ok(again) if again.key().map(|key| &key.id) == caller.key().map(|key| &key.id) => {
                Ok(())
            }
            Ok(_) | Err(Error::Unauthenticated) => {
                self.refuse(caller, "confirm", "another access key was typed");
                Err(Error::UnlockFailed)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the session of a cookie; whether there was one comes back.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::AuditUnavailable`], and the session has ended all the same.
    pub fn sign_out(&self, cookie: &Secret<String>, caller: &Caller) -> Result<bool> {
        let open = self.gate().opened_to(None)?;
        let ended = open.sessions.end(&place_of(&open.keys, cookie));
        self.gate().say(&open, caller, "sign_out", "signed out")?;
        Ok(ended)
    }

    /// Ends every session of the caller's access key; how many comes back.
    ///
    /// # Errors
    /// As [`Self::sign_out`].
    pub fn sign_out_everywhere(&self, caller: &Caller) -> Result<usize> {
        let open = self.gate().opened_to(None)?;
        let key_id = caller.key().map_or("", |key| key.id.as_str());
        let ended = open.sessions.end_all_of(key_id);
        let outcome = format!("signed out everywhere: {ended} sessions");
        self.gate().say(&open, caller, "sign_out", &outcome)?;
        Ok(ended)
    }
}

/// A key that JWTs stand for has no secret, and never comes as far.
fn sees_something(key: &AccessKey) -> bool {
    let mut actions = key.grants.iter().flat_map(|grant| &grant.actions);
    actions.any(|action| SEES.contains(action))
}

impl Gate {
    fn say(&self, open: &Open, caller: &Caller, action: &str, outcome: &str) -> Result<()> {
        open.audit.append(Entry {
            at: self.clock.now(),
            caller: caller.name().as_str(),
            action,
            allowed: true,
            outcome,
            from: &caller.from,
            ..Entry::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::model::access::{Grant, Role};
    use crate::vault::NewKey;
    use crate::vault::tests::crowd::block_on;

    fn vault() -> (Vault, Secret<String>) {
        Vault::in_memory(Clock::test(Timestamp::from_unix_ms(1_800_000_000_000))).unwrap()
    }

    fn whose(vault: &Vault, cookie: &Secret<String>) -> Result<AtConsole> {
        vault.at_console(cookie, "test".into(), Attention::Person)
    }

    fn key(vault: &Vault, actions: &[Action]) -> (String, Secret<String>) {
        let new = NewKey {
            name: "one".into(),
            grants: vec![Grant::everywhere(actions.iter().copied().collect())],
            ..NewKey::default()
        };
        let (key, text) = block_on(vault.add_key(&Caller::local(), new)).unwrap();
        (key.id, text)
    }

    /// Goal: a session is its key's, for as long as the key is any good. Method: sign in, look,
    /// remove the key, look again.
    #[test]
    fn v21_a_session_ends_with_its_key() {
        let (vault, _) = vault();
        let (id, text) = key(&vault, &[Action::List]);
        let cookie = vault.sign_in(&text, "test".into()).unwrap();
        let there = whose(&vault, &cookie).unwrap();
        assert_eq!(there.caller.name(), format!("key:{id}"));
        assert_eq!(&*there.caller.from, "console, test");
        block_on(vault.remove_key(&Caller::local(), &id)).unwrap();
        assert_eq!(whose(&vault, &cookie).err(), Some(Error::Unauthenticated));
    }

    /// Goal: idle time is a person's, and a working day ends whatever is done. Method: a page that
    /// asks by itself for a quarter of an hour; a person who clicks for twelve hours.
    #[test]
    fn v21_a_session_ends_when_nobody_clicks_and_after_a_day() {
        let (vault, text) = vault();
        let cookie = vault.sign_in(&text, "test".into()).unwrap();
        let minutes = limits::CONSOLE_IDLE.as_secs() / 60;
        for _ in 0..minutes - 1 {
            vault.clock().advance(Duration::from_secs(60));
            let page = vault.at_console(&cookie, "test".into(), Attention::Page);
            assert!(page.is_ok());
        }
        vault.clock().advance(Duration::from_secs(60));
        let page = vault.at_console(&cookie, "test".into(), Attention::Page);
        assert_eq!(page.err(), Some(Error::Unauthenticated));

        let cookie = vault.sign_in(&text, "test".into()).unwrap();
        let step = limits::CONSOLE_IDLE / 2;
        let steps = limits::CONSOLE_LIFE.as_secs() / step.as_secs();
        for _ in 0..steps - 1 {
            vault.clock().advance(step);
            assert!(whose(&vault, &cookie).is_ok());
        }
        vault.clock().advance(step);
        assert_eq!(whose(&vault, &cookie).err(), Some(Error::Unauthenticated));
    }

    /// Goal: out is out, here and everywhere; and of this key alone. Method: three sessions of one
    /// key and one of another.
    #[test]
    fn v21_signing_out_ends_one_session_or_all_of_a_key() {
        let (vault, admin) = vault();
        let (_, other) = key(&vault, &[Action::Audit]);
        let sign_in = |text: &Secret<String>| vault.sign_in(text, "test".into()).unwrap();
        let cookies = [sign_in(&admin), sign_in(&admin), sign_in(&admin)];
        let others = sign_in(&other);
        let there = whose(&vault, &cookies[0]).unwrap();
        assert!(vault.sign_out(&cookies[0], &there.caller).unwrap());
        assert!(whose(&vault, &cookies[0]).is_err());
        let there = whose(&vault, &cookies[1]).unwrap();
        assert_eq!(vault.sign_out_everywhere(&there.caller).unwrap(), 2);
        assert!(whose(&vault, &cookies[2]).is_err());
        assert!(whose(&vault, &others).is_ok());
    }

    /// Goal: only a key that sees anything signs in, a wrong one is a stranger, and asking again
    /// takes the same key. Method: a reader's key, garbage, another admin's.
    #[test]
    fn signing_in_takes_a_key_that_sees_something() {
        let (vault, admin) = vault();
        let reader: Vec<Action> = Role::Reader.actions().into_iter().collect();
        let (_, reader) = key(&vault, &reader);
        let refused = vault.sign_in(&reader, "test".into()).err();
        assert_eq!(refused, Some(Error::Denied));
        let garbage = Secret::new("sr_00_garbage".to_owned());
        let refused = vault.sign_in(&garbage, "test".into()).err();
        assert_eq!(refused, Some(Error::Unauthenticated));
        let cookie = vault.sign_in(&admin, "test".into()).unwrap();
        let there = whose(&vault, &cookie).unwrap();
        assert_eq!(vault.holds_key(&there.caller, &admin), Ok(()));
        for wrong in [&reader, &garbage] {
            let refused = vault.holds_key(&there.caller, wrong);
            assert_eq!(refused, Err(Error::UnlockFailed));
        }
        let page = vault.audit(&Caller::local(), None, 10).unwrap();
        let said: Vec<&str> = page.entries.iter().map(|e| e.action.as_str()).collect();
        assert!(
            said.contains(&"sign_in") && said.contains(&"confirm"),
            "{said:?}"
        );
    }

    /// Goal: sessions are gone with the keys, and a form's token is its session's. Method: lock.
    #[test]
    fn v21_no_session_outlives_a_lock_and_no_form_token_fits_another() {
        let (vault, admin) = vault();
        let cookies = [(); 2].map(|()| vault.sign_in(&admin, "test".into()).unwrap());
        let tokens = cookies
            .each_ref()
            .map(|c| whose(&vault, c).unwrap().form_token);
        assert_ne!(tokens[0].expose(), tokens[1].expose());
        let (caller, _) = (whose(&vault, &cookies[0]).unwrap().caller, ());
        vault.lock(&caller).unwrap();
        assert_eq!(whose(&vault, &cookies[0]).err(), Some(Error::Locked));
    }

    /// Goal: so many sessions of a key and no more, and nobody is signed out by another key's.
    /// Method: one more than fit; the first is idle longest. Then the same of the whole table.
    #[test]
    fn beyond_the_bound_who_was_idle_longest_is_signed_out() {
        let (vault, admin) = vault();
        let (_, other) = key(&vault, &[Action::List]);
        let bystander = vault.sign_in(&other, "test".into()).unwrap();
        let mut cookies = Vec::new();
        for _ in 0..=limits::CONSOLE_SESSIONS_PER_KEY_MAX {
            vault.clock().advance(Duration::from_millis(1));
            cookies.push(vault.sign_in(&admin, "test".into()).unwrap());
        }
        let first = whose(&vault, &cookies[0]).err();
        assert_eq!(first, Some(Error::Unauthenticated));
        assert!(whose(&vault, &cookies[1]).is_ok());
        assert!(whose(&vault, &bystander).is_ok());

        let sessions = Sessions::default();
        for number in 0..=limits::CONSOLE_SESSIONS_MAX {
            let now = Timestamp::from_unix_ms(1_800_000_000_000 + number as u64);
            let mut place = [0; 32];
            place[..8].copy_from_slice(&number.to_le_bytes());
            sessions.begin(place, &format!("key {number}"), now);
        }
        assert_eq!(sessions.held().len(), limits::CONSOLE_SESSIONS_MAX);
        assert!(!sessions.held().contains_key(&[0; 32]));
    }
}
