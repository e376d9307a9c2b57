//! Tokens that fall due: how many a second are refreshed, how late, what fetches suffer meanwhile;
//! and what a vault costs in which nothing falls due.
//!
//! Measures: the real binary and the sandbox provider of this process, each refresh with its
//! durable intent before the call and its durable outcome after it. First a backlog: all tokens are
//! due when the vault is unlocked. Then a minute's worth of tokens that fall due one after the
//! other: each is stored with a refresh token alone, by which it is due at the moment it is stored,
//! so that its lag is the time from there to its refresh, in milliseconds as the vault dates them.
//! Fetches go on over 2 connections meanwhile. Then as many as fall due of a million tokens of
//! one-hour lives: all records of the largest count, each with a life in proportion (10,000 have 36
//! seconds), for a while in the middle of it; told is how long before its end each was refreshed.
//! Then the processor time of doing nothing.
//!
//! Does not measure: other providers than one on the same two cores, which takes its share of them.

use std::time::Duration;

use serde_json::Value;
use strongroom::clock::Timestamp;
use strongroom::model::access::Caller;
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{NewCredential, NewToken, Upload};

use crate::answers::{Template, digits};
use crate::dataset::{ACCESS, Replica, Shelf, app, fetch_body};
use crate::load::{Expect, Load, Measured, Users};
use crate::plan::Plan;
use crate::process::Server;
use crate::provider::{APP, Provider};
use crate::report::{Bound, table, target};
use crate::rounds::{number, percentile};
use crate::{Outcome, client, steady};

/// Tokens that fall due in a minute.
const A_MINUTE: usize = 10_000;
/// Connections that fetch meanwhile: few, since they leave no core idle.
const FETCHING: usize = 2;

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let provider = Provider::start()?;
    let rate = backlog(plan, data, &provider)?;
    target("refreshes/s, backlog", rate, Bound::AtLeast(1000.0));
    minute(plan, data, &provider)?;
    steady::run(plan, data, &provider)?;
    idle(plan, data, &provider)
}

/// Everything is due at once, and nothing else is asked. Refreshes a second.
fn backlog(plan: &Plan, data: &mut Shelf, provider: &Provider) -> Outcome<f64> {
    let copy = data.copy(plan.usual())?;
    let count = plan.choose(200, A_MINUTE);
    prepare(&copy, provider, count)?;
    let before = provider.refreshed();
    let server = serve(plan, &copy, provider)?;
    let first = provider.until(before + 1)?;
    let last = provider.until(before + count as u64)?;
    let took = last - first;
    println!(
        "{} tokens due at once: refreshed in {} s, {} CPU us each in the vault's process",
        number(count as f64),
        number(took.as_secs_f64()),
        number(server.cpu()?.as_secs_f64() * 1e6 / count as f64)
    );
    server.end()?;
    Ok((count - 1) as f64 / took.as_secs_f64())
}

/// They fall due one after the other, and fetches go on.
fn minute(plan: &Plan, data: &mut Shelf, provider: &Provider) -> Outcome<()> {
    let copy = data.copy(plan.usual())?;
    prepare(&copy, provider, 0)?;
    let server = serve(plan, &copy, provider)?;
    let seconds = plan.choose(2, 12);
    let count = A_MINUTE * seconds / 60;
    let time = Duration::from_secs(seconds as u64);
    let quiet_before = fetches(&copy, &server, time / 4)?;
    let before = provider.refreshed();
    let meanwhile = std::thread::scope(|threads| {
        let fetching = threads.spawn(|| fetches(&copy, &server, time).map_err(|e| e.to_string()));
        provider.paced(count, time, |number| {
            let stored = upload(&copy, &server, provider, number)?;
            client::ask(server.address, None, &stored).map(drop)
        })?;
        let fetched = fetching.join().map_err(|_| "a load that panicked")?;
        fetched.map_err(Into::<Box<dyn std::error::Error>>::into)
    })?;
    provider.until(before + count as u64)?;
    // The provider has answered them all; the vault may still have some to store.
    let lags_ms = provider.eventually(|| lags_ms(&copy, &server, count))?;
    let quiet_after = fetches(&copy, &server, time / 4)?;
    server.end()?;
    let rows = [
        ("quiet, before", &quiet_before),
        ("meanwhile", &meanwhile),
        ("quiet, after", &quiet_after),
    ];
    let rows = rows.map(|(when, fetched)| {
        vec![
            when.to_owned(),
            number(fetched.rate()),
            number(fetched.latency_us(0.5)),
            number(fetched.latency_us(0.99)),
        ]
    });
    println!("{count} tokens fall due in {seconds} s, as 10,000 do in a minute:");
    table(&["fetches", "requests/s", "p50 us", "p99 us"], &rows);
    let quiet_us = f64::midpoint(quiet_before.latency_us(0.99), quiet_after.latency_us(0.99));
    let suffered = meanwhile.latency_us(0.99) / quiet_us;
    target(
        "p99 of fetches meanwhile / quiet",
        suffered,
        Bound::AtMost(2.0),
    );
    println!(
        "lag behind due: p50 {} ms, p99 {} ms, at most {} ms",
        number(percentile(&lags_ms, 0.5)),
        number(percentile(&lags_ms, 0.99)),
        number(percentile(&lags_ms, 1.0))
    );
    Ok(())
}

