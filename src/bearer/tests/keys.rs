//! How often an issuer is asked for its keys, and what counts while it cannot be (B3, B4).
//!
//! It promises: every bound is looked at from both sides, by the test clock.
//! It never: sleeps.

use super::*;

/// A token by a key that nobody has.
fn unknown(bench: &Bench) -> String {
    Signer::new("EdDSA", "unknown").token(&bench.claims())
}

/// Goal: what strangers present causes no call, and what names an issuer at most one in a while,
/// however many come at once. Method: a flood of each, and the issuer's count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_nobody_makes_us_ask_an_issuer_often() {
    let own = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&own]).await;
    for cheap in [
        json!({ "iss": "https://idp.example" }),
        json!({ "aud": "other" }),
        json!({ "exp": 5 }),
        json!({ "sub": null }),
    ] {
        let jwt = own.token(&bench.claims_with(&cheap));
        assert_eq!(held(&bench.user(&jwt).await), REFUSED, "{cheap}");
    }
    assert_eq!(bench.issuer.asked(), 0);
    let issuers = bench.issuers.clone();
    for round in 1..=3 {
        let flood: Vec<_> = (0..100)
            .map(|_| {
                let (issuers, jwt) = (issuers.clone(), Secret::new(unknown(&bench)));
                tokio::spawn(async move { issuers.caller(&jwt, "test".into()).await.err() })
            })
            .collect();
        for one in flood {
            assert_eq!(one.await.unwrap(), Some(Error::Unauthenticated));
        }
        assert_eq!(bench.issuer.asked_for_keys(), round);
        bench.wait(limits::JWKS_ASK_EVERY);
    }
}

/// Goal: a key that the issuer has begun to use is taken, and one that it took back is not.
/// Method: rotate; let the keys' life end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_a_new_key_is_found_and_an_old_one_ends_with_the_life_of_the_document() {
    let (old, new) = (Signer::new("EdDSA", "old"), Signer::new("ES256", "new"));
    let bench = Bench::new(&[&old]).await;
    bench.issuer.cache_control("max-age=600");
    assert_eq!(held(&bench.user(&old.token(&bench.claims())).await), ALICE);
    bench.issuer.publish(&[&old, &new]);
    // Asked just now: it is not asked again yet.
    assert_eq!(
        held(&bench.user(&new.token(&bench.claims())).await),
        REFUSED
    );
    bench.wait(limits::JWKS_ASK_EVERY);
    assert_eq!(held(&bench.user(&new.token(&bench.claims())).await), ALICE);
    bench.issuer.publish(&[&new]);
    bench.wait(Duration::from_secs(599));
    assert_eq!(held(&bench.user(&old.token(&bench.claims())).await), ALICE);
    bench.wait(Duration::from_secs(1));
    assert_eq!(
        held(&bench.user(&old.token(&bench.claims())).await),
        REFUSED
    );
    assert_eq!(held(&bench.user(&new.token(&bench.claims())).await), ALICE);
    assert_eq!(bench.issuer.asked_for_keys(), 3);
    // The place of the keys was looked up once: two documents that are not there, and one that is.
    assert!(bench.issuer.asked() - 3 <= 2, "{}", bench.issuer.asked());
}

/// Goal: an issuer that says "for ever", or "not at all", is asked now and then all the same.
/// Method: both, at the bounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_the_life_of_the_keys_has_bounds_whatever_the_issuer_says() {
    for (field, life) in [
        ("max-age=99999999", limits::JWKS_FRESH_MAX),
        ("no-store", limits::JWKS_FRESH_MIN),
        ("", limits::JWKS_FRESH_DEFAULT),
    ] {
        let own = Signer::new("EdDSA", "a");
        let bench = Bench::new(&[&own]).await;
        bench.issuer.cache_control(field);
        for (wait, asked) in [
            (Duration::ZERO, 1),
            (life - Duration::from_secs(1), 1),
            (Duration::from_secs(1), 2),
        ] {
            bench.wait(wait);
            assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), ALICE);
            assert_eq!(bench.issuer.asked_for_keys(), asked, "{field} {wait:?}");
        }
    }
}

/// Goal: while the issuer is out of reach its last keys count for a bounded time, and what they do
/// not decide is said to be unavailable. Method: every kind of trouble; the clock moves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_an_issuer_out_of_reach_is_trouble_and_no_refusal() {
    for trouble in [Mood::Down, Mood::Failing(500), Mood::Failing(404)] {
        let own = Signer::new("EdDSA", "a");
        let bench = Bench::new(&[&own]).await;
        bench.issuer.be(trouble);
        assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), LATER);
        bench.issuer.be(Mood::Well);
        let soon = bench.caller(&own.token(&bench.claims())).await.err();
        let retry_after = limits::JWKS_ASK_EVERY;
        assert_eq!(soon, Some(Error::IssuerUnavailable { retry_after }));
        bench.wait(limits::JWKS_ASK_EVERY);
        // Its own wait after an answer that said "trouble" is over as well.
        assert_eq!(
            held(&bench.user(&own.token(&bench.claims())).await),
            ALICE,
            "{trouble:?}"
        );
        bench.issuer.be(trouble);
        bench.wait(limits::JWKS_FRESH_DEFAULT);
        assert_eq!(held(&bench.user(&unknown(&bench)).await), LATER);
        assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), ALICE);
        // A stranger's is a stranger's, whoever can be reached.
        let stranger = own.token(&bench.claims_with(&json!({ "iss": "https://x.example" })));
        assert_eq!(held(&bench.user(&stranger).await), REFUSED);
        bench.wait(limits::JWKS_STALE_MAX);
        assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), LATER);
        bench.issuer.be(Mood::Well);
        bench.wait(limits::JWKS_ASK_EVERY);
        assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), ALICE);
    }
}

/// Goal: a document that cannot be used is trouble as well, and costs the keys at hand nothing.
/// Method: too many keys in the place of the good ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_a_document_that_cannot_be_used_takes_no_key_away() {
    let own = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&own]).await;
    assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), ALICE);
    bench
        .issuer
        .publish_document(vec![json!({}); limits::JWKS_KEYS_MAX + 1]);
    bench.wait(limits::JWKS_FRESH_DEFAULT);
    assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), ALICE);
    assert_eq!(held(&bench.user(&unknown(&bench)).await), LATER);
}

/// Goal: who hangs up does not take the fetch along, and an issuer that hangs holds nobody whose
/// keys are at hand. Method: a hanging issuer, a first asker that goes; then one with keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_who_hangs_up_leaves_the_others_their_keys() {
    let own = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&own]).await;
    bench.issuer.be(Mood::Hanging);
    let (issuers, jwt) = (
        bench.issuers.clone(),
        Secret::new(own.token(&bench.claims())),
    );
    let first = tokio::spawn(async move { issuers.caller(&jwt, "test".into()).await });
    let begun = async {
        while bench.issuer.asked() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    first.abort();
    let jwt = own.token(&bench.claims());
    let second = bench.user(&jwt);
    let lets_go = async {
        tokio::task::yield_now().await;
        bench.issuer.be(Mood::Well);
    };
    let (second, ()) = tokio::join!(second, lets_go);
    assert_eq!(held(&second), ALICE);
    assert_eq!(bench.issuer.asked_for_keys(), 1);
    bench.issuer.be(Mood::Hanging);
    bench.wait(limits::JWKS_FRESH_DEFAULT);
    // The first waits a moment for newer ones; whoever comes meanwhile does not.
    for _ in 0..2 {
        assert_eq!(held(&bench.user(&own.token(&bench.claims())).await), ALICE);
    }
    bench.issuer.be(Mood::Well);
}
