//! What becomes of a token when its provider misbehaves (issue item 7; R4, R5, R8).

use std::time::Duration;

use serde_json::json;
use strongroom::sandbox::Misbehaviour;

use crate::rig::{Rig, Setup, line};

fn raw(status: u16, content_type: &str, body: &[u8]) -> Misbehaviour {
    let headers = match content_type {
        "" => vec![],
        content_type => vec![("content-type".to_owned(), content_type.to_owned())],
    };
    Misbehaviour::Raw {
        status,
        headers,
        body: body.to_vec(),
    }
}

/// One answer, what it makes of a fetch and of the record, and how often the provider is asked.
struct Case {
    name: String,
    how: Misbehaviour,
    fetch: &'static str,
    /// The code of the last refresh error; empty where there is none.
    code: String,
    asked: u64,
}

impl Case {
    fn new(name: &str, how: Misbehaviour, fetch: &'static str, code: &str, asked: u64) -> Self {
        Self {
            name: name.into(),
            how,
            fetch,
            code: code.into(),
            asked,
        }
    }
}

const OK: &str = "200 ok";
const LATER: &str = "503 unavailable";
const REVOKED: &str = "409 reconnect_required revoked";
const INTERRUPTED: &str = "409 reconnect_required interrupted_refresh";

/// Lets an expired token meet the answer, compares everything, and shows that nothing was lost.
async fn meet(rig: &Rig, number: usize, case: &Case) {
    let Case {
        name,
        how,
        fetch,
        code,
        asked,
    } = case;
    let user = format!("u{number}");
    let stored = rig.store_expired(&user).await;
    let before = rig.asked();
    rig.at_token(how.clone(), None);
    let (line, said) = rig.fetch(&user).await;
    rig.behave();
    assert_eq!(line, *fetch, "{name}: {said}");
    assert_eq!(rig.asked() - before, *asked, "{name}: {said}");
    let summary = rig.summary(&stored.id).await;
    let error = &summary["last_refresh_error"];
    assert_eq!(error["code"].as_str().unwrap_or(""), code, "{name}");
    let is_dead = *fetch == REVOKED || *fetch == INTERRUPTED;
    let state = if is_dead {
        "reconnect_required"
    } else {
        "active"
    };
    assert_eq!(summary["state"], state, "{name}: {summary}");
    let kept = rig.refresh_token(&stored.id).await;
    if is_dead {
        assert_eq!(kept, stored.refresh, "{name}");
        let before = rig.asked();
        assert_eq!(rig.fetch(&user).await.0, *fetch, "{name}");
        assert_eq!(rig.asked(), before, "{name}: the dead are not asked for");
        return;
    }
    // Past the wait that was told, the very next fetch brings it back.
    let wait = said["retry_after_s"].as_u64().unwrap_or(0);
    assert!(wait <= 3780, "{name}: {wait}");
    if *fetch == LATER {
        let before = rig.asked();
        assert_eq!(rig.fetch(&user).await.0, LATER, "{name}: too early");
        assert_eq!(rig.asked(), before, "{name}: asked in spite of the wait");
        rig.advance(wait + 1);
    } else {
        rig.advance(7200);
    }
    let before = rig.refreshed();
    let access = rig.access(&user).await;
    assert_ne!(access, stored.access, "{name}");
    assert_eq!(rig.refreshed() - before, 1, "{name}");
    let summary = rig.summary(&stored.id).await;
    assert_eq!(summary["last_refresh_error"], json!(null), "{name}");
}

/// Goal: every refusal a provider has been seen to send has its exact outcome, and loses no token
/// that is not lost. Method: the table of answers that the provider room is held to, sent over a
/// socket to a fetch of an expired token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_every_refusal_of_a_provider_has_its_outcome() {
    let rig = Rig::new().await;
    let lines = include_str!("../provider_answers.txt").lines();
    let mut count = 0;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let content_type = match fields[1] {
            "json" => "application/json",
            "html" => "text/html",
            "form" => "application/x-www-form-urlencoded",
            "text" => "text/plain",
            _ => "",
        };
        let body = fields.get(4).unwrap_or(&"");
        let body = body
            .replace("\\u{feff}", "\u{feff}")
            .replace("\\r\\n\\0", "\r\n\0");
        let (fetch, asked) = match fields[2] {
            "Refused" => (REVOKED, 1),
            // Sent once more with the same refresh token, at once.
            "AnswerLost" => (LATER, 2),
            "ClientRefused" | "ScopeRefused" | "LATER" => (LATER, 1),
            kind => panic!("{kind}"),
        };
        let how = raw(fields[0].parse().unwrap(), content_type, body.as_bytes());
        let case = Case::new(line, how, fetch, fields[3], asked);
        meet(&rig, count, &case).await;
        count += 1;
    }
    assert!(count >= 70, "{count}");
    rig.inside.end().await;
}

