//! A bare hyper: the server that no server on hyper is faster than.
//!
//! It has the runtime, the HTTP settings and the TLS of the product's endpoint, and answers every
//! request with the same bytes: it reads no body, looks at no header, and knows nobody. Measures
//! nothing itself.

use std::convert::Infallible;
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
    let tls = match (words.next(), words.next()) {
        (Some(certificate), Some(key)) if !key.is_empty() => {
            Some(Tls::load(Path::new(&certificate), Path::new(&key))?)
        }
        _ => None,
    };
    std::thread::spawn(|| {
        // However it ends, whoever started us is gone.
        let _ = std::io::stdin().read(&mut [0; 1]);
        std::process::exit(0)
    });
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(Bytes::from(vec![b'x'; bytes]), tls))
}

async fn serve(body: Bytes, tls: Option<Tls>) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let acceptor = tls.map(|tls| Arc::new(TlsAcceptor::from(tls.config())));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (body, acceptor) = (body.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => converse(stream, body).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => converse(stream, body).await,
                    Err(error) => eprintln!("no handshake: {error}"),
                },
            }
        });
    }
}

async fn converse<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: I, body: Bytes) {
    let handler = service_fn(move |_: Request<Incoming>| {
        let mut answer = Response::new(Full::new(body.clone()));
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, json);
        std::future::ready(Ok::<_, Infallible>(answer))
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
