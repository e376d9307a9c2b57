//! Apps whose names are as odd as names may be, behind an operator's own brand.

use serde_json::{Value, json};
use strongroom::http::look::{Brand, logo_of_file};

use crate::scene::Scene;
use crate::{LOGO, written_out};

const NAME: &str = "Harbour & Söhne";
/// Scopes of the first app.
const SCOPES: usize = 60;
/// Names of every script, with what a page may take for its own.
const NAMES: [&str; 13] = [
    "היומן של דנה 2026",
    "تقويم العائلة",
    "👩\u{200d}💻 Team 🧾",
    "<b>Bold</b> & \"quoted\" <script>alert(1)</script>",
    "共有カレンダーと連絡先の管理",
    "ปฏิทินของครอบครัว",
    "İstanbul Şirketi A.Ş.",
    "Ωμέγα",
    "a",
    "…",
    "Two\nlines",
    "0",
    "Ελλάς\u{200f}",
];

/// A brand whose accent is too light for light words.
pub(crate) fn brand() -> Brand {
    Brand {
        name: Some(NAME.to_owned()),
        logo: Some(logo_of_file(LOGO.as_bytes()).expect("it is an SVG")),
        accent: "#ffd400".parse().expect("it is a colour"),
    }
}

/// Sixteen apps, and who asks for them. What the script has to know comes back.
pub(crate) async fn furnish(scene: &Scene) -> Value {
    let scopes: Vec<String> = (0..SCOPES)
        .map(|number| {
            format!(
                "https://api.service.example/auth/{}.{number}",
                "deep.".repeat(20)
            )
        })
        .collect();
    let demo = json!({
        "id": "demo", "kind": "oauth", "name": "Demo", "client_id": "demo",
        "issuer": scene.outside.issuer, "scopes": scopes, "description": "ganz ".repeat(200),
    });
    assert_eq!(scene.admin.put("/v1/apps/demo", demo).await.0, 200);
    let long = "Pneumonoultramicroscopicsilicovolcanoconiosis".repeat(12);
    let mut apps = vec![
        ("demo".to_owned(), json!(null)),
        (
            "long".to_owned(),
            json!({ "name": long, "description": long }),
        ),
        (
            "logo".to_owned(),
            json!({ "name": "Seen", "logo": written_out(LOGO) }),
        ),
    ];
    let named = NAMES.iter().enumerate();
    apps.extend(named.map(|(at, name)| (format!("odd-{at}"), json!({ "name": name }))));
    for (id, settings) in &mut apps[1..] {
        settings["id"] = json!(id);
        settings["kind"] = json!("api_key");
        let (status, said) = scene.admin.post("/v1/apps", settings.clone()).await;
        assert_eq!(status, 201, "{said}");
    }
    let (asker, _) = scene
        .key(json!({
            "name": "Агент \u{200f}סוכן Ünïcode", "role": "server",
            "connect_verify": ["code", "none"],
        }))
        .await;
    json!({
        "url": scene.inside.url,
        "key": asker.key,
        "apps": apps.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "scopes": SCOPES,
        "brand": NAME,
        "pictures": std::env::var("STRONGROOM_PICTURES").ok(),
    })
}
