//! A client that its server has forgotten (issue 6; RFC 6749 5.2, 10.4).

use serde_json::{Value, json};

use super::Vaulted;
use super::double::{Double, How};

/// So long a client is refused before a refresh has it registered anew.
const FOR_LONG: u64 = 301;

/// A server that has forgotten its clients, and a vault with people who connected before.
async fn forgotten(how: How, people: &[&str]) -> (Double, Vaulted) {
    let double = Double::start(how).await;
    let vault = Vaulted::new().await;
    vault.added(&double, json!({})).await;
    for person in people {
        vault.connect(person).await;
    }
    vault.advance(601);
    double.forget_clients();
    (double, vault)
}

fn lenient() -> How {
    How {
        binds_tokens: false,
        method: "client_secret_post",
        ..How::default()
    }
}

async fn state_of(vault: &Vaulted, user: &str) -> Value {
    let path = format!("/v1/tokens?app=m&user={user}");
    vault.api.get(&path).await.1["tokens"][0]["state"].clone()
}

/// Goal: a forgotten client is registered anew once, by whoever finds out first, and every token
/// that the server grants to the new one lives on. Method: four people's tokens at one time, twice
/// with minutes between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_client_is_registered_anew_once_for_all_who_find_out() {
    let people = ["ada", "grace", "joan", "mary"];
    let (double, vault) = forgotten(lenient(), &people).await;
    assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    assert_eq!(double.seen("/register").len(), 1, "it may be a hiccup");
    vault.advance(FOR_LONG);
    let mut asked = Vec::new();
    for person in people {
        let api = vault.api.clone();
        asked.push(tokio::spawn(async move {
            api.post("/v1/token", json!({ "app": "m", "user": person }))
                .await
                .1
        }));
    }
    for answer in asked {
        let said = answer.await.unwrap();
        assert_eq!(said["outcome"], "ok", "{said}");
    }
    assert_eq!(
        double.seen("/register").len(),
        2,
        "the first one, and one more"
    );
    let (_, app) = vault.api.get("/v1/apps/m").await;
    assert_ne!(app["client_id"], "client-1");
    let (_, trail) = vault.api.get("/v1/audit?limit=1000").await;
    let entries = trail["entries"].as_array().unwrap();
    let anew = entries
        .iter()
        .filter(|one| one["outcome"] == "client registered anew");
    assert_eq!(anew.count(), 1, "it is on record");
    vault.inside.end().await;
}

/// Goal: where refresh tokens are their client's alone, their owners are asked to connect again,
/// and can. Method: RFC 6749 10.4 by the letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_is_the_old_clients_alone_asks_for_its_owner() {
    let (double, vault) = forgotten(How::default(), &["ada"]).await;
    assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    vault.advance(FOR_LONG);
    let said = vault.token("ada").await;
    assert_eq!(said["outcome"], "reconnect_required", "{said}");
    assert_eq!(said["reason"], "interrupted_refresh");
    assert_eq!(double.seen("/register").len(), 2);
    vault.connect("ada").await;
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    vault.inside.end().await;
}

/// Goal: a server that refuses a client for a moment costs nobody a token that is its client's
/// alone. Method: two hiccups with a refresh between, minutes apart; a refusal that is of the grant
/// type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_a_hiccup_renews_no_client_and_kills_no_token() {
    let double = Double::start(How::default()).await;
    let vault = Vaulted::new().await;
    vault.added(&double, json!({})).await;
    vault.connect("ada").await;
    for code in ["invalid_client", "invalid_client", "unauthorized_client"] {
        vault.advance(601);
        double.change(|how| how.refuses = Some(code));
        assert_eq!(vault.token("ada").await["outcome"], "unavailable");
        vault.advance(FOR_LONG - 60);
        assert_eq!(vault.token("ada").await["outcome"], "unavailable");
        double.change(|how| how.refuses = None);
        vault.advance(600);
        assert_eq!(vault.token("ada").await["outcome"], "ok", "{code}");
    }
    double.change(|how| how.refuses = Some("unauthorized_client"));
    for _ in 0..3 {
        vault.advance(3600);
        assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    }
    assert_eq!(double.seen("/register").len(), 1);
    vault.inside.end().await;
}