/// Answers that grant all the same, however odd they are.
fn odd_grants() -> Vec<Case> {
    use Misbehaviour as M;
    let granted = |name: &str, how| Case::new(name, how, OK, "", 1);
    vec![
        granted("form", M::FormEncoded),
        granted("expires_in as text", M::ExpiresInString),
        granted("no expires_in", M::NoExpiresIn),
        granted("no token_type", M::NoTokenType),
        granted("token_type in lower case", M::LowerCaseTokenType),
        granted("more fields than the RFC knows", M::ExtraFields),
        granted("scopes with commas", M::ScopesCommaSeparated),
        granted("no refresh token", M::NoRefreshToken),
        granted("an empty refresh token", M::EmptyRefreshToken),
    ]
}

/// Answers that are none.
fn troubles() -> Vec<Case> {
    use Misbehaviour as M;
    let retry = |status, value: &str| M::RetryAfter {
        status,
        value: value.into(),
    };
    let cut = b"{\"access_token\":\"a\",\"refresh_token\":\"r".to_vec();
    let late = "temporarily_unavailable";
    vec![
        Case::new("closed before", M::CloseBefore, LATER, "answer_lost", 2),
        Case::new("answer lost", M::LoseAnswer, LATER, "answer_lost", 2),
        Case::new("hangs", M::Hang, LATER, "timed_out", 2),
        Case::new("empty 400", M::Empty400, LATER, "http_400", 1),
        Case::new("HTML 500", M::Html500, LATER, "http_500", 1),
        Case::new("2 MiB", M::Huge(2 << 20), LATER, "answer_too_long", 2),
        Case::new("429, seconds", retry(429, "120"), LATER, late, 1),
        Case::new("429, no sense", retry(429, "soon"), LATER, late, 1),
        Case::new("429, negative", retry(429, "-5"), LATER, late, 1),
        Case::new("429, ten years", retry(429, "315360000"), LATER, late, 1),
        Case::new(
            "503, past",
            retry(503, "Thu, 01 Jan 1970 00:00:00 GMT"),
            LATER,
            late,
            1,
        ),
        Case::new(
            "503, date",
            retry(503, "Sun, 09 Nov 2094 08:49:37 GMT"),
            LATER,
            late,
            1,
        ),
        Case::new(
            "error inside 200",
            M::ErrorInside200("invalid_grant".into()),
            REVOKED,
            "invalid_grant",
            1,
        ),
        Case::new(
            "its own code inside 200",
            M::ErrorInside200("server_error".into()),
            LATER,
            "server_error",
            1,
        ),
        Case::new(
            "cut short",
            raw(200, "application/json", &cut),
            LATER,
            "answer_unreadable",
            2,
        ),
    ]
}

/// Redirects, which are not followed: whoever is named there would get the secrets.
fn redirects() -> Vec<Case> {
    [301, 302, 303, 307, 308]
        .map(|status| {
            let how = Misbehaviour::Redirect(status, "http://127.0.0.1:9/token".into());
            Case::new(&status.to_string(), how, LATER, "redirect_refused", 1)
        })
        .into()
}

/// Goal: whatever a provider does, each outcome is the documented one and the refresh token lives.
/// Method: every misbehaviour of the sandbox meets a token of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_whatever_a_provider_does_no_refresh_token_is_lost() {
    let rig = Rig::with(Setup {
        timeout: Duration::from_millis(400),
        ..Setup::default()
    })
    .await;
    let mut cases = odd_grants();
    cases.extend(troubles());
    cases.extend(redirects());
    assert!(cases.len() >= 29);
    for (number, case) in cases.iter().enumerate() {
        meet(&rig, number, case).await;
    }
    rig.inside.end().await;
}

