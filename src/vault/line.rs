//! Whose turn it is to try to unlock: one try at a time, and nobody pays for another's guesses.
//!
//! ```text
//!   a try --> its source waits after wrong ones? -- yes --> come back in ... (429)
//!               | no
//!             is anybody trying? -- no --> its turn
//!               | yes
//!             in line: first come, first served; one of each source; the owner first
//!               | full: who has guessed wrong more often makes room
//!             its turn, when the try before it ends
//! ```
//!
//! It promises (T18):
//! 1. at most one key derivation at a time, whoever asks and however many;
//! 2. a wrong try delays the tries of its own source and of no other, for at most
//!    [`limits::UNLOCK_DELAY_MAX`]; nobody is locked out for ever;
//! 3. a source that is not delayed waits for at most as many tries as there are places in line,
//!    and never longer than [`limits::UNLOCK_WAIT_MAX`];
//! 4. who could read the vault's file, and guess without us, is never delayed and goes first;
//! 5. a bounded line, and a bounded memory of sources.
//!
//! It never: looks at a passphrase.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Vault;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// Where a try to unlock comes from, as far as the machine itself can tell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// The user this process runs as, or root, over a Unix socket.
    Owner,
    /// The program the vault is embedded in.
    Here,
    /// Another user of this machine, or this one over TCP.
    User(u32),
    /// An address, as [`Source::network`] makes it.
    Network(IpAddr),
}

impl Source {
    /// Who comes over a Unix socket under this user id.
    pub fn over_unix(uid: u32) -> Self {
        let own = rustix::process::geteuid().as_raw();
        // Both can read the file and guess at it as fast as they like: a delay would keep out only
        // the one who has the right passphrase.
        if uid == own || uid == 0 {
            Self::Owner
        } else {
            Self::User(uid)
        }
    }

    /// Who comes from this address. A network hands out IPv6 by the /64 and a machine has a whole
    /// /8 of loopback addresses: neither makes many sources of one.
    pub fn network(ip: IpAddr) -> Self {
        Self::Network(match ip.to_canonical() {
            ip if ip.is_loopback() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(v6) => {
                let upper = u128::from(v6) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(upper))
            }
            v4 => v4,
        })
    }
}

/// The line before the vault's door.
#[derive(Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    trying: Option<Source>,
    waiting: VecDeque<Waiting>,
    known: HashMap<Source, Known>,
    /// Wrong tries of all sources since the vault was last unlocked.
    wrong: u32,
}

struct Waiting {
    source: Source,
    tell: oneshot::Sender<Turn>,
}

struct Known {
    failures: u32,
    not_before: Timestamp,
}

/// The right to try once. Whoever is next in line has it when this is dropped.
#[must_use]
pub struct Turn {
    line: Arc<Line>,
    pub(super) source: Source,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.line.state();
        let next = state.waiting.pop_front();
        state.trying = next.as_ref().map(|next| next.source);
        drop(state);
        if let Some(Waiting { source, tell }) = next {
            let line = Arc::clone(&self.line);
            // Whoever has gone meanwhile drops the turn here, and with it hands it on.
            drop(tell.send(Turn { line, source }));
        }
    }
}

/// What a try finds.
enum Place {
    Turn(Turn),
    InLine(oneshot::Receiver<Turn>),
}

impl Vault {
    /// Waits for a turn to unlock. The wait ends with the future.
    ///
    /// # Errors
    /// [`Error::AlreadyUnlocked`]; [`Error::Busy`] where the wait after a wrong try is not over,
    /// another try of the same source is under way, or the line is full or does not move.
    pub async fn turn_to_unlock(&self, source: Source) -> Result<Turn> {
        if self.gate().is_open() {
            return Err(Error::AlreadyUnlocked);
        }
        let clock = self.clock();
        let told = match self.0.line.enter(source, clock.now(), true)? {
            Place::Turn(turn) => return Ok(turn),
            Place::InLine(told) => told,
        };
        let patience = clock.now().plus(limits::UNLOCK_WAIT_MAX);
        tokio::select! {
            turn = told => turn.map_err(|_| later()),
            () = clock.sleep_until(patience) => Err(later()),
        }
    }
}

