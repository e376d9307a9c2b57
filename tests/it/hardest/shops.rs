//! Shopify and QuickBooks.

use std::sync::atomic::{AtomicU32, Ordering};

use ring::hmac;
use serde_json::{Value, json};

use super::double::{Asked, Route, back, back_with, next, says};
use super::{Hard, Reply};

const SHOPIFY: [Route; 4] = [
    (
        "GET",
        "/acme.myshopify.com/admin/oauth/authorize",
        |asked| signed(asked, "s3"),
    ),
    (
        "POST",
        "/acme.myshopify.com/admin/oauth/access_token",
        shopify_token,
    ),
    (
        "POST",
        "/acme.myshopify.com/admin/api/2026-10/graphql.json",
        |asked| match asked.header("x-shopify-access-token").starts_with("shpat-") {
            true => says(
                200,
                json!({ "data": { "shop": {
                "id": "gid://shopify/Shop/7", "name": "Acme",
                "myshopifyDomain": "acme.myshopify.com",
            } } }),
            ),
            false => says(
                401,
                json!({ "errors": "[API] Invalid API key or access token" }),
            ),
        },
    ),
    (
        "DELETE",
        "/acme.myshopify.com/admin/api_permissions/current.json",
        |_| says(200, json!({})),
    ),
];

/// The redirect back, with the proof that Shopify gives: HMAC-SHA256 of all other parameters in
/// their order, by the client's secret.
fn signed(asked: &Asked, secret: &str) -> Reply {
    let fields = [
        ("code", "c-1"),
        ("host", "YWRtaW4"),
        ("shop", "acme.myshopify.com"),
        ("state", asked.query("state")),
        ("timestamp", "1790000000"),
    ];
    let message: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let proof = hmac::sign(&key, message.join("&").as_bytes());
    let digits = proof.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let proof: String = digits.collect();
    back_with(asked, fields.iter().chain(&[("hmac", proof.as_str())]))
}

fn shopify_token(asked: &Asked) -> Reply {
    if asked.field("expiring") != "1" || asked.field("client_secret") != "s3" {
        return says(400, json!({ "error": "invalid_request" }));
    }
    let number = next(&asked.field("refresh_token"));
    says(
        200,
        json!({
            "access_token": format!("shpat-{number}"), "refresh_token": format!("shprt-{number}"),
            "scope": "read_products", "expires_in": 3600, "refresh_token_expires_in": 7_776_000,
        }),
    )
}

/// Goal: whoever connects says which shop, in any spelling; tokens of it are renewed and revoked
/// there; the life of the refresh token is on the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shopify_has_the_shop_in_its_addresses() {
    let hard = Hard::new("shopify", &SHOPIFY, json!({})).await;
    hard.connected(json!({ "shop": "https://acme/" })).await;
    let token = hard.token().await;
    assert_eq!(token["subject"], "gid://shopify/Shop/7", "{token}");
    assert_eq!(token["metadata"]["shop"], "acme.myshopify.com", "{token}");
    let ends = hard
        .scene
        .clock
        .now()
        .plus(std::time::Duration::from_secs(7_776_000));
    assert_eq!(token["refresh_token_ends_at"], json!(ends), "{token}");

    hard.advance(3600);
    assert_eq!(hard.fetched(json!({})).await["access_token"], "shpat-2");
    hard.removed(&hard.token().await).await;
    let path = "/acme.myshopify.com/admin/api_permissions/current.json";
    assert_eq!(
        hard.double.last(path).header("x-shopify-access-token"),
        "shpat-2"
    );
    hard.end().await;
}

