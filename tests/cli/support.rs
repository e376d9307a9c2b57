//! Runs the binary, and plays the server it talks to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// Strong enough for the vault.
pub(crate) const PASSPHRASE: &str = "violet harbour mumbles often";
/// Another one.
pub(crate) const PASSPHRASE_2: &str = "granite otters whistle downwind";
/// An access key, by its looks.
pub(crate) const KEY: &str = "sr_0123456789abcdef_c2VjcmV0LW9mLXRoZS1hY2Nlc3Mta2V5";

/// What a run of the binary brought.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not JSON: {}", self.out))
    }

    /// Both streams: where a secret must not be.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Checks the code, showing what was said where it differs.
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// The two lines of a failure, behind those that told how far it was.
    pub(crate) fn failure(&self) -> (&str, &str) {
        let told = self.err.find("strongroom: ").unwrap_or(0);
        let failure = self.err[told..].trim_end();
        let (message, hint) = failure.split_once('\n').unwrap_or((failure, ""));
        let message = message.strip_prefix("strongroom: ").expect("a message");
        (message, hint.strip_prefix("hint: ").expect("a hint"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// Runs the binary with nothing of the test's environment that could steer it.
pub(crate) fn run(arguments: &[&str]) -> Run {
    run_with(arguments, &[], "")
}

/// Runs the binary with variables and standard input.
pub(crate) fn run_with(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that needs no input may end before it is written.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// A directory with a vault in it, made by `init`.
pub(crate) struct Made {
    _home: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) recovery_code: String,
}

impl Made {
    pub(crate) fn data(&self) -> &str {
        self.data.to_str().expect("a plain path")
    }

    /// A file beside the vault.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.data.with_file_name(name);
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("it is ours");
        path.to_str().expect("a plain path").to_owned()
    }
}

/// Makes a vault as cheaply as the floor allows.
pub(crate) fn init() -> Made {
    let home = tempfile::tempdir().expect("there is room");
    let data = home.path().join("vault");
    let arguments = [
        "init",
        "--data",
        path(&data),
        "--kdf-memory-mib",
        "64",
        "--json",
    ];
    let made = run_with(&arguments, &[], PASSPHRASE).ended(0).json();
    Made {
        data,
        recovery_code: made["recovery_code"].as_str().expect("a code").into(),
        _home: home,
    }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A request as the server saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Method and target: `GET /v1/apps`.
    pub(crate) what: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A server that gives the answers it was told, in order, one a connection, and then is gone.
pub(crate) struct Scripted {
    pub(crate) url: String,
    thread: JoinHandle<Vec<Seen>>,
}

impl Scripted {
    pub(crate) fn start(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let thread = std::thread::spawn(move || {
            let next = |answer| serve(listener.accept().expect("a client").0, &answer);
            answers.into_iter().map(next).collect()
        });
        Self { url, thread }
    }

    pub(crate) fn on_socket(path: &Path, answers: Vec<(u16, Value)>) -> Self {
        let listener = UnixListener::bind(path).expect("the path is free");
        let url = format!("unix:{}", path.display());
        let thread = std::thread::spawn(move || {
            let next = |answer| serve(listener.accept().expect("a client").0, &answer);
            answers.into_iter().map(next).collect()
        });
        Self { url, thread }
    }

    /// Over TLS, with a certificate for `localhost` that nobody has signed; its PEM comes back.
    pub(crate) fn over_tls(answers: Vec<(u16, Value)>) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("there are some")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("they fit");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let thread = std::thread::spawn(move || {
            let next = |answer| {
                let tls = ServerConnection::new(Arc::clone(&config)).expect("it is configured");
                let tcp = listener.accept().expect("a client").0;
                serve(StreamOwned::new(tls, tcp), &answer)
            };
            answers.into_iter().map(next).collect()
        });
        let url = format!("https://localhost:{port}");
        (Self { url, thread }, made.cert.pem())
    }

    /// Runs the binary against it, with an access key.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        let variables = [
            ("STRONGROOM_URL", self.url.as_str()),
            ("STRONGROOM_KEY", KEY),
        ];
        run_with(arguments, &variables, input)
    }

    /// Whether it got through its script; its thread ends with a panic where a client broke off.
    pub(crate) fn was_answered(self) -> bool {
        self.thread.join().is_ok()
    }

    /// What it was asked. Every answer must have been fetched.
    pub(crate) fn seen(self) -> Vec<Seen> {
        self.thread.join().expect("every answer was fetched")
    }
}

fn serve(stream: impl Read + Write, answer: &(u16, Value)) -> Seen {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = reader.read_line(&mut head).expect("a request");
        assert!(read > 0, "the request broke off: {head}");
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a whole body");
    let (status, answer) = answer;
    let answer = answer.to_string();
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{answer}",
        answer.len()
    );
    reader
        .get_mut()
        .write_all(text.as_bytes())
        .expect("the client reads");
    let what = head.lines().next().unwrap_or_default();
    Seen {
        what: what.trim_end_matches(" HTTP/1.1").to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        head,
    }
}
