//! Tokens that somebody else made, or bent (B1, B3, B5; RFC 8725).
//!
//! It promises: each attack stands in a table with its name, beside tokens that are taken.
//! It never: asks anybody but issuers of its own.

use super::issuer::base64url;
use super::*;

/// An issuer with a key of each kind, somebody else, and a token of alice's to bend.
struct Attack {
    bench: Bench,
    own: Signer,
    evil: Signer,
    elsewhere: Issuer,
    claims: String,
    /// The parts of a good token.
    good: [String; 3],
    rsa_modulus: String,
}

impl Attack {
    async fn new() -> Self {
        let (own, evil) = (Signer::new("EdDSA", "a"), Signer::new("EdDSA", "a"));
        let (rsa, point) = (Signer::new("RS256", "r"), Signer::new("ES256", "e"));
        let bench = Bench::new(&[&own, &rsa, &point]).await;
        let claims = bench.claims().to_string();
        let good = parts(&own.pack(&own.header().to_string(), &claims));
        Self {
            elsewhere: Issuer::start(&[&evil]).await,
            rsa_modulus: rsa.jwk()["n"].as_str().unwrap().to_owned(),
            bench,
            own,
            evil,
            claims,
            good,
        }
    }

    /// The header of a good token, with `more` laid over.
    fn header(&self, more: Value) -> String {
        let mut header = self.own.header();
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        header.to_string()
    }

    /// Signed by the issuer, under another header.
    fn signed(&self, more: Value) -> String {
        self.own.pack(&self.header(more), &self.claims)
    }

    /// Signed by somebody else, under another header.
    fn forged(&self, more: Value) -> String {
        self.evil.pack(&self.header(more), &self.claims)
    }

    /// Signed with what is public, as a shared secret.
    fn by_shared_secret(&self) -> String {
        let header = base64url(self.header(json!({ "alg": "HS256", "kid": "r" })));
        let message = format!("{header}.{}", self.good[1]);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.rsa_modulus.as_bytes());
        let mark = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", base64url(mark))
    }

    async fn refused(&self, attacks: &[(&str, String)]) {
        for (what, jwt) in attacks {
            assert_eq!(held(&self.bench.user(jwt).await), REFUSED, "{what}");
        }
    }
}

fn parts(jwt: &str) -> [String; 3] {
    let parts: Vec<String> = jwt.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// Goal: what the issuer did not sign, by a key and an algorithm of its own, opens nothing. Method:
/// a table of signatures that are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_what_its_issuer_did_not_sign_opens_nothing() {
    let attack = Attack::new().await;
    let [head, claims, mark] = attack.good.clone();
    let bobs = attack
        .bench
        .claims_with(&json!({ "sub": "bob" }))
        .to_string();
    let [_, bobs, _] = parts(&attack.own.pack("{}", &bobs));
    let none = |alg: &str| base64url(attack.header(json!({ "alg": alg })));
    let mut bent = mark.clone();
    bent.replace_range(0..1, if bent.starts_with('A') { "B" } else { "A" });
    let cut = &mark[..mark.len() - 2];
    let attacks = [
        ("no signature", format!("{}.{claims}.", none("none"))),
        ("none, and one", format!("{}.{claims}.{mark}", none("none"))),
        ("None", format!("{}.{claims}.", none("None"))),
        ("an empty signature", format!("{head}.{claims}.")),
        ("a shared secret", attack.by_shared_secret()),
        ("another's claims", format!("{head}.{bobs}.{mark}")),
        ("a bent signature", format!("{head}.{claims}.{bent}")),
        ("a padded signature", format!("{head}.{claims}.{mark}==")),
        ("a cut signature", format!("{head}.{claims}.{cut}")),
        ("four parts", format!("{head}.{claims}.{mark}.x")),
        ("a stranger's key", attack.forged(json!({}))),
    ];
    attack.refused(&attacks).await;
    assert_eq!(attack.bench.issuer.asked_for_keys(), 1);
    assert_eq!(
        held(&attack.bench.user(&attack.signed(json!({}))).await),
        ALICE
    );
}

/// Goal: no byte of a token can be another. Method: each in turn, and each left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_no_byte_of_a_token_can_be_another() {
    let attack = Attack::new().await;
    let good = attack.good.join(".");
    assert_eq!(held(&attack.bench.user(&good).await), ALICE);
    for at in 0..good.len() {
        let other = if good[at..].starts_with('A') {
            "B"
        } else {
            "A"
        };
        for instead in [other, "", "."] {
            let bent = format!("{}{instead}{}", &good[..at], &good[at + 1..]);
            if bent != good {
                assert_eq!(
                    held(&attack.bench.user(&bent).await),
                    REFUSED,
                    "{at} {instead}"
                );
            }
        }
    }
    assert_eq!(attack.bench.issuer.asked_for_keys(), 1);
}

