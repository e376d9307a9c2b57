//! That an answer in a dialect is read as the dialect says, and in no other way.

use super::*;
use crate::provider::answer::{Answer, read_grant};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn app(dialect: &str) -> OAuth {
    let mut app = OAuth::of("client");
    app.dialect = serde_json::from_str(dialect).unwrap();
    app.dialect.check().unwrap();
    app
}

fn read(app: &OAuth, status: u16, body: &str) -> Result<Grant, Failure> {
    let answer = Answer {
        status,
        content_type: "application/json".into(),
        retry_after: String::new(),
        kept_for: None,
        www_authenticate: String::new(),
        body: Ok(Secret::new(body.as_bytes().to_vec())),
    };
    read_grant(&answer, app, NOW)
}

const SLACK: &str = r#"{"answered":{
    "bad_when":{"field":"ok","is":"false"},
    "scope_separator":",",
    "keep":["team.id","enterprise.id"],
    "keep_secret":["incoming_webhook.url"],
    "account_id":"authed_user.id",
    "dead_codes":["token_gone"],
    "later_codes":["come_back"],
    "second_tokens":[{"slot":"user","access_token":"authed_user.access_token",
        "refresh_token":"authed_user.refresh_token","lifetime":"authed_user.expires_in",
        "scope":"authed_user.scope"}]}}"#;

#[test]
fn both_tokens_of_one_answer_are_found() {
    let grant = read(
        &app(SLACK),
        200,
        r#"{"ok":true,"access_token":"xoxb","refresh_token":"rb","expires_in":43200,
            "scope":"chat:write,files:read","team":{"id":"T1"},
            "incoming_webhook":{"url":"https://hooks.example/secret"},
            "authed_user":{"id":"U1","access_token":"xoxp","refresh_token":"rp",
                "expires_in":3600,"scope":"users:read"}}"#,
    )
    .unwrap();
    assert_eq!(grant.access_token.expose(), "xoxb");
    assert_eq!(grant.refresh_token.unwrap().expose(), "rb");
    assert_eq!(grant.scopes.unwrap().joined(" "), "chat:write files:read");
    assert_eq!(grant.subject.as_deref(), Some("U1"));
    let team = Name::parse("team.id").unwrap();
    assert_eq!(grant.brought.metadata, Known::from([(team, "T1".into())]));
    let hook = Name::parse("incoming_webhook.url").unwrap();
    let url = &grant.brought.secrets[&hook];
    assert_eq!(url.expose(), "https://hooks.example/secret");
    let [second] = &grant.brought.second[..] else {
        panic!("one further token");
    };
    assert_eq!(second.slot.as_str(), "user");
    assert_eq!(second.grant.access_token.expose(), "xoxp");
    assert_eq!(second.grant.refresh_token.as_ref().unwrap().expose(), "rp");
    assert_eq!(second.grant.expires_in_s, Some(3600));
    assert_eq!(
        second.grant.scopes.as_ref().unwrap().joined(" "),
        "users:read"
    );
}

#[test]
fn a_further_token_alone_is_the_first() {
    let body = r#"{"ok":true,"authed_user":{"id":"U1","access_token":"xoxp"}}"#;
    let grant = read(&app(SLACK), 200, body).unwrap();
    assert_eq!(grant.access_token.expose(), "xoxp");
    assert_eq!(grant.subject.as_deref(), Some("U1"));
    assert!(grant.brought.second.is_empty());
}

#[test]
fn a_further_token_that_cannot_be_used_costs_nothing_of_the_first() {
    let body = r#"{"ok":true,"access_token":"xoxb","authed_user":{"access_token":"a\nb"}}"#;
    let grant = read(&app(SLACK), 200, body).unwrap();
    assert_eq!(grant.access_token.expose(), "xoxb");
    assert!(grant.brought.second.is_empty());
}

/// Goal: a dialect's codes count, but never those of a server in trouble. Method: each code with a
/// 200, a 400, a 429 and a 500.
#[test]
fn codes_of_a_dialect_mean_what_it_says() {
    let app = app(SLACK);
    let kind = |status: u16, code: &str| {
        let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
        read(&app, status, &body).err().unwrap().kind
    };
    let later = FailureKind::Transient { retry_after: None };
    for status in [200, 400, 403] {
        assert_eq!(kind(status, "token_gone"), FailureKind::Refused, "{status}");
        assert_eq!(kind(status, "come_back"), later, "{status}");
        assert_eq!(kind(status, "else"), FailureKind::ClientRefused, "{status}");
    }
    for status in [429, 500, 503] {
        assert_eq!(kind(status, "token_gone"), later, "{status}");
    }
}

