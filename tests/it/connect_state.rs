//! `state`, the browser's cookie and the redirect URI: what may redeem a code, and what may not
//! (C2, security.md O1, O2, O3, O4).

use serde_json::json;

use crate::scene::{Link, Scene};
use crate::support::{Api, Browser, CLIENT_SECRET, Page};

async fn proven(scene: &Scene) -> (Api, Link, Browser) {
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({ "expires_in_s": 3600 })).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    (api, link, browser)
}

/// The URL with one field of its query changed, or taken out.
fn with_field(url: &str, name: &str, value: Option<&str>) -> String {
    let mut url = reqwest::Url::parse(url).unwrap();
    let mut fields: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    fields.retain(|(key, _)| key != name);
    fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    url.query_pairs_mut().clear().extend_pairs(fields);
    url.into()
}

fn field(url: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// Nothing was redeemed, and nobody was told anything but that this leads nowhere.
fn leads_nowhere(scene: &Scene, page: &Page, what: &str) {
    assert!(matches!(page.status, 400 | 404), "{what}: {}", page.status);
    assert!(page.location().is_none(), "{what}");
    let counts = scene.outside.sandbox.counts();
    assert_eq!(counts.token_requests, 0, "{what}");
}

/// Goal: a link is the person's to use, not its previews'. Method: open it many times as bots do,
/// then as the person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_opening_a_link_changes_nothing_however_often_it_is_done() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let (_, before) = scene.admin.get("/v1/status").await;
    let path = link.url.strip_prefix(&scene.inside.url).unwrap();
    for agent in ["Slackbot-LinkExpanding 1.0", "TelegramBot", "curl/8"].repeat(10) {
        let headers = [("user-agent", agent), ("sec-fetch-site", "cross-site")];
        let page = api.raw("GET", path, &headers, vec![]).await;
        assert_eq!(page.status, 200);
        assert!(page.header("set-cookie").is_none());
        assert_eq!(api.raw("HEAD", path, &[], vec![]).await.status, 405);
    }
    let (_, after) = scene.admin.get("/v1/status").await;
    assert_eq!(before["epoch"], after["epoch"], "nothing was stored");
    assert_eq!(
        before["audit_seq"], after["audit_seq"],
        "and no log was filled"
    );
    assert_eq!(scene.status(&api, &link).await, "issued");
    let mut browser = Browser::new();
    let page = scene.prove(&mut browser, &link).await;
    assert!(page.text.contains("/demo/go"), "{}", page.text);
    scene.end().await;
}

/// Goal: the first browser has the link, and no other. Method: knock with none, another link's and
/// a made-up cookie, at the link's URL and at its page; then plant a cookie before the first visit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_second_browser_gets_nowhere_and_a_planted_cookie_locks_nobody_out() {
    let scene = Scene::new().await;
    let (api, link, mut own) = proven(&scene).await;
    let other = scene.link(&api, json!({ "user": "u2" })).await;
    let mut stranger = Browser::new();
    scene.prove(&mut stranger, &other).await;
    let foreign = stranger.cookies().remove(0).1;
    let name = format!("sr_{}", link.id);
    for cookie in [None, Some("AAAA"), Some(foreign.as_str()), Some("")] {
        let mut browser = Browser::new();
        if let Some(value) = cookie {
            browser.plant(&scene.inside.url, &name, value);
        }
        let forms: [(&str, String); 4] = [
            ("GET", link.url.clone()),
            ("POST", link.url.clone()),
            ("GET", scene.page(&link, "")),
            ("POST", scene.page(&link, "/demo/go")),
        ];
        for (method, url) in forms {
            let form: Option<&[(&str, &str)]> = (method == "POST").then_some(&[]);
            let page = browser.send(method, &url, form).await;
            leads_nowhere(&scene, &page, &format!("{cookie:?} {method} {url}"));
            assert!(!page.headers.contains_key("set-cookie"));
        }
    }
    assert!(scene.on_record("OtherBrowser").await >= 1);
    // The right one, sent twice, is believed neither time: one of the two is a neighbour's.
    let value = own.cookies().remove(0).1;
    let twice = format!("{name}={value}; {name}=AAAA");
    let path = format!("/connect/{}", link.id);
    let page = api.raw("GET", &path, &[("cookie", &twice)], vec![]).await;
    assert_eq!(page.status, 404);
    assert_eq!(own.open(&scene.page(&link, "")).await.status, 200);

    let fresh = scene.link(&api, json!({ "user": "u3" })).await;
    let mut planted = Browser::new();
    planted.plant(&scene.inside.url, &format!("sr_{}", fresh.id), "AAAA");
    let page = scene.prove(&mut planted, &fresh).await;
    assert!(page.text.contains("/demo/go"), "{}", page.text);
    scene.end().await;
}

