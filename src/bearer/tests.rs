//! Tokens that are good, tokens that are not, and how often an issuer is asked (B1 to B5).

mod forged;
#[path = "../../tests/harness/issuer.rs"]
mod issuer;
mod keys;

use std::time::Duration;

use serde_json::{Value, json};

use self::issuer::{ALGORITHMS, Issuer, Mood, Signer};
use super::*;
use crate::clock::{Clock, Timestamp};
use crate::limits;
use crate::model::access::Role;
use crate::provider::egress::EgressSettings;
use crate::vault::NewKey;

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);
/// Longest wait of a test for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// An issuer, a vault with a key for it, and what makes callers.
struct Bench {
    clock: Clock,
    vault: Vault,
    issuers: Issuers,
    issuer: Issuer,
    key: AccessKey,
}

impl Bench {
    async fn new(signers: &[&Signer]) -> Self {
        Self::with(signers, json!({})).await
    }

    /// `more` is laid over the rule.
    async fn with(signers: &[&Signer], more: Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::test(NOW);
        let time = clock.clone();
        let made = tokio::task::spawn_blocking(move || Vault::in_memory(time).unwrap().0);
        let vault = made.await.unwrap();
        let issuer = Issuer::start(signers).await;
        let egress = EgressSettings {
            allowed_hosts: vec!["127.0.0.1".into()],
            ..EgressSettings::default()
        };
        let provider = Provider::new(&egress, clock.clone()).unwrap();
        let mut rule = json!({ "issuer": issuer.url, "audiences": ["vault"] });
        for (name, value) in more.as_object().unwrap() {
            rule[name] = value.clone();
        }
        let key = add(&vault, rule).await.unwrap();
        Self {
            issuers: Issuers::new(vault.clone(), provider),
            clock,
            vault,
            issuer,
            key,
        }
    }

    /// The claims of a good token of alice's.
    fn claims(&self) -> Value {
        let now = self.clock.now().unix_ms() / 1000;
        json!({
            "iss": self.issuer.url, "aud": "vault", "sub": "alice", "iat": now, "exp": now + 300,
        })
    }

    /// The same, with `more` laid over; what is null there is left out.
    fn claims_with(&self, more: &Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let fields = claims.as_object_mut().unwrap();
        fields.retain(|_, value| !value.is_null());
        claims
    }

    async fn caller(&self, jwt: &str) -> Result<Caller> {
        let jwt = Secret::new(jwt.to_owned());
        let asked = self.issuers.caller(&jwt, "test".into());
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }

    /// Whose a token is, or why it opens nothing.
    async fn user(&self, jwt: &str) -> std::result::Result<String, &'static str> {
        let caller = self.caller(jwt).await.map_err(|error| error.code())?;
        Ok(caller.person().unwrap().user.to_string())
    }

    fn wait(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// The outcomes on record, newest first.
    fn record(&self) -> Vec<String> {
        let page = self.vault.audit(&Caller::local(), None, 1000).unwrap();
        page.entries
            .into_iter()
            .map(|entry| entry.outcome)
            .collect()
    }
}

async fn add(vault: &Vault, rule: Value) -> Result<AccessKey> {
    let new = NewKey {
        name: "agents".into(),
        role: Some(Role::Server),
        ..NewKey::default()
    };
    let rule = serde_json::from_value(rule).unwrap();
    vault.add_issuer(&Caller::local(), new, rule).await
}

/// Whose a token is, or a code.
type Said<'a> = std::result::Result<&'a str, &'a str>;

const ALICE: Said<'_> = Ok("alice");
const REFUSED: Said<'_> = Err("unauthenticated");
const LATER: Said<'_> = Err("unavailable");

fn held<'s>(said: &'s std::result::Result<String, &'static str>) -> Said<'s> {
    said.as_ref().map(String::as_str).map_err(|code| *code)
}

