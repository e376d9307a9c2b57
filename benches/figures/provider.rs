//! The sandbox provider in this process, and refresh tokens of it.
//!
//! Measures nothing. It takes its share of the same cores: what is measured beside it is so much
//! the slower.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use strongroom::clock::Clock;
use strongroom::sandbox::{Client, ClientAuth, Counts, Sandbox, Settings};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Outcome;

/// The app whose tokens it refreshes, and its client.
pub const APP: &str = "sandboxed";
/// Longest wait for all refreshes of a row.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A provider that serves until it goes.
pub struct Provider {
    runtime: Runtime,
    sandbox: Sandbox,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Provider {
    /// Starts one.
    pub fn start() -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(TcpListener::bind(local))?;
        let address = listener.local_addr()?;
        let settings = Settings::new(format!("http://{address}"));
        let sandbox = Sandbox::new(settings, Clock::system());
        sandbox.add_client(Client {
            id: APP.into(),
            secret: None,
            redirect_uris: vec![],
            auth: ClientAuth::Any,
        });
        let serving = sandbox.clone();
        runtime.spawn(async move { serving.serve(listener, std::future::pending()).await });
        Ok(Self {
            runtime,
            sandbox,
            address,
        })
    }

    /// A refresh token of a person who has consented.
    pub fn refresh_token(&self, user: &str) -> String {
        let issued = self.sandbox.grant(APP, user, &["calendar.read"]);
        issued.refresh_token.expose().clone()
    }

    /// Access tokens live so long from here on.
    pub fn set_life(&self, life: Duration) {
        self.sandbox.set_access_token_life(life);
    }

    /// Refreshes that have succeeded so far.
    pub fn refreshed(&self) -> u64 {
        self.sandbox.counts().refreshes_ok
    }

    /// Waits until so many have succeeded; the moment comes back.
    pub fn until(&self, refreshed: u64) -> Outcome<Instant> {
        let mut counts = self.sandbox.watch();
        let reached = |counts: &Counts| counts.refreshes_ok >= refreshed;
        self.runtime.block_on(async {
            timeout(PATIENCE, counts.wait_for(reached)).await??;
            Ok(Instant::now())
        })
    }

    /// Looks again and again, some times a second, until there is what is looked for.
    pub fn eventually<T>(&self, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = look()? {
                return Ok(found);
            }
            self.paced(2, LOOK_EVERY * 2, |_| Ok(()))?;
        }
        Err("what was waited for does not come".into())
    }

    /// Does `work` so many times, evenly over `time`.
    pub fn paced(
        &self,
        count: usize,
        time: Duration,
        mut work: impl FnMut(usize) -> Outcome<()>,
    ) -> Outcome<()> {
        let each = time.div_f64(count.max(1) as f64);
        let mut ticks = self.runtime.block_on(async { interval(each) });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for number in 0..count {
            self.runtime.block_on(ticks.tick());
            work(number)?;
        }
        Ok(())
    }
}
