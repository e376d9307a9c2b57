//! What the pages of a link say, carry, and keep to themselves (security.md O8, T22, T36).

use base64::Engine;
use serde_json::{Value, json};
use sha2::Digest;

use crate::scene::Scene;
use crate::support::{Browser, CLIENT_SECRET, PASSPHRASE, Page};

const KEY: &str = "sk-live-9f8e7d6c5b4a";

async fn add_key_app(scene: &Scene) {
    let app =
        json!({ "id": "keyed", "kind": "api_key", "name": "Keyed", "description": "A service" });
    assert_eq!(scene.admin.post("/v1/apps", app).await.0, 201);
}

fn header<'a>(page: &'a Page, name: &str) -> &'a str {
    let value = page.headers.get(name);
    value
        .unwrap_or_else(|| panic!("no {name}: {}", page.url))
        .to_str()
        .unwrap()
}

/// Method, the rest of the path, form.
type Step<'a> = (&'a str, &'a str, Option<&'a [(&'a str, &'a str)]>);

fn check_headers(page: &Page) {
    let policy = header(page, "content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("base-uri 'none'"), "{policy}");
    // Pictures are written out in the page, and a picture is all that a `data:` URL may be.
    let others = policy.replace("img-src data:;", "");
    for bad in ["unsafe", "*", "http:", "https:", "data:", "script-src"] {
        assert!(!others.contains(bad), "{policy}");
    }
    if let Some(style) = page.text.split("<style>").nth(1) {
        let style = style.split("</style>").next().unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    }
    assert_eq!(header(page, "x-frame-options"), "DENY");
    assert_eq!(header(page, "cache-control"), "no-store");
    assert_eq!(header(page, "x-content-type-options"), "nosniff");
    assert_eq!(header(page, "referrer-policy"), "same-origin");
    for name in page.headers.keys() {
        assert!(!name.as_str().starts_with("access-control-"), "{name}");
        assert_ne!(name, "server");
    }
    if page.status != 303 {
        assert_eq!(header(page, "content-type"), "text/html; charset=utf-8");
    }
    for bad in ["<script", "javascript:", "<iframe", " style=", " on"] {
        let clean = page.text.replace(" one", "").replace(" only", "");
        let attribute = bad == " on" && !clean.contains(" onclick") && !clean.contains(" onload");
        assert!(
            attribute || !page.text.contains(bad),
            "{bad}: {}",
            page.text
        );
    }
    for name in [" src=", "<link rel=\"icon\" href="] {
        for place in page.text.split(name).skip(1) {
            let here = place.starts_with("\"data:");
            assert!(here, "nothing is fetched: {}", page.text);
        }
    }
    let links = page.text.matches("<link").count();
    assert!(links <= 1, "an icon, and nothing else: {}", page.text);
}

/// The way through a link's pages: the status to expect, the request, its form.
const PAGES: &str = "
    200 GET /c/{ticket}
    303 POST /c/{ticket}
    303 GET /c/{ticket}
    200 GET /connect/{id}
    403 POST /connect/{id}/demo/go
    303 POST /connect/{id}/code code=1
    400 POST /connect/{id}/code kode=1
    303 POST /connect/{id}/code code={code}
    200 GET /connect/{id}
    303 POST /connect/{id}/demo/go
    403 POST /connect/{id}/none/go
    404 POST /connect/{id}/a%20b/go
    403 POST /connect/{id}/keyed/go
    303 POST /connect/{id}/keyed/key api_key=sk-live-9f8e7d6c5b4a
    303 POST /connect/{id}/demo/decline
    200 GET /connect/{id}
    303 POST /connect/{id}/demo/go
    404 GET /connect/con_zz
    404 GET /c/zz
    404 GET /callback/demo
    400 GET /callback/demo?a=%FF
";

/// Goal: every page and redirect is strict, and a redirect after a form is a 303.
/// Method: meet each page of a link once, the refusals too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o8_every_page_is_strict() {
    let scene = Scene::new().await;
    add_key_app(&scene).await;
    let api = scene.asker(&["vouch", "code", "none"]).await;
    let apps = json!([{ "app": "demo" }, { "app": "keyed" }]);
    let link = scene
        .link(&api, json!({ "apps": apps, "verify": "code" }))
        .await;
    let mut browser = Browser::new();
    let table = PAGES
        .replace("{ticket}", &link.ticket)
        .replace("{id}", &link.id)
        .replace("{code}", &link.code);
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.split(' ').collect();
        let url = format!("{}{}", scene.inside.url, parts[2]);
        let field: Vec<(&str, &str)> = parts[3..]
            .iter()
            .filter_map(|f| f.split_once('='))
            .collect();
        let form = (parts[1] == "POST").then_some(field.as_slice());
        let page = browser.send(parts[1], &url, form).await;
        assert_eq!(page.status.to_string(), parts[0], "{line}: {}", page.text);
        check_headers(&page);
    }
    scene.end().await;
}