#[test]
fn a_refusal_in_a_200_is_one_and_a_token_beside_it_is_kept() {
    let app = app(r#"{"answered":{"bad_when":{"field":"status","is":{"not":"good"}}}}"#);
    let refused = read(&app, 200, r#"{"status":"bad","error_code":"nope"}"#);
    assert_eq!(refused.err().unwrap().code, "nope");
    assert!(read(&app, 200, r#"{"status":"bad","access_token":"a"}"#).is_ok());
    // It is good by that word, and still holds no token.
    let lost = read(&app, 200, r#"{"status":"good"}"#).err().unwrap();
    assert_eq!(lost.kind, FailureKind::AnswerLost);
}

#[test]
fn tokens_scopes_and_lifetimes_are_read_where_the_dialect_says() {
    let nested = app(
        r#"{"answered":{"access_token":"data[0].token","refresh_token":"data[0].again",
        "scope":"data[0].permissions","lifetime":"data[0].ttl","lifetime_unit":"milliseconds",
        "refresh_token_lifetime":"data[0].refresh_ttl","error_code":"failure.sub",
        "account_label":"data[0].mail"}}"#,
    );
    let grant = read(
        &nested,
        200,
        r#"{"data":[{"token":"at","again":"rt","permissions":["a","b"],"ttl":5184000000,
            "refresh_ttl":15552000,"mail":"ann@example.com"}]}"#,
    )
    .unwrap();
    assert_eq!(grant.access_token.expose(), "at");
    assert_eq!(grant.refresh_token.unwrap().expose(), "rt");
    assert_eq!(grant.scopes.unwrap().joined(" "), "a b");
    assert_eq!(grant.expires_in_s, Some(5_184_000));
    assert_eq!(grant.brought.refresh_token_lifetime_s, Some(15_552_000));
    assert_eq!(grant.brought.label.as_deref(), Some("ann@example.com"));
    let refused = read(
        &nested,
        400,
        r#"{"error":"x","failure":{"sub":"invalid_grant"}}"#,
    );
    assert_eq!(refused.err().unwrap().kind, FailureKind::Refused);
    let minutes = app(r#"{"answered":{"lifetime_unit":"minutes"}}"#);
    let grant = read(&minutes, 200, r#"{"access_token":"a","expires_in":60}"#).unwrap();
    assert_eq!(grant.expires_in_s, Some(3600));
}

#[test]
fn what_is_kept_is_short_text_and_what_is_no_text_is_not_there() {
    let app = app(r#"{"answered":{"keep":["url","n","list","long","line"],"account_id":"long"}}"#);
    let long = "x".repeat(2000);
    let body = format!(
        r#"{{"access_token":"a","url":"https://a.example","n":7,"list":[1],"long":"{long}",
            "line":"a\nb"}}"#
    );
    let grant = read(&app, 200, &body).unwrap();
    let kept: Vec<(&str, &str)> = grant
        .brought
        .metadata
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(kept, [("n", "7"), ("url", "https://a.example")]);
    assert_eq!(grant.subject, None);
}

#[test]
fn fields_inside_of_something_are_found_and_those_at_the_top_as_well() {
    let catalogue = crate::provider::catalogue::Catalogue::default();
    let entry = catalogue.find("instagram");
    let facts = entry.and_then(|entry| entry.oauth.as_ref()).unwrap();
    let mut instagram = OAuth::of("client");
    instagram.dialect = facts.dialect.clone();
    let user = Name::parse("user_id").unwrap();
    let fields = r#"{"access_token":"at","user_id":7,"permissions":"one,two"}"#;
    for body in [fields.to_owned(), format!(r#"{{"data":[{fields}]}}"#)] {
        let grant = read(&instagram, 200, &body).unwrap();
        assert_eq!(grant.access_token.expose(), "at", "{body}");
        assert_eq!(grant.scopes.unwrap().joined(" "), "one two", "{body}");
        assert_eq!(grant.brought.metadata[&user], "7", "{body}");
    }
    // What stands at the top goes first, and a token counts wherever it stands.
    let both = r#"{"data":[{"access_token":"in"}],"access_token":"top","error":"odd"}"#;
    let grant = read(&instagram, 200, both).unwrap();
    assert_eq!(grant.access_token.expose(), "top");
    let inside = r#"{"data":[{"access_token":"in"}],"error":"odd"}"#;
    let grant = read(&instagram, 200, inside).unwrap();
    assert_eq!(grant.access_token.expose(), "in");
    for none in [
        r#"{"data":[]}"#,
        r#"{"data":"access_token"}"#,
        r#"{"data":[7]}"#,
    ] {
        let failure = read(&instagram, 200, none).err().unwrap();
        assert_eq!(failure.code, "no_access_token", "{none}");
    }
}

#[test]
fn where_the_redirect_names_the_account_no_person_is_it() {
    // {"sub":"ada","email":"a@b"}
    let body = r#"{"access_token":"at","id_token":"e30.eyJzdWIiOiJhZGEiLCJlbWFpbCI6ImFAYiJ9.x"}"#;
    let dialect = r#"{"answered":{"keep_callback":["realmId"],"account_from_callback":"realmId"}}"#;
    let grant = read(&app(dialect), 200, body).unwrap();
    assert_eq!(grant.subject, None);
    assert_eq!(grant.brought.label.as_deref(), Some("a@b"));
    let grant = read(&app("{}"), 200, body).unwrap();
    assert_eq!(grant.subject.as_deref(), Some("ada"));
}
