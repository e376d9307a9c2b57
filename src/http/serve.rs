//! The server: connections in, requests to one handler, answers out, and an orderly end.
//!
//! It promises:
//! 1. a seat is taken before a connection is accepted, and goes with it; who finds none waits in
//!    the backlog, and silent connections are closed for them;
//! 2. a connection that says nothing, handshakes, asks or reads too slowly is closed in a stated
//!    time, an idle one included;
//! 3. a handler that panics or takes too long costs one answer and never the server;
//! 4. at the end it stops accepting, lets open requests finish for a bounded time, then cuts.
//!
//! It never: sees a route, a caller or a body.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, FORWARDED, HeaderName, HeaderValue, VIA};
use http::{HeaderMap, Request, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::{Error, Result};
use crate::http::accept::{Doors, Stream};
use crate::http::answer;
use crate::http::answer::Answer;
use crate::http::guard::HostRule;
use crate::http::listen::{Listener, Tls};
use crate::http::pace::{Paced, within};
use crate::http::panics;
use crate::http::room::{Room, Seat};
use crate::limits;

/// Headers that only a proxy adds: who comes with one is not on this machine, whatever the socket
/// says, and an operator who forgot `--behind-proxy` has not opened the local routes to the world.
static PROXY_HEADERS: [HeaderName; 6] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    VIA,
];

/// Who is at the other end, as far as the socket tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// `ip:port`, or `unix`.
    pub address: Arc<str>,
    /// The request was made on this machine and no proxy stands between.
    pub loopback_or_unix: bool,
    /// The connection is under our TLS.
    pub tls: bool,
    /// The socket's other end.
    pub end: End,
}

/// The other end of a connection, as the system tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// A Unix socket, and the user who opened it.
    Unix(Option<u32>),
    /// Both ends of a TCP connection.
    Tcp {
        /// Our address and port.
        ours: Option<SocketAddr>,
        /// The peer's.
        theirs: SocketAddr,
    },
}

/// How to serve. [`ServeSettings::new`] takes everything but the hosts from `limits`.
pub struct ServeSettings {
    /// Our side of TLS, for the TCP listeners.
    pub tls: Option<Tls>,
    /// A proxy stands before us: nobody on TCP counts as local, and on a Unix socket only where
    /// there is a TCP listener for the proxy.
    pub behind_proxy: bool,
    /// Connections at one time; at least one.
    pub connections_max: usize,
    /// The names we answer under; made for the same choice of TLS.
    pub hosts: HostRule,
    /// Longest wait for a handshake, for a request's head, and for the next request.
    pub head_timeout: Duration,
    /// Longest life of a request in the handler.
    pub request_timeout: Duration,
    /// Longest stall of a peer that is sent an answer.
    pub answer_timeout: Duration,
    /// Longest wait for open requests at the end.
    pub drain_max: Duration,
}

impl ServeSettings {
    /// The settings of a server without TLS and without a proxy.
    pub fn new(hosts: HostRule) -> Self {
        Self {
            tls: None,
            behind_proxy: false,
            connections_max: limits::CONNECTIONS_MAX,
            hosts,
            head_timeout: limits::HEAD_TIMEOUT,
            request_timeout: limits::REQUEST_TIMEOUT,
            answer_timeout: limits::ANSWER_TIMEOUT,
            drain_max: limits::DRAIN_MAX,
        }
    }
}

/// Serves until `shutdown` comes, then drains. The handler hears of no request whose `Host` is not
/// ours. Must run inside a tokio runtime.
///
/// # Errors
/// [`Error::Settings`] where there is nothing to listen on or no seat for anybody.
pub async fn serve<S, F>(
    listeners: Vec<Listener>,
    settings: ServeSettings,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<()>
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    if listeners.is_empty() || settings.connections_max == 0 {
        let what = "a server needs an address to listen on and room for one connection";
        return Err(Error::Settings(what.to_owned()));
    }
    panics::hide_payloads();
    let room = Room::new(settings.connections_max);
    let drain_max = settings.drain_max;
    let proxied_unix = settings.behind_proxy && !listeners.iter().any(is_tcp);
    let server = Arc::new(Server {
        settings,
        service,
        proxied_unix,
    });
    let (ending, told) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut doors = Doors::new(listeners);
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async { (room.seat().await, doors.accept().await) };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = open.join_next() => {}
            (seat, stream) = next => {
                seat.is_taken_now();
                let server = Arc::clone(&server);
                open.spawn(server.attend(stream, seat, told.clone()));
            }
        }
    }
    drop(doors);
    // No receiver is left where no connection is open.
    let _ = ending.send(true);
    let drained = timeout(drain_max, async {
        while open.join_next().await.is_some() {}
    })
    .await;
    if drained.is_err() {
        tracing::warn!(
            cut = open.len(),
            "connections were still open at the end and are cut"
        );
    }
    open.shutdown().await;
    Ok(())
}

fn is_tcp(listener: &Listener) -> bool {
    matches!(listener, Listener::Tcp(_))
}

/// What all connections share.
struct Server<S> {
    settings: ServeSettings,
    service: S,
    proxied_unix: bool,
}

