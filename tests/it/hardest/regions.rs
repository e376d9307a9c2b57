//! Zoho, Salesforce and Microsoft.

use serde_json::{Value, json};

use super::double::{Asked, Route, back, next, says};
use super::{Hard, Reply};

const ZOHO: [Route; 5] = [
    ("GET", "/accounts.zoho.com/oauth/v2/auth", |asked| {
        back(
            asked,
            &[
                ("location", "eu"),
                ("accounts-server", "https://accounts.zoho.eu"),
            ],
        )
    }),
    ("POST", "/accounts.zoho.eu/oauth/v2/token", zoho_token),
    ("GET", "/accounts.zoho.eu/oauth/user/info", |asked| {
        let right = asked
            .header("authorization")
            .starts_with("Zoho-oauthtoken ");
        match right {
            true => says(200, json!({ "ZUID": "700", "Email": "ada@example.com" })),
            false => says(401, json!({ "error": "INVALID_OAUTHTOKEN" })),
        }
    }),
    ("POST", "/accounts.zoho.eu/oauth/v2/token/revoke", |_| {
        says(200, json!({ "status": "success" }))
    }),
    ("POST", "/accounts.zoho.com/oauth/v2/token", |_| {
        says(200, json!({ "error": "invalid_code" }))
    }),
];

/// Errors have status 200, and a refresh brings no refresh token.
fn zoho_token(asked: &Asked) -> Reply {
    let presented = asked.field("refresh_token");
    if asked.field("client_secret") != "s3" {
        return says(200, json!({ "error": "invalid_client_secret" }));
    }
    if presented.is_empty() {
        return says(
            200,
            json!({
                "access_token": "1000.a-1", "refresh_token": "1000.r", "expires_in": 3600,
                "token_type": "Bearer", "scope": "AaaServer.profile.READ",
                "api_domain": format!("{}/www.zohoapis.eu", asked.at()),
            }),
        );
    }
    says(
        200,
        json!({
            "access_token": "1000.a-2", "expires_in": 3600, "token_type": "Bearer",
            "api_domain": format!("{}/www.zohoapis.eu", asked.at()),
        }),
    )
}

/// Goal: a person of another data centre is served there, from the exchange on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoho_says_in_the_redirect_where_a_person_is() {
    let hard = Hard::new("zoho", &ZOHO, json!({})).await;
    hard.connected(Value::Null).await;
    assert!(
        hard.double
            .asked("/accounts.zoho.com/oauth/v2/token")
            .is_empty()
    );
    let token = hard.token().await;
    assert_eq!(token["subject"], "700", "{token}");
    let api = format!("{}/www.zohoapis.eu", hard.double.at());
    assert_eq!(token["metadata"]["api_domain"], api, "{token}");

    hard.advance(3600);
    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "1000.a-2", "{fetched}");
    let refresh = hard.double.last("/accounts.zoho.eu/oauth/v2/token");
    assert_eq!(refresh.field("refresh_token"), "1000.r");

    hard.removed(&hard.token().await).await;
    let revoke = hard.double.last("/accounts.zoho.eu/oauth/v2/token/revoke");
    assert_eq!(revoke.field("token"), "1000.r");
    hard.end().await;
}

/// Goal: a redirect that names another host than Zoho's is refused, and no code goes there (T28).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t28_zoho_is_no_host_of_another() {
    const BENT: [Route; 1] = [("GET", "/accounts.zoho.com/oauth/v2/auth", |asked| {
        back(
            asked,
            &[("accounts-server", "https://accounts.zoho.com.evil.example")],
        )
    })];
    let hard = Hard::new("zoho", &BENT, json!({})).await;
    hard.connect(Value::Null).await;
    assert!(hard.tokens().await.is_empty());
    assert_eq!(
        hard.double.paths(),
        ["GET /accounts.zoho.com/oauth/v2/auth"]
    );
    hard.end().await;
}

/// Goal: errors in a 200 are told apart: too often is for later, and kills nothing; a code that is
/// gone asks the person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoho_throttles_with_a_200_and_kills_with_a_200() {
    const BUSY: [Route; 3] = [
        ("GET", "/accounts.zoho.com/oauth/v2/auth", |asked| {
            back(asked, &[])
        }),
        (
            "POST",
            "/accounts.zoho.com/oauth/v2/token",
            |asked| match asked.field("refresh_token").as_str() {
                "" => zoho_token(asked),
                "1000.r" => says(
                    200,
                    json!({
                        "error": "Access Denied", "status": "failure",
                        "error_description": "You have made too many requests continuously. \
                                              Please try again after some time.",
                    }),
                ),
                _ => says(200, json!({ "error": "invalid_code" })),
            },
        ),
        ("GET", "/accounts.zoho.com/oauth/user/info", |_| {
            says(200, json!({ "ZUID": "700", "Email": "ada@example.com" }))
        }),
    ];
    let hard = Hard::new("zoho", &BUSY, json!({})).await;
    hard.connected(Value::Null).await;
    hard.advance(3600);
    let (status, said) = hard.ask(json!({})).await;
    assert_eq!(
        (status, &said["outcome"]),
        (503, &json!("unavailable")),
        "{said}"
    );
    assert_eq!(hard.token().await["state"], "active");

    let mine = json!({
        "app": "zoho", "user": "u2", "refresh_token": "1000.gone", "access_token": "1000.x",
        "expires_at": hard.scene.clock.now(),
    });
    let (status, said) = hard.scene.admin.put("/v1/tokens", mine).await;
    assert_eq!(status, 200, "{said}");
    hard.advance(3600);
    let (status, said) = hard.ask(json!({ "user": "u2" })).await;
    assert_eq!(
        (status, &said["reason"]),
        (409, &json!("revoked")),
        "{said}"
    );
    hard.end().await;
}

