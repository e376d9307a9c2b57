//! A bare hyper: the server that no server on hyper is faster than.
//!
//! It has the runtime, the HTTP settings and the TLS of the product's endpoint, and answers every
//! request with the same bytes: it reads no body, looks at no header, and knows nobody. Measures
//! nothing itself.

use std::convert::Infallible;
use std::future::Future;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use strongroom::http::listen::Tls;
use strongroom::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Outcome;

/// The first argument of a process that is to be one.
pub const WORD: &str = "bare-hyper";

/// Serves until standard input ends: `BYTES [CERTIFICATE KEY]`.
pub fn run(mut words: impl Iterator<Item = String>) -> Outcome<()> {
    let bytes: usize = words.next().ok_or("how many bytes?")?.parse()?;
    let body = Bytes::from(vec![b'x'; bytes]);
    serve_until_left(tls(words)?, move |_| std::future::ready(json(body.clone())))
}

/// `[CERTIFICATE KEY]`.
pub fn tls(mut words: impl Iterator<Item = String>) -> Outcome<Option<Tls>> {
    match (words.next(), words.next()) {
        (Some(certificate), Some(key)) if !key.is_empty() => {
            Ok(Some(Tls::load(Path::new(&certificate), Path::new(&key))?))
        }
        _ => Ok(None),
    }
}

/// An answer of JSON.
pub fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// Has `answer` answer every request, until standard input ends.
pub fn serve_until_left<H, F>(tls: Option<Tls>, answer: H) -> Outcome<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    std::thread::spawn(|| {
        // However it ends, whoever started us is gone.
        let _ = std::io::stdin().read(&mut [0; 1]);
        std::process::exit(0)
    });
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(tls, answer))
}

async fn serve<H, F>(tls: Option<Tls>, answer: H) -> Outcome<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let acceptor = tls.map(|tls| Arc::new(TlsAcceptor::from(tls.config())));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (answer, acceptor) = (answer.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => converse(stream, answer).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => converse(stream, answer).await,
                    Err(error) => eprintln!("no handshake: {error}"),
                },
            }
        });
    }
}

async fn converse<I, H, F>(io: I, answer: H)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let handler = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_headers(limits::HEADERS_MAX)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(io), handler)
        .await;
    if let Err(error) = ended {
        eprintln!("a connection broke off: {error}");
    }
}