/// Goal: a redirect whose proof is wrong or missing is refused, and its code is not redeemed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shopify_proves_the_redirect() {
    const BENT: [Route; 1] = [(
        "GET",
        "/acme.myshopify.com/admin/oauth/authorize",
        |asked| signed(asked, "other"),
    )];
    const BARE: [Route; 1] = [(
        "GET",
        "/acme.myshopify.com/admin/oauth/authorize",
        |asked| back(asked, &[]),
    )];
    for routes in [&BENT, &BARE] {
        let hard = Hard::new("shopify", routes, json!({})).await;
        hard.connect(json!({ "shop": "acme" })).await;
        assert!(hard.tokens().await.is_empty());
        assert_eq!(hard.double.paths().len(), 1, "{:?}", hard.double.paths());
        hard.end().await;
    }
}

const COMPANY: &str = "/quickbooks.api.intuit.com/v3/company/4620/companyinfo/4620";

const QUICKBOOKS: [Route; 4] = [
    ("GET", "/appcenter.intuit.com/connect/oauth2", |asked| {
        back(asked, &[("realmId", "4620")])
    }),
    (
        "POST",
        "/oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
        |asked| {
            if asked.basic() != "cid:s3" {
                return says(401, json!({ "error": "invalid_client" }));
            }
            let number = next(&asked.field("refresh_token"));
            says(
                200,
                json!({
                    "token_type": "bearer", "expires_in": 3600,
                    "x_refresh_token_expires_in": 8_640_000,
                    "access_token": format!("eyJ-{number}"),
                    "refresh_token": format!("AB1-{number}"),
                }),
            )
        },
    ),
    ("GET", COMPANY, |asked| match asked.query("minorversion") {
        "75" => says(
            200,
            json!({ "CompanyInfo": { "Id": "1", "CompanyName": "Acme Books" } }),
        ),
        _ => says(400, json!({})),
    }),
    (
        "POST",
        "/developer.api.intuit.com/v2/oauth2/tokens/revoke",
        |_| says(200, json!({})),
    ),
];

/// Goal: the company, which only the redirect names, is kept and fills the addresses of calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quickbooks_names_the_company_in_the_redirect_alone() {
    let hard = Hard::new("quickbooks", &QUICKBOOKS, json!({})).await;
    hard.connected(Value::Null).await;
    let token = hard.token().await;
    assert_eq!(token["metadata"]["realmId"], "4620", "{token}");
    assert_eq!(token["subject"], "4620", "{token}");
    assert_eq!(
        hard.double.asked(COMPANY).len(),
        1,
        "{:?}",
        hard.double.paths()
    );
    let ends = hard
        .scene
        .clock
        .now()
        .plus(std::time::Duration::from_secs(8_640_000));
    assert_eq!(token["refresh_token_ends_at"], json!(ends), "{token}");

    hard.advance(3600);
    assert_eq!(hard.fetched(json!({})).await["access_token"], "eyJ-2");
    assert_eq!(
        hard.token().await["metadata"]["realmId"],
        "4620",
        "it stays"
    );
    hard.removed(&hard.token().await).await;
    let revoke = hard
        .double
        .last("/developer.api.intuit.com/v2/oauth2/tokens/revoke");
    assert_eq!(
        (revoke.basic().as_str(), revoke.field("token").as_str()),
        ("cid:s3", "AB1-2")
    );
    hard.end().await;
}

/// Goal: another company in the place of the first is noticed, though the same person consents.
/// Method: two connections, whose redirects name different companies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quickbooks_notices_another_company() {
    static NEXT: AtomicU32 = AtomicU32::new(4620);
    const TURNING: [Route; 3] = [
        ("GET", "/appcenter.intuit.com/connect/oauth2", |asked| {
            let company = NEXT.fetch_add(1, Ordering::SeqCst).to_string();
            back(asked, &[("realmId", company.as_str())])
        }),
        QUICKBOOKS[1],
        QUICKBOOKS[2],
    ];
    let hard = Hard::new("quickbooks", &TURNING, json!({})).await;
    hard.connected(Value::Null).await;
    assert!(hard.token().await["switched_from"].is_null());
    hard.connected(Value::Null).await;
    let token = hard.token().await;
    assert_eq!(token["subject"], "4621", "{token}");
    assert_eq!(token["switched_from"], "Acme Books", "{token}");
    hard.end().await;
}