impl<S, F> Server<S>
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    /// Carries one connection from its first byte to its last. The seat goes when this ends.
    async fn attend(self: Arc<Self>, stream: Stream, seat: Seat, mut told: watch::Receiver<bool>) {
        match stream {
            Stream::Unix(stream) => {
                let peer = Peer {
                    address: "unix".into(),
                    loopback_or_unix: !self.proxied_unix,
                    tls: false,
                    end: End::Unix(stream.peer_cred().ok().map(|who| who.uid())),
                };
                self.converse(stream, peer, &seat, told).await;
            }
            Stream::Tcp(stream, from) => {
                let peer = Peer {
                    address: from.to_string().into(),
                    loopback_or_unix: from.ip().to_canonical().is_loopback()
                        && !self.settings.behind_proxy,
                    tls: self.settings.tls.is_some(),
                    end: End::Tcp {
                        ours: stream.local_addr().ok(),
                        theirs: from,
                    },
                };
                // Answers are small and whole: waiting to fill a packet would only delay them.
                if stream.set_nodelay(true).is_err() {
                    return;
                }
                let Some(tls) = &self.settings.tls else {
                    return self.converse(stream, peer, &seat, told).await;
                };
                if let Some(stream) = self.shake_hands(tls, stream, &seat, &mut told).await {
                    self.converse(stream, peer, &seat, told).await;
                }
            }
        }
    }

    async fn shake_hands(
        &self,
        tls: &Tls,
        stream: TcpStream,
        seat: &Seat,
        told: &mut watch::Receiver<bool>,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        tokio::select! {
            () = end(told) => None,
            () = seat.asked_to_leave() => None,
            shaken = timeout(self.settings.head_timeout, handshake) => match shaken {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err(why)) => {
                    tracing::debug!(%why, "no TLS handshake");
                    None
                }
                Err(_) => {
                    tracing::debug!("the TLS handshake took too long");
                    None
                }
            },
        }
    }

    /// Speaks HTTP/1 until either side ends it.
    async fn converse<I>(
        self: &Arc<Self>,
        io: I,
        peer: Peer,
        seat: &Seat,
        mut told: watch::Receiver<bool>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unread = Arc::new(AtomicBool::new(false));
        let io = Paced::new(io, self.settings.answer_timeout, Arc::clone(&unread));
        let (server, bell) = (Arc::clone(self), seat.bell());
        let handler = service_fn(move |request| {
            let server = Arc::clone(&server);
            let unread = Arc::clone(&unread);
            let served = bell.ring();
            let peer = local_only_without_a_proxy(peer.clone(), request.headers());
            async move {
                let answer = server.handle(request, peer, &unread).await;
                drop(served);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            // Without a timer hyper's time-outs have no effect.
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.head_timeout)
            .max_headers(limits::HEADERS_MAX)
            // The buffer alone is no exact bound: it may grow past its limit by one read.
            .max_header_size(limits::HEAD_BYTES_MAX)
            .max_buf_size(limits::HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(io), handler);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = end(&mut told) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = seat.asked_to_leave() => {
                if !seat.has_asked() {
                    return tracing::debug!("a silent connection made room for the next");
                }
                // Its last answer may still be on its way.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(why) = ended {
            tracing::debug!(%why, "a connection broke off");
        }
    }

    /// Checks the host, runs the handler under a clock, and gives the answer what all carry.
    async fn handle(&self, request: Request<Incoming>, peer: Peer, unread: &AtomicBool) -> Answer {
        let has_body = !request.body().is_end_stream();
        let over_unix = &*peer.address == "unix";
        let hosts = &self.settings.hosts;
        let mut answer = match hosts.check_host(request.headers(), request.uri(), over_unix) {
            Err(refusal) => refusal.answer(),
            Ok(()) => self.run(request, peer).await,
        };
        let refused = answer.status() == StatusCode::PAYLOAD_TOO_LARGE
            || answer.status() == StatusCode::MISDIRECTED_REQUEST
            || answer.extensions().get::<answer::BodyUnread>().is_some();
        unread.store(has_body && refused, Ordering::Relaxed);
        if has_body && refused {
            // Said as well as done: a client that keeps connections shall not use this one again.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        answer::dress(&mut answer);
        answer
    }

    async fn run(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        // Called inside, so that a panic before the handler's first wait is survived too. Boxed: it
        // is large, and what is around it is moved several times.
        let handler = async { Box::pin((self.service)(request, peer)).await };
        let mut answer = match within(self.settings.request_timeout, panics::survive(handler)).await
        {
            Ok(Ok(answer)) => return answer,
            Ok(Err(panics::Panicked)) => answer::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the server failed at this request",
                "look at the server's log for the place; the request may be tried again",
            ),
            Err(_) => answer::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "the request took too long and was given up",
                "ask again later; read before you repeat a change",
            ),
        };
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
        answer
    }
}

/// Waits until the server ends; one that is gone has ended.
async fn end(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|ending| *ending).await;
}

fn local_only_without_a_proxy(mut peer: Peer, headers: &HeaderMap) -> Peer {
    if headers.keys().any(|name| PROXY_HEADERS.contains(name)) {
        peer.loopback_or_unix = false;
    }
    peer
}
