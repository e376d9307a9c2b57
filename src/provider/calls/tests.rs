//! That a recipe makes the request that it says.

use super::*;
use crate::model::dialect::Dialect;

fn made(recipe: &str, known: &[(&str, &str)]) -> Result<(String, Request), Failure> {
    let app = OAuth::of("the-client");
    let secret = Secret::new("hush".to_owned());
    let (access, refresh) = (Secret::new("a/t".to_owned()), Secret::new("r&t".to_owned()));
    let read = |(name, value): &(&str, &str)| (Name::parse(*name).unwrap(), (*value).into());
    let known: Known = known.iter().map(read).collect();
    let stock = Stock {
        app: &app,
        client_secret: Some(&secret),
        known: &known,
        access_token: Some(&access),
        refresh_token: Some(&refresh),
    };
    let text = format!(r#"{{"revocation":{recipe}}}"#);
    let dialect: Dialect = serde_json::from_str(&text).unwrap();
    dialect.check().unwrap();
    stock.request(&dialect.revocation.unwrap())
}

#[test]
fn github_s_recipe_is_a_delete_with_json() {
    let (host, request) = made(
        r#"{"method":"DELETE","url":"https://api.github.com/applications/{client_id}/token",
            "auth":"basic","format":"json","params":{"access_token":"{access_token}"}}"#,
        &[],
    )
    .unwrap();
    assert_eq!(host, "api.github.com:443");
    assert_eq!(request.method(), "DELETE");
    assert_eq!(request.uri().path(), "/applications/the-client/token");
    assert_eq!(request.body(), br#"{"access_token":"a/t"}"#);
    // the-client:hush
    assert_eq!(
        request.headers()[AUTHORIZATION],
        "Basic dGhlLWNsaWVudDpodXNo"
    );
    assert!(request.headers()[AUTHORIZATION].is_sensitive());
}

#[test]
fn a_get_has_its_parameters_in_the_query_and_a_form_in_its_body() {
    let recipe = r#"{"method":"GET","url":"https://api.example/revoke",
        "params":{"access_token":"{access_token}"}}"#;
    let (_, request) = made(recipe, &[]).unwrap();
    assert_eq!(request.uri().query(), Some("access_token=a%2Ft"));
    assert!(request.body().is_empty());
    let recipe = r#"{"method":"POST","url":"https://{host}/revoke","auth":"post",
        "params":{"token":"{refresh_token}"}}"#;
    let (host, request) = made(recipe, &[("host", "a.example:8443")]).unwrap();
    assert_eq!(host, "a.example:8443");
    let form = str::from_utf8(request.body()).unwrap();
    assert_eq!(form, "token=r%26t&client_id=the-client&client_secret=hush");
    let recipe = r#"{"method":"POST","url":"{instance_url}/revoke","auth":"bearer",
        "headers":{"X-Client":"Client {client_secret}"}}"#;
    let (host, request) = made(recipe, &[("instance_url", "https://na1.example")]).unwrap();
    assert_eq!(host, "na1.example:443");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer a/t");
    assert_eq!(request.headers()["x-client"], "Client hush");
}

#[test]
fn what_is_not_known_is_said_and_nothing_is_sent() {
    let recipe = r#"{"method":"POST","url":"{instance_url}/revoke"}"#;
    let failure = made(recipe, &[]).err().unwrap();
    assert!(
        failure.description.contains("`instance_url`"),
        "{failure:?}"
    );
    // No value that is known leads the token to another host.
    for hostile in [
        "https://evil.example/?x=",
        "evil.example",
        "https://a@evil.example",
    ] {
        assert!(
            made(recipe, &[("instance_url", hostile)]).is_err(),
            "{hostile}"
        );
    }
    let recipe = r#"{"method":"POST","url":"https://{shop}.example.com/revoke"}"#;
    for hostile in ["evil.example/", "evil.example?", "a@b", "evil.example#"] {
        assert!(made(recipe, &[("shop", hostile)]).is_err(), "{hostile}");
    }
}
