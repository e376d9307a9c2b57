//! Connect links for people who ask in person, by a JWT: from a page in their browser, or not.

use serde_json::{Value, json};
use strongroom::clock::Clock;

use super::{CONNECT, Client, TENANT_LATEST, UPLOAD, USER_LATEST};
use crate::issuer::{Issuer, Signer};
use crate::scene::{Link, Scene};
use crate::support::{Api, Browser, Inside, PAGE, Raw, new_home};

const CONNECT_FOR: &str = "/v1/mgmt/outbound/app/connect";
const DONE: &str = "https://agent.example/done";

/// Who signs for people, and whose key they stand for.
struct People {
    signer: Signer,
    issuer: Issuer,
    clock: Clock,
    /// The id of the issuer's access key.
    key: String,
}

impl People {
    /// An issuer, with an access key whose people are proven in these ways where a page does not.
    async fn new(api: &Api, clock: &Clock, proofs: &[&str]) -> Self {
        let signer = Signer::new("ES256", "k1");
        let issuer = Issuer::start(&[&signer]).await;
        let rule = json!({
            "issuer": issuer.url, "audiences": ["vault"], "tenant_tokens": true,
        });
        let key = json!({
            "name": "Agent", "role": "server", "connect_verify": proofs, "return_urls": [DONE],
            "verify_url": "https://agent.example/verify", "jwt": rule,
        });
        let (status, said) = api.post("/v1/keys", key).await;
        assert_eq!(status, 200, "{said}");
        let clock = clock.clone();
        Self {
            signer,
            issuer,
            clock,
            key: said["id"].as_str().unwrap().to_owned(),
        }
    }

    /// A token of this user, who is of the tenant `t1`.
    fn jwt(&self, user: &str) -> String {
        let now = self.clock.now().unix_ms() / 1000;
        self.signer.token(&json!({
            "iss": self.issuer.url, "aud": "vault", "sub": user, "tenants": ["t1"],
            "iat": now, "exp": now + 3600,
        }))
    }
}

async fn set_up(proofs: &[&str]) -> (Scene, People, Client) {
    let scene = Scene::new().await;
    let people = People::new(&scene.admin, &scene.clock, proofs).await;
    let client = Client::new(&scene, &scene.admin.key).await;
    (scene, people, client)
}

