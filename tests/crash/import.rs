//! `import descope` against a served vault.

use std::io::Write;
use std::process::{Child, Output};

use serde_json::{Value, json};

use crate::process::{Home, Served};

/// Tokens in the file: some pages of them.
const COUNT: usize = 1500;

fn line(number: usize) -> String {
    let mut item = json!({"appId": "mail", "userId": format!("u{number}"),
        "accessToken": format!("access-{number}"), "accessTokenExpiry": 4_102_444_800_u64});
    match number % 3 {
        0 => item["tenantId"] = json!("acme"),
        1 => item = json!({"token": item}),
        _ => item["appId"] = json!("maps"),
    }
    format!("{item}\n")
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(line).collect()
}

async fn serve(home: &Home) -> Served {
    let served = home.serve(&[]);
    let api = served.api();
    let mail = json!({
        "id": "mail", "kind": "oauth", "client_id": "c", "client_secret": "s",
        "authorization_url": "https://mail.example/a", "token_url": "https://mail.example/t",
    });
    for app in [mail, json!({"id": "maps", "kind": "api_key"})] {
        let (status, said) = api.post("/v1/apps", app).await;
        assert!(matches!(status, 201 | 409), "{said}");
    }
    served
}

fn ended(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{told}");
    said
}

fn send(child: &mut Child, text: &str) {
    let input = child.stdin.as_mut().unwrap();
    // Whoever gave up reads no more.
    let _ = input
        .write_all(text.as_bytes())
        .and_then(|()| input.flush());
}

/// How many tokens there are: by page, each once.
async fn count(served: &Served) -> usize {
    let (mut path, mut count) = ("/v1/tokens?limit=1000".to_owned(), 0);
    loop {
        let (status, said) = served.api().get(&path).await;
        assert_eq!(status, 200, "{said}");
        count += said["tokens"].as_array().unwrap().len();
        let Some(cursor) = said["cursor"].as_str() else {
            return count;
        };
        path = format!("/v1/tokens?limit=1000&cursor={cursor}");
    }
}

async fn fetch(served: &Served, ask: Value) -> Value {
    let (status, said) = served.api().post("/v1/token", ask).await;
    assert_eq!(status, 200, "{said}");
    said["access_token"].clone()
}

/// Goal: an import that broke off is run again, and each token is there once. Method: a file on
/// standard input, half of it sent; kill -9 of the server once some of it is stored; the rest sent;
/// a new server; the same file whole, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_broke_off_is_run_again() {
    let home = Home::init();
    let served = serve(&home).await;
    let words = ["import", "descope", "-", "--json"];
    let mut import = served.spawn(&words);
    send(&mut import, &lines(0, COUNT / 2));
    while count(&served).await < 20 {
        assert!(import.try_wait().unwrap().is_none(), "it goes on");
    }
    served.kill();
    send(&mut import, &lines(COUNT / 2, COUNT));
    let output = import.wait_with_output().unwrap();
    let said = ended(&output, 6);
    let sum: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let acknowledged = sum["stored"].as_u64().unwrap() as usize;
    assert!(acknowledged < COUNT, "{sum}");

    let served = serve(&home).await;
    assert!(
        count(&served).await >= acknowledged,
        "what was told as stored is there"
    );
    let whole = lines(0, COUNT);
    let said = ended(&served.run(&words, &whole), 0);
    let sum: Value = serde_json::from_str(said.trim()).unwrap();
    assert!(
        sum["there_already"].as_u64().unwrap() as usize >= acknowledged,
        "{sum}"
    );
    let said = ended(&served.run(&words, &whole), 0);
    let none = json!({"stored": 0, "there_already": COUNT, "refused": 0, "of_tenants": 0,
        "dry_run": false});
    assert_eq!(serde_json::from_str::<Value>(said.trim()).unwrap(), none);
    assert_eq!(count(&served).await, COUNT);
    for (number, ask) in [
        (0, json!({"app": "mail", "user": "u0", "tenant": "acme"})),
        (1, json!({"app": "mail", "user": "u1"})),
        (2, json!({"app": "maps", "user": "u2"})),
    ] {
        assert_eq!(fetch(&served, ask).await, json!(format!("access-{number}")));
    }
    assert_eq!(served.terminate(), Some(0));
}

/// Goal: a token that was renewed here is not put back by an import, unless that is asked for; what
/// is wrong in a file is told by its place and keeps the rest from nothing; a dry run stores
/// nothing. Method: a batch with good and bad items, tried, brought in, over a newer token, by
/// force; a vault that is locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_tells_what_it_refuses_and_keeps_what_is_newer() {
    let home = Home::init();
    let served = serve(&home).await;
    let batch = json!({"tokens": [
        {"appId": "mail", "userId": "ann", "accessToken": "s3cr3t-old", "scopes": ["a"]},
        {"appId": "mail", "userId": "bob", "apiKey": "s3cr3t-1"},
        {"appId": "none", "userId": "bob", "accessToken": "s3cr3t-2"},
        {"appId": "mail", "tenantId": "acme", "accessToken": "s3cr3t-3", "hasRefreshToken": true},
        {"appId": "mail", "userId": "bad\u{1}id", "accessToken": "s3cr3t-4"},
        {"appId": "maps", "tenantId": "acme", "accessToken": "s3cr3t-key"},
    ]});
    let file = home.home.path().join("tokens.json");
    std::fs::write(&file, format!("{batch:#}")).unwrap();
    let file = file.to_str().unwrap();
    let dry = ended(
        &served.run(&["import", "descope", file, "--dry-run"], ""),
        13,
    );
    assert!(
        dry.contains("2 would be stored") && dry.contains("4 refused"),
        "{dry}"
    );
    assert_eq!(count(&served).await, 0);

    let newer = json!({"app": "mail", "user": "ann", "access_token": "newer", "scopes": ["a"]});
    assert_eq!(served.api().put("/v1/tokens", newer).await.0, 200);
    let said = ended(&served.run(&["import", "descope", file], ""), 13);
    for place in ["item 2: ", "item 3: ", "item 4: ", "item 5: "] {
        assert!(said.contains(place), "{place} {said}");
    }
    let sum = "1 stored, 1 there already and left as they are, 4 refused; \
               1 of all are a tenant's own, of no user\n";
    assert!(said.ends_with(sum), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    let ann = json!({"app": "mail", "user": "ann", "scopes": ["a"]});
    assert_eq!(fetch(&served, ann.clone()).await, "newer");
    let acme = json!({"app": "maps", "tenant": "acme"});
    assert_eq!(fetch(&served, acme).await, "s3cr3t-key");
    let forced = served.run(&["import", "descope", file, "--overwrite"], "");
    assert!(ended(&forced, 13).contains("2 stored"));
    assert_eq!(fetch(&served, ann).await, "s3cr3t-old");

    // Of two lines for one token the later one counts, however many are on their way at a time.
    let same: String = (0..100)
        .map(|number| {
            let item =
                json!({"appId": "mail", "userId": "eve", "accessToken": format!("e{number}")});
            format!("{item}\n")
        })
        .collect();
    let words = ["import", "descope", "-", "--overwrite"];
    assert!(ended(&served.run(&words, &same), 0).contains("100 stored"));
    assert_eq!(
        fetch(&served, json!({"app": "mail", "user": "eve"})).await,
        "e99"
    );

    ended(&served.run(&["lock"], ""), 0);
    let locked = served.run(&["import", "descope", file], "");
    ended(&locked, 3);
    assert_eq!(served.terminate(), Some(0));
}
