//! Lists longer than one call looks at.

use serde_json::json;
use strongroom::limits;
use strongroom::model::access::Caller;
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{NewCredential, NewToken, Vault};

use crate::support::{Inside, clock};

/// Goal: a removal finds what lies behind more tokens than one call looks at; a caller that asks
/// until there is no more comes to an end. Method: one token more than that, by 50; remove those
/// that a list shows last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_finds_what_lies_behind_a_long_list() {
    let made = tokio::task::spawn_blocking(|| Vault::in_memory(clock()));
    let (vault, admin) = made.await.unwrap().unwrap();
    let inside = Inside::serve(vault, false).await;
    let api = inside.api(admin.expose());
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    let me = Caller::local();
    let count = limits::LIST_SCAN_MAX + 50;
    for batch in (0..count)
        .collect::<Vec<_>>()
        .chunks(limits::COMMIT_GROUP_MAX)
    {
        let receipts = batch.iter().map(|n| {
            let address = Address {
                app: AppId::parse("keyed").unwrap(),
                owner: Owner::User(UserId::parse(format!("u{n}")).unwrap()),
                account: None,
                scopes: Scopes::default(),
            };
            let credential = NewCredential::ApiKey(Secret::new("k".into()));
            let new = NewToken::of(address, credential);
            inside.vault.store_token(&me, new).unwrap()
        });
        for receipt in receipts.collect::<Vec<_>>() {
            receipt.await.unwrap();
        }
    }
    let (mut cursor, mut last, mut seen) = (String::new(), String::new(), 0);
    loop {
        let (_, page) = api
            .get(&format!("/v1/tokens?limit=1000&cursor={cursor}"))
            .await;
        let tokens = page["tokens"].as_array().unwrap();
        seen += tokens.len();
        if let Some(token) = tokens.last() {
            last = token["user"].as_str().unwrap().to_owned();
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, count);
    let (status, said) = api.delete(&format!("/v1/tokens?user={last}")).await;
    assert_eq!(
        (status, &said["deleted"], &said["more"]),
        (200, &json!(1), &json!(false))
    );
    inside.end().await;
}
