//! That what whoever connects, an upload or an answer says moves no request.

use super::*;
use crate::model::blanks::Blanks;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// An app whose token URL has a blank `shop`; the rest of it as said.
fn app(shop: &str, dialect: &str) -> App {
    let mut oauth = OAuth::of("client");
    let blanks = |text: &str| Some(Blanks::parse(text).unwrap());
    oauth.open = Some(OpenEndpoints {
        authorization_url: blanks("https://{shop}.example/a"),
        token_url: blanks("https://{shop}.example/t"),
        ..OpenEndpoints::default()
    });
    oauth.dialect = serde_json::from_str(dialect).unwrap();
    let id = AppId::parse("app").unwrap();
    let mut app = App::of(id, AppKind::OAuth(Box::new(oauth)), NOW);
    let shop = serde_json::from_str(shop).unwrap();
    app.variables.insert(name("shop"), shop);
    let own: Variable = serde_json::from_str(r#"{"default":"api.example"}"#).unwrap();
    app.variables.insert(name("own"), own);
    app
}

const PERSON: &str = r#"{"asked_of":"person","pattern":"[a-z]+","example":"acme"}"#;

#[test]
fn t28_where_a_client_secret_goes_is_held_to_the_operator_s_pattern() {
    let check = |shop: &str, dialect: &str| app(shop, dialect).check();
    assert!(check(PERSON, "{}").is_ok());
    let free = check(r#"{"asked_of":"person"}"#, "{}").unwrap_err();
    assert!(free.to_string().contains("`pattern`"), "{free}");
    // What an answer says leads no client secret anywhere, nor does it move the operator's word.
    let call = |auth: &str, url: &str| {
        format!(
            r#"{{"answered":{{"keep":["instance_url"]}},
                "revocation":{{"method":"POST","url":"{url}","auth":"{auth}"}}}}"#
        )
    };
    assert!(check(PERSON, &call("none", "{instance_url}/revoke")).is_ok());
    assert!(check(PERSON, &call("bearer", "{instance_url}/revoke")).is_ok());
    for auth in ["basic", "post"] {
        assert!(check(PERSON, &call(auth, "{instance_url}/revoke")).is_err());
        assert!(check(PERSON, &call(auth, "https://{own}/revoke/{client_id}")).is_ok());
    }
    assert!(check(PERSON, r#"{"answered":{"keep":["own"]}}"#).is_err());
    assert!(check(PERSON, r#"{"answered":{"keep_callback":["own"]}}"#).is_err());
}

#[test]
fn t28_a_record_never_says_what_is_the_operator_s_to_say() {
    let mut app = app(PERSON, "{}");
    let kept = |pairs: &[(&str, &str)]| -> Known {
        let pairs = pairs
            .iter()
            .map(|(key, value)| (name(key), (*value).to_owned()));
        pairs.collect()
    };
    let hostile = kept(&[
        ("own", "evil.example"),
        ("shop", "evil.example"),
        ("free", "x"),
    ]);
    let known = app.known_of(&hostile);
    assert_eq!(known, kept(&[("own", "api.example"), ("free", "x")]));
    assert!(app.check_kept(&hostile).is_err());
    assert!(app.check_kept(&kept(&[("shop", "EVIL")])).is_err());
    assert!(
        app.check_kept(&kept(&[("shop", "acme"), ("free", "x")]))
            .is_ok()
    );
    let oauth = app.oauth_of(&hostile).unwrap().unwrap();
    assert_eq!(oauth.token_url(), None, "no such shop is asked anything");
    // Once the operator has said it, nobody else says it.
    app.values.insert(name("shop"), "acme".into());
    let known = app.known_of(&kept(&[("shop", "other")]));
    assert_eq!(known[&name("shop")], "acme");
    assert!(app.check_kept(&kept(&[("shop", "other")])).is_err());
}

#[test]
fn the_name_of_a_further_token_leads_to_the_first_one_s_account() {
    let second = r#"{"answered":{"second_tokens":[{"slot":"user","access_token":"u"}]}}"#;
    let app = app(PERSON, second);
    let account = |text: &str| Some(Account::parse(text).unwrap());
    for (asked, first) in [
        ("user", None),
        ("work/user", account("work")),
        ("work", account("work")),
        ("superuser", account("superuser")),
    ] {
        assert_eq!(app.first_account(account(asked)), first, "{asked}");
    }
    assert_eq!(app.first_account(None), None);
}
