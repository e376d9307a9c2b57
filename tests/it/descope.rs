//! Descope's clients against a live server: what each SDK puts on the wire, and what it reads.
//!
//! It promises: every answer is held to what all of these clients need of one (a JSON object, no
//! 204, 503 or redirect, three fields on an error), whatever else a test looks at; each endpoint
//! stands in [`CHECKED`] with the tests that go through it.
//! It never: goes around the wire.

mod apps;
mod callback;
mod connect;
mod deletions;
mod failures;
mod fetch;
mod pages;
mod people;
mod uploads;

use serde_json::{Value, json};
use strongroom::http::routes::descope::TABLE;

use crate::scene::Scene;
use crate::support::{Api, Raw, Said};

/// Each endpoint, which SDKs call it, and the tests that check it.
const CHECKED: [(&str, &str, &str, &[&str]); 27] = [
    (
        "POST",
        "/v1/mgmt/outbound/app/user/token",
        "py node go java php ruby",
        &[
            "each_client_fetches_in_its_own_form",
            "a_fetch_by_scopes_takes_the_exact_set_and_then_a_superset",
            "the_three_levels_of_owners_are_never_interchangeable",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/user/token/latest",
        "py node go java php",
        &[
            "each_client_fetches_in_its_own_form",
            "the_latest_token_is_the_newest_whatever_its_scopes",
            "an_account_is_told_by_its_external_identifier",
            "a_refresh_is_forced_and_a_refresh_token_handed_out_on_request",
            "trouble_has_the_status_and_code_that_clients_act_upon",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/tenant/token",
        "py node go java php",
        &["the_three_levels_of_owners_are_never_interchangeable"],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/tenant/token/latest",
        "py node go java php",
        &["the_three_levels_of_owners_are_never_interchangeable"],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/create",
        "py node go java php .net",
        &[
            "an_app_is_loaded_as_it_was_created_by_each_client",
            "what_would_silently_do_nothing_is_refused",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/create/bytemplate",
        "node",
        &[
            "an_app_is_made_of_a_template_and_what_is_said_wins",
            "a_wish_for_a_template_that_cannot_be_is_refused",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/create/bydcrpreset",
        "",
        &["what_would_silently_do_nothing_is_refused"],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/update",
        "py node go java php .net",
        &[
            "a_wrapped_update_overwrites_all_but_the_secret",
            "a_bare_update_changes_what_it_names",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/delete",
        "py node go java php .net",
        &["an_app_is_deleted_with_its_tokens"],
    ),
    (
        "GET",
        "/v1/mgmt/outbound/app/{}",
        "py node go php .net",
        &["an_app_is_loaded_as_it_was_created_by_each_client"],
    ),
    (
        "GET",
        "/v1/mgmt/outbound/app",
        "java",
        &["an_app_is_loaded_as_it_was_created_by_each_client"],
    ),
    (
        "GET",
        "/v1/mgmt/outbound/apps",
        "py node go java php .net web",
        &[
            "an_app_is_deleted_with_its_tokens",
            "a_page_on_the_list_reads_every_answer_and_another_none",
        ],
    ),
    (
        "POST",
        "/v1/outbound/oauth/connect",
        "web node",
        &[
            "an_access_key_makes_a_link_that_asks_for_a_code",
            "an_access_key_says_whom_a_link_is_for",
            "a_link_that_cannot_be_as_wished_is_refused",
            "an_api_key_is_typed_on_a_link_and_a_withdrawn_link_is_over",
            "a_page_connects_the_person_who_asks_in_its_browser",
            "a_pages_link_leads_nowhere_in_another_browser",
            "a_person_asks_for_itself_alone",
            "a_session_in_a_cookie_counts_from_a_page_on_the_list_alone",
            "a_page_of_another_site_gets_a_cookie_that_it_can_keep",
            "a_preflight_tells_a_page_on_the_list_what_it_may_send",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/connect",
        "agent-auth",
        &[
            "an_access_key_makes_a_link_that_asks_for_a_code",
            "an_access_key_says_whom_a_link_is_for",
            "a_link_that_cannot_be_as_wished_is_refused",
            "a_person_asks_for_itself_alone",
            "without_a_page_the_issuers_key_says_how_a_person_is_proven",
        ],
    ),
    (
        "GET",
        "/v1/outbound/oauth/callback",
        "",
        &[
            "an_app_of_descopes_comes_back_on_the_shared_callback_once",
            "an_answer_at_the_wrong_callback_redeems_nothing",
        ],
    ),
    (
        "GET",
        "/v1/mgmt/outbound/apps-with-user-token",
        "py node go php web",
        &[
            "the_apps_of_a_user_are_those_with_a_token_that_works",
            "a_page_on_the_list_reads_every_answer_and_another_none",
        ],
    ),
    (
        "DELETE",
        "/v1/mgmt/outbound/user/tokens",
        "py node go ruby php",
        &[
            "tokens_of_users_are_deleted_by_app_and_by_user",
            "a_deletion_that_names_nothing_deletes_nothing",
        ],
    ),
    (
        "DELETE",
        "/v1/mgmt/outbound/tokens",
        "java",
        &["a_deletion_that_names_nothing_deletes_nothing"],
    ),
    (
        "DELETE",
        "/v1/mgmt/outbound/token",
        "py node go ruby php java",
        &[
            "a_token_of_any_kind_is_deleted_by_its_id",
            "a_deletion_that_names_nothing_deletes_nothing",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/user/apikey/upload",
        "py node go php",
        &["an_api_key_is_stored_for_a_user_and_for_a_tenant"],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/tenant/apikey/upload",
        "py node go php",
        &["an_api_key_is_stored_for_a_user_and_for_a_tenant"],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/user/oauthtoken/upload",
        "py node go php",
        &[
            "an_upload_is_handed_out_with_all_that_was_said_of_it",
            "an_upload_is_tried_first_where_that_is_asked_for",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/tenant/oauthtoken/upload",
        "py node go php",
        &["an_upload_is_handed_out_with_all_that_was_said_of_it"],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/user/oauthtoken/batch/upload",
        "py node go php",
        &[
            "a_batch_is_stored_whole_or_not_at_all",
            "a_batch_has_a_list_of_a_bounded_length",
            "what_a_key_may_not_store_is_refused_item_by_item",
        ],
    ),
    (
        "POST",
        "/v1/mgmt/outbound/app/tenant/oauthtoken/batch/upload",
        "py node go php",
        &["a_batch_is_stored_whole_or_not_at_all"],
    ),
    (
        "GET",
        "/v1/mgmt/license",
        "py node go",
        &["what_a_client_asks_when_it_is_made_is_answered"],
    ),
    (
        "GET",
        "/v2/keys/{}",
        "py node go java php ruby",
        &["what_a_client_asks_when_it_is_made_is_answered"],
    ),
];

/// Goal: no endpoint is without a test. Method: hold the table of checks against the table of
/// routes, and the tests it names against those there are.
#[test]
fn every_endpoint_is_checked() {
    let routes: Vec<(&str, &str)> = TABLE
        .iter()
        .map(|row| (row.method.as_str(), row.path))
        .collect();
    let checked: Vec<(&str, &str)> = CHECKED.iter().map(|(m, path, ..)| (*m, *path)).collect();
    assert_eq!(checked, routes);
    let sources = [
        include_str!("descope/apps.rs"),
        include_str!("descope/callback.rs"),
        include_str!("descope/connect.rs"),
        include_str!("descope/deletions.rs"),
        include_str!("descope/failures.rs"),
        include_str!("descope/fetch.rs"),
        include_str!("descope/pages.rs"),
        include_str!("descope/people.rs"),
        include_str!("descope/uploads.rs"),
    ];
    for (_, path, _, tests) in CHECKED {
        assert!(!tests.is_empty(), "{path}");
        for test in tests {
            let name = format!("async fn {test}()");
            let is_there = sources.iter().any(|source| source.contains(&name));
            assert!(is_there, "{path}: there is no test `{test}`");
        }
    }
}

/// A client of Descope's: where it was pointed, and what it presents.
#[derive(Clone)]
pub struct Client {
    api: Api,
    project: String,
    authorization: String,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    /// A client as its SDK is made: by base URL, project id and management key.
    pub async fn new(scene: &Scene, key: &str) -> Self {
        let (_, status) = scene.admin.get("/v1/status").await;
        let project = status["project_id"].as_str().unwrap().to_owned();
        let sdk = [
            ("x-descope-sdk-name", "python".to_owned()),
            ("x-descope-sdk-version", "2.16.0".to_owned()),
            ("x-descope-project-id", project.clone()),
            ("x-descope-license", "tier4".to_owned()),
        ];
        Self {
            api: scene.inside.api(key),
            authorization: format!("Bearer {project}:{key}"),
            project,
            headers: sdk.to_vec(),
        }
    }

    /// The same, with another `Authorization`, and these headers alone.
    pub fn presenting(&self, authorization: &str, headers: &[(&'static str, &str)]) -> Self {
        let owned = headers.iter().map(|(name, value)| (*name, (*value).into()));
        Self {
            authorization: authorization.to_owned(),
            headers: owned.collect(),
            ..self.clone()
        }
    }

    /// Sends a request; what comes back is held to what all clients need.
    pub async fn raw(&self, method: &str, path: &str, body: Option<Value>) -> Raw {
        let mut headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        headers.push(("authorization", &self.authorization));
        headers.push(("content-type", "application/json"));
        let body = body.map_or(vec![], |body| body.to_string().into_bytes());
        let answer = self.api.raw(method, path, &headers, body).await;
        let said = answer.json();
        assert!(said.is_object(), "{method} {path}: {answer:?}");
        match answer.status {
            200 => {}
            400..=429 | 500 | 502 | 504 => {
                let names: Vec<&String> = said.as_object().unwrap().keys().collect();
                let three = ["errorCode", "errorDescription", "errorMessage"];
                assert_eq!(names, three, "{method} {path}: {answer:?}");
                for text in said.as_object().unwrap().values() {
                    assert!(!text.as_str().unwrap().is_empty(), "{answer:?}");
                }
            }
            other => panic!("{method} {path}: {other} is none of the statuses: {answer:?}"),
        }
        answer
    }

    pub async fn post(&self, path: &str, body: Value) -> Said {
        let answer = self.raw("POST", path, Some(body)).await;
        (answer.status, answer.json())
    }

    pub async fn get(&self, path: &str) -> Said {
        let answer = self.raw("GET", path, None).await;
        (answer.status, answer.json())
    }

    pub async fn delete(&self, path: &str) -> Said {
        let answer = self.raw("DELETE", path, None).await;
        (answer.status, answer.json())
    }

    /// Posts what is to be done, and nothing told of it.
    pub async fn done(&self, path: &str, body: Value) {
        let shown = body.to_string();
        assert_eq!(self.post(path, body).await, (200, json!({})), "{shown}");
    }

    /// A fetch that is to succeed.
    pub async fn token(&self, path: &str, body: Value) -> Value {
        let shown = body.to_string();
        let (status, said) = self.post(path, body).await;
        assert_eq!(status, 200, "{shown}: {said}");
        assert_eq!(said.as_object().unwrap().len(), 1, "{said}");
        said["token"].clone()
    }

    /// A fetch that is to find nothing.
    pub async fn no_token(&self, path: &str, body: Value) {
        let shown = body.to_string();
        let (status, said) = self.post(path, body).await;
        let told = (status, said["errorCode"].as_str().unwrap_or_default());
        assert_eq!(told, (404, "E152102"), "{shown}: {said}");
    }
}

pub const USER: &str = "/v1/mgmt/outbound/app/user/token";
pub const USER_LATEST: &str = "/v1/mgmt/outbound/app/user/token/latest";
pub const TENANT: &str = "/v1/mgmt/outbound/app/tenant/token";
pub const TENANT_LATEST: &str = "/v1/mgmt/outbound/app/tenant/token/latest";
pub const UPLOAD: &str = "/v1/mgmt/outbound/app/user/oauthtoken/upload";
pub const UPLOAD_TENANT: &str = "/v1/mgmt/outbound/app/tenant/oauthtoken/upload";
pub const CONNECT: &str = "/v1/outbound/oauth/connect";
pub const CREATE: &str = "/v1/mgmt/outbound/app/create";

/// A Strongroom with an OAuth app `demo`, and a client that may do everything.
pub async fn set_up() -> (Scene, Client) {
    let scene = Scene::new().await;
    let client = Client::new(&scene, &scene.admin.key).await;
    (scene, client)
}