/// Goal: the pages of vouching are strict too, and so is a refusal of a body that is too long.
/// Method: go to the asking application; send too much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o8_a_page_that_sends_away_or_refuses_is_strict_too() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch"]).await;
    let mut browser = Browser::new();
    let vouched = scene
        .link(&api, json!({ "verify": "vouch", "user": "u2" }))
        .await;
    check_headers(&scene.enter(&mut browser, &vouched).await);
    let away = scene.page(&vouched, "/vouch");
    let page = browser.send("POST", &away, Some(&[])).await;
    assert_eq!(page.status, 303);
    check_headers(&page);
    // A body too long for a page is told as a page too.
    let long = "x".repeat(70_000);
    let form = [("code", long.as_str())];
    let page = browser
        .send("POST", &scene.page(&vouched, "/code"), Some(&form))
        .await;
    assert_eq!(page.status, 413);
    check_headers(&page);
    scene.end().await;
}

/// Goal: another site can neither take the first step nor any later one (CSRF), nor frame a page.
/// Method: send each form as a browser would from elsewhere, cookie and all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t22_another_sites_forms_are_refused() {
    let scene = Scene::new().await;
    let api = scene.asker(&["none"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    let origins = [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost",
    ];
    let path = |url: &str| url.strip_prefix(&scene.inside.url).unwrap().to_owned();
    for origin in origins {
        let headers = [("origin", origin)];
        let answer = api.raw("POST", &path(&link.url), &headers, vec![]).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert!(answer.header("set-cookie").is_none());
    }
    assert_eq!(scene.status(&api, &link).await, "issued");
    scene.enter(&mut browser, &link).await;
    let (name, value) = browser.cookies().remove(0);
    let cookie = format!("{name}={value}");
    for origin in origins {
        for step in ["/demo/go", "/demo/decline"] {
            let headers = [("origin", origin), ("cookie", cookie.as_str())];
            let page = scene.page(&link, step);
            let answer = api.raw("POST", &path(&page), &headers, vec![]).await;
            assert_eq!(answer.status, 403, "{origin} {step}");
        }
    }
    for site in ["cross-site", "same-site"] {
        let headers = [("sec-fetch-site", site), ("cookie", cookie.as_str())];
        let page = scene.page(&link, "/demo/go");
        let answer = api.raw("POST", &path(&page), &headers, vec![]).await;
        assert_eq!(answer.status, 403, "{site}");
        // In a frame or as a picture the page is not served; by a link it is.
        for (mode, dest, status) in [
            ("navigate", "iframe", 403),
            ("no-cors", "image", 403),
            ("navigate", "document", 200),
        ] {
            let headers = [
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
                ("cookie", cookie.as_str()),
            ];
            let answer = api
                .raw("GET", &path(&scene.page(&link, "")), &headers, vec![])
                .await;
            assert_eq!(answer.status, status, "{site} {mode} {dest}");
        }
    }
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    scene.end().await;
}

/// Goal: several apps on one link, OAuth and key; a typed key is never shown again, a wrong one may
/// be typed anew, what was not granted is said, and at the end the person goes home.
/// Method: do it all on one link and keep every page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t36_a_link_of_several_apps_and_a_key_that_is_never_echoed() {
    let scene = Scene::new().await;
    add_key_app(&scene).await;
    let api = scene.asker(&["code"]).await;
    let apps = json!([
        { "app": "demo", "scopes": ["calendar.read", "mail.send"] },
        { "app": "keyed", "account": "work" },
    ]);
    let more = json!({ "apps": apps, "return_url": "https://agent.example/done" });
    let link = scene.link(&api, more).await;
    let mut browser = Browser::new();
    let mut pages = vec![scene.prove(&mut browser, &link).await];
    let text = &pages[0].text;
    assert!(text.contains("type=\"password\""), "{text}");
    assert!(text.contains("autocomplete=\"off\""), "{text}");
    for wrong in [&format!("{KEY} {KEY}"), "", "  "] {
        let url = scene.page(&link, "/keyed/key");
        let page = browser
            .follow("POST", &url, Some(&[("api_key", wrong)]))
            .await;
        assert!(page.text.contains("invalid_key"), "{}", page.text);
        pages.push(page);
    }
    let form = [("api_key", KEY)];
    let page = browser.submit(&pages[0], "/keyed/key", &form).await;
    assert!(page.text.contains("Connected"), "{}", page.text);
    assert_eq!(scene.status(&api, &link).await, "visited", "one is left");
    // What is connected is not undone by a late no.
    let url = scene.page(&link, "/keyed/decline");
    browser.send("POST", &url, Some(&[])).await;
    let login = browser.submit(&page, "/demo/go", &[]).await;
    pages.push(page);
    let fields = [("user", "ada"), ("password", "engine")];
    let consent = browser.submit(&login, "/login", &fields).await;
    let (url, hidden) = consent.form("/consent");
    let request = hidden.iter().find(|(name, _)| name == "request").unwrap();
    let some = [
        ("request", request.1.as_str()),
        ("scope", "calendar.read"),
        ("decision", "allow"),
    ];
    let back = browser.send("POST", &url, Some(&some)).await;
    let home = browser.send("GET", &back.location().unwrap(), None).await;
    let last = browser.send("GET", &home.location().unwrap(), None).await;
    let home = last.location().unwrap();
    assert_eq!(home, "https://agent.example/done");
    for page in &pages {
        assert!(!page.text.contains(KEY), "{}", page.text);
    }
    let state = scene.state(&api, &link).await;
    assert_eq!(state["status"], "finished", "{state}");
    assert_eq!(state["apps"][0]["missing_scopes"], json!(["mail.send"]));
    assert_eq!(state["apps"][1]["state"], "connected");
    assert!(!state.to_string().contains(KEY));
    let ask = json!({ "app": "keyed", "user": "u1", "account": "work" });
    let (_, token) = api.post("/v1/token", ask).await;
    assert_eq!(
        (&token["access_token"], &token["token_type"]),
        (&json!(KEY), &json!("api_key"))
    );
    let wider = json!({ "app": "demo", "user": "u1", "scopes": ["mail.send"] });
    let (status, said) = api.post("/v1/token", wider).await;
    assert_eq!(
        (status, &said["reason"]),
        (409, &json!("scope_missing")),
        "{said}"
    );
    scene.end().await;
}