/// Goal: every algorithm on the list works, with the key found by the issuer's metadata. Method: a
/// token by each; who it is of, under which name, and until when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_a_token_by_each_algorithm_makes_its_own_user_a_caller() {
    let signers: Vec<Signer> = ALGORITHMS.map(|name| Signer::new(name, name)).into();
    let bench = Bench::new(&signers.iter().collect::<Vec<_>>()).await;
    for signer in &signers {
        let jwt = signer.token(&bench.claims_with(&json!({ "tenants": ["t1"] })));
        let caller = bench.caller(&jwt).await.unwrap();
        let person = caller.person().unwrap();
        assert_eq!(person.user.to_string(), "alice");
        assert_eq!(person.tenants.len(), 1);
        assert_eq!(caller.name(), format!("jwt:{}:alice", bench.key.id));
        let end = NOW.plus(Duration::from_secs(300) + limits::JWT_CLOCK_SKEW);
        assert_eq!(caller.key().unwrap().expires_at, Some(end));
    }
    assert_eq!(bench.issuer.asked_for_keys(), 1);
}

/// Goal: a token counts for its issuer, for us, and in its time. Method: a good one with a claim at
/// a time bent, on both sides of each bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_token_counts_for_its_issuer_for_us_and_in_its_time() {
    let signer = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&signer]).await;
    let now = NOW.unix_ms() / 1000;
    let skew = limits::JWT_CLOCK_SKEW.as_secs();
    let url = bench.issuer.url.clone();
    for good in [
        json!({}),
        json!({ "aud": ["other", "vault"] }),
        json!({ "exp": now - skew + 1 }),
        json!({ "exp": (now + 60) as f64 + 0.5 }),
        json!({ "exp": u64::MAX }),
        json!({ "nbf": now + skew, "iat": now + skew }),
        json!({ "iat": null, "nbf": null }),
        json!({ "jku": "https://evil.example/", "whatever": [[{}]] }),
    ] {
        let jwt = signer.token(&bench.claims_with(&good));
        assert_eq!(held(&bench.user(&jwt).await), ALICE, "{good}");
    }
    for bad in [
        json!({ "exp": null }),
        json!({ "exp": now - skew }),
        json!({ "exp": -5 }),
        json!({ "exp": (now + 60).to_string() }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": now + skew + 1 }),
        json!({ "iat": now + skew + 1 }),
        json!({ "nbf": "soon" }),
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "aud": "other" }),
        json!({ "aud": "Vault" }),
        json!({ "aud": ["other"] }),
        json!({ "aud": ["vault", 7] }),
        json!({ "aud": vec!["vault"; limits::JWT_AUDIENCES_READ_MAX + 1] }),
        json!({ "aud": { "vault": true } }),
        json!({ "iss": null }),
        json!({ "iss": format!("{url}/") }),
        json!({ "iss": url.to_uppercase() }),
        json!({ "iss": [url] }),
        json!({ "iss": "https://idp.example" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": " alice" }),
        json!({ "sub": 7 }),
        json!({ "sub": "a".repeat(257) }),
        json!({ "cnf": { "jkt": "x" } }),
    ] {
        let jwt = signer.token(&bench.claims_with(&bad));
        assert_eq!(held(&bench.user(&jwt).await), REFUSED, "{bad}");
    }
    assert_eq!(bench.issuer.asked_for_keys(), 1);
}

/// Goal: user and tenants come from the claims of the rule, in each form that issuers have.
/// Method: rules and claims.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_user_and_tenants_are_read_from_the_claims_of_the_rule() {
    let signer = Signer::new("EdDSA", "a");
    let rule = json!({ "user_claim": "https://x/user", "tenants_claim": "dct" });
    let bench = Bench::with(&[&signer], rule).await;
    for (claim, expected) in [
        (json!("t1"), vec!["t1"]),
        (json!(["t1", "t2", " t3", 7, ""]), vec!["t1", "t2"]),
        (
            json!({ "t1": { "roles": [] }, "t2": null }),
            vec!["t1", "t2"],
        ),
        (Value::Null, vec![]),
        (json!(7), vec![]),
    ] {
        let claims = json!({ "https://x/user": "bob", "dct": claim, "tenants": ["t9"] });
        let jwt = signer.token(&bench.claims_with(&claims));
        let caller = bench.caller(&jwt).await.unwrap();
        let person = caller.person().unwrap();
        let tenants: Vec<String> = person.tenants.iter().map(ToString::to_string).collect();
        assert_eq!(
            (person.user.to_string().as_str(), tenants),
            ("bob", {
                let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
                expected
            })
        );
    }
    let jwt = signer.token(&bench.claims());
    assert_eq!(
        held(&bench.user(&jwt).await),
        REFUSED,
        "`sub` is not asked for"
    );
}