/// The same client with a token, and these further headers.
fn with_jwt(client: &Client, jwt: &str, headers: &[(&'static str, &str)]) -> Client {
    client.presenting(&format!("Bearer {}:{jwt}", client.project), headers)
}

/// A page of the person's application, in a browser.
fn page(client: &Client, jwt: &str) -> Client {
    with_jwt(
        client,
        jwt,
        &[("origin", PAGE), ("sec-fetch-site", "cross-site")],
    )
}

/// A link that a page got, and the cookie that came with it.
struct Bound {
    link: Link,
    cookie: (String, String),
    how: String,
}

impl Bound {
    fn of(answer: &Raw) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = answer.json();
        let names: Vec<&String> = said.as_object().unwrap().keys().collect();
        assert_eq!(names, ["url"], "no code is asked for");
        let cookie = answer.header("set-cookie").unwrap();
        let (pair, how) = cookie.split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let mut link = Link::of(&said);
        link.id = name.rsplit("sr_").next().unwrap().to_owned();
        Self {
            link,
            cookie: (name.to_owned(), value.to_owned()),
            how: how.to_owned(),
        }
    }

    async fn ask(page: &Client, wish: Value) -> Self {
        Self::of(&page.raw("POST", CONNECT, Some(wish)).await)
    }

    /// The browser that asked.
    fn browser(&self, scene: &Scene) -> Browser {
        let mut browser = Browser::new();
        let (name, value) = &self.cookie;
        browser.plant(&scene.inside.url, name, value);
        browser
    }
}

async fn code_of(client: &Client, path: &str, wish: Value) -> (u16, String) {
    let (status, said) = client.post(path, wish).await;
    (status, said["errorCode"].as_str().unwrap_or("").to_owned())
}

/// Goal: a page takes the person in its browser to the provider and back, with no further proof:
/// for itself, within a tenant, and for the tenant. Method: each to a token that is fetched again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_connects_the_person_who_asks_in_its_browser() {
    let (scene, people, admin) = set_up(&["code", "page"]).await;
    let page = page(&admin, &people.jwt("u1"));
    let options = json!({ "redirectUrl": DONE, "scopes": ["calendar.read"] });
    for (more, path) in [
        (json!({}), USER_LATEST),
        (json!({ "userId": "u1" }), USER_LATEST),
        (json!({ "tenantId": "t1" }), USER_LATEST),
        (
            json!({ "tenantId": "t1", "tenantLevel": true }),
            TENANT_LATEST,
        ),
    ] {
        let mut wish = more.clone();
        wish["appId"] = json!("demo");
        wish["options"] = options.clone();
        let bound = Bound::ask(&page, wish).await;
        assert_eq!(bound.how, "Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
        assert_eq!(bound.cookie.1.len(), 43, "256 bits");
        let mut browser = bound.browser(&scene);
        let shown = browser.open(&bound.link.url).await;
        assert_eq!(
            shown.url,
            scene.page(&bound.link, ""),
            "straight to its page"
        );
        assert!(shown.text.contains("/demo/go"), "{}", shown.text);
        let back = scene.come_back_url(&mut browser, &bound.link, "demo").await;
        let at_page = browser.send("GET", &back, None).await.location().unwrap();
        let end = browser.send("GET", &at_page, None).await;
        assert_eq!(end.location().as_deref(), Some(DONE));
        let mut wanted = more;
        wanted["appId"] = json!("demo");
        if path == USER_LATEST {
            wanted["userId"] = json!("u1");
        }
        admin.token(path, wanted).await;
    }
    let made = scene.on_record("made for the browser of its owner").await;
    assert_eq!(made, 4);
    scene.end().await;
}

/// Goal: the link is that browser's alone, whoever learns its URL. Method: every step, without the
/// cookie, with another link's and with a made-up one; then in the right browser, taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pages_link_leads_nowhere_in_another_browser() {
    let (scene, people, admin) = set_up(&["code", "page"]).await;
    let jwt = people.jwt("u1");
    let wish = json!({ "appId": "demo" });
    let bound = Bound::ask(&page(&admin, &jwt), wish.clone()).await;
    let others = Bound::ask(&page(&admin, &people.jwt("mallory")), wish).await;
    for cookie in [None, Some("AAAA"), Some(others.cookie.1.as_str())] {
        let mut browser = others.browser(&scene);
        if let Some(value) = cookie {
            browser.plant(&scene.inside.url, &bound.cookie.0, value);
        }
        for (method, url) in [
            ("GET", bound.link.url.clone()),
            ("POST", bound.link.url.clone()),
            ("GET", scene.page(&bound.link, "")),
            ("POST", scene.page(&bound.link, "/demo/go")),
            ("POST", scene.page(&bound.link, "/demo/decline")),
        ] {
            let form: Option<&[(&str, &str)]> = (method == "POST").then_some(&[]);
            let answer = browser.send(method, &url, form).await;
            assert_eq!(answer.status, 404, "{cookie:?} {method} {url}");
            assert!(!answer.headers.contains_key("set-cookie"));
        }
    }
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    let mut own = bound.browser(&scene);
    assert_eq!(own.open(&bound.link.url).await.status, 200);
    let path = format!("/v1/connect/{}", bound.link.id);
    let mallory = scene.inside.api(&people.jwt("mallory"));
    assert_eq!(mallory.delete(&path).await.0, 404, "not hers to take back");
    assert_eq!(scene.inside.api(&jwt).delete(&path).await.0, 200);
    let go = scene.page(&bound.link, "/demo/go");
    let page = own.follow("POST", &go, Some(&[])).await;
    assert!(page.text.contains("taken back"), "{}", page.text);
    scene.end().await;
}

/// Goal: a person asks for itself, within its own tenants, and for nobody else. Method: owners that
/// are nearly the right one, from a page and from a back end, at both endpoints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_asks_for_itself_alone() {
    let (scene, people, admin) = set_up(&["code", "page"]).await;
    let jwt = people.jwt("u1");
    for (client, path) in [
        (page(&admin, &jwt), CONNECT),
        (with_jwt(&admin, &jwt, &[]), CONNECT),
        (with_jwt(&admin, &jwt, &[]), CONNECT_FOR),
    ] {
        for more in [
            json!({ "userId": "u2" }),
            json!({ "userId": "U1" }),
            json!({ "tenantId": "t9" }),
            json!({ "tenantId": "t9", "tenantLevel": true }),
            json!({ "userId": "u2", "tenantId": "t1" }),
        ] {
            let mut wish = more.clone();
            wish["appId"] = json!("demo");
            let answer = client.raw("POST", path, Some(wish)).await;
            assert_eq!(answer.status, 403, "{more}: {answer:?}");
            assert_eq!(answer.header("set-cookie"), None);
        }
        let unlisted = json!({ "redirectUrl": "https://evil.example/" });
        let wish = json!({ "appId": "demo", "options": unlisted });
        let told = code_of(&client, path, wish).await;
        assert_eq!(told, (400, "E011003".into()));
    }
    scene.end().await;
}

