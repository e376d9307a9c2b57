//! Room for so many connections, and for whoever comes next.
//!
//! It promises: no more seats than were stated; who waits is seated in the order of coming; one
//! seat is kept free for whoever comes next: where all are taken, whoever has said nothing for
//! longest is asked to leave, though nobody waits yet, so that silent clients, however many, keep
//! nobody out.
//! It never: sends away a connection whose request is being answered, or one that came or was
//! answered a moment ago.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::limits;

/// The seats, and who sits on them.
pub(crate) struct Room {
    seats: Arc<Semaphore>,
    // Held for lines.
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    seated: HashMap<u64, Arc<Guest>>,
}

/// One connection, as far as its seat is concerned.
struct Guest {
    /// Since when it has said nothing; `None` while it is answered.
    silent_since: Mutex<Option<Instant>>,
    has_asked: AtomicBool,
    is_to_leave: AtomicBool,
    leave: Notify,
}

impl Room {
    /// Room for `count` connections, at least one.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            seats: Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))),
            guests: Mutex::default(),
        })
    }

    /// Waits for a seat, and makes room where there is none. The wait may be dropped and begun
    /// anew.
    pub(crate) async fn seat(self: &Arc<Self>) -> Seat {
        loop {
            let seat = Arc::clone(&self.seats).acquire_owned();
            let patience = match self.seats.available_permits() {
                0 => {
                    self.ask_one_to_leave();
                    limits::SILENCE_IN_A_FULL_HOUSE
                }
                _ => limits::REQUEST_TIMEOUT,
            };
            if let Ok(permit) = timeout(patience, seat).await {
                return self.take(permit.expect("the seats are never closed"));
            }
        }
    }

    fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Seat {
        let guest = Arc::new(Guest {
            silent_since: Mutex::new(Some(Instant::now())),
            has_asked: AtomicBool::new(false),
            is_to_leave: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let mut guests = self.guests.lock().expect("no holder panics");
        let number = guests.next;
        guests.next += 1;
        guests.seated.insert(number, Arc::clone(&guest));
        Seat {
            room: Arc::clone(self),
            number,
            guest,
            _permit: permit,
        }
    }

    fn ask_one_to_leave(&self) {
        let Some(before) = Instant::now().checked_sub(limits::SILENCE_IN_A_FULL_HOUSE) else {
            return;
        };
        let guests = self.guests.lock().expect("no holder panics");
        let silent = guests.seated.values().filter_map(|guest| {
            let since = *guest.silent_since.lock().expect("no holder panics");
            let stays = !guest.is_to_leave.load(Ordering::Acquire);
            since
                .filter(|since| stays && *since <= before)
                .map(|since| (since, guest))
        });
        if let Some((_, guest)) = silent.min_by_key(|(since, _)| *since) {
            guest.is_to_leave.store(true, Ordering::Release);
            guest.leave.notify_one();
        }
    }
}

/// The right to one connection. Given back when dropped.
pub(crate) struct Seat {
    room: Arc<Room>,
    number: u64,
    guest: Arc<Guest>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// Somebody has come: until now the seat was held free for the next.
    pub(crate) fn is_taken_now(&self) {
        *self.guest.silent_since.lock().expect("no holder panics") = Some(Instant::now());
    }

    /// Waits until the room is needed for somebody else.
    pub(crate) async fn asked_to_leave(&self) {
        self.guest.leave.notified().await;
    }

    /// True where a request has come on this connection: an answer may be on its way.
    pub(crate) fn has_asked(&self) -> bool {
        self.guest.has_asked.load(Ordering::Acquire)
    }

    /// Notes the requests of this connection.
    pub(crate) fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.guest))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guests = self.room.guests.lock().expect("no holder panics");
        guests.seated.remove(&self.number);
    }
}

/// Rung for each request of a connection.
#[derive(Clone)]
pub(crate) struct Bell(Arc<Guest>);

impl Bell {
    /// A request is being answered, until what comes back is dropped.
    pub(crate) fn ring(&self) -> Served {
        self.0.has_asked.store(true, Ordering::Release);
        *self.0.silent_since.lock().expect("no holder panics") = None;
        Served(Arc::clone(&self.0))
    }
}

/// A request that is being answered.
pub(crate) struct Served(Arc<Guest>);

impl Drop for Served {
    fn drop(&mut self) {
        *self.0.silent_since.lock().expect("no holder panics") = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Longest wait of a test, in paused time.
    const PATIENCE: Duration = Duration::from_secs(3600);

    async fn left(seat: Seat) -> u64 {
        timeout(PATIENCE, seat.asked_to_leave()).await.unwrap();
        seat.number
    }

    /// Goal: of a full house who has been silent longest leaves first, and who is answered stays.
    /// Method: three seats, the first answered, the second silent, the third silent since later;
    /// two more come.
    #[tokio::test(start_paused = true)]
    async fn who_was_silent_longest_makes_room_and_who_is_answered_stays() {
        let room = Room::new(3);
        let (answered, second) = (room.seat().await, room.seat().await);
        let served = answered.bell().ring();
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = room.seat().await;
        let (left_second, left_third) = (tokio::spawn(left(second)), tokio::spawn(left(third)));
        let fourth = timeout(PATIENCE, room.seat()).await.unwrap();
        assert_eq!(left_second.await.unwrap(), 1);
        assert!(!left_third.is_finished());
        let fifth = timeout(PATIENCE, room.seat()).await.unwrap();
        assert_eq!(left_third.await.unwrap(), 2);
        assert_eq!((fourth.number, fifth.number), (3, 4));
        let asked = timeout(PATIENCE, answered.asked_to_leave());
        assert!(asked.await.is_err(), "it was being answered");
        drop((served, fourth, fifth));
        assert_eq!(room.guests.lock().unwrap().seated.len(), 1);
    }

    /// Goal: a seat that was held free for long gives whoever takes it their moment all the same.
    /// Method: of two seats the older one speaks after the younger was made and before it is taken.
    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_when_somebody_came() {
        let room = Room::new(2);
        let (speaks, held) = (room.seat().await, room.seat().await);
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(speaks.bell().ring());
        tokio::time::advance(Duration::from_secs(5)).await;
        held.is_taken_now();
        let first_to_leave = tokio::spawn(left(speaks));
        let newcomer = timeout(PATIENCE, room.seat()).await.unwrap();
        assert_eq!((first_to_leave.await.unwrap(), newcomer.number), (0, 2));
        assert!(!held.guest.is_to_leave.load(Ordering::Acquire));
    }

    /// Goal: a connection has a moment to say something, however many wait. Method: a house full of
    /// the newly come; time is looked at when the first of them is asked to leave.
    #[tokio::test(start_paused = true)]
    async fn a_newcomer_has_a_moment_to_speak() {
        let room = Room::new(1);
        let begun = Instant::now();
        let first = tokio::spawn(left(room.seat().await));
        let second = timeout(PATIENCE, room.seat()).await.unwrap();
        assert_eq!(first.await.unwrap(), 0);
        assert!(begun.elapsed() >= limits::SILENCE_IN_A_FULL_HOUSE);
        let again = second.bell();
        drop(again.ring());
        let answered = Instant::now();
        let second = tokio::spawn(left(second));
        drop(timeout(PATIENCE, room.seat()).await.unwrap());
        assert_eq!(second.await.unwrap(), 1);
        assert!(answered.elapsed() >= limits::SILENCE_IN_A_FULL_HOUSE);
    }
}
