//! The scheduler: sleeps until the earliest due token, a notice or a landing, and keeps what is due
//! in flight.
//!
//! It promises: R9 a provider that hangs or fails delays its own tokens only: each app has a lane
//! of bounded width, and a narrow one while its refreshes fail; R10 once a provider answers again,
//! what waited for it is tried within seconds. A locked or paused vault, or one whose
//! file is being checked, is left alone; trouble with
//! the store is waited out, not hammered; at the end no new refresh begins and those in flight are
//! finished.
//! It never: holds a lock or a transaction while it waits, or looks for due tokens without a
//! reason.

mod watch;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;

use super::fly::Trip;
use super::{Landing, Refresher};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::Caller;
use crate::vault::{Due, Lane, Pick, Place};

/// Ended links are forgotten this often.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Due tokens of one app: in flight, and waiting for their turn.
#[derive(Default)]
struct Traffic {
    in_flight: usize,
    queue: VecDeque<Due>,
    /// More are due than the queue takes.
    has_more: bool,
    /// The last refresh failed, and not by its grant.
    is_failing: bool,
    /// One of those that failed, and when it is tried however long its own back-off: so that a
    /// provider that is back is soon known to be.
    probe: Option<(Timestamp, Due)>,
}

impl Traffic {
    fn has_room(&self) -> bool {
        let most = match self.is_failing {
            true => limits::LANE_PROBES_MAX,
            false => limits::LANE_REFRESHES_MAX,
        };
        self.in_flight < most
    }

    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty() && !self.has_more && self.probe.is_none()
    }
}

/// A flight that has ended; which token's, where it was one of a lane.
type Landed = (Option<Due>, Landing);

/// What the scheduler knows between two looks.
struct Desk {
    /// Interrupted refreshes were looked for since the vault was unlocked.
    recovered: bool,
    /// The clock was set back: what it dated is to be dated anew.
    is_to_redate: bool,
    /// The latest moment seen.
    seen: Timestamp,
    /// How far the machine's clock was off when it was last told of, in seconds.
    told_off_s: (i64, i64),
    forgot_at: Timestamp,
    /// Trouble with the store is waited out until then.
    held_until: Timestamp,
    /// Something may have fallen due.
    is_to_look: bool,
    /// What was due by then is known.
    looked_at: Timestamp,
    /// More are due than all queues take.
    has_more: bool,
    lanes: BTreeMap<Lane, Traffic>,
    /// The lane that had its turn last.
    turn: Option<Lane>,
    /// Places of what is queued or in flight.
    known: HashSet<Place>,
    /// Those of them that a look passed over.
    passed: HashSet<Place>,
    flights: JoinSet<Landed>,
}

impl Desk {
    fn new() -> Self {
        Self {
            recovered: false,
            is_to_redate: false,
            seen: Timestamp::default(),
            told_off_s: (0, 0),
            forgot_at: Timestamp::default(),
            held_until: Timestamp::default(),
            is_to_look: true,
            looked_at: Timestamp::default(),
            has_more: false,
            lanes: BTreeMap::new(),
            turn: None,
            known: HashSet::new(),
            passed: HashSet::new(),
            flights: JoinSet::new(),
        }
    }

    /// Forgets what waits: the vault is locked, and what is due is looked for anew afterwards.
    fn forget(&mut self) {
        self.recovered = false;
        self.is_to_look = true;
        for traffic in self.lanes.values_mut() {
            for due in traffic.queue.drain(..) {
                self.known.remove(&due.place);
                self.passed.remove(&due.place);
            }
        }
    }

    fn queued(&self) -> usize {
        self.lanes.values().map(|traffic| traffic.queue.len()).sum()
    }

    fn wants_look(&self) -> bool {
        let is_dry = |traffic: &Traffic| traffic.has_more && traffic.queue.is_empty();
        self.is_to_look
            || self.lanes.values().any(is_dry)
            || (self.has_more && self.queued() < limits::DUE_QUEUE_MAX / 2)
    }

    /// Whether a due token is to be queued.
    fn pick(&mut self, place: &Place, room: &mut usize, taken: &mut BTreeMap<Lane, usize>) -> Pick {
        if self.known.contains(place) {
            self.passed.insert(*place);
            return Pick::Pass;
        }
        if *room == 0 {
            self.has_more = true;
            return Pick::Stop;
        }
        let traffic = self.lanes.entry(place.lane()).or_default();
        let taken = taken.entry(place.lane()).or_default();
        if traffic.queue.len() + *taken >= limits::LANE_QUEUE_MAX {
            traffic.has_more = true;
            return Pick::Pass;
        }
        *taken += 1;
        *room -= 1;
        Pick::Take
    }

