//! Who may do what, over HTTP, held against the pure decision (security.md A1, T26).

use serde_json::{Value, json};
use strongroom::model::access::{AccessKey, Action, Caller, Decision, Target, Who, decide};
use strongroom::model::{AppId, Owner, Scopes, TenantId, UserId};

use crate::scene::Scene;
use crate::support::Api;

const APPS: [&str; 2] = ["a", "b"];
/// Tenant and user of every owner.
const OWNERS: [(&str, &str); 5] = [
    ("", "u1"),
    ("", "u2"),
    ("t1", "u1"),
    ("t1", ""),
    ("t2", "u1"),
];
/// The scopes that a cell asks for; none: any.
const ASKED: [&[&str]; 3] = [&[], &["read"], &["read", "write"]];

/// A key under test, and what the pure rule takes it for.
struct Knocker {
    api: Api,
    caller: Caller,
    name: String,
}

impl Knocker {
    async fn new(scene: &Scene, body: Value) -> Self {
        let mut body = body;
        body["connect_verify"] = json!(["code"]);
        let name = body["name"].as_str().unwrap().to_owned();
        let (api, id) = scene.key(body).await;
        let (_, list) = scene.admin.get("/v1/keys").await;
        let kept = list["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["id"] == id.as_str());
        let key: AccessKey = serde_json::from_value(kept.unwrap().clone()).unwrap();
        let who = Who::Key(std::sync::Arc::new(key));
        let caller = Caller {
            who,
            ..Caller::local()
        };
        Self { api, caller, name }
    }

    /// Whether it may do this to the token of `furnish` that is there.
    fn sees(&self, scene: &Scene, action: Action, name: &str, whose: (&str, &str)) -> bool {
        let (id, owner) = (app(name), owner(whose));
        let ceilings = self.may(scene, action, &Target::of(&id, &owner));
        ceilings.is_some_and(|ceilings| covered(&ceilings, &["read", "write"]))
    }

    /// The ceilings under which it may, where it may at all.
    fn may(&self, scene: &Scene, action: Action, target: &Target<'_>) -> Option<Vec<Scopes>> {
        match decide(&self.caller, action, target, scene.clock.now()) {
            Decision::Allowed { ceilings } => Some(ceilings),
            Decision::Refused(_) => None,
        }
    }
}

fn app(name: &str) -> AppId {
    AppId::parse(name).unwrap()
}

fn owner((tenant, user): (&str, &str)) -> Owner {
    let tenant = (!tenant.is_empty()).then(|| TenantId::parse(tenant).unwrap());
    let user = (!user.is_empty()).then(|| UserId::parse(user).unwrap());
    Owner::new(tenant, user).unwrap()
}

fn covered(ceilings: &[Scopes], granted: &[&str]) -> bool {
    let granted = Scopes::parse(granted.iter().copied()).unwrap();
    ceilings.is_empty() || ceilings.iter().any(|ceiling| ceiling.covers(&granted))
}

/// Keys of every shape: the roles, and each side of a grant.
async fn knockers(scene: &Scene) -> Vec<Knocker> {
    let all = json!([
        "fetch",
        "list",
        "reveal",
        "store",
        "connect",
        "delete",
        "apps_read"
    ]);
    let grant = |more: Value| {
        let mut grant = json!({ "actions": all });
        for (name, value) in more.as_object().unwrap() {
            grant[name] = value.clone();
        }
        grant
    };
    let shapes = [
        ("admin", json!({ "role": "admin" })),
        ("operator", json!({ "role": "operator" })),
        ("server", json!({ "role": "server" })),
        ("reader", json!({ "role": "reader" })),
        (
            "app a",
            json!({ "grants": [grant(json!({ "apps": ["a"] }))] }),
        ),
        (
            "no app",
            json!({ "grants": [grant(json!({ "apps": [] }))] }),
        ),
        (
            "tenant",
            json!({ "grants": [grant(json!({ "tenants": ["t1"] }))] }),
        ),
        (
            "no tenant",
            json!({ "grants": [grant(json!({ "tenants": [] }))] }),
        ),
        (
            "tenant level",
            json!({ "grants": [grant(json!({ "users": [] }))] }),
        ),
        (
            "user",
            json!({ "grants": [grant(json!({ "users": ["u1"], "tenants": [] }))] }),
        ),
        (
            "ceiling",
            json!({ "grants": [grant(json!({ "scopes": ["read"] }))] }),
        ),
        (
            "two grants",
            json!({ "grants": [
                grant(json!({ "tenants": ["t1"], "scopes": ["read"] })),
                grant(json!({ "tenants": [], "users": ["u2"] })),
            ] }),
        ),
    ];
    let mut made = Vec::new();
    for (name, mut body) in shapes {
        body["name"] = json!(name);
        made.push(Knocker::new(scene, body).await);
    }
    made
}

/// A token that is there: app, tenant and user, id.
pub type Stored = (&'static str, (&'static str, &'static str), String);

/// Two OAuth apps by hand, and one token with `read` and `write` for every owner of each.
pub async fn furnish(scene: &Scene) -> Vec<Stored> {
    let mut tokens = Vec::new();
    for name in APPS {
        let body = json!({
            "id": name, "kind": "oauth", "client_id": "c", "scopes": ["read"],
            "authorization_url": "https://p.example/a", "token_url": "https://p.example/t",
        });
        assert_eq!(scene.admin.post("/v1/apps", body).await.0, 201);
        for (tenant, user) in OWNERS {
            let body = json!({
                "app": name, "user": user, "tenant": tenant, "access_token": "at",
                "scopes": ["read", "write"],
            });
            let (status, said) = scene.admin.put("/v1/tokens", body).await;
            assert_eq!(status, 200, "{said}");
            tokens.push((
                name,
                (tenant, user),
                said["id"].as_str().unwrap().to_owned(),
            ));
        }
    }
    tokens
}

/// Goal: over HTTP each key may exactly what the pure rule says, where a scope is asked for.
/// Method: keys x apps x owners x scopes, for fetch, store and connect; every cell is held against
/// `decide`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_what_a_key_may_ask_for_is_what_the_rule_says() {
    let scene = Scene::new().await;
    furnish(&scene).await;
    let mut cells = 0;
    for knocker in knockers(&scene).await {
        for name in APPS {
            for whose in OWNERS {
                for asked in ASKED {
                    cells += ask_cell(&scene, &knocker, name, whose, asked).await;
                }
            }
        }
    }
    assert!(cells >= 1000, "{cells}");
    scene.end().await;
}

async fn ask_cell(
    scene: &Scene,
    knocker: &Knocker,
    name: &str,
    whose: (&str, &str),
    asked: &[&str],
) -> usize {
    let (id, owner) = (app(name), owner(whose));
    let scopes = Scopes::parse(asked.iter().copied()).unwrap();
    let exact = Target {
        scopes: Some(&scopes),
        ..Target::of(&id, &owner)
    };
    let loose = Target::of(&id, &owner);
    let what = format!("{} {name} {whose:?} {asked:?}", knocker.name);
    let base = json!({ "app": name, "user": whose.1, "tenant": whose.0, "scopes": asked });

    let target = if asked.is_empty() { &loose } else { &exact };
    let expected = match knocker.may(scene, Action::Fetch, target) {
        None => (403, "denied"),
        Some(ceilings) if covered(&ceilings, &["read", "write"]) => (200, "ok"),
        Some(_) => (404, "connect_required"),
    };
    let (status, said) = knocker.api.post("/v1/token", base.clone()).await;
    assert_eq!(
        (status, said["outcome"].as_str().unwrap()),
        expected,
        "fetch {what}"
    );

    let mut body = base.clone();
    body["account"] = json!("upload");
    body["access_token"] = json!("at2");
    let expected = knocker
        .may(scene, Action::Store, &exact)
        .map_or(403, |_| 200);
    let (status, said) = knocker.api.put("/v1/tokens", body).await;
    assert_eq!(status, expected, "store {what}: {said}");
    if status == 200 {
        let path = format!("/v1/tokens/{}", said["id"].as_str().unwrap());
        assert_eq!(scene.admin.delete(&path).await.0, 200);
    }

    // A link that names no scopes asks for the app's own.
    let own = Scopes::parse(["read"]).unwrap();
    let wanted = if asked.is_empty() { &own } else { &scopes };
    let target = Target {
        scopes: Some(wanted),
        ..loose
    };
    let expected = knocker
        .may(scene, Action::Connect, &target)
        .map_or(403, |_| 201);
    let body = json!({
        "apps": [{ "app": name, "scopes": asked }], "user": whose.1, "tenant": whose.0,
    });
    let (status, said) = knocker.api.post("/v1/connect", body).await;
    assert_eq!(status, expected, "connect {what}: {said}");
    if status == 201 {
        // Taken back, so that the next cell is not told to wait for its person.
        let path = format!("/v1/connect/{}", said["id"].as_str().unwrap());
        assert_eq!(knocker.api.delete(&path).await.0, 200);
    }
    3
}

/// Goal: what a key sees of what is there is what the rule says, by id, by list and by app.
/// Method: keys x tokens for show, reveal and delete; the whole list of each key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_what_a_key_sees_is_what_the_rule_says() {
    let scene = Scene::new().await;
    let tokens = furnish(&scene).await;
    let mut cells = 0;
    for knocker in knockers(&scene).await {
        for (name, whose, id) in &tokens {
            for (method, rest, action) in [
                ("GET", "", Action::List),
                ("POST", "/reveal", Action::Reveal),
                ("DELETE", "", Action::Delete),
            ] {
                let any = knocker.may(&scene, action, &Target::default()).is_some();
                let own = knocker.sees(&scene, action, name, *whose);
                let expected = match (any, own) {
                    (false, _) => 403,
                    (true, false) => 404,
                    (true, true) => 200,
                };
                // What would be removed is left alone; that it may is shown by the next test.
                if (method, expected) == ("DELETE", 200) {
                    continue;
                }
                let path = format!("/v1/tokens/{id}{rest}");
                let (status, said) = knocker.api.send(method, &path, None).await;
                let what = format!("{} {method} {name} {whose:?}", knocker.name);
                assert_eq!(status, expected, "{what}: {said}");
                cells += 1;
            }
        }
        for name in APPS {
            let id = app(name);
            let expected = knocker.may(&scene, Action::AppsRead, &Target::app(&id));
            let (status, _) = knocker.api.get(&format!("/v1/apps/{name}")).await;
            assert_eq!(
                status,
                expected.map_or(403, |_| 200),
                "{} {name}",
                knocker.name
            );
        }
        check_list(&scene, &knocker, &tokens).await;
    }
    assert!(cells >= 250, "{cells}");
    scene.end().await;
}