/// Goal: a person who connects gets a new client at once, and nobody else's token is called dead
/// for that. Method: one refusal of a code; then another's refresh, which is the old client's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_a_client_renewed_for_a_person_kills_no_token_of_another() {
    let (double, vault) = forgotten(How::default(), &["ada"]).await;
    let (mut browser, page) = vault.try_to_connect("grace").await;
    assert_eq!(double.seen("/register").len(), 2);
    let page = browser.submit(&page, "/m/go", &[]).await;
    assert!(page.text.contains("Connected"), "{}", page.text);
    assert_eq!(vault.token("grace").await["outcome"], "ok");
    for _ in 0..3 {
        let said = vault.token("ada").await;
        assert_eq!(said["outcome"], "unavailable", "{said}");
        assert_eq!(state_of(&vault, "ada").await, "active");
        let (_, kept) = vault.api.get("/v1/tokens?app=m&user=ada").await;
        assert!(kept.to_string().contains("client_renewed"), "{kept}");
        vault.advance(3600);
    }
    // Nobody gave the earlier client again: then only its owner can mend it, and is asked.
    vault.advance(22 * 3600);
    let said = vault.token("ada").await;
    assert_eq!(said["outcome"], "reconnect_required", "{said}");
    assert_eq!(said["reason"], "interrupted_refresh", "{said}");
    vault.inside.end().await;
}

/// Goal: a server that forgets again and again is not registered at without end, and its refusal
/// of the client kills no token. Method: forget twice; six hours; a registration that fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_not_registered_anew_twice_and_no_token_dies_of_it() {
    let (double, vault) = forgotten(lenient(), &["ada"]).await;
    assert_eq!(vault.token("ada").await["outcome"], "unavailable");
    vault.advance(FOR_LONG);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    vault.advance(601);
    double.forget_clients();
    for _ in 0..3 {
        let said = vault.token("ada").await;
        assert_eq!(said["outcome"], "unavailable", "{said}");
        assert_eq!(state_of(&vault, "ada").await, "active");
        vault.advance(3600);
    }
    assert_eq!(double.seen("/register").len(), 2, "one in six hours");
    // Then it is time, but the server will not.
    double.change(|how| how.registration.0 = 503);
    vault.advance(3 * 3600);
    for _ in 0..2 {
        assert_eq!(vault.token("ada").await["outcome"], "unavailable");
        assert_eq!(state_of(&vault, "ada").await, "active");
        vault.advance(31);
    }
    assert_eq!(
        double.seen("/register").len(),
        3,
        "and not asked again at once"
    );
    double.change(|how| how.registration.0 = 201);
    vault.advance(3600);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    vault.inside.end().await;
}

/// Goal: a client that the operator gave is the operator's to mend. Method: it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_client_is_never_registered_in_its_place() {
    let double = Double::start(How {
        method: "client_secret_post",
        ..How::default()
    })
    .await;
    let vault = Vaulted::new().await;
    let given = json!({ "client_id": "client-of-the-operator", "client_secret": "s" });
    vault.added(&double, given).await;
    let (_, page) = vault.try_to_connect("ada").await;
    assert!(page.text.contains("invalid_client"), "{}", page.text);
    assert!(double.seen("/register").is_empty());
    vault.inside.end().await;
}

/// Goal: a person who comes back with a code of a forgotten client is told to connect again, and
/// then it works. Method: forget between the trip and the code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_a_forgotten_client_asks_for_another_trip() {
    let double = Double::start(How::default()).await;
    let vault = Vaulted::new().await;
    vault.added(&double, json!({})).await;
    double.forget_clients();
    let (mut browser, page) = vault.try_to_connect("ada").await;
    assert!(page.text.contains("please connect again"), "{}", page.text);
    assert_eq!(double.seen("/register").len(), 2);
    let page = browser.submit(&page, "/m/go", &[]).await;
    assert!(page.text.contains("Connected"), "{}", page.text);
    assert_eq!(vault.token("ada").await["outcome"], "ok");
    vault.inside.end().await;
}

/// Goal: a secret that is about to end is exchanged before anybody is sent away with it.
/// Method: a secret of a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_secret_ends_is_registered_anew_before_a_trip() {
    let double = Double::start(lenient()).await;
    let vault = Vaulted::new().await;
    let day = |vault: &Vaulted| vault.clock.now().unix_ms() / 1000 + 86_400;
    let ends = day(&vault);
    double.change(|how| how.registration.1 = json!({ "client_secret_expires_at": ends }));
    let app = vault.added(&double, json!({})).await;
    assert!(
        app["remote"]["client_secret_expires_at"].is_string(),
        "{app}"
    );
    vault.connect("ada").await;
    assert_eq!(double.seen("/register").len(), 1);
    vault.advance(86_400 - 60);
    let ends = day(&vault);
    double.change(|how| how.registration.1 = json!({ "client_secret_expires_at": ends }));
    vault.connect("grace").await;
    assert_eq!(double.seen("/register").len(), 2);
    let trips = double.seen("/authorize");
    assert_ne!(trips[1].field("client_id"), trips[0].field("client_id"));
    vault.inside.end().await;
}