/// Goal: a callback redeems its code once, in its own browser, as it came.
/// Method: bend each part of a real one; then use it, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_a_bent_callback_redeems_nothing_and_the_true_one_works_once() {
    let scene = Scene::new().await;
    let (api, link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    let state = field(&back, "state").unwrap();
    assert!(
        state.len() >= 43 + 21,
        "256 bits and the link's id: {state}"
    );

    // A foreign browser, with no cookie and with a cookie of its own link.
    let other = scene.link(&api, json!({ "user": "u2" })).await;
    let mut foreign = Browser::new();
    leads_nowhere(&scene, &foreign.send("GET", &back, None).await, "no cookie");
    scene.prove(&mut foreign, &other).await;
    leads_nowhere(&scene, &foreign.send("GET", &back, None).await, "foreign");

    let flipped = match &state[state.len() - 2..] {
        "AA" => format!("{}BB", &state[..state.len() - 2]),
        _ => format!("{}AA", &state[..state.len() - 2]),
    };
    let bent = [
        ("cut", with_field(&back, "state", Some(&state[..60]))),
        (
            "longer",
            with_field(&back, "state", Some(&format!("{state}A"))),
        ),
        ("flipped", with_field(&back, "state", Some(&flipped))),
        (
            "upper",
            with_field(&back, "state", Some(&state.to_uppercase())),
        ),
        (
            "padded",
            with_field(&back, "state", Some(&format!("{state}="))),
        ),
        ("empty", with_field(&back, "state", Some(""))),
        ("none", with_field(&back, "state", None)),
        ("the ticket", with_field(&back, "state", Some(&link.ticket))),
        ("twice", format!("{back}&state={state}")),
        ("code twice", format!("{back}&code=x")),
        ("no app", back.replace("/callback/demo", "/callback/none")),
        ("case", back.replace("/callback/demo", "/callback/Demo")),
        ("slash", back.replace("/callback/demo", "/callback/demo/")),
    ];
    for (what, url) in &bent {
        leads_nowhere(&scene, &browser.send("GET", url, None).await, what);
    }
    let post = browser.send("POST", &back, Some(&[])).await;
    assert_eq!(post.status, 405);

    let done = browser.open(&back).await;
    assert!(done.text.contains("Connected"), "{}", done.text);
    assert_eq!(scene.outside.sandbox.counts().token_requests, 1);
    let again = browser.send("GET", &back, None).await;
    assert_eq!(again.status, 404, "used up");
    assert_eq!(scene.outside.sandbox.counts().token_requests, 1);
    scene.end().await;
}

/// Goal: an answer meant for one app is not redeemed at another's provider (COAT, CORF), nor one
/// link's on another. Method: two apps on one link, two links in one browser; cross them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_an_answer_belongs_to_one_app_and_one_link() {
    let scene = Scene::new().await;
    let evil = json!({
        "id": "evil", "kind": "oauth", "name": "Evil", "client_id": "demo",
        "client_secret": CLIENT_SECRET, "issuer": scene.outside.issuer, "scopes": ["x"],
    });
    let (status, app) = scene.admin.post("/v1/apps", evil).await;
    assert_eq!(status, 201, "{app}");
    let uri = app["redirect_uri"].as_str().unwrap();
    scene.outside.sandbox.add_redirect_uri("demo", uri).unwrap();

    let api = scene.asker(&["code"]).await;
    let both = json!({ "apps": [{ "app": "demo" }, { "app": "evil" }] });
    let link = scene.link(&api, both).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    assert!(back.contains("/callback/demo?"), "{back}");
    let crossed = back.replace("/callback/demo", "/callback/evil");
    leads_nowhere(
        &scene,
        &browser.send("GET", &crossed, None).await,
        "crossed",
    );

    // A second link in the same browser: each state with the other's cookie alone.
    let second = scene.link(&api, json!({ "user": "u2" })).await;
    let mut other = Browser::new();
    scene.prove(&mut other, &second).await;
    let other_back = scene.come_back_url(&mut other, &second, "demo").await;
    leads_nowhere(
        &scene,
        &browser.send("GET", &other_back, None).await,
        "other",
    );
    leads_nowhere(&scene, &other.send("GET", &back, None).await, "one");

    // Both cookies in one jar, and the other's code under this state: PKCE refuses it.
    let code = field(&other_back, "code").unwrap();
    let injected = with_field(&back, "code", Some(&code));
    let page = browser.follow("GET", &injected, None).await;
    assert!(page.text.contains("Failed"), "{}", page.text);
    assert_eq!(scene.outside.sandbox.counts().code_exchanges, 0);
    let state = scene.state(&api, &link).await;
    assert_eq!(state["apps"][0]["state"], "failed", "{state}");
    let (_, tokens) = scene.admin.get("/v1/tokens").await;
    assert_eq!(tokens["tokens"], json!([]));
    scene.end().await;
}

