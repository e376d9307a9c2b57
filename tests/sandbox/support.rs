//! A sandbox on a real socket with a test clock, and a small HTTP/1.1 client that hides nothing.
//!
//! It promises: one connection per request, every byte of an answer is seen as it came.
//! It never: follows a redirect, or waits without a bound.

use std::time::Duration;

use strongroom::clock::{Clock, Timestamp};
use strongroom::sandbox::{Client, ClientAuth, Counts, Rotation, Sandbox, Settings, User};
use strongroom::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const CALLBACK: &str = "http://127.0.0.1:1/callback?app=demo";
/// RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Longest wait of a test for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub sandbox: Sandbox,
    pub clock: Clock,
    pub issuer: String,
    address: std::net::SocketAddr,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = format!("http://{address}");
        let clock = Clock::test(Timestamp::from_unix_ms(1_790_000_000_000));
        let mut settings = Settings::new(&issuer);
        settings.clients = vec![
            client("demo", Some("s3cret")),
            client("other", Some("t0p")),
            client("public", None),
        ];
        settings.users = vec![
            User {
                name: String::from("ada"),
                password: Some(Secret::new(String::from("engine"))),
            },
            User {
                name: String::from("guest"),
                password: None,
            },
        ];
        settings.rotation = Rotation::On {
            grace: Duration::ZERO,
        };
        change(&mut settings);
        let sandbox = Sandbox::new(settings, clock.clone());
        let server = sandbox.clone();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        Self {
            sandbox,
            clock,
            issuer,
            address,
        }
    }

    pub fn counts(&self) -> Counts {
        self.sandbox.counts()
    }

    /// Sends a request; `None` where the connection ends without an answer.
    pub async fn send(&self, request: &str) -> Option<Answer> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // A connection that was reset ends like one that was closed.
            let _ = stream.read_to_end(&mut answer).await;
            Answer::parse(&answer)
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap()
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", head(headers));
        self.send(&request).await.expect("an answer")
    }

    pub async fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Option<Answer> {
        let body = encode(form);
        let request = format!(
            "POST {path} HTTP/1.1\r\n{}content-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            head(headers),
            body.len()
        );
        self.send(&request).await
    }

    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Answer {
        self.try_post(path, headers, form).await.expect("an answer")
    }

    /// A token request of client `demo`.
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.post("/token", &[], &as_demo(form)).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.token(&refresh_form(token)).await
    }

    pub async fn redeem(&self, code: &str) -> Answer {
        self.token(&redeem_form(code)).await
    }

    /// The status of `/api/me` for an access token.
    pub async fn me(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.get("/api/me", &[("authorization", &bearer)]).await
    }

    /// A grant of client `demo` for `ada` with scopes `read` and `write`: access and refresh token.
    pub fn seed(&self) -> (String, String) {
        let issued = self.sandbox.grant("demo", "ada", &["read", "write"]);
        let open = |token: &Secret<String>| token.expose().clone();
        (open(&issued.access_token), open(&issued.refresh_token))
    }
}

pub fn refresh_form(token: &str) -> [(&str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

pub fn redeem_form(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

pub fn as_demo<'a>(form: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form = form.to_vec();
    form.extend([("client_id", "demo"), ("client_secret", "s3cret")]);
    form
}

/// An authorization request of client `demo` that is right, with some parameters changed; one
/// changed to nothing is left out.
pub fn authorize_path(changes: &[(&str, &str)]) -> String {
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", "demo"),
        ("redirect_uri", CALLBACK),
        ("state", "st&te"),
        ("scope", "read write"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    query.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    query.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    format!("/authorize?{}", encode(&query))
}

fn client(id: &str, secret: Option<&str>) -> Client {
    Client {
        id: id.to_owned(),
        secret: secret.map(|secret| Secret::new(secret.to_owned())),
        redirect_uris: vec![CALLBACK.to_owned()],
        auth: ClientAuth::Any,
    }
}

fn head(headers: &[(&str, &str)]) -> String {
    let mut head = String::from("host: 127.0.0.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// A browser: it keeps the session cookie, and reads the id out of a form.
pub struct Browser<'a> {
    rig: &'a Rig,
    pub cookie: Option<String>,
}

impl<'a> Browser<'a> {
    pub fn new(rig: &'a Rig) -> Self {
        Self { rig, cookie: None }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let cookie = self.cookie.clone().unwrap_or_default();
        let answer = self.rig.get(path, &[("cookie", &cookie)]).await;
        self.keep(answer)
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let cookie = self.cookie.clone().unwrap_or_default();
        let answer = self.rig.post(path, &[("cookie", &cookie)], form).await;
        self.keep(answer)
    }

    /// Goes to `path` and signs in as `guest`; answers the request's id, ready for consent.
    pub async fn reach_consent(&mut self, path: &str) -> String {
        let id = self.get(path).await.request_id();
        let to = self
            .post("/login", &[("request", &id), ("user", "guest")])
            .await;
        assert_eq!(to.status, 303);
        assert_eq!(self.get(to.header("location")).await.status, 200);
        id
    }

    /// The whole way to a code.
    pub async fn code(&mut self, path: &str) -> String {
        let id = self.reach_consent(path).await;
        let form = [
            ("request", &*id),
            ("scope", "read"),
            ("scope", "write"),
            ("decision", "allow"),
        ];
        self.post("/consent", &form).await.returned("code")
    }

    fn keep(&mut self, answer: Answer) -> Answer {
        if let Some(cookie) = answer.maybe_header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        answer
    }
}

pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        };
        if answer.maybe_header("transfer-encoding") == Some("chunked") {
            answer.body = dechunk(&answer.body);
        }
        Some(answer)
    }

    pub fn maybe_header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> &str {
        self.maybe_header(name).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A text field of a JSON answer.
    pub fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// Status and OAuth error code.
    pub fn error(&self) -> (u16, String) {
        (self.status, self.field("error"))
    }

    /// A parameter of the redirect back to the client.
    pub fn returned(&self, name: &str) -> String {
        let location = self.header("location");
        let query = location.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
            .unwrap_or_default()
    }

    /// The hidden request id of a form.
    pub fn request_id(&self) -> String {
        let text = self.text();
        let mark = "name=\"request\" value=\"";
        let from = text.find(mark).expect("a form") + mark.len();
        let rest = &text[from..];
        rest[..rest.find('"').unwrap()].to_owned()
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = bytes.get(end + 2..end + 2 + size) else {
            break;
        };
        whole.extend_from_slice(chunk);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}