const SALESFORCE: [Route; 4] = [
    (
        "GET",
        "/test.salesforce.com/services/oauth2/authorize",
        |asked| back(asked, &[]),
    ),
    (
        "POST",
        "/test.salesforce.com/services/oauth2/token",
        salesforce_token,
    ),
    (
        "GET",
        "/acme.my.salesforce.com/services/oauth2/userinfo",
        |_| {
            says(
                200,
                json!({ "user_id": "005", "preferred_username": "ada@acme.example" }),
            )
        },
    ),
    (
        "POST",
        "/acme.my.salesforce.com/services/oauth2/revoke",
        |_| says(200, json!({})),
    ),
];

fn salesforce_token(asked: &Asked) -> Reply {
    let again = asked.field("grant_type") == "refresh_token";
    let mut said = json!({
        "access_token": if again { "00D!2" } else { "00D!1" }, "token_type": "Bearer",
        "instance_url": format!("{}/acme.my.salesforce.com", asked.at()),
        "id": "https://test.salesforce.com/id/00D/005", "issued_at": "1790000000000",
        "signature": "sig", "scope": "refresh_token api openid",
    });
    if !again {
        said["refresh_token"] = json!("5Aep");
    }
    says(200, said)
}

/// Goal: Salesforce is asked where the person logs in, and called and told to revoke where its
/// answer says; a token without a lifetime lasts as long as is assumed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn salesforce_says_where_it_is_and_not_for_how_long() {
    let hard = Hard::new("salesforce", &SALESFORCE, json!({})).await;
    hard.connected(json!({ "login_host": "https://test.salesforce.com/" }))
        .await;
    let token = hard.token().await;
    assert_eq!(token["subject"], "005", "{token}");
    let instance = format!("{}/acme.my.salesforce.com", hard.double.at());
    assert_eq!(token["metadata"]["instance_url"], instance, "{token}");
    let ends = hard
        .scene
        .clock
        .now()
        .plus(std::time::Duration::from_secs(3600));
    assert_eq!(token["expires_at"], json!(ends), "{token}");

    hard.advance(3600);
    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "00D!2", "{fetched}");
    hard.removed(&hard.token().await).await;
    let revoke = hard
        .double
        .last("/acme.my.salesforce.com/services/oauth2/revoke");
    assert_eq!(revoke.field("token"), "5Aep");
    assert!(
        !revoke.body.contains("s3"),
        "no secret goes where an answer says"
    );
    hard.end().await;
}

const MICROSOFT: [Route; 3] = [
    (
        "GET",
        "/login.microsoftonline.com/contoso.example/oauth2/v2.0/authorize",
        |asked| back(asked, &[("session_state", "x")]),
    ),
    (
        "POST",
        "/login.microsoftonline.com/contoso.example/oauth2/v2.0/token",
        |asked| {
            let number = next(&asked.field("refresh_token"));
            says(
                200,
                json!({
                    "token_type": "Bearer", "expires_in": 4500, "ext_expires_in": 4500,
                    "scope": "email openid profile https://graph.microsoft.com/User.Read",
                    "access_token": format!("eyJ-{number}"),
                    "refresh_token": format!("0.A-{number}"),
                }),
            )
        },
    ),
    ("GET", "/graph.microsoft.com/v1.0/me", |_| {
        says(
            200,
            json!({ "id": "oid-1", "userPrincipalName": "ada@contoso.example" }),
        )
    }),
];

/// Goal: the tenant that the operator says stands in every address, and what Microsoft cannot
/// revoke is said to be so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsoft_has_the_tenant_in_its_addresses() {
    let values = json!({ "tenant": "contoso.example" });
    let hard = Hard::new("microsoft", &MICROSOFT, values).await;
    hard.connected(Value::Null).await;
    let token = hard.token().await;
    assert_eq!(token["subject"], "oid-1", "{token}");
    hard.advance(4500);
    let fetched = hard.fetched(json!({})).await;
    assert_eq!(fetched["access_token"], "eyJ-2", "{fetched}");
    hard.advance(4500);
    assert_eq!(hard.fetched(json!({})).await["access_token"], "eyJ-3");
    let path = "/login.microsoftonline.com/contoso.example/oauth2/v2.0/token";
    assert_eq!(hard.double.last(path).field("refresh_token"), "0.A-2");
    let gone = hard.removed(&hard.token().await).await;
    assert_eq!(gone["revocation"]["result"], "not_supported", "{gone}");
    hard.end().await;
}
