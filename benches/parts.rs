//! The small parts of a fetch, each alone: `cargo bench --bench parts`.
//!
//! Measures: sealing a record of two parts and opening its hot one, one keyed hash of an index key
//! (a token's key takes four), the decision, finding an access key, parsing a request and writing
//! the answer. Putting an entry on the audit trail is not to be had alone from outside: it is
//! measured as `Vault::record_fetch`, which decides and appends, on a vault in a directory; and the
//! whole fetch as `Vault::fetch` on a vault in memory, whose trail is in memory too.
//!
//! Does not measure: anything beside a limit (`figures` does), the disk, or HTTP.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use strongroom::clock::{Clock, Timestamp};
use strongroom::http::wire;
use strongroom::http::wire::tokens::{TokenRequest, handed};
use strongroom::model::access::{Action, Caller, Role, Target, decide};
use strongroom::model::app::{App, AppKind};
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::seal::{Context, Keyring, Purpose};
use strongroom::secret::Secret;
use strongroom::vault::{
    Ask, Found, KdfParams, NewCredential, NewKey, NewToken, RecoveryCode, Settings, Unlocker, Vault,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const HOT_BYTES: usize = 760;
const COLD_BYTES: usize = 260;
const PASSPHRASE: &str = "benches measure seventeen quiet harbours";

fn main() -> Outcome<()> {
    let mut criterion = Criterion::default().configure_from_args();
    seal(&mut criterion)?;
    requests(&mut criterion)?;
    vaults(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn seal(criterion: &mut Criterion) -> Outcome<()> {
    let code = Unlocker::RecoveryCode(RecoveryCode::generate());
    let now = Timestamp::from_unix_ms(1_800_000_000_000);
    let (keys, _) = Keyring::create(&[(&code, "bench")], KdfParams::FLOOR, now)?;
    let (hot, cold) = (vec![b'h'; HOT_BYTES], vec![b'c'; COLD_BYTES]);
    let identity = [7; 64];
    let context = Context {
        table: "tokens",
        identity: &identity,
        version: 1,
    };
    let sealed = keys.seal(context, &[&hot, &cold])?;
    criterion.bench_function("seal a record of 1 KiB", |bench| {
        bench.iter(|| keys.seal(context, &[black_box(&hot), &cold]));
    });
    criterion.bench_function("open its hot part", |bench| {
        bench.iter(|| keys.open("tokens", &identity, black_box(&sealed), 0));
    });
    criterion.bench_function("one part of an index key", |bench| {
        bench.iter(|| keys.hash(Purpose::Index, &[b"user", black_box(b"u00001234")]));
    });
    Ok(())
}

fn requests(criterion: &mut Criterion) -> Outcome<()> {
    let body = Bytes::from_static(br#"{"app":"calendar","user":"u00001234","reason":"a meeting"}"#);
    criterion.bench_function("parse a token request", |bench| {
        bench.iter(|| {
            let request: strongroom::error::Result<TokenRequest> = wire::read(black_box(&body));
            request.and_then(TokenRequest::into_ask)
        });
    });
    Ok(())
}

fn vaults(criterion: &mut Criterion) -> Outcome<()> {
    let (vault, _) = Vault::in_memory(Clock::system())?;
    let key = Secret::new(reader(&vault)?);
    store(&vault)?;
    let caller = vault.authenticate(Some(&key), "127.0.0.1:1")?;
    let ask = ask()?;
    criterion.bench_function("find an access key", |bench| {
        bench.iter(|| vault.authenticate(Some(black_box(&key)), "127.0.0.1:1"));
    });
    let now = vault.clock().now();
    criterion.bench_function("decide", |bench| {
        bench.iter(|| {
            let target = Target::of(black_box(&ask.app), &ask.owner);
            decide(&caller, Action::Fetch, &target, now)
        });
    });
    let Found::Fresh(token) = vault.fetch(&caller, &ask)? else {
        return Err("what was stored is not there".into());
    };
    criterion.bench_function("write the answer", |bench| {
        bench.iter(|| handed(black_box(&token)));
    });
    criterion.bench_function("Vault::fetch, in memory", |bench| {
        bench.iter(|| vault.fetch(&caller, black_box(&ask)));
    });
    vault.close()?;
    let home = tempfile::tempdir()?;
    let made = Vault::create(
        &home.path().join("data"),
        Secret::new(PASSPHRASE.into()),
        KdfParams::FLOOR,
        Settings::default(),
        Clock::system(),
    )?;
    let caller = made
        .vault
        .authenticate(Some(&made.access_key), "127.0.0.1:1")?;
    criterion.bench_function("decide and put on record, on disk", |bench| {
        bench.iter(|| made.vault.record_fetch(&caller, black_box(&ask), "ok"));
    });
    Ok(made.vault.close()?)
}

/// An access key of an MCP server.
fn reader(vault: &Vault) -> Outcome<String> {
    let new = NewKey {
        name: "reader".into(),
        role: Some(Role::Server),
        ..NewKey::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (_, key) = runtime.block_on(vault.add_key(&Caller::local(), new))?;
    Ok(key.expose().clone())
}

fn store(vault: &Vault) -> Outcome<()> {
    let (me, ask, now) = (Caller::local(), ask()?, vault.clock().now());
    let app = App {
        name: "Calendar".into(),
        return_urls: vec![],
        ..App::of(ask.app.clone(), AppKind::ApiKey, now)
    };
    vault.add_app(&me, app, None)?.wait()?;
    let address = Address {
        app: ask.app,
        owner: ask.owner,
        account: None,
        scopes: Scopes::default(),
    };
    let credential = NewCredential::ApiKey(Secret::new("k".repeat(600)));
    let new = NewToken::of(address, credential);
    vault.store_token(&me, new)?.wait()?;
    Ok(())
}

fn ask() -> Outcome<Ask> {
    Ok(Ask {
        app: AppId::parse("calendar")?,
        owner: Owner::User(UserId::parse("u00001234")?),
        account: None,
        scopes: None,
        min_ttl: Duration::ZERO,
        with_refresh_token: false,
    })
}