    /// When the next probe is to be sent.
    fn next_probe(&self) -> Option<Timestamp> {
        let probes = self.lanes.values().filter_map(|traffic| traffic.probe);
        probes.map(|(at, _)| at).min()
    }

    /// Takes the probes whose time has come, and counts them as in flight.
    fn take_probes(&mut self, now: Timestamp) -> Vec<Due> {
        let mut probes = Vec::new();
        for traffic in self.lanes.values_mut() {
            if let Some((at, due)) = traffic.probe
                && at <= now
            {
                traffic.probe = None;
                if self.known.insert(due.place) {
                    traffic.in_flight += 1;
                    probes.push(due);
                }
            }
        }
        probes
    }

    fn land(&mut self, due: Option<Due>, landing: &Landing, now: Timestamp) {
        if is_of_the_store(landing) {
            self.held_until = now.plus(limits::BACKOFF_FIRST);
        }
        let Some(due) = due else { return };
        self.known.remove(&due.place);
        let lane = due.place.lane();
        let Some(traffic) = self.lanes.get_mut(&lane) else {
            return;
        };
        traffic.in_flight -= 1;
        traffic.is_failing = matches!(landing, Landing::Later(..));
        if !traffic.is_failing {
            traffic.probe = None;
        } else if traffic.probe.is_none() {
            traffic.probe = Some((now.plus(limits::RETRY_FOR_CALLERS), due));
        }
        if traffic.is_idle() {
            self.lanes.remove(&lane);
        }
    }
}

/// True where the disk, not this one token, is what went wrong.
fn is_of_the_store(landing: &Landing) -> bool {
    match landing {
        Landing::Unstored => true,
        Landing::Failed(error) => matches!(
            error,
            Error::Storage(_)
                | Error::OutcomeUnknown(_)
                | Error::AuditUnavailable(_)
                | Error::Busy(_)
        ),
        _ => false,
    }
}

