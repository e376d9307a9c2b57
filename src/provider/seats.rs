//! Seats: how many calls one provider host gets at one time, and how long it asked us to stay away.
//!
//! It promises: at most [`limits::PROVIDER_CALLS_PER_HOST_MAX`] calls per host, and
//! [`limits::PROVIDER_CALLS_MAX`] to all, or fewer where so stated; who has waited longest goes
//! first, and who waits for one host takes no seat from another; after a `Retry-After` no call
//! until it has passed; a bounded number of hosts remembered.
//! It never: makes a call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::classify::{Failure, FailureKind};
use crate::clock::{Clock, Timestamp};
use crate::limits;

/// The seats of all hosts.
pub struct Seats {
    // Held for lines, never across an await.
    hosts: Mutex<HashMap<String, Host>>,
    all: Arc<Semaphore>,
    clock: Clock,
    wait_max: Duration,
}

struct Host {
    seats: Arc<Semaphore>,
    not_before: Timestamp,
}

/// The right to make one call. Given back when dropped.
#[derive(Debug)]
pub struct Seat {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Seats {
    /// Makes `count` seats. A call waits for one at most `wait_max`.
    pub fn new(clock: Clock, wait_max: Duration, count: usize) -> Self {
        Self {
            hosts: Mutex::new(HashMap::new()),
            all: Arc::new(Semaphore::new(count.clamp(1, limits::PROVIDER_CALLS_MAX))),
            clock,
            wait_max,
        }
    }

    /// Takes a seat at `host`, waiting for one where all are taken.
    ///
    /// # Errors
    /// [`FailureKind::Transient`] with what is left of the wait that the host asked for;
    /// [`FailureKind::NotSent`] where no seat came free in time or too many hosts are in use.
    pub async fn take(&self, host: &str) -> Result<Seat, Failure> {
        let seats = self.enter(host)?;
        // The host's first: a host that hangs holds its own seats and no more.
        let both = async {
            let host = seats.acquire_owned().await?;
            Ok::<_, AcquireError>((host, self.all.clone().acquire_owned().await?))
        };
        let Ok(Ok((host_seat, seat))) = tokio::time::timeout(self.wait_max, both).await else {
            return Err(Failure::ours(
                FailureKind::NotSent,
                "too_many_calls",
                "too many calls to this provider are waiting",
            ));
        };
        // Whoever waited may have waited behind the call that brought the host's `Retry-After`.
        self.enter(host)?;
        Ok(Seat {
            _host: host_seat,
            _all: seat,
        })
    }

    /// Remembers that `host` wants no call for `wait`. A shorter wait does not cut a longer one.
    pub fn stay_away(&self, host: &str, wait: Duration) {
        let until = self.clock.now().plus(wait.min(limits::RETRY_AFTER_MAX));
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get_mut(host) {
            host.not_before = host.not_before.max(until);
        }
    }

