//! Refresh on a disk that fails (R4, R8, D2): what a provider granted is served and stored in the
//! end, and nothing is spent that could not be stored.

use tokio::task::JoinHandle;

use super::*;
use crate::clock::Timestamp;
use crate::model::app::{App, AppKind, ClientAuth, Endpoints, OAuth};
use crate::model::url::WebUrl;
use crate::model::{Address, Owner, Scopes, UserId};
use crate::provider::egress::EgressSettings;
use crate::sandbox::{self, Client, Endpoint, Misbehaviour, Rotation, Sandbox};
use crate::store::faulty::Faulty;
use crate::vault::{NewCredential, Upload};

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);
const PATIENCE: Duration = Duration::from_secs(20);

/// A refresher, its provider, and the disk under its vault.
struct Bench {
    disk: Faulty,
    clock: Clock,
    sandbox: Sandbox,
    refresher: Refresher,
}

fn handed(outcome: Result<Outcome>) -> Handed {
    match outcome.unwrap() {
        Outcome::Ok(handed) => *handed,
        Outcome::Unavailable { message, .. } => panic!("{message}"),
        _ => panic!("to be connected"),
    }
}

fn demo() -> AppId {
    AppId::parse("demo").unwrap()
}

/// A plain ask for a user's token.
fn wanted(user: &str) -> TokenAsk {
    TokenAsk {
        ask: Ask {
            app: demo(),
            owner: owner(user),
            account: None,
            scopes: None,
            min_ttl: Duration::from_secs(30),
            with_refresh_token: false,
        },
        force: false,
        rejected: None,
    }
}

fn owner(user: &str) -> Owner {
    Owner::User(UserId::parse(user).unwrap())
}

fn oauth(issuer: &str) -> OAuth {
    let url = |path: &str| Some(WebUrl::parse("url", &format!("{issuer}{path}")).unwrap());
    OAuth {
        by_hand: Endpoints {
            authorization_url: url("/authorize"),
            token_url: url("/token"),
            revocation_url: url("/revoke"),
            ..Endpoints::default()
        },
        client_auth: ClientAuth::None,
        ..OAuth::of("demo")
    }
}

impl Bench {
    async fn new() -> Self {
        Self::on(|disk, clock| Vault::on_disk(disk, clock).unwrap().0).await
    }

    async fn on(make: impl FnOnce(&Faulty, Clock) -> Vault + Send + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::test(NOW);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = sandbox::Settings::new(&issuer);
        settings.rotation = Rotation::On {
            grace: Duration::ZERO,
        };
        settings.clients = vec![Client {
            id: "demo".into(),
            secret: None,
            redirect_uris: vec![],
            auth: sandbox::ClientAuth::Any,
        }];
        let sandbox = Sandbox::new(settings, clock.clone());
        let server = sandbox.clone();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });

        let disk = Faulty::default();
        let (beneath, time) = (disk.clone(), clock.clone());
        let made = tokio::task::spawn_blocking(move || make(&beneath, time));
        let vault = made.await.unwrap();
        let app = App {
            name: "Demo".into(),
            return_urls: vec![],
            ..App::of(demo(), AppKind::OAuth(Box::new(oauth(&issuer))), NOW)
        };
        let added = vault.add_app(&Caller::local(), app, None).unwrap();
        added.await.unwrap();
        let egress = EgressSettings {
            allowed_hosts: vec!["127.0.0.1".into()],
            ..EgressSettings::default()
        };
        let provider = Provider::new(&egress, clock.clone()).unwrap();
        Self {
            disk,
            clock,
            sandbox,
            refresher: Refresher::new(vault, provider),
        }
    }

    /// Stores a token that lasts this many seconds.
    async fn store(&self, user: &str, seconds: u64) -> (TokenId, String) {
        let issued = self.sandbox.grant("demo", user, &[]);
        let access = issued.access_token.expose().clone();
        let new = NewToken::of(
            Address {
                app: demo(),
                owner: owner(user),
                account: None,
                scopes: Scopes::default(),
            },
            NewCredential::Uploaded(Upload {
                access_token: Some(issued.access_token),
                refresh_token: Some(issued.refresh_token),
                expires_at: Some(self.clock.now().plus(Duration::from_secs(seconds))),
                ..Upload::default()
            }),
        );
        let me = Caller::local();
        let stored = self.refresher.store(&me, new, false).await.unwrap();
        (stored.id, access)
    }

    async fn try_to_fetch(&self, user: &str) -> Result<Outcome> {
        let mut wanted = wanted(user);
        wanted.ask.with_refresh_token = true;
        let me = Caller::local();
        let token = self.refresher.token(&me, &wanted);
        tokio::time::timeout(PATIENCE, token).await.unwrap()
    }

    /// Waits until what waited for the disk is stored, by whomever.
    async fn stored_late(&self) {
        let stored = async {
            while self.refresher.store_unstored().await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, stored).await.unwrap();
    }

    /// Fetches until it is handed out: a disk that failed twice is let rest.
    async fn healed(&self, user: &str) -> Handed {
        let healed = async {
            loop {
                match self.try_to_fetch(user).await {
                    Ok(Outcome::Unavailable { .. }) => tokio::task::yield_now().await,
                    outcome => return handed(outcome),
                }
            }
        };
        tokio::time::timeout(PATIENCE, healed).await.unwrap()
    }

    /// Fetches until its owner is to connect again, and says why.
    async fn dead(&self, user: &str) -> ReconnectReason {
        let dead = async {
            loop {
                match self.try_to_fetch(user).await {
                    Ok(Outcome::Reconnect(reason)) => return reason,
                    Ok(Outcome::Unavailable { .. }) => tokio::task::yield_now().await,
                    outcome => panic!("{}", handed(outcome).token_type),
                }
            }
        };
        tokio::time::timeout(PATIENCE, dead).await.unwrap()
    }

    async fn handed(&self, user: &str) -> Handed {
        handed(self.try_to_fetch(user).await)
    }

    /// Begins to fetch while the provider hangs; the provider has been asked when this returns.
    async fn in_flight(self: &Arc<Self>, user: &'static str) -> JoinHandle<Result<Outcome>> {
        self.sandbox
            .misbehave(Endpoint::Token, Misbehaviour::Hang, Some(1));
        let (bench, before) = (Arc::clone(self), self.asked());
        let fetching = tokio::spawn(async move { bench.try_to_fetch(user).await });
        let asked = async {
            while self.asked() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap();
        fetching
    }

    fn asked(&self) -> u64 {
        self.sandbox.counts().token_requests
    }

    /// Access token and refresh token as they lie in the store.
    fn stored(&self, id: TokenId) -> (String, String) {
        let (record, cold) = self.refresher.vault().reveal(&Caller::local(), id).unwrap();
        (
            record.value.unwrap().expose().clone(),
            cold.refresh_token.unwrap().expose().clone(),
        )
    }
}

