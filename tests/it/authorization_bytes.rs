//! "Not yours" and "not there" are one answer, byte for byte (security.md A1, T34).

use serde_json::json;

use crate::authorization::furnish;
use crate::scene::Scene;

/// Who asks, how, and for what: first a thing of somebody else's, then nothing. `part` may do
/// everything on app `a` in tenant `t1`; `low` everything up to the scope `read`.
const TWINS: &str = r#"
    part GET /v1/tokens/{foreign} /v1/tokens/{none}
    low GET /v1/tokens/{foreign} /v1/tokens/{none}
    part DELETE /v1/tokens/{foreign} /v1/tokens/{none}
    low DELETE /v1/tokens/{foreign} /v1/tokens/{none}
    part POST /v1/tokens/{foreign}/refresh /v1/tokens/{none}/refresh
    low POST /v1/tokens/{foreign}/refresh /v1/tokens/{none}/refresh
    part POST /v1/tokens/{foreign}/reveal /v1/tokens/{none}/reveal
    low POST /v1/tokens/{foreign}/reveal /v1/tokens/{none}/reveal
    part GET /v1/apps/b /v1/apps/zzz
    part DELETE /v1/apps/b /v1/apps/zzz
    part POST /v1/apps/b/check /v1/apps/zzz/check
    part POST /v1/apps/b/update {"apply":true} /v1/apps/zzz/update {"apply":true}
    part PUT /v1/apps/b {"kind":"api_key"} /v1/apps/zzz {"kind":"api_key"}
    part GET /v1/connect/{link} /v1/connect/{nolink}
    part DELETE /v1/connect/{link} /v1/connect/{nolink}
    part POST /v1/connect/{link}/vouch {"ticket":"x"} /v1/connect/{nolink}/vouch {"ticket":"x"}
    part GET /v1/tokens?tenant=t2 /v1/tokens?tenant=t9
    part GET /v1/tokens?app=b /v1/tokens?app=zzz
    low GET /v1/tokens?user=u2 /v1/tokens?user=u9
    part DELETE /v1/tokens?tenant=t2 /v1/tokens?tenant=t9
    part DELETE /v1/tokens?app=b /v1/tokens?app=zzz
    low DELETE /v1/tokens?user=u2 /v1/tokens?user=u9
    part POST /v1/token {"app":"a","tenant":"t2"} /v1/token {"app":"a","tenant":"t9"}
    part POST /v1/token {"app":"b","tenant":"t1"} /v1/token {"app":"zzz","tenant":"t1"}
    part POST /v1/token {"app":"b","user":"u","connect":{}} /v1/token {"app":"z","user":"u"}
    low POST /v1/token {"app":"a","user":"u1"} /v1/token {"app":"a","user":"u9"}
    part POST /v1/connect {"apps":[{"app":"b"}],"tenant":"t1"} \
        /v1/connect {"apps":[{"app":"zzz"}],"tenant":"t1"}
    part PUT /v1/tokens {"app":"b","tenant":"t1","access_token":"x"} \
        /v1/tokens {"app":"zzz","tenant":"t1","access_token":"x"}
"#;

/// A word that begins with a slash is a path; one that does not is its body.
fn paths_and_bodies<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(&'a str, &'a str)> {
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for word in words {
        match word.starts_with('/') {
            true => asked.push((word, "")),
            false => asked.last_mut().unwrap().1 = word,
        }
    }
    asked
}

/// Goal: who may not know of a thing cannot tell whether it is there.
/// Method: each request for a thing of somebody else's and for nothing; whole answers compared,
/// status, headers and body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t34_not_yours_and_not_there_are_the_same_bytes() {
    let scene = Scene::new().await;
    let tokens = furnish(&scene).await;
    let actions = json!([
        "fetch",
        "list",
        "reveal",
        "delete",
        "refresh",
        "connect",
        "apps_read",
        "apps",
        "store"
    ]);
    let grants = json!([{ "actions": actions, "apps": ["a"], "tenants": ["t1"] }]);
    let ceiling = json!([{ "actions": actions, "scopes": ["read"] }]);
    let (part, _) = scene.key(json!({ "name": "part", "grants": grants })).await;
    let (low, _) = scene.key(json!({ "name": "low", "grants": ceiling })).await;
    let other = scene.asker(&["code"]).await;
    let link = scene.link(&other, json!({})).await.id;
    let foreign = tokens
        .iter()
        .find(|(name, (tenant, _), _)| (*name, *tenant) == ("b", "t2"));
    let foreign = foreign.unwrap().2.as_str();
    let zeros = "0".repeat(32);
    let table = TWINS
        .replace("\\\n", "")
        .replace("{foreign}", foreign)
        .replace("{none}", &format!("tok_{zeros}"))
        .replace("{link}", &link)
        .replace("{nolink}", &format!("con_{zeros}"));
    let mut count = 0;
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let api = if words.next() == Some("part") {
            &part
        } else {
            &low
        };
        let method = words.next().unwrap();
        let asked = paths_and_bodies(words);
        let bearer = format!("Bearer {}", api.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let mut answers = Vec::new();
        for (path, body) in asked {
            let body = body.as_bytes().to_vec();
            answers.push(api.raw(method, path, &headers, body).await);
        }
        assert_eq!(answers.len(), 2, "{line}");
        assert_eq!(answers[0], answers[1], "{line}");
        count += 1;
    }
    assert_eq!(count, 28);
    let path = format!("/v1/tokens/{foreign}");
    assert_eq!(scene.admin.get(&path).await.0, 200, "it is there");
    let path = format!("/v1/connect/{link}");
    assert_eq!(
        other.get(&path).await.1["status"],
        "issued",
        "and so is the link"
    );
    scene.end().await;
}
