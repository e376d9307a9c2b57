//! What issuers say of themselves, asked again: once for all apps that want to know.
//!
//! ```text
//!   who wants to know --> was it asked since, and does that still count? --> that
//!                     --> did it fail just now? ---------------------------> what is kept will do
//!                     --> asked, on a flight that nobody's hang-up ends ---> landed: remembered
//! ```
//!
//! It promises: one flight at a time for each issuer, and a bounded number of them; after a failure
//! a growing pause; what came when nobody waited any more is there for who asks next.
//! It never: judges what it is told, or keeps it for longer than the process lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::Provider;
use super::metadata::{Discovered, shorter};
use super::remote::RemoteServer;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::app::MetadataRead;
use crate::model::remote::OFFLINE_ACCESS;
use crate::model::url::WebUrl;

/// Whose word it is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Source {
    /// The authorization server.
    pub issuer: WebUrl,
    /// The remote MCP server that trusts it, where it is one's.
    pub server_url: Option<WebUrl>,
}

/// What a source said.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When, and how long it counts.
    pub read: MetadataRead,
    /// The authorization server's metadata, as far as apps keep it.
    pub found: Discovered,
    /// The remote server's.
    pub server: Option<RemoteServer>,
}

/// What was said of late, and whose turn it is to ask.
pub(super) struct Readings {
    // Held for lines, never across an await.
    sources: Mutex<HashMap<Source, Arc<tokio::sync::Mutex<State>>>>,
    places: Arc<Semaphore>,
}

/// What is remembered of a source.
#[derive(Default)]
struct State {
    last: Option<Arc<Reading>>,
    failures: u32,
    failed_at: Timestamp,
    /// How long it is left alone from then on.
    pause: Duration,
}

/// What there is without asking.
enum Look {
    /// This was said since.
    Said(Arc<Reading>),
    /// It is to be asked.
    Ask,
    /// It was asked just now, to no avail.
    Later,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            sources: Mutex::default(),
            places: Arc::new(Semaphore::new(limits::METADATA_READS_MAX)),
        }
    }
}

impl Readings {
    fn of(&self, source: &Source) -> Arc<tokio::sync::Mutex<State>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= limits::APPS_MAX && !sources.contains_key(source) {
            // Those that nobody asks now; most are of apps that are gone.
            sources.retain(|_, state| Arc::strong_count(state) > 1);
        }
        Arc::clone(sources.entry(source.clone()).or_default())
    }
}

impl State {
    /// `known` is the moment of what the app has.
    fn look(&self, known: Option<Timestamp>, now: Timestamp) -> Look {
        let counts = |last: &&Arc<Reading>| {
            let MetadataRead { at, until, .. } = last.read;
            // What the app has of a moment yet to come it has of a clock that was set back since.
            let is_news = known.is_none_or(|known| at > known || known > now);
            is_news && at <= now && now < until
        };
        if let Some(last) = self.last.as_ref().filter(counts) {
            return Look::Said(Arc::clone(last));
        }
        // By a clock that was set back since it was long ago.
        let is_recent = self.failed_at <= now && now < self.failed_at.plus(self.pause);
        match is_recent {
            true => Look::Later,
            false => Look::Ask,
        }
    }

    fn land(&mut self, source: &Source, read: Result<Reading>, now: Timestamp) {
        match read {
            Ok(reading) => {
                self.failures = 0;
                self.pause = Duration::ZERO;
                self.last = Some(Arc::new(reading));
            }
            Err(error) => {
                let pause = limits::METADATA_RETRY_FIRST.saturating_mul(1 << self.failures.min(16));
                let wished = match &error {
                    Error::ProviderUnavailable { retry_after, .. } => *retry_after,
                    _ => None,
                };
                let pause = pause.max(wished.unwrap_or_default());
                self.pause = pause.min(limits::METADATA_RETRY_MAX);
                self.failures = self.failures.saturating_add(1);
                self.failed_at = now;
                tracing::warn!(%error, issuer = %source.issuer,
                    "an issuer's metadata cannot be read; what is kept of it is used");
            }
        }
    }
}

impl Provider {
    /// What a source says by now, where that is to be had and is of a later moment than what is
    /// `known`. It is asked to the end, however soon whoever wants to know hangs up.
    pub async fn read_again(
        &self,
        source: &Source,
        known: Option<Timestamp>,
    ) -> Option<Arc<Reading>> {
        let state = self.0.readings.of(source).lock_owned().await;
        match state.look(known, self.0.clock.now()) {
            Look::Said(reading) => return Some(reading),
            Look::Later => return None,
            Look::Ask => {}
        }
        let place = Arc::clone(&self.0.readings.places);
        let place = place.try_acquire_owned().ok()?;
        let (this, source) = (self.clone(), source.clone());
        // Not the asker's own: one that hangs up must not leave the others without. It ends by
        // itself, and with the process.
        let flight = tokio::spawn(async move {
            let _place = place;
            this.fly(&source, state).await
        });
        flight.await.ok()?
    }

    async fn fly(
        &self,
        source: &Source,
        mut state: OwnedMutexGuard<State>,
    ) -> Option<Arc<Reading>> {
        let asking = tokio::time::timeout(limits::METADATA_READ_MAX, self.ask(source));
        let read = asking
            .await
            .unwrap_or_else(|_| Err(trouble("it took too long")));
        let is_there = read.is_ok();
        state.land(source, read, self.0.clock.now());
        state.last.clone().filter(|_| is_there)
    }

    async fn ask(&self, source: &Source) -> Result<Reading> {
        let mut found = self.discover(&source.issuer).await?;
        let server = match &source.server_url {
            Some(server_url) => Some(self.remote_server(server_url).await?),
            None => None,
        };
        let of_server = server.as_ref().and_then(|server| server.kept_for);
        let mut kept_for = shorter(found.kept_for, of_server);
        if !found.is_whole {
            // What is missing may be what lists it.
            if found.pkce_s256 != Some(true) {
                return Err(trouble("one of its documents is not to be had"));
            }
            kept_for = Some(limits::METADATA_FRESH_MIN);
        }
        // An issuer may fill a document with lists; this is kept for many of them.
        found
            .scopes_supported
            .retain(|scope| scope == OFFLINE_ACCESS);
        found.token_endpoint_auth_methods.clear();
        Ok(Reading {
            read: MetadataRead::new(self.0.clock.now(), kept_for),
            found,
            server,
        })
    }
}

fn trouble(what: &str) -> Error {
    Error::ProviderUnavailable {
        what: what.into(),
        retry_after: None,
    }
}