/// Goal: text of a provider that holds a token or code is not kept (T30). Method: an error whose
/// description echoes the refresh token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_provider_that_echoes_the_token_does_not_get_it_into_our_records() {
    let rig = Rig::new().await;
    let stored = rig.store_expired("u").await;
    let body = json!({
        "error": "invalid_request",
        "error_description": format!("bad token {}", stored.refresh),
    });
    rig.at_token(
        raw(400, "application/json", body.to_string().as_bytes()),
        None,
    );
    let (line, said) = rig.fetch("u").await;
    assert_eq!(line, LATER);
    let summary = rig.summary(&stored.id).await;
    for text in [said.to_string(), summary.to_string()] {
        assert!(!text.contains(&stored.refresh), "{text}");
        assert!(text.contains("bad token"), "{text}");
    }
    let (_, trail) = rig.api.get("/v1/audit?limit=100").await;
    assert!(!trail.to_string().contains(&stored.refresh));
    rig.inside.end().await;
}

/// Goal: a code exchange that fails is told on the link and stores nothing; one that succeeds oddly
/// is stored. Method: a person goes the whole way, and the token endpoint answers by a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_the_code_exchange_at_connect_has_its_outcomes() {
    use Misbehaviour as M;
    let rig = Rig::with(Setup {
        timeout: Duration::from_millis(400),
        ..Setup::default()
    })
    .await;
    let oauth = |status, code: &str| {
        let body = json!({ "error": code }).to_string();
        raw(status, "application/json", body.as_bytes())
    };
    let html = raw(200, "text/html", b"<html>welcome</html>");
    let elsewhere = String::from("http://127.0.0.1:9/");
    let cases = [
        (oauth(400, "invalid_grant"), "failed invalid_grant"),
        (oauth(401, "invalid_client"), "failed invalid_client"),
        (oauth(400, "invalid_scope"), "failed invalid_scope"),
        (oauth(503, "server_error"), "failed server_error"),
        (
            M::ErrorInside200("bad_verification_code".into()),
            "failed bad_verification_code",
        ),
        (M::Html500, "failed http_500"),
        (html, "failed answer_unreadable"),
        (M::LoseAnswer, "failed answer_lost"),
        (M::CloseBefore, "failed answer_lost"),
        (M::Hang, "failed timed_out"),
        (M::Redirect(307, elsewhere), "failed redirect_refused"),
        (M::Huge(2 << 20), "failed answer_too_long"),
        (M::FormEncoded, "connected"),
        (M::NoRefreshToken, "connected"),
        (M::NoExpiresIn, "connected"),
        (M::ExpiresInString, "connected"),
        (M::ExtraFields, "connected"),
    ];
    for (number, (how, wanted)) in cases.into_iter().enumerate() {
        let user = format!("u{number}");
        let before = rig.asked();
        let state = connect(&rig, &user, &how).await;
        rig.behave();
        assert_eq!(state, wanted, "{how:?}");
        assert_eq!(rig.asked() - before, 1, "{how:?}: a code is sent once");
        let (status, said) = rig.api.token(&user).await;
        let fetched = match wanted {
            "connected" => OK,
            // The link is open still: the person may try again.
            _ => "202 pending",
        };
        assert_eq!(line(status, &said), fetched, "{how:?}: {said}");
    }
    rig.inside.end().await;
}

/// Takes a person through connecting `demo`; how it stands on the link comes back.
async fn connect(rig: &Rig, user: &str, how: &Misbehaviour) -> String {
    let ask = json!({ "apps": [{ "app": "demo" }], "user": user, "verify": "code" });
    let (status, link) = rig.api.post("/v1/connect", ask).await;
    assert_eq!(status, 201, "{link}");
    let mut browser = crate::support::Browser::new();
    let url = link["url"].as_str().unwrap();
    let page = browser.open(url).await;
    let page = browser
        .submit(&page, url.split("/c/").nth(1).unwrap(), &[])
        .await;
    let code = link["code"].as_str().unwrap();
    let page = browser.submit(&page, "/code", &[("code", code)]).await;
    let login = browser.submit(&page, "/demo/go", &[]).await;
    rig.at_token(how.clone(), None);
    browser.consent(&login, "ada", "engine").await;
    let path = format!("/v1/connect/{}", link["id"].as_str().unwrap());
    let (_, state) = rig.api.get(&path).await;
    let app = &state["apps"][0];
    match app["code"].as_str() {
        Some(code) => format!("{} {code}", app["state"].as_str().unwrap()),
        None => app["state"].as_str().unwrap_or("?").to_owned(),
    }
}
