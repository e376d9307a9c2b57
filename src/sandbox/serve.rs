//! The server: connections, routes, and where a misbehaviour takes hold.
//!
//! It promises: connections, heads, bodies and waits are bounded; when told to stop, it takes no
//! more connections, lets open requests end for a short while, and then closes.
//! It never: holds the state's lock while it waits.

use std::fmt;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::misbehave::Misbehaviour;
use super::reply::{Outgoing, Reply};
use super::request::Request;
use super::rules::Shaping;
use super::{Sandbox, State, api, authorize, pages, token};
use crate::clock::Timestamp;
use crate::limits;

/// Serves connections until told to stop.
pub(super) async fn serve(
    sandbox: &Sandbox,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let seats = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        // The seat is taken before the connection is, so that the bound cannot leak.
        let next = async {
            let seat = seats.clone().acquire_owned().await;
            let seat = seat.expect("the semaphore is never closed");
            (accept(&listener).await, seat)
        };
        tokio::select! {
            (stream, seat) = next => {
                connections.spawn(connection(sandbox.clone(), stream, seat, stopped.clone()));
            }
            () = &mut shutdown => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    drop(stop);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::SANDBOX_DRAIN_MAX, drained)
        .await
        .is_err()
    {
        tracing::debug!("sandbox: closing connections that are still open");
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(problem) => {
                tracing::warn!(%problem, "sandbox: a connection could not be accepted");
                tokio::time::sleep(limits::SANDBOX_ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(
    sandbox: Sandbox,
    stream: TcpStream,
    seat: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<()>,
) {
    if let Err(problem) = stream.set_nodelay(true) {
        tracing::debug!(%problem, "sandbox: answers may be sent a little later");
    }
    let service = service_fn(move |request| answer(sandbox.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The sender never sends: this is its end.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(problem) = ended {
        tracing::debug!(%problem, "sandbox: a connection ended early");
    }
    drop(seat);
}

/// The connection is closed without an answer, on purpose.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed without an answer, on purpose")
    }
}

impl std::error::Error for Dropped {}

async fn answer(
    sandbox: Sandbox,
    request: hyper::Request<Incoming>,
) -> Result<Response<Outgoing>, Dropped> {
    let request = match Request::read(request).await {
        Ok(request) => request,
        Err(reply) => return Ok(whole(reply)),
    };
    let (trouble, behaved) = sandbox.receive(&request);
    let Some(trouble) = trouble else {
        return Ok(whole(process(&sandbox, &request, &Shaping::default())));
    };
    match trouble {
        Misbehaviour::CloseBefore => return Err(Dropped),
        Misbehaviour::Hang => wait(behaved).await?,
        // A client that gives up closes its connection, and this with it.
        Misbehaviour::Silence => {
            tokio::time::sleep(limits::SANDBOX_HANG_MAX).await;
            return Err(Dropped);
        }
        Misbehaviour::Huge(size) => {
            let reply = Reply::json(StatusCode::OK, json!({}));
            return Ok(reply.into_response(Outgoing::flood(size)));
        }
        _ => {}
    }
    let mut reply = trouble
        .instead()
        .unwrap_or_else(|| process(&sandbox, &request, &trouble.shaping()));
    trouble.reshape(&mut reply);
    match trouble {
        Misbehaviour::LoseAnswer => Err(Dropped),
        Misbehaviour::Delay(span) => {
            let clock = sandbox.clock();
            let span = span.min(limits::SANDBOX_HANG_MAX);
            clock.sleep_until(clock.now().plus(span)).await;
            Ok(whole(reply))
        }
        Misbehaviour::HalfAnswer => {
            let body = Outgoing::half(reply.bytes());
            Ok(reply.into_response(body))
        }
        Misbehaviour::SlowDrip(every) => {
            let body = Outgoing::drip(reply.bytes(), every, sandbox.clock().clone());
            Ok(reply.into_response(body))
        }
        _ => Ok(whole(reply)),
    }
}

async fn wait(mut behaved: watch::Receiver<()>) -> Result<(), Dropped> {
    match tokio::time::timeout(limits::SANDBOX_HANG_MAX, behaved.changed()).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Dropped),
    }
}

fn whole(reply: Reply) -> Response<Outgoing> {
    let body = Outgoing::Whole(reply.bytes());
    reply.into_response(body)
}

fn process(sandbox: &Sandbox, request: &Request, shaping: &Shaping) -> Reply {
    let now = sandbox.clock().now();
    let mut state = sandbox.state();
    let reply = route(&mut state, now, request, shaping);
    state.tell();
    reply
}

fn route(state: &mut State, now: Timestamp, request: &Request, shaping: &Shaping) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => pages::index(&state.settings),
        ("GET", "/style.css") => {
            Reply::text(StatusCode::OK, "text/css; charset=utf-8", pages::STYLE)
        }
        ("GET", "/authorize") => authorize::authorize(state, now, request),
        ("POST", "/login") => authorize::login(state, now, request),
        ("GET", "/consent") => authorize::consent_page(state, now, request),
        ("POST", "/consent") => authorize::consent(state, now, request),
        ("POST", "/token") => token::token(state, now, request, shaping),
        ("POST", "/revoke") => token::revoke(state, request),
        ("POST", "/introspect") => token::introspect(state, now, request),
        ("GET", "/api/me") => api::me(state, now, request),
        ("GET", "/api/key") => api::key(state, request),
        ("GET", "/jwks") => Reply::json(StatusCode::OK, json!({"keys": []})),
        ("GET", "/.well-known/oauth-authorization-server") => api::metadata(&state.settings, false),
        ("GET", "/.well-known/openid-configuration") => api::metadata(&state.settings, true),
        (_, path) => nowhere(path),
    }
}

fn nowhere(path: &str) -> Reply {
    let allowed = match path {
        "/consent" => "GET, POST",
        "/login" | "/token" | "/revoke" | "/introspect" => "POST",
        "/"
        | "/style.css"
        | "/authorize"
        | "/api/me"
        | "/api/key"
        | "/jwks"
        | "/.well-known/oauth-authorization-server"
        | "/.well-known/openid-configuration" => "GET",
        _ => return pages::problem(StatusCode::NOT_FOUND, "There is no such page here."),
    };
    let text = "This address does not take that method.";
    pages::problem(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, allowed)
}