/// Nothing is due and nobody asks.
fn idle(plan: &Plan, data: &mut Shelf, provider: &Provider) -> Outcome<()> {
    let records = plan.records.last().copied().unwrap_or_default();
    let copy = data.copy(records)?;
    let server = serve(plan, &copy, provider)?;
    let time = Duration::from_secs(plan.choose(1, 10));
    let mut before = server.cpu()?;
    // What the start left to do is done in the first half.
    provider.paced(3, time * 3, |number| {
        if number == 1 {
            before = server.cpu()?;
        }
        Ok(())
    })?;
    let took = server.cpu()? - before;
    let what = format!("idle at {} records, % of a core", number(records as f64));
    let percent = 100.0 * took.as_secs_f64() / time.as_secs_f64();
    target(&what, percent, Bound::AtMost(0.1));
    println!(
        "that is {} ms a minute",
        number(took.as_secs_f64() * 60_000.0 / time.as_secs_f64())
    );
    server.end()
}

/// Adds the app, and so many tokens that are due at once.
fn prepare(copy: &Replica, provider: &Provider, count: usize) -> Outcome<()> {
    prepare_with(copy, provider, count, &|_| None)
}

/// Adds the app and so many tokens, each with an access token until `ends` where there is one, and
/// else due at once.
pub fn prepare_with(
    copy: &Replica,
    provider: &Provider,
    count: usize,
    ends: &dyn Fn(usize) -> Option<Timestamp>,
) -> Outcome<()> {
    let (vault, me) = (copy.open()?, Caller::local());
    let token_url = format!("http://{}/token", provider.address);
    let app = app(vault.clock(), APP, &token_url)?;
    vault.add_app(&me, app, None)?.wait()?;
    let mut waiting = Vec::with_capacity(256);
    for number in 0..count {
        let user = format!("b{}", digits(number));
        let refresh_token = Some(Secret::new(provider.refresh_token(&user)));
        let expires_at = ends(number);
        let new = NewToken::of(
            Address {
                app: AppId::parse(APP)?,
                owner: Owner::User(UserId::parse(user)?),
                account: None,
                scopes: Scopes::parse(["calendar.read"])?,
            },
            NewCredential::Uploaded(Upload {
                access_token: expires_at.map(|_| Secret::new("as it was stored".into())),
                refresh_token,
                expires_at,
                ..Upload::default()
            }),
        );
        waiting.push(vault.store_token(&me, new)?);
        if waiting.len() == waiting.capacity() || number + 1 == count {
            for receipt in waiting.drain(..) {
                receipt.wait()?;
            }
        }
    }
    vault.close().map_err(Into::into)
}

pub fn serve(plan: &Plan, copy: &Replica, provider: &Provider) -> Outcome<Server> {
    let (key_file, host) = (copy.key_file(), provider.address.to_string());
    let key_file = key_file.to_str().ok_or("a path that is no text")?;
    let more = [
        "--key-file",
        key_file,
        "--allow-host",
        &host,
        "--no-env-proxy",
    ];
    Server::vault(&plan.binary, &copy.data(), &more, None)
}

pub fn fetches(copy: &Replica, server: &Server, time: Duration) -> Outcome<Measured> {
    let host = server.address.to_string();
    let load = Load {
        address: server.address,
        tls: None,
        connections: FETCHING,
        template: &Template::new(
            "POST",
            "/v1/token",
            &host,
            &copy.about.reader,
            &fetch_body(),
        ),
        users: &mut Users::Any(0..copy.records),
        expect: Expect::SameWith(ACCESS),
        time,
    };
    load.run(&|| server.cpu())
}

/// The request that stores a token which is due at once.
fn upload(
    copy: &Replica,
    server: &Server,
    provider: &Provider,
    number: usize,
) -> Outcome<Template> {
    let user = format!("m{}", digits(number));
    let body = serde_json::json!({
        "app": APP, "user": user, "scopes": ["calendar.read"],
        "refresh_token": provider.refresh_token(&user),
    });
    let host = server.address.to_string();
    let body = body.to_string();
    Ok(Template::new(
        "PUT",
        "/v1/tokens",
        &host,
        &copy.about.admin,
        &body,
    ))
}

/// How late each token was refreshed, in milliseconds, rising; nothing while one was not.
fn lags_ms(copy: &Replica, server: &Server, count: usize) -> Outcome<Option<Vec<u32>>> {
    let (mut lags, mut waiting) = (Vec::new(), 0);
    each_token(copy, server, usize::MAX, &mut |token| {
        let at = |name: &str| token[name].as_str().and_then(Timestamp::parse);
        match at("created_at").zip(at("last_refreshed_at")) {
            Some((due, done)) => {
                lags.push(u32::try_from(done.since(due).as_millis()).unwrap_or(u32::MAX));
            }
            None => waiting += 1,
        }
        Ok(())
    })?;
    if lags.len() + waiting != count {
        let listed = lags.len() + waiting;
        return Err(format!("{listed} tokens are listed, not {count}").into());
    }
    lags.sort_unstable();
    Ok(Some(lags).filter(|_| waiting == 0))
}

/// Shows the tokens of the app, by pages of a thousand, at most so many of them.
pub fn each_token(
    copy: &Replica,
    server: &Server,
    pages: usize,
    visit: &mut dyn FnMut(&Value) -> Outcome<()>,
) -> Outcome<()> {
    let (host, mut cursor) = (server.address.to_string(), String::new());
    for _ in 0..pages {
        let path = format!("/v1/tokens?app={APP}&limit=1000{cursor}");
        let request = Template::new("GET", &path, &host, &copy.about.admin, "");
        let page: Value = serde_json::from_slice(&client::ask(server.address, None, &request)?)?;
        let tokens = page["tokens"].as_array().ok_or("a list without tokens")?;
        tokens.iter().try_for_each(&mut *visit)?;
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(())
}
