//! That a request is changed as its dialect says, and otherwise not at all.

use super::*;
use crate::model::Name;

fn app(asked: &str) -> OAuth {
    let mut app = OAuth::of("client");
    app.scope_separator = ",".into();
    app.dialect = serde_json::from_str(&format!(r#"{{"asked":{asked}}}"#)).unwrap();
    app.dialect.check().unwrap();
    app
}

fn request(body: &str) -> Request {
    http::Request::post("https://idp.example/token?v=1")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.as_bytes().to_vec())
        .unwrap()
}

fn sent(asked: &str, kind: Kind<'_>) -> Request {
    let plain = request("grant_type=refresh_token&client_id=client&scope=a+b&code=x%26y");
    token_request(&app(asked), kind, plain).unwrap()
}

fn body(request: &Request) -> &str {
    str::from_utf8(request.body()).unwrap()
}

#[test]
fn without_a_dialect_nothing_is_touched() {
    let same = sent("{}", Kind::Code);
    assert_eq!(
        body(&same),
        "grant_type=refresh_token&client_id=client&scope=a+b&code=x%26y"
    );
    let mut url = Url::parse("https://idp.example/a?scope=a+b&state=%20").unwrap();
    let before = url.clone();
    authorize(&app("{}"), &mut url);
    assert_eq!(url, before);
}

#[test]
fn parameters_come_go_and_change_their_names() {
    let asked = r#"{"code_params":{"type":"web_server"},"rename":{"client_id":"client_key"},
        "without":{"code":["scope"]},"refresh_params":{"redirect_uri":"{redirect_uri}",
        "type":"refresh"}}"#;
    let code = sent(asked, Kind::Code);
    let expected = "grant_type=refresh_token&client_key=client&code=x%26y&type=web_server";
    assert_eq!(body(&code), expected);
    let ours = Name::parse("redirect_uri").unwrap();
    let known = Known::from([(ours, "https://v.example/callback/a".to_owned())]);
    let refresh = sent(asked, Kind::Refresh(&known));
    assert!(body(&refresh).contains("redirect_uri=https%3A%2F%2Fv.example%2Fcallback%2Fa"));
    assert!(body(&refresh).contains("type=refresh") && body(&refresh).contains("scope=a+b"));
    // What nothing fills is left out, and not sent empty.
    let refresh = sent(asked, Kind::Refresh(&Known::new()));
    assert!(
        !body(&refresh).contains("redirect_uri"),
        "{}",
        body(&refresh)
    );
}

#[test]
fn a_request_is_written_as_json_or_in_the_query() {
    let json = sent(
        r#"{"token_format":"json","token_headers":{"Notion-Version":"2"}}"#,
        Kind::Code,
    );
    assert_eq!(json.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(json.headers()["notion-version"], "2");
    let object: BTreeMap<String, String> = serde_json::from_slice(json.body()).unwrap();
    assert_eq!(object["code"], "x&y");
    let query = sent(r#"{"token_format":"query"}"#, Kind::Code);
    assert!(query.body().is_empty() && !query.headers().contains_key(CONTENT_TYPE));
    let query = query.uri().query().unwrap();
    assert!(query.starts_with("v=1&grant_type=refresh_token"), "{query}");
    assert!(query.contains("code=x%26y"), "{query}");
}

#[test]
fn an_authorization_request_speaks_the_dialect() {
    let app = app(
        r#"{"more_scopes":{"user_scope":["users:read","users:write"]},
        "scope_param":"scopes","rename":{"client_id":"client_key"},
        "without":{"authorize":["response_type"]}}"#,
    );
    let plain = "https://idp.example/a?own=1&response_type=code&client_id=c&state=s%26&scope=a";
    let mut url = Url::parse(plain).unwrap();
    authorize(&app, &mut url);
    let query = url.query().unwrap();
    assert!(
        query.contains("user_scope=users%3Aread%2Cusers%3Awrite"),
        "{query}"
    );
    assert!(
        query.contains("scopes=a") && query.contains("client_key=c"),
        "{query}"
    );
    assert!(
        query.contains("own=1") && query.contains("state=s%26"),
        "{query}"
    );
    assert!(
        !query.contains("response_type") && !query.contains("client_id="),
        "{query}"
    );
}