/// Goal: a disk that takes no writes for a while loses nothing that was granted, what was granted
/// is served, no refresh begins, and when it is well the vault goes on by itself. Method: all fails
/// behind the intent, until the test mends it; nothing is written by the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_disk_that_is_gone_for_a_while_loses_no_token() {
    let bench = Arc::new(Bench::new().await);
    let (id, first) = bench.store("u", 0).await;
    bench.store("v", 0).await;
    let fetching = bench.in_flight("u").await;
    bench.disk.fail_after(0);
    bench.sandbox.behave();
    assert_ne!(*handed(fetching.await.unwrap()).value.expose(), first);
    // R4, R8: no other refresh token is spent on such a disk.
    let other = bench.try_to_fetch("v").await;
    assert!(matches!(other, Ok(Outcome::Unavailable { .. })));
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(Duration::from_secs(600));
    bench.disk.mend();

    let life = Duration::from_secs(3600);
    let handed = bench.handed("u").await;
    assert_ne!(*handed.value.expose(), first);
    assert_eq!(handed.expires_at, Some(NOW.plus(life)), "kept is not new");
    assert_eq!(bench.asked(), 1);
    bench.stored_late().await;
    let rotated = handed.refresh_token.unwrap();
    let stored = (handed.value.expose().clone(), rotated.expose().clone());
    assert_eq!(bench.stored(id), stored);
    let kept = bench.handed("u").await;
    assert_eq!(
        kept.expires_at,
        Some(NOW.plus(life)),
        "stored late is not new"
    );
    bench.handed("v").await;
    bench.clock.advance(life);
    bench.handed("u").await;
    let counts = bench.sandbox.counts();
    assert_eq!((counts.refreshes_ok, counts.reuse_detected), (3, 0));
}

/// Goal: where one write fails and the disk is well again, no caller notices: the new token is
/// served from memory, refresh token and all, until it is stored. Method: every single change
/// behind the intent fails once, in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_one_failing_write_loses_no_token() {
    for changes in 0..18 {
        let bench = Arc::new(Bench::new().await);
        let (id, first) = bench.store("u", 0).await;
        let fetching = bench.in_flight("u").await;
        bench.disk.fail_once_after(changes);
        bench.sandbox.behave();
        let handed = handed(fetching.await.unwrap());
        assert_ne!(*handed.value.expose(), first, "{changes}");
        bench.disk.mend();
        assert!(bench.refresher.store_unstored().await.is_ok(), "{changes}");
        let rotated = handed.refresh_token.unwrap();
        let stored = (handed.value.expose().clone(), rotated.expose().clone());
        assert_eq!(bench.stored(id), stored, "{changes}");
        bench.clock.advance(Duration::from_secs(7200));
        bench.handed("u").await;
        let counts = bench.sandbox.counts();
        assert_eq!(
            (counts.refreshes_ok, counts.reuse_detected),
            (2, 0),
            "{changes}"
        );
    }
}

