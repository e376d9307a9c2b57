//! The load generator: one thread, many connections, one request out on each.
//!
//! Measures: requests a second, the latency of each request as a client sees it, the processor
//! time of the server between first and last, and its own: a client that took all of its core
//! would measure itself. Every answer's status and length is checked, and the body of one in
//! [`LOOKED_AT`]. Does not measure: an open loop (a slow answer delays the next request of its
//! connection), connecting, or what a network adds.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{ClockId, clock_gettime};
use rustls::ClientConfig;

use crate::Outcome;
use crate::answers::{Reader, Shape, Template, digits, find};
use crate::client::{Connection, Inbox};
use crate::rounds::percentile;

/// The body of one answer in so many is looked at.
pub const LOOKED_AT: u64 = 61;
/// Longest wait for any answer.
const PATIENCE: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// Who is asked for.
pub enum Users {
    /// Anybody of these.
    Any(Range<usize>),
    /// One after the other from here on.
    Next(usize),
}

impl Users {
    fn pick(&mut self) -> usize {
        match self {
            Self::Any(range) => fastrand::usize(range.clone()),
            Self::Next(next) => {
                *next += 1;
                *next - 1
            }
        }
    }
}

/// What every answer is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// A good one, of the length of the first.
    Same,
    /// That, and the user's digits are in its body, behind these words.
    SameWith(&'static str),
    /// A good one with the user's digits in its body.
    With(&'static str),
}

/// A load to be put on a server.
pub struct Load<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Under TLS, where there is some.
    pub tls: Option<&'a Arc<ClientConfig>>,
    /// Connections at one time.
    pub connections: usize,
    /// The request.
    pub template: &'a Template,
    /// Who is asked for.
    pub users: &'a mut Users,
    /// What every answer is to be.
    pub expect: Expect,
    /// How long answers are counted; a fifth of it goes before.
    pub time: Duration,
}

/// What came of it.
pub struct Measured {
    /// Answers that were counted.
    pub answers: u64,
    /// In which time.
    pub elapsed: Duration,
    /// What each took, in nanoseconds, rising.
    pub latencies_ns: Vec<u32>,
    /// The server's processor time.
    pub server_cpu: Duration,
    /// The client's.
    pub client_cpu: Duration,
}

impl Measured {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds that this part of the answers stayed below.
    pub fn latency_us(&self, part: f64) -> f64 {
        percentile(&self.latencies_ns, part) / 1000.0
    }

    /// Processor microseconds of the server for each answer.
    pub fn server_us(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.answers as f64
    }

    /// How much of a core the client took, in percent.
    pub fn client_share(&self) -> f64 {
        100.0 * self.client_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

struct Line {
    connection: Connection,
    inbox: Inbox,
    reader: Reader,
    template: Template,
    user: usize,
    sent: Instant,
}

struct Count {
    begun: Instant,
    server: Duration,
    client: Duration,
}

impl Load<'_> {
    /// Puts it on. `cpu` tells the server's processor time so far.
    ///
    /// # Errors
    /// An answer that is wrong, late or missing.
    pub fn run(self, cpu: &dyn Fn() -> Outcome<Duration>) -> Outcome<Measured> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut lines = self.open(&poll)?;
        for line in &mut lines {
            line.ask(self.users.pick())?;
        }
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        let mut latencies_ns = Vec::with_capacity(1 << 18);
        let (mut length, mut answers, mut open) = (None, 0_u64, lines.len());
        let begin = Instant::now() + self.time / 5;
        let (mut count, mut measured) = (None::<Count>, None);
        while open > 0 {
            events.clear();
            epoll::wait(&poll, spare_capacity(&mut events), Some(&PATIENCE))?;
            if events.is_empty() {
                return Err("no answer in time".into());
            }
            for event in &events {
                let line = &mut lines[usize::try_from(event.data.u64())?];
                line.connection.receive(&mut line.inbox)?;
                let Some(shape) = line.reader.shape(line.inbox.read())? else {
                    continue;
                };
                let now = Instant::now();
                answers += 1;
                self.check(line, shape, &mut length, answers)?;
                line.inbox.used(shape.head + shape.body);
                if let Some(count) = &count
                    && measured.is_none()
                {
                    let took_ns = (now - line.sent).as_nanos();
                    latencies_ns.push(u32::try_from(took_ns).unwrap_or(u32::MAX));
                    if now - count.begun >= self.time {
                        let server_cpu = cpu()?.saturating_sub(count.server);
                        let client_cpu = own_cpu().saturating_sub(count.client);
                        measured = Some((now - count.begun, server_cpu, client_cpu));
                    }
                } else if count.is_none() && now >= begin {
                    count = Some(Count {
                        begun: now,
                        server: cpu()?,
                        client: own_cpu(),
                    });
                }
                match measured {
                    None => line.ask(self.users.pick())?,
                    Some(_) => open -= 1,
                }
            }
        }
        let (elapsed, server_cpu, client_cpu) = measured.ok_or("nothing was measured")?;
        latencies_ns.sort_unstable();
        Ok(Measured {
            answers: latencies_ns.len() as u64,
            elapsed,
            latencies_ns,
            server_cpu,
            client_cpu,
        })
    }

    /// Connects.
    fn open(&self, poll: &rustix::fd::OwnedFd) -> Outcome<Vec<Line>> {
        let mut lines = Vec::with_capacity(self.connections);
        for number in 0..self.connections {
            let connection = Connection::open(self.address, self.tls)?;
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(poll, &connection.socket, data, epoll::EventFlags::IN)?;
            lines.push(Line {
                connection,
                inbox: Inbox::new(),
                reader: Reader::default(),
                template: self.template.clone(),
                user: 0,
                sent: Instant::now(),
            });
        }
        Ok(lines)
    }

    fn check(
        &self,
        line: &Line,
        shape: Shape,
        length: &mut Option<usize>,
        answers: u64,
    ) -> Outcome<()> {
        let (is_same, words) = match self.expect {
            Expect::Same => (true, None),
            Expect::SameWith(words) => (true, Some(words)),
            Expect::With(words) => (false, Some(words)),
        };
        if is_same && *length.get_or_insert(shape.body) != shape.body {
            return Err(format!("an answer of {} bytes, not {length:?}", shape.body).into());
        }
        let body = &line.inbox.read()[shape.head..shape.head + shape.body];
        match words {
            Some(words) if answers.is_multiple_of(LOOKED_AT) => {
                let whose = format!("{words}{}", digits(line.user));
                find(body, whose.as_bytes())
                    .map(drop)
                    .ok_or_else(|| format!("an answer without `{whose}`").into())
            }
            _ => Ok(()),
        }
    }
}

impl Line {
    fn ask(&mut self, user: usize) -> Outcome<()> {
        self.user = user;
        self.template.aim(user);
        self.sent = Instant::now();
        self.connection.send(self.template.bytes())
    }
}

/// This thread's processor time so far.
fn own_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}
