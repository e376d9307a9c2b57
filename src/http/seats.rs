//! Seats: how many connections there are at one time, and who goes when none is free.
//!
//! It promises:
//! 1. no more connections hold a seat than there are seats; one more may be in hand;
//! 2. a newcomer who finds none gets that of a connection that waits for its peer: one that never
//!    asked anything before one that did, and among these whoever is silent longest (T24): a crowd
//!    of slow connections holds nobody up;
//! 3. who is at work keeps the seat, and who has just come or asked has it for
//!    [`limits::SEAT_GRACE`].
//!
//! It never: ends a request that a handler has whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::limits;

/// All seats of a server.
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    taken: Taken,
    begun: Instant,
}

type Taken = Arc<Mutex<HashMap<u64, Arc<Sitter>>>>;

/// What a connection is doing, for whoever looks for a seat.
pub(crate) struct Sitter {
    /// [`AT_WORK`], [`LEAVING`], or since when it waits for its peer, in milliseconds.
    state: AtomicU64,
    /// It has had a whole request.
    has_asked: AtomicBool,
    leave: Notify,
    begun: Instant,
}

const AT_WORK: u64 = 0;
const LEAVING: u64 = u64::MAX;

/// A seat; free again when dropped.
pub(crate) struct Seat {
    pub(crate) sitter: Arc<Sitter>,
    taken: Taken,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    /// So many seats.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            taken: Taken::default(),
            begun: Instant::now(),
        }
    }

    /// Takes a seat for the connection of this number, and has somebody leave where none is free.
    /// It may be dropped at any wait.
    pub(crate) async fn take(&self, number: u64) -> Seat {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return self.sit(number, permit);
            }
            self.make_room();
            let free = Arc::clone(&self.free).acquire_owned();
            if let Ok(permit) = timeout(limits::SEAT_GRACE, free).await {
                return self.sit(number, permit.expect("the seats are never closed"));
            }
        }
    }

    fn sit(&self, number: u64, permit: OwnedSemaphorePermit) -> Seat {
        let sitter = Arc::new(Sitter {
            state: AtomicU64::new(now_ms(self.begun)),
            has_asked: AtomicBool::new(false),
            leave: Notify::new(),
            begun: self.begun,
        });
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(number, Arc::clone(&sitter));
        Seat {
            sitter,
            taken: Arc::clone(&self.taken),
            number,
            _permit: permit,
        }
    }

    /// Tells one that waits for its peer to leave, where there is one.
    fn make_room(&self) {
        let grace = u64::try_from(limits::SEAT_GRACE.as_millis()).unwrap_or(u64::MAX);
        let latest = now_ms(self.begun).saturating_sub(grace);
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = taken.values().filter_map(|sitter| {
            let since = sitter.state.load(Ordering::Acquire);
            let may_go = since != AT_WORK && since <= latest;
            may_go.then(|| (sitter.has_asked.load(Ordering::Relaxed), since, sitter))
        });
        let Some((_, since, sitter)) = waiting.min_by_key(|(asked, since, _)| (*asked, *since))
        else {
            return;
        };
        // A request that has come meanwhile is served: another one goes at the next look.
        let order = Ordering::AcqRel;
        let told = sitter
            .state
            .compare_exchange(since, LEAVING, order, Ordering::Relaxed);
        if told.is_ok() {
            sitter.leave.notify_one();
        }
    }
}

impl Sitter {
    /// A whole request, or a part that needs no peer, is being worked on. False where the seat is
    /// being given up: then nothing may be begun.
    #[must_use]
    pub(crate) fn works(&self) -> bool {
        let order = Ordering::AcqRel;
        let became = self
            .state
            .fetch_update(order, Ordering::Acquire, |state| match state {
                LEAVING => None,
                _ => Some(AT_WORK),
            });
        became.is_ok()
    }

    /// Whatever comes next is the peer's to do.
    pub(crate) fn waits(&self) {
        let now = now_ms(self.begun);
        // One that is leaving goes on leaving.
        let _ = self
            .state
            .compare_exchange(AT_WORK, now, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The connection has had a whole request.
    pub(crate) fn has_asked(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    /// Completes when the seat is to be given up.
    pub(crate) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.number);
    }
}

/// Milliseconds since `begun`, and one: neither [`AT_WORK`] nor [`LEAVING`].
fn now_ms(begun: Instant) -> u64 {
    let passed: Duration = begun.elapsed();
    u64::try_from(passed.as_millis())
        .map_or(LEAVING - 1, |ms| ms.saturating_add(1).min(LEAVING - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = limits::SEAT_GRACE;

    /// Who has been told to leave, of these.
    async fn leavers(seats: &[Seat]) -> Vec<u64> {
        let mut found = Vec::new();
        for seat in seats {
            let told = timeout(Duration::ZERO, seat.sitter.told_to_leave()).await;
            if told.is_ok() {
                found.push(seat.number);
            }
        }
        found
    }

    /// Goal: the order in which seats are given up. Method: three sitters on paused time, one that
    /// asked and is idle longest, one at work, one that never asked; and a newcomer.
    #[tokio::test(start_paused = true)]
    async fn n2_a_silent_stranger_goes_before_an_idle_client_and_who_works_stays() {
        let seats = Seats::new(3);
        let mut taken = Vec::new();
        for number in 0..3 {
            taken.push(seats.take(number).await);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(taken[0].sitter.works() && taken[1].sitter.works());
        taken[0].sitter.has_asked();
        taken[0].sitter.waits();
        // Within the grace nobody goes.
        assert!(timeout(GRACE / 2, seats.take(3)).await.is_err());
        assert!(leavers(&taken).await.is_empty());
        assert!(timeout(GRACE * 2, seats.take(3)).await.is_err());
        let gone = leavers(&taken).await;
        assert!(
            gone.starts_with(&[]) && gone.contains(&2) && !gone.contains(&1),
            "{gone:?}"
        );
        // Who was told to leave begins nothing any more, and who works is let be for ever.
        assert!(!taken[2].sitter.works());
        assert!(timeout(GRACE * 100, seats.take(3)).await.is_err());
        assert!(taken[1].sitter.works());
        drop(taken.remove(2));
        assert_eq!(seats.take(3).await.number, 3);
        assert_eq!(
            seats.taken.lock().unwrap().len(),
            2,
            "no sitter is left behind"
        );
    }
}