/// Goal: a trip lasts ten minutes, ends with its link, and makes way for the next.
/// Method: the test clock; withdraw while away; go twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_a_state_lapses_after_ten_minutes_with_its_link_and_with_the_next_trip() {
    let scene = Scene::new().await;
    let (_, link, mut browser) = proven(&scene).await;
    let first = scene.come_back_url(&mut browser, &link, "demo").await;
    let second = scene.come_back_url(&mut browser, &link, "demo").await;
    leads_nowhere(&scene, &browser.send("GET", &first, None).await, "older");
    scene.clock.advance(std::time::Duration::from_secs(600));
    leads_nowhere(&scene, &browser.send("GET", &second, None).await, "late");
    assert_eq!(browser.open(&scene.page(&link, "")).await.status, 200);

    let (api, link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    let path = format!("/v1/connect/{}", link.id);
    assert_eq!(api.delete(&path).await.1["status"], "withdrawn");
    leads_nowhere(&scene, &browser.send("GET", &back, None).await, "withdrawn");

    let (_, link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    scene.clock.advance(std::time::Duration::from_secs(599));
    // The state still holds; the sandbox's code, by its own rule, does not.
    let done = browser.open(&back).await;
    assert!(done.text.contains("invalid_grant"), "{}", done.text);
    assert_eq!(scene.outside.sandbox.counts().token_requests, 1);
    scene.end().await;
}

/// Goal: of two callbacks at once one redeems. Method: send both before either is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_of_parallel_callbacks_one_wins() {
    let scene = Scene::new().await;
    for round in 1..=5 {
        let (api, link, mut browser) = proven(&scene).await;
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        let cookie = browser
            .cookies()
            .into_iter()
            .find(|(name, _)| name.contains(&link.id))
            .map(|(name, value)| format!("{name}={value}"))
            .unwrap();
        let path = back.strip_prefix(&scene.inside.url).unwrap();
        let headers = [("cookie", cookie.as_str())];
        let send = || api.raw("GET", path, &headers, vec![]);
        let answers = tokio::join!(send(), send(), send(), send());
        let mut statuses = [
            answers.0.status,
            answers.1.status,
            answers.2.status,
            answers.3.status,
        ];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 404, 404, 404]);
        assert_eq!(scene.outside.sandbox.counts().token_requests, round);
        assert_eq!(scene.status(&api, &link).await, "finished");
    }
    scene.end().await;
}

/// Goal: the cookie is out of reach of scripts, other sites and neighbours.
/// Method: read `Set-Cookie` on plain loopback and under a public https URL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cookie_is_as_strict_as_the_url_allows() {
    use crate::support::{Inside, clock, new_home};
    for (public_url, prefix, end) in [
        (None, "sr_", "HttpOnly; SameSite=Lax"),
        (
            Some("https://vault.example"),
            "__Host-sr_",
            "HttpOnly; SameSite=Lax; Secure",
        ),
    ] {
        let home = new_home(&clock());
        let inside = match public_url {
            None => Inside::serve(home.vault, false).await,
            Some(url) => Inside::serve_under(home.vault, url).await,
        };
        let api = inside.api(&home.admin);
        let app = json!({ "id": "k", "kind": "api_key" });
        assert_eq!(api.post("/v1/apps", app).await.0, 201);
        let body = json!({ "apps": [{ "app": "k" }], "user": "u" });
        let (_, said) = api.post("/v1/connect", body).await;
        let link = Link::of(&said);
        let base = public_url.unwrap_or(&inside.url);
        assert_eq!(link.url, format!("{base}/c/{}", link.ticket));
        let path = format!("/c/{}", link.ticket);
        let answer = api.raw("POST", &path, &[], vec![]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        assert_eq!(name, format!("{prefix}{}", link.id));
        assert_eq!(value.len(), 43, "256 bits");
        assert_eq!(rest, format!("Path=/; Max-Age=3600; {end}"));
        assert_eq!(
            answer.header("location"),
            Some(format!("/connect/{}", link.id).as_str())
        );
        inside.end().await;
    }
}
