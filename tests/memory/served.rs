//! The binary's memory, read from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::secret::{base64url, random};

use crate::scan::{Memory, Wanted};

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_strongroom");
/// A user who is nobody else here.
const NOBODY: u32 = 65_534;

/// A secret that occurs nowhere else.
fn canary(name: &str) -> String {
    format!("{name}-{}", base64url(&random::<18>()))
}

/// A data directory made by `init`.
struct Home {
    home: tempfile::TempDir,
    passphrase: String,
    said: Value,
}

impl Home {
    fn init() -> Self {
        let home = tempfile::tempdir().unwrap();
        let passphrase = canary("passphrase");
        let file = home.path().join("passphrase");
        std::fs::write(&file, &passphrase).unwrap();
        let made = Command::new(BINARY)
            .env_clear()
            .args(["init", "--json", "--kdf-memory-mib", "64", "--data"])
            .arg(home.path().join("data"))
            .arg("--passphrase-file")
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let said = serde_json::from_slice(&made.stdout).unwrap();
        Self {
            home,
            passphrase,
            said,
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn key(&self) -> String {
        self.said["access_key"].as_str().unwrap().to_owned()
    }

    /// Serves, locked, and waits until it listens.
    fn serve(&self, binary: &Path, user: Option<u32>) -> Served {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .current_dir(self.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (told, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = writeln!(std::io::stderr(), "serve: {line}");
                if let Some((_, rest)) = line.split_once("listening on http://") {
                    let address = rest.split([',', ' ']).next().unwrap_or_default();
                    let _ = told.send(address.to_owned());
                }
            }
        });
        let address = heard.recv_timeout(PATIENCE).expect("it listens in time");
        Served { child, address }
    }
}

/// A server; it ends with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    /// One request on a connection of its own, which is closed when it is answered.
    fn ask(&self, method: &str, path: &str, key: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer \
             {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory of a server, where this user may read it.
fn memory_of(served: &Served) -> Option<Memory> {
    match Memory::of(served.pid()) {
        Ok(memory) => Some(memory),
        Err(error) => {
            // Past the harness. No failure: a container may forbid it to root as well.
            let why = format!("a server's memory may not be read here: {error}");
            let _ = writeln!(std::io::stderr(), "SKIPPED M1: {why}");
            None
        }
    }
}

/// Scans until nothing is found any more: a connection is torn down a moment after its answer.
fn settled(memory: &Memory, wanted: &Wanted, skipped: &[std::ops::Range<u64>]) -> Vec<String> {
    const TRIES: u32 = 5;
    let mut hits = memory.find(wanted, skipped);
    for _ in 1..TRIES {
        if hits.is_empty() {
            break;
        }
        hits = memory.find(wanted, skipped);
    }
    hits
}

/// Puts secrets of every kind through a server.
fn use_it(served: &Served, home: &Home, wanted: &mut Wanted) {
    let key = home.key();
    let unlock = json!({ "passphrase": home.passphrase });
    served.ask("POST", "/v1/unlock", "none", &unlock);
    let ask = |method: &str, path: &str, body: Value| served.ask(method, path, &key, &body);
    let [client_secret, api_key, access, refresh] =
        ["client-secret", "api-key", "access", "refresh"].map(canary);
    ask(
        "POST",
        "/v1/apps",
        json!({"id": "maps", "name": "Maps", "kind": "api_key"}),
    );
    let app = json!({"id": "mail", "name": "Mail", "kind": "oauth", "client_id": "me",
        "client_secret": client_secret, "authorization_url": "https://id.example/a",
        "token_url": "https://id.example/t"});
    ask("POST", "/v1/apps", app);
    ask(
        "PUT",
        "/v1/tokens",
        json!({"app": "maps", "user": "ann", "api_key": api_key}),
    );
    let token = json!({"app": "mail", "user": "ann", "access_token": access,
        "refresh_token": refresh, "expires_at": "2999-01-01T00:00:00Z"});
    let stored = ask("PUT", "/v1/tokens", token);
    for app in ["maps", "mail"] {
        let said = ask("POST", "/v1/token", json!({"app": app, "user": "ann"}));
        assert_eq!(said["outcome"], "ok");
    }
    let path = format!("/v1/tokens/{}/reveal", stored["id"].as_str().unwrap());
    assert_eq!(ask("POST", &path, json!({}))["refresh_token"], refresh);
    let made = ask(
        "POST",
        "/v1/keys",
        json!({"name": "second", "role": "reader"}),
    );
    let second = made["key"].as_str().unwrap().to_owned();
    for (what, secret) in [
        ("the client secret", client_secret),
        ("the API key", api_key),
        ("the access token", access),
        ("the refresh token", refresh),
        ("the second access key", second),
        ("the first access key", key.clone()),
    ] {
        // `sr_<id>_<secret>`: of an access key its last part is secret.
        let secret = match secret.starts_with("sr_") {
            true => secret.splitn(3, '_').nth(2).unwrap().to_owned(),
            false => secret,
        };
        wanted.add(what, secret.into_bytes());
    }
}

/// Goal: keys lie in the locked page alone while the vault is unlocked, and a locked server's
/// memory holds nothing that was ever secret. Method: unlock over HTTP, store, fetch, reveal; take
/// the keys from their page; scan all of the process's memory; lock; scan again.
#[test]
fn m1_a_locked_server_remembers_no_secret() {
    let home = Home::init();
    let served = home.serve(Path::new(BINARY), None);
    let Some(memory) = memory_of(&served) else {
        return;
    };
    let mut wanted = Wanted::default();
    use_it(&served, &home, &mut wanted);
    wanted.add("the passphrase", home.passphrase.clone().into_bytes());
    let recovery = home.said["recovery_code"].as_str().unwrap();
    wanted.add("the recovery code", recovery.as_bytes().to_vec());
    let keys = memory.take_keys(&mut wanted);
    assert!(keys >= 10, "a root key, its subkeys and a term: {keys}");
    assert_ne!(memory.status("VmLck"), "0 kB");
    let pages: Vec<_> = memory
        .key_pages()
        .into_iter()
        .map(|page| page.range)
        .collect();
    assert!(
        memory.find(&wanted, &[]).len() >= keys,
        "the scan sees what is there"
    );
    // Tokens are in use while it is unlocked; the keys, and what they came from, are not.
    let mut outside = settled(&memory, &wanted, &pages);
    outside.retain(|hit| {
        ["key page", "passphrase", "recovery"]
            .iter()
            .any(|s| hit.contains(s))
    });
    assert!(
        outside.is_empty(),
        "unlocked, outside the key page: {outside:#?}"
    );

    served.ask("POST", "/v1/lock", &home.key(), &json!({}));
    // The stacks of its threads are used by others.
    for _ in 0..50 {
        served.ask("GET", "/health", "none", &Value::Null);
    }
    let left = settled(&memory, &wanted, &[]);
    assert!(left.is_empty(), "locked: {left:#?}");
    assert_eq!(memory.status("VmLck"), "0 kB");
    assert!(memory.key_pages().is_empty());
}

/// Goal: whatever ends the process, no core file is written. Method: the limit as the kernel shows
/// it; SIGSEGV and SIGABRT, in a directory where a core file would lie.
#[test]
fn m2_a_server_that_is_ended_by_a_fault_leaves_no_core() {
    let home = Home::init();
    for signal in [
        rustix::process::Signal::SEGV,
        rustix::process::Signal::ABORT,
    ] {
        let mut served = home.serve(Path::new(BINARY), None);
        let limits = format!("/proc/{}/limits", served.pid());
        let limits = std::fs::read_to_string(limits).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = line.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"]);
        let id = rustix::process::Pid::from_child(&served.child);
        // The runtime's handler takes the first SIGSEGV for a fault that will come again.
        let mut ended = None;
        for _ in 0..1_000_000 {
            let _ = rustix::process::kill_process(id, signal);
            ended = served.child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let status = ended.expect("it ends");
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert!(!status.core_dumped());
    }
    let names = std::fs::read_dir(home.path()).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.contains("core")), "{names:?}");
}

/// Goal: nobody of the same user reads the server's memory. Method: as root, serve as nobody; the
/// kernel gives what is undumpable to root; another process of nobody's is refused.
#[test]
fn m2_another_process_of_the_same_user_is_refused() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: only root may start a server as somebody else"
        );
        return;
    }
    let home = Home::init();
    let binary = home.path().join("strongroom");
    std::fs::copy(BINARY, &binary).unwrap();
    give_to_nobody(home.path());
    let served = home.serve(&binary, Some(NOBODY));
    let place = PathBuf::from(format!("/proc/{}", served.pid()));
    assert_eq!(std::fs::metadata(place.join("mem")).unwrap().uid(), 0);
    let read = |pid: u32| {
        let mut command = Command::new("head");
        command.args(["-c", "1", &format!("/proc/{pid}/environ")]);
        command
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(!read(served.pid()), "it was read");
    // The check can fail: of a process that is dumpable the same user reads it.
    let mut plain = Command::new("sleep");
    let mut plain = plain.arg("600").uid(NOBODY).gid(NOBODY).spawn().unwrap();
    let is_read = read(plain.id());
    plain.kill().unwrap();
    plain.wait().unwrap();
    assert!(is_read);

    fn give_to_nobody(path: &Path) {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                give_to_nobody(&entry.unwrap().path());
            }
        }
    }
}