/// Goal: what a header says of keys and algorithms counts for nothing that the issuer did not
/// publish, and asks nobody; what has to be understood and is not refuses the token. Method: a
/// table of headers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_a_header_chooses_neither_key_nor_algorithm() {
    let attack = Attack::new().await;
    let jku = format!("{}/jwks", attack.elsewhere.url);
    let (signed, forged) = (|more| attack.signed(more), |more| attack.forged(more));
    let jwk = attack.evil.jwk();
    let attacks = [
        ("its own key", forged(json!({ "jwk": jwk }))),
        ("its own place", forged(json!({ "jku": jku, "x5u": jku }))),
        ("its own certificate", forged(json!({ "x5c": ["MAA="] }))),
        ("another's kid", signed(json!({ "kid": "r" }))),
        (
            "another's algorithm",
            signed(json!({ "alg": "RS256", "kid": "r" })),
        ),
        ("a wrong algorithm", signed(json!({ "alg": "ES256" }))),
        (
            "a wrong kind of key",
            signed(json!({ "alg": "ES256", "kid": "e" })),
        ),
        ("in small letters", signed(json!({ "alg": "eddsa" }))),
        ("no algorithm", signed(json!({ "alg": null }))),
        ("a path", forged(json!({ "kid": "../../dev/null" }))),
        ("a query", forged(json!({ "kid": "' OR 1=1 --" }))),
        ("a URL", forged(json!({ "kid": jku }))),
        ("a number", signed(json!({ "kid": 7 }))),
        ("long", signed(json!({ "kid": "a".repeat(257) }))),
        ("crit", signed(json!({ "crit": ["exp"] }))),
        ("crit of nothing", signed(json!({ "crit": null }))),
        (
            "unencoded",
            signed(json!({ "crit": ["b64"], "b64": false })),
        ),
        ("for logging out", signed(json!({ "typ": "logout+jwt" }))),
        ("a proof", signed(json!({ "typ": "dpop+jwt" }))),
        ("a type that is none", signed(json!({ "typ": 7 }))),
    ];
    attack.refused(&attacks).await;
    assert_eq!(attack.bench.issuer.asked_for_keys(), 1);
    assert_eq!(attack.elsewhere.asked(), 0);
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let jwt = signed(json!({ "typ": typ }));
        assert_eq!(held(&attack.bench.user(&jwt).await), ALICE, "{typ}");
    }
    let nameless = r#"{"alg":"EdDSA"}"#;
    let jwt = attack.own.pack(nameless, &attack.claims);
    assert_eq!(held(&attack.bench.user(&jwt).await), ALICE, "one key fits");
}

/// Goal: a token whose text two readers could read in two ways is refused, and so is one that is
/// too much to read. Method: texts that no honest issuer writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_token_that_could_be_read_in_two_ways_is_refused() {
    let own = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&own]).await;
    let header = own.header().to_string();
    let claims = bench.claims().to_string();
    let with = |more: &str| format!("{},{more}}}", claims.trim_end_matches('}'));
    for (what, head, body) in [
        ("the user twice", header.clone(), with(r#""sub":"bob""#)),
        (
            "the user twice, escaped",
            header.clone(),
            with(r#""s\u0075b":"bob""#),
        ),
        (
            "the end twice",
            header.clone(),
            with(r#""exp":99999999999"#),
        ),
        (
            "alg twice",
            format!(r#"{{"alg":"none",{}"#, &header[1..]),
            claims.clone(),
        ),
        ("a list", header.clone(), format!("[{claims}]")),
        (
            "text behind it",
            header.clone(),
            format!("{claims} {claims}"),
        ),
        ("no JSON", header.clone(), "alice".into()),
        ("nothing", header.clone(), String::new()),
        ("no header", String::new(), claims.clone()),
        (
            "deep",
            header.clone(),
            with(&format!(r#""x":{}"#, "[".repeat(5000))),
        ),
        ("deep and closed", header.clone(), {
            let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
            with(&format!(r#""x":{deep}"#))
        }),
        (
            "huge",
            header.clone(),
            with(&format!(r#""x":"{}""#, "x".repeat(13_000))),
        ),
    ] {
        assert_eq!(
            held(&bench.user(&own.pack(&head, &body)).await),
            REFUSED,
            "{what}"
        );
    }
    let long = with(&format!(r#""x":"{}""#, "x".repeat(11_000)));
    assert_eq!(held(&bench.user(&own.pack(&header, &long)).await), ALICE);
    for odd in [
        "",
        "..",
        "a.b.c",
        "....",
        "eyJ.eyJ.eyJ",
        "é.é.é",
        "e30.e30.e30",
    ] {
        assert_eq!(held(&bench.user(odd).await), REFUSED, "{odd}");
    }
}

/// Goal: whose token is not good is on record as a stranger is, with what was wrong, and no more
/// often. Method: a few, and the trail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_a_token_that_is_not_good_is_on_record_once_in_a_while() {
    let own = Signer::new("EdDSA", "a");
    let bench = Bench::new(&[&own]).await;
    let late = own.token(&bench.claims_with(&json!({ "exp": 5 })));
    for _ in 0..5 {
        assert_eq!(held(&bench.user(&late).await), REFUSED);
    }
    let told = |bench: &Bench| {
        let record = bench.record().into_iter();
        record
            .filter(|said| said.contains("without a valid access key"))
            .collect::<Vec<_>>()
    };
    let first = "refused 1 without a valid access key; the last one's JWT: it has expired";
    assert_eq!(told(&bench), [first]);
    bench.wait(limits::STRANGERS_EVERY);
    assert_eq!(held(&bench.user("a.b.c").await), REFUSED);
    let second = "refused 5 without a valid access key; the last one's JWT: it is none";
    assert_eq!(told(&bench), [second, first]);
}
