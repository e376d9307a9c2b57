//! A server on loopback that says what a test tells it to, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does with one request.
#[derive(Clone)]
pub enum Reply {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes, then a byte now and then, for ever.
    Drip(Vec<u8>),
    /// Sends these bytes, then this chunk for ever.
    Flood(Vec<u8>),
    /// Sends these bytes once it is told to, and closes.
    #[allow(dead_code, reason = "of the suite `it`, which shares this server")]
    When(tokio::sync::watch::Receiver<bool>, Vec<u8>),
    /// Says nothing and keeps the connection.
    Silence,
    /// Closes at once.
    Close,
}

/// An answer with a status line, fields and a body.
pub fn reply(status: u16, fields: &str, body: &str) -> Reply {
    let text = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    );
    Reply::Bytes(text.into_bytes())
}

/// A JSON answer with status 200.
pub fn json(body: &str) -> Reply {
    reply(200, "Content-Type: application/json\r\n", body)
}

pub struct Server {
    pub address: SocketAddr,
    /// The requests seen, head and body.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The last request: head and body.
    pub fn last(&self) -> (String, String) {
        let seen = self.seen();
        let (head, body) = seen.last().unwrap().split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

type Script = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// Starts a server; `script` is given each request.
pub async fn serve(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
    start(None, Arc::new(script)).await
}

/// The same, behind TLS.
pub async fn serve_tls(
    tls: tokio_rustls::TlsAcceptor,
    script: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> Server {
    start(Some(tls), Arc::new(script)).await
}

async fn start(tls: Option<tokio_rustls::TlsAcceptor>, script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, script, log) = (tls.clone(), script.clone(), log.clone());
            tokio::spawn(async move {
                match tls {
                    None => talk(stream, &script, &log).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            talk(stream, &script, &log).await;
                        }
                    }
                }
            });
        }
    });
    Server { address, seen }
}

async fn talk<S>(mut stream: S, script: &Script, log: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    match script(&request) {
        Reply::Close => {}
        Reply::Silence => std::future::pending().await,
        Reply::When(mut told, bytes) => {
            let _ = told.wait_for(|told| *told).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Drip(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let mut every = tokio::time::interval(std::time::Duration::from_millis(10));
            while stream.write_all(b" ").await.is_ok() {
                every.tick().await;
            }
        }
        Reply::Flood(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