    fn enter(&self, name: &str) -> Result<Arc<Semaphore>, Failure> {
        let now = self.clock.now();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if !hosts.contains_key(name) {
            make_room(&mut hosts, now)?;
        }
        let host = hosts.entry(name.to_owned()).or_insert_with(|| Host {
            seats: Arc::new(Semaphore::new(limits::PROVIDER_CALLS_PER_HOST_MAX)),
            not_before: now,
        });
        let wait = host.not_before.since(now);
        if wait.is_zero() {
            return Ok(host.seats.clone());
        }
        Err(Failure::ours(
            FailureKind::Transient {
                retry_after: Some(wait),
            },
            "retry_later",
            "the provider asked us to wait, so it was not asked",
        ))
    }
}

/// Forgets hosts that nobody is calling and that asked for no wait, once there are too many.
fn make_room(hosts: &mut HashMap<String, Host>, now: Timestamp) -> Result<(), Failure> {
    if hosts.len() < limits::PROVIDER_HOSTS_MAX {
        return Ok(());
    }
    hosts.retain(|_, host| Arc::strong_count(&host.seats) > 1 || host.not_before > now);
    if hosts.len() < limits::PROVIDER_HOSTS_MAX {
        return Ok(());
    }
    Err(Failure::ours(
        FailureKind::NotSent,
        "too_many_calls",
        "calls to too many providers are under way",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats() -> (Seats, Clock) {
        let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
        let wait_max = Duration::from_millis(20);
        let seats = Seats::new(clock.clone(), wait_max, limits::PROVIDER_CALLS_MAX);
        (seats, clock)
    }

    #[tokio::test]
    async fn a_host_has_so_many_seats_and_no_more() {
        let (seats, _) = seats();
        let mut taken = Vec::new();
        for _ in 0..limits::PROVIDER_CALLS_PER_HOST_MAX {
            taken.push(seats.take("a:443").await.unwrap());
        }
        assert_eq!(
            seats.take("a:443").await.unwrap_err().kind,
            FailureKind::NotSent
        );
        assert!(seats.take("b:443").await.is_ok());
        taken.pop();
        assert!(seats.take("a:443").await.is_ok());
    }

    /// Goal: no more calls than stated, and who has waited longest goes first. Method: two seats
    /// for all; three more wait, and seats are given back one by one.
    #[tokio::test]
    async fn all_hosts_share_the_seats_there_are_in_the_order_of_asking() {
        let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
        let seats = Arc::new(Seats::new(clock, Duration::from_secs(60), 2));
        let mut taken = vec![seats.take("a:443").await.unwrap()];
        taken.push(seats.take("b:443").await.unwrap());
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for host in ["c:443", "d:443", "e:443"] {
            let (seats, told) = (Arc::clone(&seats), told.clone());
            tokio::spawn(async move { told.send((host, seats.take(host).await.unwrap())) });
            tokio::task::yield_now().await;
        }
        assert!(order.try_recv().is_err(), "there are two seats");
        for host in ["c:443", "d:443", "e:443"] {
            drop(taken.pop());
            let (seated, seat) = order.recv().await.unwrap();
            assert_eq!(seated, host);
            taken.push(seat);
        }
    }

    #[tokio::test]
    async fn a_host_is_left_alone_for_as_long_as_it_asked() {
        let (seats, clock) = seats();
        drop(seats.take("a:443").await.unwrap());
        seats.stay_away("a:443", Duration::from_secs(60));
        seats.stay_away("a:443", Duration::from_secs(5));
        clock.advance(Duration::from_secs(20));
        let failure = seats.take("a:443").await.unwrap_err();
        let retry_after = Some(Duration::from_secs(40));
        assert_eq!(failure.kind, FailureKind::Transient { retry_after });
        assert!(seats.take("b:443").await.is_ok());
        clock.advance(Duration::from_secs(40));
        assert!(seats.take("a:443").await.is_ok());
    }

    /// Goal: who waited behind the call that was told to stay away stays away too. Method: a call
    /// is left waiting while the host's wait is noted and the seats are given back.
    #[tokio::test]
    async fn whoever_waits_for_a_seat_hears_of_the_wait_as_well() {
        let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
        let seats = Seats::new(clock, Duration::from_secs(60), limits::PROVIDER_CALLS_MAX);
        let mut taken = Vec::new();
        for _ in 0..limits::PROVIDER_CALLS_PER_HOST_MAX {
            taken.push(seats.take("a:443").await.unwrap());
        }
        let waiting = seats.take("a:443");
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no seat"),
            () = std::future::ready(()) => {}
        }
        seats.stay_away("a:443", Duration::from_secs(5));
        drop(taken);
        assert_eq!(waiting.await.unwrap_err().code, "retry_later");
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten_and_waits_are_not() {
        let (seats, _) = seats();
        drop(seats.take("wait:443").await.unwrap());
        seats.stay_away("wait:443", Duration::from_secs(60));
        for n in 0..=limits::PROVIDER_HOSTS_MAX {
            drop(seats.take(&format!("h{n}:443")).await.unwrap());
        }
        assert!(seats.hosts.lock().unwrap().len() <= limits::PROVIDER_HOSTS_MAX);
        assert!(seats.take("wait:443").await.is_err());
    }
}