/// Goal: an intent that cannot be stored means that the provider is not asked (D2). Method: the
/// disk fails first, and is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_without_a_durable_intent_the_provider_is_not_asked() {
    let bench = Bench::new().await;
    let (_, valid) = bench.store("valid", 20).await;
    bench.store("ended", 0).await;
    bench.disk.fail_after(0);
    assert_eq!(*bench.handed("valid").await.value.expose(), valid);
    let outcome = bench.try_to_fetch("ended").await;
    assert!(matches!(outcome, Ok(Outcome::Unavailable { .. })));
    assert_eq!(*bench.handed("valid").await.value.expose(), valid);
    assert_eq!(bench.asked(), 0);
    bench.disk.mend();
    bench.healed("ended").await;
    assert_eq!((bench.asked(), bench.sandbox.counts().refreshes_ok), (1, 1));
}

/// Goal: what waits for the disk and belongs to nobody any more is taken back at the provider.
/// Method: the token is removed before its result is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_waiting_result_whose_token_was_removed_is_revoked() {
    let bench = Arc::new(Bench::new().await);
    let (id, _) = bench.store("u", 0).await;
    let fetching = bench.in_flight("u").await;
    bench.disk.fail_after(0);
    bench.sandbox.behave();
    let _ = fetching.await.unwrap();
    bench.disk.mend();
    let me = Caller::local();
    let removed = async {
        let vault = bench.refresher.vault();
        while let Err(Error::Storage(_)) = vault.remove_token(&me, id).unwrap().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, removed).await.unwrap();
    assert!(bench.refresher.store_unstored().await.is_ok());
    assert_eq!(bench.sandbox.counts().revocations, 2);
    assert!(matches!(
        bench.try_to_fetch("u").await,
        Ok(Outcome::Missing)
    ));
}

/// Goal: what is granted while the vault is locked is kept and stored behind the next unlock.
/// Method: lock in mid-flight. This vault cannot be unlocked again, so the keeping is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_what_is_granted_while_the_vault_is_locked_is_kept() {
    let bench = Arc::new(Bench::new().await);
    let (id, _) = bench.store("u", 0).await;
    bench
        .sandbox
        .misbehave(Endpoint::Token, Misbehaviour::Hang, Some(1));
    let flight = bench.refresher.refresh(Trip::asked(id));
    while bench.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let vault = bench.refresher.vault().clone();
    let locking = tokio::task::spawn_blocking(move || vault.lock(&Caller::local()));
    locking.await.unwrap().unwrap();
    bench.sandbox.behave();
    assert_eq!(flight.landing(PATIENCE).await, Landing::Unstored);
    assert!(bench.refresher.0.unstored.of(id).is_some());
    assert!(bench.refresher.store_unstored().await.is_err());
}

/// Goal: a provider that hangs holds up so many callers and no more, the refresh goes on for those
/// who were sent away, and who has something valid gets it. Method: one place; two callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_who_finds_no_place_to_wait_is_told_to_come_back() {
    let bench = Arc::new(Bench::new().await);
    bench.refresher.seat_at_most(1);
    bench.store("u", 0).await;
    bench.store("valid", 20).await;
    let waiting = bench.in_flight("u").await;
    let sent_away = bench.try_to_fetch("u").await;
    let Ok(Outcome::Unavailable { retry_after, .. }) = sent_away else {
        panic!("{:?}", sent_away.err());
    };
    assert_eq!(retry_after, limits::BACKOFF_FIRST);
    bench.handed("valid").await;
    bench.sandbox.behave();
    handed(waiting.await.unwrap());
    bench.handed("u").await;
    assert_eq!(bench.sandbox.counts().reuse_detected, 0);
}

/// Goal: flights are bounded, and who comes beyond the bound is told to come back. Method: flights
/// that do not end.
#[tokio::test]
async fn r3_flights_are_bounded_and_one_that_panics_leaves_no_trace() {
    let flights = Flights::default();
    let id = |number: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        TokenId::new(bytes)
    };
    let most = u64::try_from(limits::FLIGHTS_MAX).unwrap();
    for number in 0..most {
        assert!(flights.join(id(number), std::future::pending()).is_own());
    }
    assert!(!flights.join(id(7), std::future::pending()).is_own());
    let beyond = flights.join(id(most), std::future::pending());
    let landing = beyond.landing(PATIENCE).await;
    assert!(matches!(landing, Landing::Failed(Error::Busy(_))));
    assert_eq!(flights.count(), limits::FLIGHTS_MAX);

    let flights = Flights::default();
    let flight = flights.join(id(1), async { panic!("on purpose") });
    assert!(matches!(flight.landing(PATIENCE).await, Landing::Later(..)));
    flights.drained().await;
    assert_eq!(flights.count(), 0);
}

mod behind;
mod edges;
