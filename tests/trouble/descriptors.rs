//! D4: 64 file descriptors, and a thousand clients that say nothing.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use strongroom::clock::Clock;
use tokio::net::TcpStream;

use crate::house::{House, Server};
use crate::support::{Api, Outside, PATIENCE, client};

const FILES: u32 = 64;
const SILENT: usize = 1000;
/// What the server's processor time is measured over.
const SPAN_S: u64 = 5;
/// Longest wait of a newcomer: the thousand before it have half a second each, 21 at a time.
const TURN: Duration = Duration::from_secs(90);

/// Processor time of a process so far, in hundredths of a second.
fn processor_time(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name may hold blanks and ends with the last parenthesis; user and system time are the
    // 14th and 15th field.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A loop that spins beside a server: a machine that is busy with other things gives both the same.
struct Spinner(std::process::Child);

impl Spinner {
    fn start() -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "while :; do :; done"]);
        Self(shell.stdin(Stdio::null()).spawn().unwrap())
    }

    /// True where so much processor time is at least half of what the loop has had.
    fn is_matched_by(&self, spent: u64) -> bool {
        2 * spent >= processor_time(self.0.id())
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// File descriptors that a process has open.
fn descriptors(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// Lets this process have as many connections as the system allows it.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, all).unwrap();
}

async fn silent_clients(server: &Server) -> Vec<TcpStream> {
    let address = server.api.url.trim_start_matches("http://").to_owned();
    let mut coming = tokio::task::JoinSet::new();
    for _ in 0..SILENT {
        let address = address.clone();
        coming.spawn(async move { TcpStream::connect(address).await.unwrap() });
    }
    tokio::time::timeout(PATIENCE, coming.join_all())
        .await
        .unwrap()
}

/// A client with connections of its own, which waits its turn.
fn newcomer(api: &Api) -> Api {
    let waits = reqwest::Client::builder().no_proxy().timeout(TURN);
    Api {
        client: waits.build().unwrap(),
        ..api.clone()
    }
}

async fn stores(api: &Api, user: &str) {
    let body = json!({ "app": "maps", "user": user, "api_key": format!("key of {user}") });
    let (status, said) = api.put("/v1/tokens", body).await;
    assert_eq!(status, 200, "{said}");
}

async fn refreshes(api: &Api, access: &Value) -> Value {
    let ask = json!({ "app": "demo", "user": "u", "rejected": access });
    let (status, said) = api.post("/v1/token", ask).await;
    assert_eq!((status, &said["outcome"]), (200, &json!("ok")), "{said}");
    assert_ne!(&said["access_token"], access);
    said["access_token"].clone()
}

/// A served vault with an app of each kind, and a connected user's access token.
async fn begin(house: &House, outside: &Outside) -> (Server, Value) {
    let allowed = outside.issuer.trim_start_matches("http://");
    let server = house.serve(Some(FILES), &["--allow-host", allowed]);
    server.api.add_demo(outside).await;
    let maps = json!({ "id": "maps", "kind": "api_key", "name": "Maps" });
    let (status, said) = server.api.post("/v1/apps", maps).await;
    assert_eq!(status, 201, "{said}");
    let issued = outside.sandbox.grant("demo", "ada", &["calendar.read"]);
    let access = json!(issued.access_token.expose());
    let life = Duration::from_secs(3600);
    let token = json!({
        "app": "demo", "user": "u", "access_token": access,
        "refresh_token": issued.refresh_token.expose(),
        "expires_at": Clock::system().now().plus(life).to_string(),
    });
    let (status, said) = server.api.put("/v1/tokens", token).await;
    assert_eq!(status, 200, "{said}");
    (server, access)
}

/// A wait of [`SPAN_S`] that the server does: a long poll of a link that nobody opens.
async fn span(api: &Api) {
    let link = json!({ "apps": [{ "app": "demo" }], "user": "v", "verify": "code" });
    let (status, link) = api.post("/v1/connect", link).await;
    assert_eq!(status, 201, "{link}");
    let id = link["id"].as_str().unwrap();
    let (status, said) = api.get(&format!("/v1/connect/{id}?wait={SPAN_S}")).await;
    assert_eq!(status, 200, "{said}");
}

/// Goal: with few descriptors a crowd that says nothing neither stops storing and refreshing nor
/// keeps newcomers out, costs next to no processor time, and leaves no trace when it goes. Method:
/// 64 descriptors, 1000 silent clients; one client works on while they come, another one comes
/// behind them; then they all go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_a_thousand_silent_clients_keep_nobody_from_storing_and_refreshing() {
    raise_own_limit();
    let outside = Outside::start(&Clock::system()).await;
    let house = House::plain();
    let (server, mut access) = begin(&house, &outside).await;
    assert!(server.has_logged("the system allows 64 open files"));
    let open = descriptors(server.id());
    let crowd = silent_clients(&server).await;
    let before = processor_time(server.id());
    let spinner = Spinner::start();
    let late = newcomer(&server.api);
    let behind = tokio::spawn(async move { stores(&late, "newcomer").await });
    let measured = {
        let api = server.api.clone();
        tokio::spawn(async move { span(&api).await })
    };
    for user in ["a", "b", "c"] {
        stores(&server.api, user).await;
        access = refreshes(&server.api, &access).await;
    }
    measured.await.unwrap();
    let spent = processor_time(server.id()) - before;
    let most = processor_time(spinner.0.id());
    println!("D4: {spent} hundredths of a second spent, and {most} by a loop that spins");
    assert!(!spinner.is_matched_by(spent), "{spent} of {most}: it spins");
    drop(spinner);
    behind.await.unwrap();
    drop(crowd);
    let fresh = Api {
        client: client(),
        ..server.api.clone()
    };
    stores(&fresh, "afterwards").await;
    refreshes(&fresh, &access).await;
    let recovered = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        // A connection to the provider and one of each client of ours may be kept.
        while descriptors(server.id()) > open + 4 {
            every.tick().await;
        }
    };
    let recovered = tokio::time::timeout(PATIENCE, recovered).await;
    assert!(recovered.is_ok(), "{} are left", descriptors(server.id()));
    assert!(!server.has_logged("Too many open files"));
    assert!(!server.has_logged("cannot accept"));
    assert_eq!(outside.sandbox.counts().reuse_detected, 0);
    assert_eq!(server.terminate(), Some(0));
}

/// Goal: too few descriptors are told before anything is begun. Method: 30 of them.
#[test]
fn d4_too_few_descriptors_are_refused_at_the_start() {
    let house = House::plain();
    let refused = house.refused_with(30);
    let said = crate::house::told(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("allows 30 open files, and a server needs 41"),
        "{said}"
    );
}

/// Goal: a loop that spins would be seen. Method: a shell that does, in the server's place.
#[test]
fn d4_a_loop_that_spins_would_be_seen() {
    let (server, spinner) = (Spinner::start(), Spinner::start());
    let clock = Clock::system();
    let begun = clock.now();
    while clock.now().since(begun) < PATIENCE && processor_time(spinner.0.id()) < 50 {
        std::thread::yield_now();
    }
    let spent = processor_time(server.0.id());
    assert!(spinner.is_matched_by(spent), "only {spent} hundredths");
    assert!(!spinner.is_matched_by(0));
}