/// Goal: what people and providers call themselves is text and nothing else.
/// Method: the same markup in every place that is shown; no page may hold it raw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn markup_in_names_and_reasons_comes_out_as_text() {
    let scene = Scene::new().await;
    let mark = "\"><script>alert(1)</script><b x='";
    let text = |place: &str| format!("{place}{mark}");
    let change = json!({
        "id": "demo", "kind": "oauth", "name": text("name"), "client_id": "demo",
        "issuer": scene.outside.issuer, "scopes": [text("scope")], "description": text("about"),
    });
    let (status, said) = scene.admin.put("/v1/apps/demo", change).await;
    assert_eq!(status, 200, "{said}");
    let body = json!({ "name": text("asker"), "role": "server", "connect_verify": ["none"] });
    let (api, _) = scene.key(body).await;
    let more = json!({
        "user": text("user"), "tenant": text("tenant"), "reason": text("reason"),
    });
    let link = scene.link(&api, more).await;
    let mut browser = Browser::new();
    let mut pages = vec![browser.open(&link.url).await];
    pages.push(scene.enter(&mut browser, &link).await);
    let go = scene.page(&link, "/demo/go");
    let away = browser.send("POST", &go, Some(&[])).await;
    let state = reqwest::Url::parse(&away.location().unwrap()).unwrap();
    let state = state
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap();
    let mut back = reqwest::Url::parse(&format!("{}/callback/demo", scene.inside.url)).unwrap();
    back.query_pairs_mut()
        .append_pair("state", &state.1)
        .append_pair("iss", &scene.outside.issuer)
        .append_pair("error", mark)
        .append_pair("error_description", mark);
    pages.push(browser.open(back.as_str()).await);
    pages.push(browser.submit(&pages[2], "/decline", &[]).await);
    let places = ["name", "asker", "user", "tenant", "reason"];
    for (number, page) in pages.iter().enumerate() {
        assert!(!page.text.contains("<script"), "{}", page.text);
        assert!(!page.text.contains("<b x"), "{}", page.text);
        for place in places.iter().filter(|_| number < 2) {
            let escaped = format!("{place}&quot;&gt;&lt;script&gt;");
            assert!(page.text.contains(&escaped), "{place}: {}", page.text);
        }
    }
    scene.end().await;
}

