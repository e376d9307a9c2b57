//! Access tokens that are traded for longer ones, and recipes that show one token of two.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use strongroom::model::app::OAuth;
use strongroom::model::blanks::Known;
use strongroom::model::token::Grant;
use strongroom::provider::classify::{Failure, FailureKind};
use strongroom::provider::{Provider, Revocation, Tokens};
use tokio::task::JoinSet;

use crate::server::{Reply, Server, json, reply, serve};
use crate::{TOKEN, app, clock, provider_for, quick, refresh, secret};

/// An app of a provider that is asked for codes' tokens at `/token`, and trades them elsewhere.
fn trading(server: &Server) -> OAuth {
    let mut app = app(&server.url("/token"));
    let call = |path: &str| {
        serde_json::json!({
            "url": server.url(path), "params": { "access_token": "{access_token}" },
        })
    };
    let exchange = serde_json::json!({
        "first": call("/first"), "again": call("/again"), "lifetime_s": 5_184_000,
    });
    let lives = serde_json::json!({ "lives": { "renewal": { "exchange": exchange } } });
    app.dialect = serde_json::from_value(lives).unwrap();
    app.dialect.check().unwrap();
    app
}

/// Goal: trades have one seat each. Method: three times as many at once as a host has seats; each
/// that waited for a second one would wait for the others.
#[tokio::test]
async fn trades_do_not_wait_for_each_other_s_seats() {
    let server = serve(|_| json(TOKEN)).await;
    let mut settings = quick(&[&server.address.to_string()]);
    settings.timeout = Duration::from_secs(10);
    let provider = Provider::new(&settings, clock()).unwrap();
    let app = trading(&server);
    let count = 3 * strongroom::limits::PROVIDER_CALLS_PER_HOST_MAX;
    let mut flights = JoinSet::new();
    for _ in 0..count {
        let (provider, app) = (provider.clone(), app.clone());
        flights.spawn(async move { refresh(&provider, &app).await.map(drop) });
    }
    let landed = flights.join_all().await;
    let failed: Vec<_> = landed.iter().filter(|landed| landed.is_err()).collect();
    assert!(failed.is_empty(), "{} of {count}: {failed:?}", failed.len());

    // They are refreshes: held, none is sent.
    let hold = provider.hold_refreshes();
    let failure = refresh(&provider, &app).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::NotSent, "{failure:?}");
    assert_eq!(server.seen().len(), count);
    drop(hold);
    assert!(refresh(&provider, &app).await.is_ok());
}

/// Redeems a code where the trade that follows is answered by these, one after the other; how
/// often it was asked for comes back as well.
async fn redeemed(trades: Vec<Reply>) -> (Result<Grant, Failure>, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = serve(move |request: &str| match request.contains(" /first?") {
        true => trades[count.fetch_add(1, Ordering::SeqCst)].clone(),
        false => json(r#"{"access_token":"short","token_type":"bearer"}"#),
    });
    let server = server.await;
    let (app, client_secret, code) = (trading(&server), secret("s"), secret("c"));
    let provider = provider_for(&server);
    let known = Known::new();
    let us = "https://us.example/callback";
    let exchanged = provider.exchange(&app, Some(&client_secret), &code, us, None, &known);
    (exchanged.await, asked.load(Ordering::SeqCst))
}

/// Goal: a spent code is not lost to a hiccup of the trade behind it, and one that stays untraded
/// is told from a code that was refused. Method: trades that fail once, twice, and for good.
#[tokio::test]
async fn a_first_trade_is_tried_again_and_told_by_name() {
    let busy = || reply(503, "", "");
    for hiccup in [busy(), Reply::Close] {
        let (grant, asked) = redeemed(vec![hiccup, json(TOKEN)]).await;
        assert_eq!(grant.unwrap().access_token.expose(), "at-1");
        assert_eq!(asked, 2);
    }
    let refused = || reply(400, "", r#"{"error":"invalid_client"}"#);
    for (trades, word) in [
        (vec![busy(), busy()], "503"),
        (vec![refused()], "invalid_client"),
    ] {
        let times = trades.len();
        let (grant, asked) = redeemed(trades).await;
        let failure = grant.err().unwrap();
        assert_eq!(failure.code, "not_exchanged", "{failure:?}");
        assert!(failure.description.contains("try again"), "{failure:?}");
        assert!(failure.description.contains(word), "{failure:?}");
        assert_eq!(asked, times);
    }
}

/// Goal: an access token that has lapsed is no proof that its grant is gone. Method: recipes that
/// show the one or the other token, at a service that knows neither.
#[tokio::test]
async fn a_lapsed_access_token_is_no_revoked_grant() {
    let server = serve(|_| reply(401, "", r#"{"error":"invalid_token"}"#)).await;
    let provider = provider_for(&server);
    let by_access = [
        r#""auth":"bearer""#,
        r#""params":{"token":"{access_token}"}"#,
        r#""headers":{"X-Token":"{access_token}"}"#,
    ];
    let by_both = r#""auth":"bearer","params":{"token":"{refresh_token}"}"#;
    for (recipe, is_alone) in by_access
        .map(|text| (text, true))
        .into_iter()
        .chain([(by_both, false)])
    {
        let mut app = app(&server.url("/token"));
        let url = server.url("/revoke");
        let text = format!(r#"{{"revocation":{{"method":"POST","url":"{url}",{recipe}}}}}"#);
        app.dialect = serde_json::from_str(&text).unwrap();
        for (refresh_token, is_held) in [(None, false), (Some("a-1"), false), (Some("r-1"), true)] {
            let (access_token, client_secret) = (secret("a-1"), secret("s"));
            let refresh_token = refresh_token.map(secret);
            let tokens = Tokens {
                access_token: Some(&access_token),
                refresh_token: refresh_token.as_ref(),
                known: &Known::new(),
            };
            let revoked = provider
                .revoke_grant(&app, Some(&client_secret), tokens)
                .await;
            match is_alone && is_held {
                true => assert_eq!(revoked.unwrap_err().code, "invalid_token", "{recipe}"),
                false => assert_eq!(revoked, Ok(Some(Revocation::Done)), "{recipe}"),
            }
        }
    }
}
