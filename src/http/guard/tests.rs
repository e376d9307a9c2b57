//! N1: hosts, origins, methods and fetch metadata, each cell with its status.

use http::HeaderValue;

use super::*;

/// Bound to 127.0.0.1:7420, public as https://vault.example.com, one more name `vault.lan`.
fn rule() -> HostRule {
    HostRule::new(&["127.0.0.1:7420".parse().unwrap()], false)
        .with_public_url(&"https://Vault.example.com/".parse().unwrap())
        .and_then(|rule| rule.with_host("vault.lan"))
        .unwrap()
}

/// A `Host` header and the status it gets over TCP and over a Unix socket (0: let in).
#[rustfmt::skip]
const HOSTS: [(&[u8], u16, u16); 58] = [
    (b"127.0.0.1:7420", 0, 0), (b"localhost:7420", 0, 0), (b"[::1]:7420", 0, 0),
    (b"LOCALHOST:7420", 0, 0), (b"LocalHost:07420", 0, 0), (b"[0:0:0:0:0:0:0:1]:7420", 0, 0),
    (b"[0000:0000:0000:0000:0000:0000:0000:0001]:7420", 0, 0),
    (b"vault.example.com", 0, 0), (b"vault.example.com:443", 0, 0), (b"vault.example.com:", 0, 0),
    (b"VAULT.EXAMPLE.COM", 0, 0), (b"vault.lan", 0, 0), (b"vault.lan:7420", 0, 0),
    (b"localhost", 421, 0), (b"127.0.0.1", 421, 0), (b"[::1]", 421, 0), (b"localhost:", 421, 0),
    (b"localhost:80", 421, 0), (b"localhost:7421", 421, 0), (b"127.0.0.1:443", 421, 0),
    (b"[::1]:1", 421, 0), (b"localhost:0", 421, 0),
    (b"localhost.:7420", 421, 421), (b"127.0.0.1.:7420", 421, 421),
    (b"vault.example.com.", 421, 421), (b"vault.example.com:80", 421, 421),
    (b"vault.example.com:7420", 421, 421), (b"vault.lan:7421", 421, 421),
    (b"evil.example", 421, 421), (b"evil.example:7420", 421, 421),
    (b"vault.example.com.evil.example", 421, 421), (b"evilvault.example.com", 421, 421),
    (b"localhost.evil.example:7420", 421, 421), (b"127.0.0.1.nip.io:7420", 421, 421),
    (b"0.0.0.0:7420", 421, 421), (b"[::]:7420", 421, 421), (b"0:7420", 421, 421),
    (b"2130706433:7420", 421, 421), (b"0x7f000001:7420", 421, 421), (b"127.1:7420", 421, 421),
    (b"0177.0.0.1:7420", 421, 421), (b"127.0.0.2:7420", 421, 421),
    (b"[::ffff:127.0.0.1]:7420", 421, 421), (b"[::2]:7420", 421, 421),
    (b"", 400, 400), (b":7420", 400, 400), (b"localhost:7420:7420", 400, 400),
    (b"localhost:65536", 400, 400), (b"localhost:+7420", 400, 400), (b"localhost:x", 400, 400),
    (b"user@localhost:7420", 400, 400), (b"user:pass@localhost:7420", 400, 400),
    (b"localhost:7420, evil.example", 400, 400), (b"http://localhost:7420", 400, 400),
    (b"localhost:7420/", 400, 400), (b"[::1%25lo]:7420", 400, 400), (b"::1:7420", 400, 400),
    (b"l\xC3\xB6calhost:7420", 400, 400),
];

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn status(end: std::result::Result<(), Refusal>) -> u16 {
    end.map_or_else(|refusal| refusal.status().as_u16(), |()| 0)
}

