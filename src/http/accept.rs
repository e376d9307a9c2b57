//! Taking connections from several listeners, and bearing with a system that has none to give.
//!
//! It promises: listeners take turns; when descriptors run out, accepting rests and tries again,
//! for longer each time up to a limit, without spinning and without ending the server.
//! It never: drops a connection that it has accepted.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::http::listen::Listener;
use crate::limits;

/// A connection as accepted.
pub(crate) enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// All listeners as one.
pub(crate) struct Doors {
    listeners: Vec<Listener>,
    turn: usize,
    rest: Option<Rest>,
}

/// A pause in accepting. Its end is a moment, so that a wait that is dropped and begun anew does
/// not put it off.
#[derive(Clone, Copy, Debug)]
struct Rest {
    span: Duration,
    until: Instant,
}

impl Doors {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            turn: 0,
            rest: None,
        }
    }

    /// Waits for a connection. It may be dropped at any wait: what is accepted is returned at once.
    pub(crate) async fn accept(&mut self) -> Stream {
        loop {
            if let Some(rest) = self.rest {
                tokio::time::sleep_until(rest.until).await;
            }
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(stream) => {
                    self.rest = None;
                    return stream;
                }
                // That connection is gone; the listener is well.
                Err(why) if is_the_peers(&why) => {}
                Err(why) => {
                    let span = longer(self.rest.map(|rest| rest.span));
                    tracing::warn!(%why, rest_ms = span.as_millis(), "cannot accept");
                    let until = Instant::now() + span;
                    self.rest = Some(Rest { span, until });
                }
            }
        }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let count = self.listeners.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let accepted = match &self.listeners[index] {
                Listener::Tcp(listener) => listener
                    .poll_accept(context)
                    .map_ok(|(stream, from)| Stream::Tcp(stream, from)),
                Listener::Unix(_, listener) => listener
                    .poll_accept(context)
                    .map_ok(|(stream, _)| Stream::Unix(stream)),
            };
            if accepted.is_ready() {
                self.turn = index + 1;
                return accepted;
            }
        }
        Poll::Pending
    }
}

fn longer(last: Option<Duration>) -> Duration {
    last.map_or(limits::ACCEPT_BACKOFF_FIRST, |span| {
        (span * 2).min(limits::ACCEPT_BACKOFF_MAX)
    })
}

fn is_the_peers(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        why.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_accept_rests_longer_each_time_up_to_a_limit() {
        let mut spans = Vec::new();
        let mut last = None;
        for _ in 0..7 {
            last = Some(longer(last));
            spans.extend(last.map(|span| span.as_millis()));
        }
        assert_eq!(spans, [50, 100, 200, 400, 800, 1000, 1000]);
    }
}
