//! Looks at a screen of the console: what was opened, and what keeps itself fresh.
//!
//! It promises: opening a screen is on record, and so is a page left open: once in
//! [`limits::CONSOLE_LOOK_EVERY`] for a session, a screen and what it is narrowed to, whatever the
//! page asks for meanwhile. What cannot be put on record is not looked at (V5).
//! It never: lets anything be read under a look that is not on record: a [`Looked`] is made here.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits;
use crate::model::access::Caller;
use crate::seal::Purpose;
use crate::vault::Vault;

use super::{AtConsole, Attention, Sessions};

/// A look that is on record. What is read under it is not told once more.
pub struct Looked {
    caller: Caller,
}

impl Looked {
    /// Who looks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// When which look of a session was last put on record, oldest first.
#[derive(Default)]
pub(super) struct Looks(Vec<([u8; 32], Timestamp)>);

impl Looks {
    fn is_due(&self, what: &[u8; 32], now: Timestamp) -> bool {
        let last = self.0.iter().find(|(known, _)| known == what);
        // A clock that was set back must not silence the trail until it has caught up.
        last.is_none_or(|(_, at)| now < *at || now.since(*at) >= limits::CONSOLE_LOOK_EVERY)
    }

    fn told(&mut self, what: [u8; 32], now: Timestamp) {
        self.0.retain(|(known, _)| *known != what);
        if self.0.len() >= limits::CONSOLE_LOOKS_MAX {
            self.0.remove(0);
        }
        self.0.push((what, now));
    }
}

impl Sessions {
    /// Of a session that has just ended every look is due.
    fn is_look_due(&self, place: &[u8; 32], what: &[u8; 32], now: Timestamp) -> bool {
        let held = self.held();
        let session = held.get(place);
        session.is_none_or(|session| session.looks.is_due(what, now))
    }

    fn look_told(&self, place: &[u8; 32], what: [u8; 32], now: Timestamp) {
        if let Some(session) = self.held().get_mut(place) {
            session.looks.told(what, now);
        }
    }
}

impl Vault {
    /// Puts on record that a screen is looked at, narrowed to this: each time where a person opens
    /// it, and now and then where a page keeps itself fresh.
    ///
    /// # Errors
    /// [`crate::error::Error::Locked`]; [`crate::error::Error::AuditUnavailable`].
    pub fn look(&self, at: &AtConsole, screen: &str, narrowed: &str) -> Result<Looked> {
        let open = self.gate().opened_to(None)?;
        let (now, sessions) = (self.clock().now(), &open.sessions);
        let parts: [&[u8]; 3] = [b"look", screen.as_bytes(), narrowed.as_bytes()];
        let what = open.keys.hash(Purpose::Cookie, &parts);
        let how = match at.attention {
            Attention::Person => Some("opened"),
            Attention::Page => sessions
                .is_look_due(&at.place, &what, now)
                .then_some("kept open"),
        };
        if let Some(how) = how {
            let outcome = format!("{screen} {how}");
            self.gate().say(&open, &at.caller, "look", &outcome)?;
            sessions.look_told(&at.place, what, now);
        }
        Ok(Looked {
            caller: at.caller.clone(),
        })
    }
}
