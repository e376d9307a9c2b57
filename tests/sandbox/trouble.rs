//! Each misbehaviour, as a client sees it, and whether it spent the refresh token.
//!
//! It promises: what came instead of processing left the token good; what came after spent it.
//! It never: waits for real time to pass.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::sandbox::Endpoint::{Api, Metadata, Revoke, Token};
use strongroom::sandbox::{Misbehaviour, Rotation};

use super::support::{Answer, Browser, Rig, as_demo, authorize_path, refresh_form};

/// Misbehaves once on a refresh, and checks that the token was spent or not, as said.
async fn once(rig: &Rig, how: Misbehaviour, spent: bool) -> Option<Answer> {
    let (_, token) = rig.seed();
    let name = format!("{how:?}");
    rig.sandbox.misbehave(Token, how, Some(1));
    let answer = rig
        .try_post("/token", &[], &as_demo(&refresh_form(&token)))
        .await;
    let after = rig.refresh(&token).await;
    assert_eq!(after.status == 400, spent, "{name}");
    answer
}

async fn instead(rig: &Rig, how: Misbehaviour) -> Answer {
    once(rig, how, false).await.expect("an answer")
}

async fn reshaped(rig: &Rig, how: Misbehaviour) -> Value {
    once(rig, how, true).await.expect("an answer").json()
}

#[tokio::test]
async fn some_answers_come_instead_of_processing() {
    let rig = Rig::new().await;
    let answer = instead(&rig, Misbehaviour::Empty400).await;
    assert_eq!((answer.status, answer.body.len()), (400, 0));
    let answer = instead(&rig, Misbehaviour::Html500).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (500, "text/html")
    );
    let answer = instead(
        &rig,
        Misbehaviour::ErrorInside200("bad_refresh_token".into()),
    )
    .await;
    assert_eq!(answer.error(), (200, "bad_refresh_token".into()));
    let how = Misbehaviour::RetryAfter {
        status: 429,
        value: String::from("17"),
    };
    let answer = instead(&rig, how).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "17"));
    let to = String::from("http://127.0.0.1:1/elsewhere");
    let answer = instead(&rig, Misbehaviour::Redirect(307, to.clone())).await;
    assert_eq!((answer.status, answer.header("location")), (307, &*to));
    let how = Misbehaviour::Raw {
        status: 418,
        headers: vec![(String::from("content-type"), String::from("text/x-odd"))],
        body: b"{\"access_token\":\"\0".to_vec(),
    };
    let answer = instead(&rig, how).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (418, "text/x-odd")
    );
    assert_eq!(answer.body, b"{\"access_token\":\"\0");
    assert_eq!(answer.maybe_header("cache-control"), None);
    let answer = instead(&rig, Misbehaviour::Huge(3_000_000)).await;
    assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    assert_eq!(answer.maybe_header("content-length"), None);
    assert!(answer.json()["access_token"].is_string());
}