/// The whole list of a key is what the rule says.
async fn check_list(scene: &Scene, knocker: &Knocker, tokens: &[Stored]) {
    let (status, list) = knocker.api.get("/v1/tokens").await;
    if knocker
        .may(scene, Action::List, &Target::default())
        .is_none()
    {
        assert_eq!(status, 403, "{}", knocker.name);
        return;
    }
    let mut found: Vec<&str> = list["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["id"].as_str().unwrap())
        .collect();
    let mut expected: Vec<&str> = tokens
        .iter()
        .filter(|(name, whose, _)| knocker.sees(scene, Action::List, name, *whose))
        .map(|(_, _, id)| id.as_str())
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "the list of {}", knocker.name);
}

/// Goal: a ceiling holds for the very token and right it was given for, not for the best of all.
/// Method: grants whose ceilings differ by tenant and by right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ceiling_of_one_grant_is_not_lifted_by_another() {
    let scene = Scene::new().await;
    furnish(&scene).await;
    let grants = json!([
        { "actions": ["list", "delete"], "tenants": ["t1"], "scopes": ["read"] },
        { "actions": ["list", "delete"], "tenants": ["t2"] },
        { "actions": ["fetch"] },
        { "actions": ["fetch_refresh"], "scopes": ["read"] },
    ]);
    let (api, _) = scene
        .key(json!({ "name": "mixed", "grants": grants }))
        .await;
    let (_, list) = api.get("/v1/tokens").await;
    let tenants: Vec<&Value> = list["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| &token["tenant"])
        .collect();
    assert_eq!(tenants, ["t2", "t2"], "{list}");
    let (_, said) = api.delete("/v1/tokens?tenant=t1").await;
    assert_eq!(said["deleted"], 0, "{said}");
    let (_, said) = api.delete("/v1/tokens?tenant=t2&app=a").await;
    assert_eq!(said["deleted"], 1, "{said}");

    let plain = json!({ "app": "a", "user": "u1" });
    assert_eq!(api.post("/v1/token", plain).await.0, 200);
    let both = json!({ "app": "a", "user": "u1", "with_refresh_token": true });
    let (status, said) = api.post("/v1/token", both).await;
    assert_eq!(
        (status, &said["outcome"]),
        (404, &json!("connect_required")),
        "{said}"
    );
    scene.end().await;
}