impl Line {
    /// A turn for who does not wait.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(super) fn at_once(self: &Arc<Self>, source: Source, now: Timestamp) -> Result<Turn> {
        match self.enter(source, now, false)? {
            Place::Turn(turn) => Ok(turn),
            Place::InLine(_) => Err(later()),
        }
    }

    /// The try of `turn` was wrong; how many were, since the vault was last unlocked.
    pub(super) fn failed(&self, turn: &Turn, now: Timestamp) -> u32 {
        let mut state = self.state();
        state.wrong = state.wrong.saturating_add(1);
        if turn.source != Source::Owner {
            state.delay(turn.source, now);
        }
        state.wrong
    }

    /// The try of `turn` was right; how many before it were not, since the last that was. Its own
    /// source's slate is wiped, and no other's.
    pub(super) fn opened(&self, turn: &Turn) -> u32 {
        let mut state = self.state();
        state.known.remove(&turn.source);
        std::mem::take(&mut state.wrong)
    }

    fn enter(self: &Arc<Self>, source: Source, now: Timestamp, may_wait: bool) -> Result<Place> {
        let mut state = self.state();
        if let Some(known) = state.known.get_mut(&source) {
            // A clock that was set back must not make a wait of seconds one of years (V11).
            known.not_before = known.not_before.min(now.plus(limits::UNLOCK_DELAY_MAX));
            if now < known.not_before {
                return Err(Error::Busy(known.not_before.since(now)));
            }
        }
        if state.trying.is_none() {
            state.trying = Some(source);
            let line = Arc::clone(self);
            return Ok(Place::Turn(Turn { line, source }));
        }
        if !may_wait {
            return Err(later());
        }
        state.join(source).map(Place::InLine)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self, source: Source) -> Result<oneshot::Receiver<Turn>> {
        // Who hung up keeps no place.
        self.waiting.retain(|waiting| !waiting.tell.is_closed());
        let twice = self.trying == Some(source) || self.waiting.iter().any(|w| w.source == source);
        if twice && source != Source::Owner {
            return Err(later());
        }
        if self.waiting.len() >= limits::UNLOCK_LINE_MAX && !self.make_room(source) {
            return Err(later());
        }
        let (tell, told) = oneshot::channel();
        let place = match source {
            Source::Owner => self.owners(),
            _ => self.waiting.len(),
        };
        self.waiting.insert(place, Waiting { source, tell });
        Ok(told)
    }

    /// How many of the owner's tries stand at the front.
    fn owners(&self) -> usize {
        let is_owner = |waiting: &&Waiting| waiting.source == Source::Owner;
        self.waiting.iter().take_while(is_owner).count()
    }

    /// Sends the last of those who have failed most out of the line, where `source` failed less.
    fn make_room(&mut self, source: Source) -> bool {
        let mut worst: Option<(usize, u32)> = None;
        for (at, waiting) in self.waiting.iter().enumerate().skip(self.owners()) {
            let failures = self.failures(waiting.source);
            if worst.is_none_or(|(_, most)| failures >= most) {
                worst = Some((at, failures));
            }
        }
        match worst {
            Some((at, most)) if source == Source::Owner || self.failures(source) < most => {
                self.waiting.remove(at).is_some()
            }
            _ => false,
        }
    }

    fn failures(&self, source: Source) -> u32 {
        self.known.get(&source).map_or(0, |known| known.failures)
    }

    fn delay(&mut self, source: Source, now: Timestamp) {
        if !self.known.contains_key(&source) {
            self.forget(now);
        }
        let known = self.known.entry(source).or_insert(Known {
            failures: 0,
            not_before: now,
        });
        if is_forgiven(known, now) {
            known.failures = 0;
        }
        known.failures = known.failures.saturating_add(1);
        let doublings = known.failures.saturating_sub(1).min(16);
        let wait = limits::UNLOCK_DELAY_FIRST.saturating_mul(1 << doublings);
        known.not_before = now.plus(wait.min(limits::UNLOCK_DELAY_MAX));
    }

    /// Makes room for one more source: who has kept quiet for long, or else whose delay ends first.
    fn forget(&mut self, now: Timestamp) {
        if self.known.len() < limits::UNLOCK_SOURCES_MAX {
            return;
        }
        self.known.retain(|_, known| !is_forgiven(known, now));
        if self.known.len() < limits::UNLOCK_SOURCES_MAX {
            return;
        }
        let first = self.known.iter().min_by_key(|(_, known)| known.not_before);
        if let Some(source) = first.map(|(source, _)| *source) {
            self.known.remove(&source);
        }
    }
}

fn is_forgiven(known: &Known, now: Timestamp) -> bool {
    now >= known.not_before.plus(limits::UNLOCK_FORGIVEN_AFTER)
}

fn later() -> Error {
    Error::Busy(limits::UNLOCK_RETRY)
}

#[cfg(test)]
mod tests;