#[tokio::test]
async fn some_answers_are_reshaped_after_processing() {
    let rig = Rig::new().await;
    let answer = once(&rig, Misbehaviour::FormEncoded, true).await.unwrap();
    assert_eq!(
        answer.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    let fields: Vec<_> = form_urlencoded::parse(&answer.body).collect();
    assert!(
        fields
            .iter()
            .any(|(name, value)| name == "scope" && value == "read write")
    );
    assert!(
        fields
            .iter()
            .any(|(name, value)| name == "expires_in" && value == "3600")
    );
    let answer = reshaped(&rig, Misbehaviour::ExpiresInString).await;
    assert_eq!(answer["expires_in"], json!("3600"));
    let answer = reshaped(&rig, Misbehaviour::NoExpiresIn).await;
    assert_eq!(answer.get("expires_in"), None);
    let answer = reshaped(&rig, Misbehaviour::NoTokenType).await;
    assert_eq!(answer.get("token_type"), None);
    let answer = reshaped(&rig, Misbehaviour::LowerCaseTokenType).await;
    assert_eq!(answer["token_type"], json!("bearer"));
    let answer = reshaped(&rig, Misbehaviour::ScopesCommaSeparated).await;
    assert_eq!(answer["scope"], json!("read,write"));
    let answer = reshaped(&rig, Misbehaviour::ExtraFields).await;
    assert_eq!(answer["team"]["id"], json!("T1"));
    let answer = reshaped(&rig, Misbehaviour::ShrinkScopes(vec!["read".into()])).await;
    assert_eq!(answer["scope"], json!("read"));
}

#[tokio::test]
async fn shrunk_scopes_are_what_the_access_token_really_has() {
    let rig = Rig::new().await;
    rig.sandbox.set_rotation(Rotation::Off);
    let (_, token) = rig.seed();
    let how = Misbehaviour::ShrinkScopes(vec![String::from("write"), String::from("more")]);
    rig.sandbox.misbehave(Token, how, None);
    let answer = rig.refresh(&token).await;
    let me = rig.me(&answer.field("access_token")).await.json();
    assert_eq!(me["scopes"], json!(["write"]));
    rig.sandbox.behave();
    assert_eq!(rig.refresh(&token).await.field("scope"), "read write");
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_leaves_the_old_one_good() {
    let rig = Rig::new().await;
    let answer = instead_like(&rig, Misbehaviour::NoRefreshToken).await;
    assert_eq!(answer.get("refresh_token"), None);
    let answer = instead_like(&rig, Misbehaviour::EmptyRefreshToken).await;
    assert_eq!(answer["refresh_token"], json!(""));

    rig.sandbox
        .misbehave(Token, Misbehaviour::NoRefreshToken, Some(1));
    let code = Browser::new(&rig).code(&authorize_path(&[])).await;
    let answer = rig.redeem(&code).await;
    assert_eq!(
        (answer.status, answer.json().get("refresh_token")),
        (200, None)
    );
}

async fn instead_like(rig: &Rig, how: Misbehaviour) -> Value {
    let answer = once(rig, how, false).await.expect("an answer");
    assert_eq!(answer.status, 200);
    answer.json()
}

#[tokio::test]
async fn a_lost_answer_spends_and_a_closed_door_does_not() {
    let rig = Rig::new().await;
    assert!(once(&rig, Misbehaviour::LoseAnswer, true).await.is_none());
    assert_eq!(rig.counts().refreshes_ok, 1);
    assert!(once(&rig, Misbehaviour::CloseBefore, false).await.is_none());
    assert_eq!(rig.counts().token_requests, 4, "it is counted all the same");
}

#[tokio::test]
async fn a_request_hangs_until_the_sandbox_behaves() {
    let rig = Rig::new().await;
    let (_, token) = rig.seed();
    rig.sandbox.misbehave(Token, Misbehaviour::Hang, None);
    let form = refresh_form(&token);
    let hanging = rig.refresh(&token);
    tokio::pin!(hanging);
    let arrived = async {
        while rig.counts().token_requests == 0 {
            tokio::task::yield_now().await;
        }
        rig.counts().refreshes_ok
    };
    tokio::select! {
        _ = &mut hanging => panic!("answered"),
        ok = arrived => assert_eq!(ok, 0),
    }
    rig.sandbox.behave();
    assert_eq!(hanging.await.status, 200);
    assert_eq!(rig.token(&form).await.status, 400, "it was processed");
}

/// Goal: a client that gives up on a silent server knows nothing, and its token is good; one that
/// was sent half an answer has lost its token.
/// Method: wait for the sandbox to tell, hang up, and look into its ledger.
#[tokio::test]
async fn silence_spends_nothing_and_half_an_answer_spends() {
    let rig = Rig::new().await;
    for (how, spent) in [
        (Misbehaviour::Silence, false),
        (Misbehaviour::HalfAnswer, true),
    ] {
        let (_, token) = rig.seed();
        let mut watching = rig.sandbox.watch();
        let before = *watching.borrow();
        rig.sandbox.misbehave(Token, how, Some(1));
        let told = watching.wait_for(|now| match spent {
            true => now.refreshes_ok > before.refreshes_ok,
            false => now.token_requests > before.token_requests,
        });
        tokio::select! {
            _ = rig.refresh(&token) => panic!("answered"),
            told = told => assert!(told.is_ok()),
        }
        rig.sandbox.behave();
        let secret = strongroom::secret::Secret::new(token.clone());
        assert_eq!(rig.sandbox.is_live(&secret), !spent);
        assert_eq!(rig.refresh(&token).await.status == 400, spent);
    }
}

#[tokio::test]
async fn a_delayed_answer_and_a_dripping_one_wait_for_the_clock() {
    let rig = Rig::new().await;
    let step = Duration::from_secs(1);
    for how in [Misbehaviour::Delay(step), Misbehaviour::SlowDrip(step)] {
        let (_, token) = rig.seed();
        let before = rig.counts().refreshes_ok;
        let drips = matches!(how, Misbehaviour::SlowDrip(_));
        rig.sandbox.misbehave(Token, how, Some(1));
        let late = rig.refresh(&token);
        tokio::pin!(late);
        let mut steps = 0;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut late => break answer,
                () = tokio::task::yield_now() => {
                    if rig.counts().refreshes_ok > before {
                        rig.clock.advance(step);
                        steps += 1;
                    }
                }
            }
        };
        assert_eq!(answer.status, 200);
        assert!(answer.json()["access_token"].is_string());
        let least = if drips { answer.body.len() } else { 1 };
        assert!(
            steps >= least,
            "{steps} steps for {} bytes",
            answer.body.len()
        );
    }
}

#[tokio::test]
async fn misbehaviours_come_in_turn_and_each_at_its_own_endpoint() {
    let rig = Rig::new().await;
    let (access, refresh) = rig.seed();
    rig.sandbox
        .misbehave(Token, Misbehaviour::Empty400, Some(2));
    rig.sandbox.misbehave(Token, Misbehaviour::Html500, Some(1));
    rig.sandbox.misbehave(Api, Misbehaviour::Html500, None);
    rig.sandbox
        .misbehave(Metadata, Misbehaviour::Empty400, None);
    rig.sandbox
        .misbehave(Revoke, Misbehaviour::LoseAnswer, Some(1));
    assert_eq!(rig.me(&access).await.status, 500);
    let path = "/.well-known/openid-configuration";
    assert_eq!(rig.get(path, &[]).await.status, 400);
    for status in [400, 400, 500, 200] {
        assert_eq!(rig.refresh(&refresh).await.status, status);
    }
    let form = as_demo(&[("token", &*access)]);
    assert!(rig.try_post("/revoke", &[], &form).await.is_none());
    rig.sandbox.behave();
    assert_eq!(rig.get(path, &[]).await.status, 200);
    assert_eq!(
        rig.me(&access).await.status,
        401,
        "the revocation took place"
    );
}