/// Goal: without a page there is no browser to bind, so that the issuer's key says how the person
/// is proven. Method: keys with each of the ways; one without any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_page_the_issuers_key_says_how_a_person_is_proven() {
    for (proofs, expected) in [
        (&["none", "code"] as &[&str], "code"),
        (&["none", "code", "vouch"], "vouch"),
        (&["none"], "none"),
        (&[], ""),
    ] {
        let (scene, people, admin) = set_up(proofs).await;
        let client = with_jwt(&admin, &people.jwt("u1"), &[]);
        for path in [CONNECT, CONNECT_FOR] {
            let wish = json!({ "appId": "demo", "tenantId": "t1" });
            let answer = client.raw("POST", path, Some(wish)).await;
            assert_eq!(answer.header("set-cookie"), None);
            if expected.is_empty() {
                let told = (answer.status, answer.json()["errorCode"].clone());
                assert_eq!(told, (403, json!("S000403")));
                continue;
            }
            let link = Link::of(&answer.json());
            assert_eq!(link.code.len(), if expected == "code" { 6 } else { 0 });
            let mut browser = Browser::new();
            let entered = scene.enter(&mut browser, &link).await;
            let step = match expected {
                "code" => "/code",
                "vouch" => "/vouch",
                _ => "/demo/go",
            };
            assert!(entered.text.contains(step), "{expected}: {}", entered.text);
        }
        // Whoever has the token can write that it is a page that asks: where the key does not say
        // that its people are proven by that, it counts for nothing.
        let wish = json!({ "appId": "demo" });
        let page = page(&admin, &people.jwt("u1"));
        let answer = page.raw("POST", CONNECT, Some(wish)).await;
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.status, if expected.is_empty() { 403 } else { 200 });
        let code = answer.json()["code"].clone();
        assert_eq!(code.is_string(), expected == "code");
        scene.end().await;
    }
}

/// Goal: a person's link is vouched for by the application at the key's `verify_url`, which has an
/// access key of its own, and never by the person, whose word is what is to be proven. Method: the
/// person, a key of another application, and that application's; then a wrong person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_link_is_vouched_for_by_its_application_alone() {
    let (scene, people, admin) = set_up(&["vouch"]).await;
    let key = |url: &str| {
        let ways = json!(["vouch"]);
        json!({ "name": "Site", "role": "server", "verify_url": url, "connect_verify": ways })
    };
    let (site, _) = scene.key(key("https://agent.example/verify")).await;
    let (other, _) = scene.key(key("https://other.example/verify")).await;
    let person = scene.inside.api(&people.jwt("u1"));
    for (user, status) in [("u1", "visited"), ("u2", "wrong_person")] {
        let client = with_jwt(&admin, &people.jwt("u1"), &[]);
        let (_, said) = client.post(CONNECT, json!({ "appId": "demo" })).await;
        let mut link = Link::of(&said);
        let mut browser = Browser::new();
        let entered = scene.enter(&mut browser, &link).await;
        link.id = entered.url.rsplit('/').next().unwrap().to_owned();
        let sent = browser
            .send("POST", &scene.page(&link, "/vouch"), Some(&[]))
            .await;
        let place = reqwest::Url::parse(&sent.location().unwrap()).unwrap();
        let ticket = place
            .query_pairs()
            .find(|(name, _)| name == "ticket")
            .unwrap()
            .1;
        let path = format!("/v1/connect/{}/vouch", link.id);
        let body = json!({ "ticket": ticket, "user": user });
        for nobody in [&person, &other] {
            assert_eq!(nobody.post(&path, body.clone()).await.0, 404);
        }
        let (_, said) = site.post(&path, body).await;
        assert!(said.to_string().contains(status), "{said}");
    }
    scene.end().await;
}

/// Goal: what a key began ends with the key. Method: a link of a page, and one of a back end; the
/// key is removed; each step in the right browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_ends_with_the_key_it_was_made_by() {
    let (scene, people, admin) = set_up(&["none", "page"]).await;
    let jwt = people.jwt("u1");
    let bound = Bound::ask(&page(&admin, &jwt), json!({ "appId": "demo" })).await;
    let mut own = bound.browser(&scene);
    assert_eq!(own.open(&bound.link.url).await.status, 200);
    let (_, said) = with_jwt(&admin, &jwt, &[])
        .post(CONNECT, json!({ "appId": "demo" }))
        .await;
    let unopened = Link::of(&said);
    let path = format!("/v1/keys/{}", people.key);
    assert_eq!(scene.admin.delete(&path).await.0, 200);
    for (method, url) in [
        ("GET", bound.link.url.clone()),
        ("GET", scene.page(&bound.link, "")),
        ("POST", scene.page(&bound.link, "/demo/go")),
        ("GET", unopened.url.clone()),
        ("POST", unopened.url.clone()),
    ] {
        let form: Option<&[(&str, &str)]> = (method == "POST").then_some(&[]);
        let answer = own.follow(method, &url, form).await;
        assert_eq!(answer.status, 404, "{method} {url}");
    }
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    scene.end().await;
}

