//! That a credential is shown as its service wants it, and that what comes back is read with care.

use super::*;
use crate::model::blanks::is_default;

struct Given {
    api: Api,
    known: Known,
    secrets: BTreeMap<Name, Secret<String>>,
}

fn given(api: &str) -> Given {
    let api: Api = serde_json::from_str(api).unwrap();
    api.check().unwrap();
    let name = |name: &str| Name::parse(name).unwrap();
    Given {
        api,
        known: Known::from([
            (name("site"), "acme".to_owned()),
            (name("email"), "ann@example.com".to_owned()),
        ]),
        secrets: BTreeMap::from([(name("api_token"), Secret::new("to:k/en".to_owned()))]),
    }
}

impl Given {
    fn request(&self) -> (String, Request) {
        let credential = Secret::new("cred".to_owned());
        let shown = Shown {
            credential: &credential,
            known: &self.known,
            secrets: &self.secrets,
        };
        request(&self.api, self.api.verify.as_ref().unwrap(), shown).unwrap()
    }
}

#[test]
fn a_credential_goes_where_the_service_wants_it() {
    let bearer = given(r#"{"base_url":"https://api.example/v1/","verify":{"url":"/me?f=1"}}"#);
    assert!(is_default(&bearer.api.credential));
    let (host, request) = bearer.request();
    assert_eq!(host, "api.example:443");
    assert_eq!(request.uri(), "https://api.example/v1/me?f=1");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer cred");
    assert!(request.headers()[AUTHORIZATION].is_sensitive());

    let basic = given(
        r#"{"base_url":"https://{site}.example.net","credential":{"in":"basic",
            "username":"{email}","password":"{api_token}"},"headers":{"X-V":"2"},
            "verify":{"method":"POST","url":"/me","json":"{\"q\":1}"}}"#,
    );
    let (host, request) = basic.request();
    assert_eq!(host, "acme.example.net:443");
    let field = format!("Basic {}", STANDARD.encode("ann@example.com:to:k/en"));
    assert_eq!(request.headers()[AUTHORIZATION], field.as_str());
    assert_eq!(request.headers()["x-v"], "2");
    assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(request.body(), br#"{"q":1}"#);

    let query = given(
        r#"{"base_url":"https://api.example","credential":{"in":"query",
            "params":{"key":"{access_token}"}},"verify":{"url":"/me"}}"#,
    );
    let (_, request) = query.request();
    assert_eq!(request.uri().query(), Some("key=cred"));
    assert!(!request.headers().contains_key(AUTHORIZATION));

    let path = given(
        r#"{"base_url":"https://api.example","credential":{"in":"path",
            "template":"/bot{api_token}"},"verify":{"url":"/getMe"}}"#,
    );
    let (_, request) = path.request();
    assert_eq!(request.uri().path(), "/botto%3Ak%2Fen/getMe");

    let headers = given(
        r#"{"credential":{"in":"headers","headers":{"X-Key":"{api_token}"}},
            "verify":{"url":"https://other.example/me","credential":{"in":"header",
            "name":"X-Own","prefix":"OAuth "}}}"#,
    );
    let (host, request) = headers.request();
    assert_eq!(host, "other.example:443");
    assert_eq!(request.headers()["x-own"], "OAuth cred");
    assert!(!request.headers().contains_key("x-key"));
}

#[test]
fn what_an_answer_says_of_an_account_is_read_with_care() {
    let verify: Verify = serde_json::from_str(
        r#"{"url":"https://a.example/me","account_id":"user.id","account_label":"user.mail",
            "keep":["org","user.list"],"bad_when":{"field":"ok","is":"false"}}"#,
    )
    .unwrap();
    let said = |text: &str| read(&verify, &serde_json::from_str(text).unwrap());
    let identity = said(r#"{"ok":true,"user":{"id":7,"mail":"ann@example.com"},"org":"acme"}"#);
    let org = Name::parse("org").unwrap();
    let expected = Identity {
        subject: Some("7".into()),
        label: Some("ann@example.com".into()),
        metadata: Known::from([(org, "acme".into())]),
    };
    assert_eq!(identity.unwrap(), expected);
    assert!(matches!(
        said(r#"{"ok":false}"#),
        Err(NotIdentified::Refused(_))
    ));
    let long = "x".repeat(300);
    let odd = said(&format!(
        r#"{{"ok":true,"user":{{"id":"{long}","mail":"a\nb"}}}}"#
    ));
    assert_eq!(odd.unwrap(), Identity::default());
}