/// Goal: a scope that the rule asks for is looked for where issuers put it; a token without it is
/// refused by name. Method: forms of scopes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_token_without_the_scope_of_the_rule_is_refused_by_name() {
    let signer = Signer::new("EdDSA", "a");
    let rule = json!({ "scope": "outbound.token.fetch" });
    let bench = Bench::with(&[&signer], rule).await;
    for good in [
        json!({ "scope": "openid outbound.token.fetch" }),
        json!({ "scope": ["outbound.token.fetch"] }),
        json!({ "scp": "outbound.token.fetch" }),
        json!({ "scope": "openid", "scp": ["x", "outbound.token.fetch"] }),
    ] {
        let jwt = signer.token(&bench.claims_with(&good));
        assert_eq!(held(&bench.user(&jwt).await), ALICE, "{good}");
    }
    for bad in [
        json!({}),
        json!({ "scope": "outbound.token" }),
        json!({ "scope": "outbound.token.fetch.more" }),
        json!({ "scope": { "outbound.token.fetch": true } }),
        json!({ "scope": ["openid outbound.token.fetch"] }),
    ] {
        let jwt = signer.token(&bench.claims_with(&bad));
        assert_eq!(held(&bench.user(&jwt).await), Err("denied"), "{bad}");
    }
    let last = bench.record().remove(0);
    assert!(last.contains("lacks the scope"), "{last}");
}

/// Goal: of two keys of one issuer the token's audience tells which; one that names nobody is taken
/// where the rule says so, and one for others never. Method: two rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_of_two_keys_of_one_issuer_the_audience_tells_which() {
    let signer = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&signer]).await;
    let rule = |more: Value| {
        let mut rule = json!({ "issuer": bench.issuer.url });
        for (name, value) in more.as_object().unwrap() {
            rule[name] = value.clone();
        }
        rule
    };
    let second = rule(json!({ "audiences": ["second"], "no_audience": true }));
    let second = add(&bench.vault, second).await.unwrap();
    for (audience, expected) in [
        (json!("vault"), Some(&bench.key.id)),
        (json!(["second", "vault"]), Some(&second.id)),
        (json!(["x", "vault", "second"]), Some(&bench.key.id)),
        (Value::Null, Some(&second.id)),
        (json!([]), Some(&second.id)),
        (json!("x"), None),
        (json!(""), None),
    ] {
        let jwt = signer.token(&bench.claims_with(&json!({ "aud": audience })));
        let caller = bench.caller(&jwt).await.ok();
        let key = caller.as_ref().and_then(Caller::key).map(|key| &key.id);
        assert_eq!(key, expected, "{audience}");
    }
    for clash in [
        json!({ "audiences": ["third", "vault"] }),
        json!({ "audiences": ["third"], "no_audience": true }),
    ] {
        let said = add(&bench.vault, rule(clash.clone())).await;
        assert!(matches!(said, Err(Error::Conflict(_))), "{clash}: {said:?}");
    }
}

/// Goal: a key that was removed, or has ended, opens nothing, and its issuer is asked no more.
/// Method: remove one; let another end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_gone_takes_its_tokens_along() {
    let signer = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&signer]).await;
    let jwt = signer.token(&bench.claims());
    assert_eq!(held(&bench.user(&jwt).await), ALICE);
    let me = Caller::local();
    bench.vault.remove_key(&me, &bench.key.id).await.unwrap();
    let asked = bench.issuer.asked();
    bench.wait(limits::JWKS_FRESH_MAX);
    let jwt = signer.token(&bench.claims());
    assert_eq!(held(&bench.user(&jwt).await), REFUSED);
    let new = NewKey {
        name: "short".into(),
        role: Some(Role::Server),
        expires_at: Some(bench.clock.now().plus(Duration::from_secs(60))),
        ..NewKey::default()
    };
    let rule = json!({ "issuer": bench.issuer.url, "audiences": ["vault"] });
    let rule = serde_json::from_value(rule).unwrap();
    let short = bench.vault.add_issuer(&me, new, rule).await.unwrap();
    bench.wait(Duration::from_secs(60));
    let jwt = signer.token(&bench.claims());
    assert_eq!(held(&bench.user(&jwt).await), REFUSED);
    assert_eq!(bench.issuer.asked(), asked);
    assert!(short.jwt.is_some());
}
