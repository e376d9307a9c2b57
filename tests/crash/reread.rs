//! Own templates, read again while the server serves.

use serde_json::json;

use crate::process::Home;
use crate::support::PATIENCE;

fn entry(id: &str) -> String {
    json!([{ "id": id, "name": id, "category": "work", "docs": "https://acme.example/docs" }])
        .to_string()
}

/// Goal: SIGHUP brings in what the directory holds by now, and a directory that is wrong changes
/// nothing. Method: serve one template; spoil a file and tell; mend it with a second template and
/// tell again; wait for the second, and look for the first all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_templates_are_read_again_when_told_to() {
    let home = Home::init();
    let own = home.home.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("a.json"), entry("first")).unwrap();
    let served = home.serve(&["--catalogue", own.to_str().unwrap()]);
    let api = served.api();
    assert_eq!(api.get("/v1/templates/first").await.0, 200);
    std::fs::write(own.join("b.json"), "[{}]").unwrap();
    served.hang_up();
    let (status, _) = api.get("/v1/templates/first").await;
    assert_eq!(status, 200, "the old catalogue stays");
    std::fs::write(own.join("b.json"), entry("second")).unwrap();
    served.hang_up();
    let seen = async {
        while api.get("/v1/templates/second").await.0 != 200 {
            assert_eq!(api.get("/v1/templates/first").await.0, 200);
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
    assert_eq!(api.get("/v1/templates/first").await.0, 200);
    assert_eq!(served.terminate(), Some(0));
}
