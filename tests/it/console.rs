//! The operator's console, as a browser without scripts has it.

mod apps;
mod entry;
mod https;
mod keys;
mod open_page;
mod replayed;
mod strayed;
mod tokens;

use crate::scene::Scene;
use crate::support::{Browser, Page};

/// Somebody at the console of a scene.
struct Operator {
    scene: Scene,
    browser: Browser,
}

impl Operator {
    /// Signed in with the first access key.
    async fn new() -> Self {
        Self::with_key(Scene::new().await, None).await
    }

    async fn with_key(scene: Scene, key: Option<&str>) -> Self {
        let mut browser = Browser::new();
        let key = key.unwrap_or(&scene.admin.key).to_owned();
        let page = sign_in(&mut browser, &scene.inside.url, &key).await;
        assert_eq!(
            (page.status, heading(&page)),
            (200, "Health"),
            "{}",
            page.text
        );
        Self { scene, browser }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.scene.inside.url)
    }

    async fn open(&mut self, path: &str) -> Page {
        let url = self.url(path);
        self.browser.open(&url).await
    }

    async fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        self.browser.submit(page, action, fields).await
    }
}

async fn sign_in(browser: &mut Browser, url: &str, key: &str) -> Page {
    let page = browser.open(&format!("{url}/console")).await;
    browser
        .submit(&page, "/console/sign-in", &[("key", key)])
        .await
}

fn heading(page: &Page) -> &str {
    let heading = page.text.split("<h1>").nth(1).unwrap_or_default();
    heading.split("</h1>").next().unwrap_or_default()
}

/// Says what a page should have said.
fn says(page: &Page, text: &str) {
    assert!(
        page.text.contains(text),
        "`{text}` is not in: {}",
        page.text
    );
}

fn says_not(page: &Page, text: &str) {
    assert!(!page.text.contains(text), "`{text}` is in: {}", page.text);
}
