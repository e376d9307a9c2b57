//! A server with a handler for these tests, and a client that speaks bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, SERVER};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use strongroom::error::{Error, Result};
use strongroom::http::answer::{self, Answer};
use strongroom::http::body::read_body;
use strongroom::http::guard::{Door, HostRule};
use strongroom::http::listen::{self, ListenAddress, Listener};
use strongroom::http::serve::{Peer, ServeSettings, serve};
use strongroom::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// Nothing here takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A time-out short enough to be waited for.
pub(crate) const SHORT: Duration = Duration::from_millis(150);
/// What `/panic` panics with.
pub(crate) const PAYLOAD: &str = "sk-live-in-a-panic";

/// A running server.
pub(crate) struct Running {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) state: Arc<State>,
    end: oneshot::Sender<()>,
    done: JoinHandle<Result<()>>,
}

/// What the handler shares with the test.
#[derive(Default)]
pub(crate) struct State {
    /// Requests that reached `/slow`.
    pub(crate) slow: Notify,
    /// Lets one `/slow` go on.
    pub(crate) go: Notify,
    /// Requests handled.
    pub(crate) handled: AtomicUsize,
}

impl Running {
    /// Starts on a free loopback port.
    pub(crate) async fn tcp(change: impl FnOnce(&mut ServeSettings)) -> Self {
        let listener = bind("127.0.0.1:0").await;
        Self::on(vec![listener], change)
    }

    pub(crate) fn on(listeners: Vec<Listener>, change: impl FnOnce(&mut ServeSettings)) -> Self {
        let bound: Vec<SocketAddr> = listeners.iter().filter_map(Listener::tcp_address).collect();
        let mut settings = ServeSettings::new(HostRule::new(&bound, false));
        change(&mut settings);
        if settings.tls.is_some() {
            settings.hosts = HostRule::new(&bound, true);
        }
        let hosts = settings.hosts.clone();
        let state = Arc::new(State::default());
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&state);
        let service =
            move |request, peer| handle(request, peer, Arc::clone(&shared), hosts.clone());
        let done = tokio::spawn(serve(listeners, settings, service, async {
            let _ = ended.await;
        }));
        Self {
            address: bound.first().copied(),
            state,
            end,
            done,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.unwrap()).await.unwrap()
    }

    /// Tells the server to end, and waits until it has.
    pub(crate) async fn finish(self) {
        self.end().await.unwrap();
    }

    /// Tells the server to end; the handle says when it has.
    pub(crate) fn end(self) -> impl Future<Output = Result<()>> {
        self.end.send(()).unwrap();
        async { within(self.done).await.unwrap() }
    }

    /// `Host: …` of this server, with the line's end.
    pub(crate) fn host(&self) -> String {
        format!("Host: {}\r\n", self.address.unwrap())
    }
}

pub(crate) async fn bind(address: &str) -> Listener {
    listen::bind(&ListenAddress::parse(address).unwrap())
        .await
        .unwrap()
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("this takes no time unless it is broken")
}

async fn handle(
    request: Request<Incoming>,
    peer: Peer,
    state: Arc<State>,
    hosts: HostRule,
) -> Answer {
    state.handled.fetch_add(1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/echo" => match read_body(body, limits::BODY_BYTES_MAX).await {
            Ok(bytes) => Response::new(Full::new(bytes)),
            Err(error) => {
                let status = match error {
                    Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                answer::error(status, error.code(), &error.to_string(), error.hint())
            }
        },
        "/peer" => text(format!("{peer:?}")),
        "/panic" => panic!("{PAYLOAD}"),
        "/slow" => {
            state.slow.notify_one();
            state.go.notified().await;
            text("slow")
        }
        "/big" => Response::new(Full::new(Bytes::from(vec![b'x'; 32 * 1024 * 1024]))),
        "/cors" => {
            let mut answer = text("cors");
            let headers = answer.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(SERVER, HeaderValue::from_static("strongroom"));
            answer
        }
        path => {
            let door = if path == "/page" {
                Door::Page
            } else {
                Door::Api
            };
            match hosts.check_origin(&parts.headers, &parts.method, door) {
                Ok(()) => text("ok"),
                Err(refusal) => refusal.answer(),
            }
        }
    }
}

fn text(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()))
}

/// One answer as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn has(&self, header: &str) -> bool {
        self.head
            .lines()
            .any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// Reads one answer; `None` where the connection ends before it begins.
pub(crate) async fn receive<I: AsyncRead + Unpin>(io: &mut I) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match within(io.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return None,
            Err(why) => panic!("the answer breaks off: {why}"),
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    within(io.read_exact(&mut body)).await.unwrap();
    Some(Received {
        status: head[9..12].parse().unwrap(),
        head,
        body: String::from_utf8(body).unwrap(),
    })
}

/// Sends bytes and reads one answer.
pub(crate) async fn ask(io: &mut TcpStream, bytes: impl AsRef<[u8]>) -> Received {
    io.write_all(bytes.as_ref()).await.unwrap();
    receive(io).await.expect("an answer")
}

/// Waits for the other side to close, in order or not.
pub(crate) async fn closed<I: AsyncRead + Unpin>(io: &mut I) {
    let mut rest = Vec::new();
    let end = within(io.read_to_end(&mut rest)).await;
    assert!(
        matches!(end, Ok(0) | Err(_)),
        "something came: {}",
        String::from_utf8_lossy(&rest)
    );
}