impl Refresher {
    /// Keeps tokens fresh until `shutdown` comes, then finishes what is in flight.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut desk = Desk::new();
        loop {
            let wake_at = tokio::select! {
                () = &mut shutdown => break,
                wake_at = self.attend(&mut desk) => wake_at,
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = self.0.notice.notified() => desk.is_to_look = true,
                () = self.clock().sleep_until(wake_at) => desk.is_to_look = true,
                Some(landed) = desk.flights.join_next() => self.land(&mut desk, landed),
            }
        }
        self.drain().await;
    }

    fn land(&self, desk: &mut Desk, landed: std::result::Result<Landed, tokio::task::JoinError>) {
        let mut next = Some(landed);
        // All that have landed by now are taken at once, so that one look serves them all.
        while let Some(landed) = next {
            match landed {
                Ok((due, landing)) => {
                    let now = self.clock().now();
                    desk.land(due, &landing, now);
                    desk.is_to_look |= due.is_some_and(|due| {
                        // Looked at while it was in flight, a short life may have ended since.
                        let is_due = || self.vault().is_due(&Caller::scheduler(), &due.place, now);
                        desk.passed.remove(&due.place)
                            && matches!(landing, Landing::Renewed | Landing::Later(..))
                            && is_due().unwrap_or(false)
                    });
                }
                Err(error) => tracing::error!(%error, "a wait for a refresh was cut short"),
            }
            next = desk.flights.try_join_next();
        }
    }

    /// Does what is to be done now; the moment to look again comes back.
    async fn attend(&self, desk: &mut Desk) -> Timestamp {
        let now = self.clock().now();
        desk.at(now);
        desk.watch(self.clock().off_s(), self.clock().followed_s());
        let later = now.plus(limits::SCHEDULER_SLEEP_MAX);
        let is_shut = self.vault().status().locked || self.halted().is_some();
        if self.vault().checking().is_some() {
            // It says nothing when it has ended; a look in a second costs nothing.
            desk.forget();
            return now.plus(limits::CHECK_RETRY_MIN);
        }
        if is_shut || self.vault().is_refresh_paused() {
            desk.forget();
            return later;
        }
        if desk.held_until > now {
            return desk.held_until.min(later);
        }
        match self.work(desk, now).await {
            Ok(next) => next.map_or(later, |next| next.min(later)),
            Err(Error::Locked | Error::ShuttingDown) => later,
            Err(error) => {
                tracing::error!(%error, "the refresh scheduler waits");
                desk.held_until = now.plus(limits::BACKOFF_FIRST);
                desk.held_until
            }
        }
    }

    async fn work(&self, desk: &mut Desk, now: Timestamp) -> Result<Option<Timestamp>> {
        self.store_unstored().await?;
        if !desk.recovered {
            self.recover(desk)?;
            desk.recovered = true;
            desk.is_to_redate |= self.vault().status().clock_set_back_s.is_some();
        }
        if desk.is_to_redate {
            let count = self.vault().redate(&Caller::scheduler()).await?;
            tracing::info!(count, "what the clock had dated is dated anew");
            desk.is_to_redate = false;
        }
        self.hasten().await?;
        if now.since(desk.forgot_at) >= FORGET_EVERY {
            self.vault().forget_links(&Caller::scheduler())?.await?;
            desk.forgot_at = now;
        }
        // Each look fills a queue or finds that nothing more is due.
        while desk.wants_look() {
            self.look(desk, now)?;
            self.take_off(desk);
            if desk.flights.len() >= limits::REFRESHES_MAX {
                break;
            }
        }
        self.take_off(desk);
        for due in desk.take_probes(now) {
            self.start(desk, Trip::asked(due.id), Some(due));
        }
        // What fell due since the last look, in however short a time, is next.
        let looked_at = desk.looked_at;
        let next = self.vault().next_due(&Caller::scheduler(), looked_at)?;
        Ok([next, desk.next_probe()].into_iter().flatten().min())
    }

    /// Tries each interrupted refresh once, at once, before anything else: a provider's grace for
    /// the old refresh token may be seconds (R5).
    fn recover(&self, desk: &mut Desk) -> Result<()> {
        let interrupted = self.vault().interrupted(&Caller::scheduler())?;
        if !interrupted.is_empty() {
            tracing::info!(
                count = interrupted.len(),
                "interrupted refreshes are tried again"
            );
        }
        for id in interrupted {
            self.start(desk, Trip::interrupted(id), None);
        }
        Ok(())
    }

    /// Brings forward what waits for providers that are well again (R10).
    async fn hasten(&self) -> Result<()> {
        let next = || {
            let mut recovered = self.0.recovered.lock().expect("no holder panics");
            recovered.pop_first()
        };
        while let Some(app) = next() {
            let hastened = self.vault().hasten(&Caller::scheduler(), &app).await;
            let count = hastened.inspect_err(|_| {
                // What waits for it is not to sit out its back-off for that.
                let mut recovered = self.0.recovered.lock().expect("no holder panics");
                recovered.insert(app.clone());
            })?;
            tracing::info!(%app, count, "its provider answers again; what waited is tried anew");
        }
        Ok(())
    }

    /// Queues what is due.
    fn look(&self, desk: &mut Desk, now: Timestamp) -> Result<()> {
        desk.is_to_look = false;
        desk.looked_at = now;
        desk.has_more = false;
        for traffic in desk.lanes.values_mut() {
            traffic.has_more = false;
        }
        let mut room = limits::DUE_QUEUE_MAX.saturating_sub(desk.queued());
        let mut taken: BTreeMap<Lane, usize> = BTreeMap::new();
        let (due, _) = self
            .vault()
            .due_among(&Caller::scheduler(), now, &mut |place| {
                desk.pick(place, &mut room, &mut taken)
            })?;
        for due in due {
            desk.known.insert(due.place);
            let traffic = desk.lanes.entry(due.place.lane()).or_default();
            traffic.queue.push_back(due);
        }
        Ok(())
    }

    /// Starts what has waited longest in each lane, one lane after another, as far as there is
    /// room.
    fn take_off(&self, desk: &mut Desk) {
        let mut lanes: Vec<Lane> = desk.lanes.keys().copied().collect();
        let turn = lanes.partition_point(|lane| Some(*lane) <= desk.turn);
        lanes.rotate_left(turn);
        let mut is_moving = true;
        while std::mem::take(&mut is_moving) {
            for lane in &lanes {
                if desk.flights.len() < limits::REFRESHES_MAX
                    && let Some(traffic) = desk.lanes.get_mut(lane)
                    && traffic.has_room()
                    && let Some(due) = traffic.queue.pop_front()
                {
                    traffic.in_flight += 1;
                    desk.turn = Some(*lane);
                    self.start(desk, Trip::due(due.id), Some(due));
                    is_moving = true;
                }
            }
        }
    }

    fn start(&self, desk: &mut Desk, trip: Trip, due: Option<Due>) {
        let flight = self.refresh(trip);
        desk.flights
            .spawn(async move { (due, flight.landing(limits::FLIGHT_MAX).await) });
    }
}