/// Goal: a session in a cookie is believed from a page on the list alone: any site can have a
/// browser send it. Method: one thing at a time is not so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_in_a_cookie_counts_from_a_page_on_the_list_alone() {
    let (scene, people, admin) = set_up(&["code", "page"]).await;
    let session = format!("theme=dark; DSR={}", people.jwt("u1"));
    let project = format!("Bearer {}", admin.project);
    let evil = "https://evil.example";
    let key = format!("DSR={}", scene.admin.key);
    let twice = format!("{session}; DSR=x.y.z");
    for (origin, cookie, path, status) in [
        (Some(PAGE), session.as_str(), CONNECT, 200),
        (None, &session, CONNECT, 401),
        (Some(evil), &session, CONNECT, 403),
        (Some("null"), &session, CONNECT, 403),
        (None, &session, CONNECT_FOR, 401),
        (Some(PAGE), &session, CONNECT_FOR, 403),
        (Some(PAGE), &key, CONNECT, 401),
        (Some(PAGE), &twice, CONNECT, 401),
        (Some(PAGE), "theme=dark", CONNECT, 401),
    ] {
        let mut headers = vec![("cookie", cookie)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let client = admin.presenting(&project, &headers);
        let wish = json!({ "appId": "demo" });
        let answer = client.raw("POST", path, Some(wish)).await;
        assert_eq!(answer.status, status, "{origin:?} {cookie} {path}");
        let readable = answer.header("access-control-allow-origin");
        let is_pages = origin == Some(PAGE) && path == CONNECT;
        assert_eq!(readable, is_pages.then_some(PAGE));
    }
    let headers = [("cookie", session.as_str()), ("origin", PAGE)];
    let client = admin.presenting(&project, &headers);
    let (status, apps) = client.get("/v1/mgmt/outbound/apps").await;
    assert_eq!((status, &apps["apps"][0]["id"]), (200, &json!("demo")));
    for (user, apps) in [("u1", json!(["demo"])), ("u2", json!([]))] {
        let token = json!({ "appId": "demo", "userId": user, "accessToken": "a" });
        admin.done(UPLOAD, token).await;
        let path = format!("/v1/mgmt/outbound/apps-with-user-token?userId={user}");
        let shown = client.get(&path).await;
        assert_eq!(shown, (200, json!({ "appIds": apps })), "{user}");
    }
    scene.end().await;
}

/// Goal: an app for API keys has its form on a page's link too, and the cookie survives an answer
/// to another site where the vault is reached by https. Method: a vault that is, and its cookie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_site_gets_a_cookie_that_it_can_keep() {
    let clock = crate::support::clock();
    let home = new_home(&clock);
    let inside = Inside::serve_under(home.vault, "https://vault.example").await;
    let api = inside.api(&home.admin);
    let keyed = json!({ "id": "weather", "kind": "api_key", "name": "Weather" });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    let people = People::new(&api, &clock, &["page"]).await;
    let (_, status) = api.get("/v1/status").await;
    let project = status["project_id"].as_str().unwrap();
    let bearer = format!("Bearer {project}:{}", people.jwt("u1"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("origin", PAGE),
    ];
    let wish = json!({ "appId": "weather" }).to_string().into_bytes();
    let bound = Bound::of(&api.raw("POST", CONNECT, &headers, wish).await);
    assert_eq!(bound.cookie.0, format!("__Host-sr_{}", bound.link.id));
    assert_eq!(
        bound.how,
        "Path=/; Max-Age=600; HttpOnly; SameSite=None; Secure"
    );

    let cookie = format!("{}={}", bound.cookie.0, bound.cookie.1);
    let path = format!("/connect/{}", bound.link.id);
    let own = [("cookie", cookie.as_str())];
    let shown = api.raw("GET", &path, &own, vec![]).await;
    assert!(shown.body.contains("name=\"api_key\""), "{}", shown.body);
    // Sent along by a page elsewhere, it still opens nothing: the guard looks at the origin.
    let form = ("content-type", "application/x-www-form-urlencoded");
    let path = format!("{path}/weather/key");
    for origin in [Some(PAGE), Some("http://127.0.0.1:1"), None] {
        let mut headers = vec![own[0], form];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let body = b"api_key=k-123456".to_vec();
        let answer = api.raw("POST", &path, &headers, body).await;
        let expected = if origin.is_some() { 403 } else { 303 };
        assert_eq!(answer.status, expected, "{origin:?}");
    }
    let (_, said) = api
        .post("/v1/token", json!({ "app": "weather", "user": "u1" }))
        .await;
    assert_eq!(said["access_token"], "k-123456", "{said}");
    inside.end().await;
}