/// N1, first half. Each host in six places: alone over TCP and a Unix socket; twice; beside a
/// second one; with an absolute target that says the same, and with one that says another.
#[test]
fn n1_a_request_passes_under_our_names_alone() {
    let (rule, origin_form) = (rule(), Uri::from_static("/v1/token"));
    let mut cells = 0;
    let mut cell = |host: &[u8], case: &str, found, expected: u16| {
        cells += 1;
        let shown = String::from_utf8_lossy(host);
        assert_eq!(status(found), expected, "host `{shown}`, {case}");
    };
    for (host, tcp, unix) in HOSTS {
        let once = headers(&[("host", host)]);
        cell(
            host,
            "tcp",
            rule.check_host(&once, &origin_form, false),
            tcp,
        );
        cell(
            host,
            "unix",
            rule.check_host(&once, &origin_form, true),
            unix,
        );
        let twice = headers(&[("host", host), ("host", host)]);
        cell(
            host,
            "twice",
            rule.check_host(&twice, &origin_form, false),
            400,
        );
        let second = headers(&[("host", b"localhost:7420"), ("host", host)]);
        cell(
            host,
            "second",
            rule.check_host(&second, &origin_form, true),
            400,
        );
        let text = std::str::from_utf8(host).unwrap();
        if let Ok(same) = format!("http://{text}/v1/token").parse::<Uri>() {
            cell(host, "absolute", rule.check_host(&once, &same, false), tcp);
        }
        let other = Uri::from_static("http://evil.example:1/v1/token");
        cell(
            host,
            "absolute other",
            rule.check_host(&once, &other, false),
            400,
        );
    }
    let evil = headers(&[("host", b"evil.example")]);
    let ours = Uri::from_static("http://localhost:7420/");
    cell(
        b"evil.example",
        "ours",
        rule.check_host(&evil, &ours, false),
        400,
    );
    cell(
        b"none",
        "none",
        rule.check_host(&HeaderMap::new(), &origin_form, true),
        400,
    );
    cell(
        b"none",
        "absolute",
        rule.check_host(&HeaderMap::new(), &ours, false),
        400,
    );
    assert!(cells >= 300, "{cells}");
}

/// An `Origin`, and whether it is ours; `null` depends on the rest.
const ORIGINS: [(&str, bool); 19] = [
    ("", true), // none sent
    ("http://127.0.0.1:7420", true),
    ("http://localhost:7420", true),
    ("http://[::1]:7420", true),
    ("https://vault.example.com", true),
    ("http://vault.lan:7420", true),
    ("http://vault.lan", true),
    ("http://vault.example.com", false),
    ("https://vault.example.com:8443", false),
    ("https://vault.example.com.evil.example", false),
    ("https://localhost:7420", false),
    ("http://localhost", false),
    ("http://localhost:3000", false),
    ("http://LOCALHOST:7420", false),
    ("http://localhost:7420/", false),
    ("http://0.0.0.0:7420", false),
    ("http://evil.example", false),
    ("file://", false),
    ("http://localhost:7420 http://evil.example", false),
];

/// `Sec-Fetch-Site`, `-Mode`, `-Dest`, and whether it passes on: API read, API change, page
/// read, page change.
const FETCHES: [(&str, &str, &str, [bool; 4]); 9] = [
    ("", "", "", [true; 4]),
    ("same-origin", "cors", "empty", [true; 4]),
    ("none", "navigate", "document", [true; 4]),
    (
        "same-site",
        "navigate",
        "document",
        [true, false, true, false],
    ),
    ("same-site", "no-cors", "image", [true, false, false, false]),
    (
        "cross-site",
        "navigate",
        "document",
        [false, false, true, false],
    ),
    ("cross-site", "navigate", "iframe", [false; 4]),
    ("cross-site", "no-cors", "script", [false; 4]),
    ("of-the-future", "navigate", "document", [false; 4]),
];

