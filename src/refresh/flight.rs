//! One refresh in flight per token, and everybody else waiting for its end.
//!
//! It promises: R1 callers and scheduler share one flight per record; R2 a caller that hangs up
//! does not end it; R3 its entry goes when it ends, however it ends, and it ends in a stated time.
//! It never: hands a secret to a waiter: each one fetches for itself, under its own rights.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::limits;
use crate::model::TokenId;
use crate::model::token::ReconnectReason;

/// How a flight ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Landing {
    /// A new token is stored, or the stored one turned out newer than the one seen rejected.
    Renewed,
    /// A new token is there but could not be stored yet.
    Unstored,
    /// Its owner must connect again.
    Dead(ReconnectReason),
    /// Not now: in so long, and why.
    Later(Duration, String),
    /// There is nothing to refresh with.
    Hopeless,
    /// The vault could not do its half; the provider was not asked, or its answer is kept.
    Failed(Error),
}

type Ends = watch::Receiver<Option<Landing>>;

/// The flights under way.
#[derive(Clone, Default)]
pub struct Flights(Arc<Mutex<HashMap<TokenId, Ends>>>);

impl Flights {
    /// Joins the flight of `id`, or starts one. The flight runs on by itself.
    pub fn join(&self, id: TokenId, fly: impl Future<Output = Landing> + Send + 'static) -> Ticket {
        // Held for lines, and never across a wait.
        let mut flights = self.0.lock().expect("no holder panics");
        if let Some(ends) = flights.get(&id) {
            return Ticket {
                ends: ends.clone(),
                is_own: false,
            };
        }
        if flights.len() >= limits::FLIGHTS_MAX {
            let busy = Landing::Failed(Error::Busy(limits::BACKOFF_FIRST));
            return Ticket {
                ends: watch::channel(Some(busy)).1,
                is_own: true,
            };
        }
        let (end, ends) = watch::channel(None);
        flights.insert(id, ends.clone());
        let entry = Entry {
            flights: self.clone(),
            id,
        };
        tokio::spawn(async move {
            let landing = match tokio::time::timeout(limits::FLIGHT_MAX, fly).await {
                Ok(landing) => landing,
                Err(_) => Landing::Later(limits::BACKOFF_FIRST, "the refresh took too long".into()),
            };
            // The entry goes first: who finds no flight from here on finds its result stored.
            drop(entry);
            // No waiter left is no error: the result is stored.
            let _ = end.send(Some(landing));
        });
        Ticket { ends, is_own: true }
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.0.lock().expect("no holder panics").len()
    }

    /// Waits until none is under way.
    pub async fn drained(&self) {
        loop {
            let one = self
                .0
                .lock()
                .expect("no holder panics")
                .values()
                .next()
                .cloned();
            let Some(mut ends) = one else { return };
            // An end that was dropped is an end.
            let _ = ends.wait_for(Option::is_some).await;
            tokio::task::yield_now().await;
        }
    }
}

/// Removes a flight's entry when the flight ends, by whatever way: a panic included.
struct Entry {
    flights: Flights,
    id: TokenId,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.flights
            .0
            .lock()
            .expect("no holder panics")
            .remove(&self.id);
    }
}

/// A place among those who wait for a flight.
pub struct Ticket {
    ends: Ends,
    is_own: bool,
}

impl Ticket {
    /// True where this is the ticket that started the flight.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Waits for the end, at most so long.
    pub async fn landing(mut self, patience: Duration) -> Landing {
        let cut = || Landing::Later(limits::BACKOFF_FIRST, "the refresh was cut short".into());
        let end = self.ends.wait_for(Option::is_some);
        match tokio::time::timeout(patience, end).await {
            Ok(Ok(landing)) => landing.clone().unwrap_or_else(cut),
            Ok(Err(_)) => cut(),
            Err(_) => Landing::Later(
                limits::BACKOFF_FIRST,
                "the provider has not answered yet".into(),
            ),
        }
    }
}
