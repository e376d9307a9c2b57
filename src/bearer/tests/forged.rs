//! Tokens that somebody else made, or bent (B1, B3, B5; RFC 8725).

use super::issuer::base64url;
use super::*;

/// Goal: what the issuer did not sign, by a key and an algorithm of its own, opens nothing, costs
/// the issuer nothing but its own keys, and asks nobody else. Method: a table of attacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_what_its_issuer_did_not_sign_opens_nothing() {
    let own = Signer::new("EdDSA", "a");
    let rsa = Signer::new("RS256", "r");
    let point = Signer::new("ES256", "e");
    let bench = Bench::new(&[&own, &rsa, &point]).await;
    let evil = Signer::new("EdDSA", "a");
    let elsewhere = Issuer::start(&[&evil]).await;
    let good = bench.claims().to_string();
    let header = |more: Value| {
        let mut header = own.header();
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        header.to_string()
    };
    let bob = bench.claims_with(&json!({ "sub": "bob" })).to_string();
    let parts = |jwt: &str| -> [String; 3] {
        let parts: Vec<String> = jwt.split('.').map(str::to_owned).collect();
        parts.try_into().unwrap()
    };
    let [head, claims, mark] = parts(&own.pack(&header(json!({})), &good));
    let [_, bobs, _] = parts(&own.pack(&header(json!({})), &bob));
    let none = |alg: &str| base64url(header(json!({ "alg": alg })));
    let secret = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let hmac = {
        let message = format!("{}.{claims}", none("HS256"));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        format!(
            "{message}.{}",
            base64url(ring::hmac::sign(&key, message.as_bytes()))
        )
    };
    let mut bent = mark.clone();
    let last = if bent.starts_with('A') { "B" } else { "A" };
    bent.replace_range(0..1, last);
    let jku = format!("{}/jwks", elsewhere.url);
    let attacks = [
        ("no signature", format!("{}.{claims}.", none("none"))),
        (
            "no signature, none",
            format!("{}.{claims}.{mark}", none("none")),
        ),
        ("no signature, None", format!("{}.{claims}.", none("None"))),
        ("an empty signature", format!("{head}.{claims}.")),
        ("a shared secret", hmac),
        ("another's claims", format!("{head}.{bobs}.{mark}")),
        ("a bent signature", format!("{head}.{claims}.{bent}")),
        ("a padded signature", format!("{head}.{claims}.{mark}==")),
        (
            "a cut signature",
            format!("{head}.{claims}.{}", &mark[..mark.len() - 2]),
        ),
        ("four parts", format!("{head}.{claims}.{mark}.x")),
        ("a stranger's key", evil.pack(&header(json!({})), &good)),
        (
            "its own key",
            evil.pack(&header(json!({ "jwk": evil.jwk() })), &good),
        ),
        (
            "its own place",
            evil.pack(&header(json!({ "jku": jku, "x5u": jku })), &good),
        ),
        (
            "its own certificate",
            evil.pack(&header(json!({ "x5c": ["MAA="] })), &good),
        ),
        (
            "another's kid",
            own.pack(&header(json!({ "kid": "r" })), &good),
        ),
        (
            "another's algorithm",
            own.pack(&header(json!({ "alg": "RS256", "kid": "r" })), &good),
        ),
        (
            "a wrong algorithm",
            own.pack(&header(json!({ "alg": "ES256" })), &good),
        ),
        (
            "an algorithm in small letters",
            own.pack(&header(json!({ "alg": "eddsa" })), &good),
        ),
        (
            "a kid that is a path",
            evil.pack(&header(json!({ "kid": "../../dev/null" })), &good),
        ),
        (
            "a kid that is a query",
            evil.pack(&header(json!({ "kid": "' OR 1=1 --" })), &good),
        ),
        (
            "a kid that is a URL",
            evil.pack(&header(json!({ "kid": jku })), &good),
        ),
        (
            "a kid that is a number",
            own.pack(&header(json!({ "kid": 7 })), &good),
        ),
        (
            "a kid that is long",
            own.pack(&header(json!({ "kid": "a".repeat(257) })), &good),
        ),
        ("crit", own.pack(&header(json!({ "crit": ["exp"] })), &good)),
        (
            "crit of nothing",
            own.pack(&header(json!({ "crit": null })), &good),
        ),
        (
            "unencoded",
            own.pack(&header(json!({ "crit": ["b64"], "b64": false })), &good),
        ),
        (
            "for logging out",
            own.pack(&header(json!({ "typ": "logout+jwt" })), &good),
        ),
        (
            "a proof",
            own.pack(&header(json!({ "typ": "dpop+jwt" })), &good),
        ),
    ];
    for (what, jwt) in &attacks {
        assert_eq!(held(&bench.user(jwt).await), REFUSED, "{what}");
    }
    assert_eq!(bench.issuer.asked_for_keys(), 1);
    assert_eq!(elsewhere.asked(), 0);
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let jwt = own.pack(&header(json!({ "typ": typ })), &good);
        assert_eq!(held(&bench.user(&jwt).await), ALICE, "{typ}");
    }
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
