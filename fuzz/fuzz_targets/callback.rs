//! The query a provider sends a browser back with, and the cookie that comes with it.
//!
//! An input is the query, and after a line break the cookie. `sr_STATE` and `sr_COOKIE` in it stand
//! for those of a link that was begun, whose person has been sent to the provider.
#![no_main]

use libfuzzer_sys::fuzz_target;
use url::Url;

#[path = "shared/endpoint.rs"]
mod endpoint;

use endpoint::{Endpoint, HOST, replace};

const STATE: &[u8] = b"sr_STATE";
const COOKIE: &[u8] = b"sr_COOKIE";

/// A link whose person is at the provider.
struct Begun {
    id: String,
    state: String,
    cookie: String,
}

impl Begun {
    fn new(endpoint: &Endpoint) -> Self {
        let ask = br#"{"apps":[{"app":"demo"}],"user":"u","verify":"code"}"#;
        let (_, link) = endpoint.call("POST", "/v1/connect", ask);
        let text = |name: &str| link[name].as_str().expect("a link was made").to_owned();
        let url = Url::parse(&text("url")).unwrap();
        let (id, code) = (text("id"), text("code"));
        let entered = submit(endpoint, url.path(), "", "");
        let cookie = header(&entered, "set-cookie: ");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let typed = format!("code={code}");
        submit(endpoint, &format!("/connect/{id}/code"), &cookie, &typed);
        let gone = submit(endpoint, &format!("/connect/{id}/demo/go"), &cookie, "");
        let provider = Url::parse(&header(&gone, "location: ")).expect("off to the provider");
        let state = provider.query_pairs().find(|(name, _)| name == "state");
        let state = state.expect("with a state").1.into_owned();
        Self { id, state, cookie }
    }
}

/// Submits a form of a page, as a browser does; the whole answer comes back.
fn submit(endpoint: &Endpoint, path: &str, cookie: &str, form: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {HOST}\r\norigin: http://{HOST}\r\ncookie: {cookie}\r\n\
         content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = endpoint.send(request.as_bytes());
    String::from_utf8(answer).expect("pages are text")
}

fn header(answer: &str, name: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {answer}"))
        .to_owned()
}

fn holds(data: &[u8], what: &[u8]) -> bool {
    data.windows(what.len()).any(|window| window == what)
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let query = parts.next().unwrap_or_default();
    let cookie = parts.next().unwrap_or_default();
    let is_text = |bytes: &[u8]| bytes.iter().all(|byte| (0x21..0x7f).contains(byte));
    if !is_text(query) || !cookie.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return;
    }
    endpoint::with(|endpoint| {
        let begun = holds(data, STATE).then(|| Begun::new(endpoint));
        let put_in = |bytes: &[u8]| match &begun {
            Some(begun) => {
                let bytes = replace(bytes, STATE, begun.state.as_bytes());
                replace(&bytes, COOKIE, begun.cookie.as_bytes())
            }
            None => bytes.to_vec(),
        };
        let request = [
            b"GET /callback/demo?".as_slice(),
            &put_in(query),
            b" HTTP/1.1\r\nhost: ",
            HOST.as_bytes(),
            b"\r\ncookie: ",
            &put_in(cookie),
            b"\r\nconnection: close\r\n\r\n",
        ]
        .concat();
        let answer = endpoint.send(&request);
        endpoint::check(&answer);
        let status = answer.get(9..12).unwrap_or_default();
        let taken = matches!(status, b"200" | b"302" | b"303" | b"307");
        // Where no link was begun, or another browser comes back, whatever it brings is refused.
        let may = holds(query, STATE) && holds(cookie, COOKIE);
        assert!(!taken || may, "a callback was taken");
        if let Some(begun) = begun {
            let path = format!("/v1/connect/{}", begun.id);
            endpoint.call("DELETE", &path, b"");
        }
    });
});