/// Goal: a secret stands where it must, and nowhere else: the ticket in its own form, the state in
/// the provider's address, the code nowhere. Method: keep every page and redirect of a whole flow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o8_no_page_or_redirect_holds_a_secret_that_need_not_be_there() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    let mut seen: Vec<Page> = vec![browser.send("GET", &link.url, None).await];
    seen.push(browser.send("POST", &link.url, Some(&[])).await);
    let steps: [Step<'_>; 4] = [
        ("GET", "", None),
        ("POST", "/code", Some(&[("code", &link.code)])),
        ("GET", "", None),
        ("POST", "/demo/go", Some(&[])),
    ];
    for (method, rest, form) in steps {
        seen.push(browser.send(method, &scene.page(&link, rest), form).await);
    }
    let away = seen.pop().unwrap();
    let cookie = browser.cookies().remove(0).1;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    seen.push(browser.send("GET", &back, None).await);
    seen.push(browser.send("GET", &scene.page(&link, ""), None).await);
    let (_, token) = api.token("u1").await;
    let query: Vec<(String, String)> = reqwest::Url::parse(&back)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let field = |name: &str| query.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let access_token = token["access_token"].as_str().unwrap().to_owned();
    let secrets = [
        ("ticket", link.ticket.clone()),
        ("link code", link.code.clone()),
        ("cookie", cookie),
        ("state", field("state")),
        ("code", field("code")),
        ("access token", access_token),
        ("client secret", CLIENT_SECRET.to_owned()),
        ("access key", api.key.clone()),
    ];
    for (number, page) in seen.iter().enumerate() {
        let place = page.location().unwrap_or_default();
        for (what, secret) in &secrets {
            let is_its_form = number == 0 && *what == "ticket";
            let shown = page.text.contains(secret.as_str()) || place.contains(secret.as_str());
            assert!(is_its_form || !shown, "{what} in {number}: {}", page.url);
        }
    }
    let place = away.location().unwrap();
    for (what, secret) in &secrets {
        assert!(!place.contains(secret.as_str()), "{what}: {place}");
    }
    scene.end().await;
}

/// Goal: a locked vault says so on every page, and a trip that comes back then is not lost.
/// Method: lock while the person is at the provider; unlock; come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_locked_vault_say_so_and_a_trip_survives() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
    for url in [&link.url, &scene.page(&link, ""), &back] {
        let page = browser.send("GET", url, None).await;
        assert_eq!(page.status, 503, "{url}");
        assert!(page.text.contains("locked at the moment"), "{}", page.text);
        assert!(page.headers.contains_key("retry-after"));
        check_headers(&page);
    }
    let unlocked: (u16, Value) = scene
        .admin
        .post("/v1/unlock", json!({ "passphrase": PASSPHRASE }))
        .await;
    assert_eq!(unlocked.0, 200);
    let done = browser.open(&back).await;
    assert!(done.text.contains("Connected"), "{}", done.text);
    scene.end().await;
}
