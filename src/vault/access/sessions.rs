//! Who is signed in at the console: sessions, each standing on an access key.
//!
//! It promises:
//! * V21 A session is worth what its access key is worth at that moment, and no more. It ends with
//!   the key (removed, or expired), with the vault's lock, with signing out, after
//!   [`limits::CONSOLE_IDLE`] in which no person did anything, and after [`limits::CONSOLE_LIFE`];
//! * signing in and out are on record, a key that was refused included;
//! * one key's sessions are so many and no more: who holds it signs out nobody else.
//!
//! It never: keeps an access key, or what a browser's cookie holds: of the cookie a keyed hash.

mod looks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

pub use self::looks::Looked;
use self::looks::Looks;
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
    looks: Looks,
    /// Forms with a secret behind them that were sent.
    spent: u64,
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
    /// What a form carries whose answer shows a secret: it is good once ([`Vault::spend`]), so that
    /// a browser which sends the form again, for "back" or "reload", is shown nothing.
    pub once: Secret<String>,
    spent: u64,
    place: [u8; 32],
    attention: Attention,
}

impl Sessions {
    fn held(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().expect("no holder panics")
    }

    fn begin(&self, place: [u8; 32], key_id: &str, now: Timestamp) {
        let mut held = self.held();
        held.retain(|_, session| !session.is_over(now));
        let own = held.values().filter(|session| session.key_id == key_id);
        // Its own make room first: whoever has but one key cannot sign out the others.
        let crowded = match own.count() >= limits::CONSOLE_SESSIONS_OF_KEY_MAX {
            true => Some(key_id),
            false => None,
        };
        if crowded.is_some() || held.len() >= limits::CONSOLE_SESSIONS_MAX {
            let those = held
                .iter()
                .filter(|(_, session)| crowded.is_none_or(|key_id| session.key_id == key_id));
            let idle = those.min_by_key(|(_, session)| session.seen);
            if let Some(idle) = idle.map(|(place, _)| *place) {
                held.remove(&idle);
            }
        }
        let session = Session {
            key_id: key_id.to_owned(),
            began: now,
            seen: now,
            looks: Looks::default(),
            spent: 0,
        };
        held.insert(place, session);
    }

    /// The id of the key that a session stands on, and how many of its forms are spent.
    fn stands_on(
        &self,
        place: &[u8; 32],
        now: Timestamp,
        attention: Attention,
    ) -> Option<(String, u64)> {
        let mut held = self.held();
        let session = held.get_mut(place)?;
        if session.is_over(now) {
            held.remove(place);
            return None;
        }
        if attention == Attention::Person {
            session.seen = now;
        }
        Some((session.key_id.clone(), session.spent))
    }

    /// Spends the form after these, unless another was faster; whether it was this one's turn.
    fn spend(&self, place: &[u8; 32], spent: u64) -> bool {
        let mut held = self.held();
        let session = held.get_mut(place).filter(|held| held.spent == spent);
        session.map(|session| session.spent += 1).is_some()
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
        let stands = open.sessions.stands_on(&place, now, attention);
        let (key_id, spent) = stands.ok_or(Error::Unauthenticated)?;
        let Some(key) = self.gate().usable_key(&key_id, now)? else {
            open.sessions.end(&place);
            return Err(Error::Unauthenticated);
        };
        let of_cookie =
            |parts: &[&[u8]]| Secret::new(base64url(&open.keys.hash(Purpose::Cookie, parts)));
        let text = cookie.expose().as_bytes();
        Ok(AtConsole {
            caller: Caller {
                who: Who::Key(key),
                from: format!("console, {from}").into(),
                reason: None,
            },
            form_token: of_cookie(&[b"form", text]),
            once: of_cookie(&[b"once", text, &spent.to_be_bytes()]),
            spent,
            place,
            attention,
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

    /// Uses up what the session's forms with a secret behind them carry. To be called before the
    /// secret is made or shown. Of two that come at once one is refused: `false` comes back.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub fn spend(&self, at: &AtConsole) -> Result<bool> {
        let open = self.gate().opened_to(None)?;
        Ok(open.sessions.spend(&at.place, at.spent))
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
mod tests;