/// N1, second half: origin, fetch metadata, method and door, each with each.
#[test]
fn n1_a_browser_passes_from_our_own_pages_alone() {
    let rule = rule();
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
    ];
    let mut cells = 0;
    for (site, mode, dest, passes) in FETCHES {
        let fetch = [
            ("sec-fetch-site", site),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", dest),
        ];
        for (origin, ours) in ORIGINS.into_iter().chain([("null", false)]) {
            let sent = fetch.into_iter().chain([("origin", origin)]);
            let sent: Vec<(&str, &[u8])> = sent
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, value.as_bytes()))
                .collect();
            for (method, door) in methods
                .iter()
                .flat_map(|method| [(method, Door::Api), (method, Door::Page)])
            {
                let changes = !matches!(*method, Method::GET | Method::HEAD);
                let column = 2 * usize::from(door == Door::Page) + usize::from(changes);
                // Our own page under `no-referrer`, and nothing else, may say `null`.
                let nulled = origin == "null" && site == "same-origin" && door == Door::Page;
                let expected = if (ours || nulled) && passes[column] {
                    0
                } else {
                    403
                };
                let found = status(rule.check_origin(&headers(&sent), method, door));
                assert_eq!(
                    found, expected,
                    "{method} {door:?} {origin:?} {site} {mode} {dest}"
                );
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 9 * 20 * 5 * 2);
    let two = headers(&[
        ("origin", b"http://localhost:7420"),
        ("origin", b"http://localhost:7420"),
    ]);
    assert_eq!(
        status(rule.check_origin(&two, &Method::GET, Door::Page)),
        403
    );
}

#[test]
fn what_is_bound_decides_which_names_are_ours() {
    let host = |rule: &HostRule, text: &str| {
        let sent = headers(&[("host", text.as_bytes())]);
        rule.check_host(&sent, &Uri::from_static("/"), false)
            .is_ok()
    };
    let lan = HostRule::new(&["192.168.1.5:443".parse().unwrap()], true);
    assert!(host(&lan, "192.168.1.5") && host(&lan, "192.168.1.5:443"));
    assert!(
        !host(&lan, "localhost:443"),
        "loopback does not lead to a LAN address"
    );
    let any = HostRule::new(&["0.0.0.0:80".parse().unwrap()], false);
    assert!(host(&any, "localhost") && host(&any, "localhost:80"));
    assert!(!host(&any, "0.0.0.0:80") && !host(&any, "0.0.0.0"));
    let unix_only = HostRule::new(&[], false);
    assert!(!host(&unix_only, "localhost"));
    for text in ["", "a b", "a/b", "a@b", "a:99999"] {
        assert!(HostRule::default().with_host(text).is_err(), "`{text}`");
    }
}

/// Goal: an origin on the list is one that a browser can send, so that a slip in it is told and not
/// found out later. Method: well-written ones, and each way to write one wrongly.
#[test]
fn the_origin_of_a_page_is_written_as_browsers_write_it() {
    let known = [
        "https://app.example.com",
        "http://localhost:3000",
        "https://[::1]:8443",
    ];
    let mut rule = rule();
    for origin in known {
        assert_eq!(page_origin(origin).unwrap(), origin);
        rule = rule.with_page(origin).unwrap();
    }
    for wrong in [
        "",
        "*",
        "null",
        "app.example.com",
        "https://",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/page",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "https://app.example.com:443",
        "http://localhost:80",
        "https://APP.example.com",
        "HTTPS://app.example.com",
        "https://user@app.example.com",
        "https://b\u{fc}cher.example",
        " https://app.example.com",
        "file:///home",
        "ftp://app.example.com",
        "chrome-extension://abc",
    ] {
        let said = page_origin(wrong).unwrap_err().to_string();
        assert!(said.contains("https://app.example.com"), "{wrong}: {said}");
    }
    let found = |sent: &[&'static [u8]]| {
        let pairs: Vec<(&'static str, &[u8])> = sent.iter().map(|o| ("origin", *o)).collect();
        rule.page_of(&headers(&pairs)).map(str::to_owned)
    };
    assert_eq!(
        found(&[b"http://localhost:3000"]).as_deref(),
        Some(known[1])
    );
    for sent in [
        &[b"http://localhost:3001".as_slice()] as &[&[u8]],
        &[b"http://127.0.0.1:7420"],
        &[b"http://localhost:3000", b"http://localhost:3000"],
        &[b"http://localhost:3000\xff"],
        &[],
    ] {
        assert_eq!(found(sent), None, "{sent:?}");
    }
}