/// Goal: an app belongs to all owners, so who is confined to some of them cannot turn it round.
/// Method: keys with the right to change apps, confined by owner or scope; then by app.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_not_changed_by_who_is_confined_to_some_owners() {
    let scene = Scene::new().await;
    furnish(&scene).await;
    let theft = json!({
        "kind": "oauth", "client_id": "c", "authorization_url": "https://p.example/a",
        "token_url": "https://evil.example/t",
    });
    for more in [
        json!({ "tenants": ["t1"] }),
        json!({ "tenants": [] }),
        json!({ "users": ["u1"] }),
        json!({ "scopes": ["read", "write"] }),
    ] {
        let mut grant = json!({ "actions": ["apps", "apps_read"], "apps": ["a", "new"] });
        for (name, value) in more.as_object().unwrap() {
            grant[name] = value.clone();
        }
        let (api, _) = scene
            .key(json!({ "name": "part", "grants": [grant] }))
            .await;
        assert_eq!(api.put("/v1/apps/a", theft.clone()).await.0, 403, "{more}");
        assert_eq!(api.delete("/v1/apps/a").await.0, 403, "{more}");
        let new = json!({ "id": "new", "kind": "api_key" });
        assert_eq!(api.post("/v1/apps", new).await.0, 403, "{more}");
        assert_eq!(
            api.get("/v1/apps/a").await.0,
            200,
            "seeing is another matter"
        );
    }
    let grant = json!({ "actions": ["apps"], "apps": ["a"] });
    let (api, _) = scene
        .key(json!({ "name": "of a", "grants": [grant] }))
        .await;
    assert_eq!(api.put("/v1/apps/b", theft.clone()).await.0, 403);
    assert_eq!(api.put("/v1/apps/a", theft).await.0, 200);
    scene.end().await;
}
