//! The look of every page: one frame, one style sheet, the operator's brand, and strict headers.
//!
//! ```text
//!   Page (title, content, width, script) ---> Look::answer ---> whole document + content policy
//! ```
//!
//! It promises: a page loads nothing, from anywhere; the policy names its style and its script by
//! hash, computed from what is sent; it is not framed, not stored, and tells no other host where
//! the person was.
//! It never: puts anything into a page that the template library has not escaped, but its own style
//! and script; or lets the operator's accent make text that cannot be read.

mod accent;
mod brand;
pub mod parts;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

pub use self::accent::Colour;
pub use self::brand::{Brand, logo_of_file};
use crate::http::answer::Answer;

const STYLE: &str = include_str!("look/style.css");
/// What wide pages need besides.
const WIDE_STYLE: &str = include_str!("look/console.css");

/// How pages look here. Made once, at the start.
pub struct Look {
    brand: Brand,
    style: String,
    style_hash: String,
    wide_style_hash: String,
}

/// What a page shows, and what it may do.
pub struct Page {
    title: String,
    content: Markup,
    /// What stands in the head beside the brand, on wide pages.
    menu: Option<Markup>,
    script: Option<&'static str>,
}

impl Page {
    /// A narrow page: one column, readable on a phone. The title is its heading too.
    pub fn new(title: impl Into<String>, content: Markup) -> Self {
        Self {
            title: title.into(),
            content,
            menu: None,
            script: None,
        }
    }

    /// The same page with more at its end.
    #[must_use]
    pub fn with_more(self, more: Markup) -> Self {
        let content = html! { (self.content) (more) };
        Self { content, ..self }
    }

    /// The same page as wide as a table needs, with a menu in its head. Its forms lead to our own
    /// pages alone, and its script may ask us.
    #[must_use]
    pub fn wide(self, menu: Markup) -> Self {
        let menu = Some(menu);
        Self { menu, ..self }
    }

    /// The same page with a script of ours at its end; the policy lets this one run and no other.
    #[must_use]
    pub fn with_script(self, script: &'static str) -> Self {
        let script = Some(script);
        Self { script, ..self }
    }
}

impl Look {
    /// The look of this brand.
    pub fn new(brand: Brand) -> Self {
        let style = format!("{}{STYLE}", brand.accent.properties());
        Self {
            style_hash: hash(&style),
            wide_style_hash: hash(WIDE_STYLE),
            style,
            brand,
        }
    }

    /// What people know this server by.
    pub fn name(&self) -> &str {
        self.brand.name.as_deref().unwrap_or("Strongroom")
    }

    /// A page as an answer, with every header that it must have.
    pub fn answer(&self, status: StatusCode, page: &Page) -> Answer {
        let document = self.document(page);
        self.html(status, document, page.script, page.menu.is_some())
    }

    /// Sends the browser on by a GET (RFC 9700 4.12), with the headers of a page. `None` for a
    /// place that cannot stand in a header.
    pub fn see_other(&self, place: &str) -> Option<Answer> {
        let place = HeaderValue::from_str(place).ok()?;
        let mut answer = Response::new(Full::new(Bytes::from_static(b"")));
        *answer.status_mut() = StatusCode::SEE_OTHER;
        answer.headers_mut().insert(LOCATION, place);
        self.strict(answer.headers_mut(), None, false);
        Some(answer)
    }

    /// A part of a page, for a page of ours that fetches it anew. It is kept as strictly as a page:
    /// a browser that is led there shows it like one.
    pub fn part(&self, part: Markup) -> Answer {
        self.html(StatusCode::OK, part, None, false)
    }

    fn html(
        &self,
        status: StatusCode,
        text: Markup,
        script: Option<&str>,
        is_wide: bool,
    ) -> Answer {
        let mut answer = Response::new(Full::new(Bytes::from(text.into_string())));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(CONTENT_TYPE, html);
        self.strict(headers, script, is_wide);
        answer
    }

    fn document(&self, page: &Page) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (page.title) " · " (self.name()) }
                    // Otherwise a browser asks for one by itself.
                    link rel="icon" href=(self.brand.inline_logo().unwrap_or("data:,"));
                    style { (PreEscaped(self.style.as_str())) }
                    @if page.menu.is_some() { style { (PreEscaped(WIDE_STYLE)) } }
                }
                body class=[page.menu.as_ref().map(|_| "wide")] {
                    a.skip href="#content" { "Skip to content" }
                    header.top {
                        div.brand {
                            @if let Some(logo) = self.brand.inline_logo() {
                                img src=(logo) alt="";
                            }
                            span { (self.name()) }
                        }
                        @if let Some(menu) = &page.menu { (menu) }
                    }
                    main id="content" { h1 { (page.title) } (page.content) }
                    @if let Some(script) = page.script { script { (PreEscaped(script)) } }
                }
            }
        }
    }

    /// On narrow pages `form-action` is left out: browsers hold it against every redirect that
    /// follows a form, and these forms lead to providers. Nothing on these pages comes from
    /// elsewhere, so that nothing but our own forms is there to be sent.
    fn strict(&self, headers: &mut HeaderMap, script: Option<&str>, is_wide: bool) {
        let mut styles = format!("'{}'", self.style_hash);
        if is_wide {
            styles.push_str(&format!(" '{}'", self.wide_style_hash));
        }
        let mut policy = format!(
            "default-src 'none'; style-src {styles}; img-src data:; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        if is_wide {
            policy.push_str("; form-action 'self'; connect-src 'self'");
        }
        if let Some(script) = script {
            policy.push_str(&format!("; script-src '{}'", hash(script)));
        }
        let policy = HeaderValue::from_str(&policy).expect("a policy is visible ASCII");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Other hosts learn nothing; our own forms keep an `Origin` that the guard can read.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
}

/// How a content policy names a style or script (CSP 3, 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::logo::Logo;

    /// Goal: a brand stands on every page, and the policy names what is really sent, whatever the
    /// accent. Method: a page of a brand, its style and script hashed here.
    #[tokio::test]
    async fn a_brand_stands_on_its_pages_and_their_policy_fits_them() {
        use http_body_util::BodyExt;
        let data = "data:image/png;base64,AAAA";
        let look = Look::new(Brand {
            name: Some("Acme <Travel>".into()),
            logo: Logo::parse("logo", data).ok(),
            accent: "#ffcc00".parse().unwrap(),
        });
        let script = "window.close();";
        let page = Page::new("Hello", html! { p { "x" } }).with_script(script);
        let answer = look.answer(StatusCode::OK, &page);
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let policy = policy.to_owned();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            text.contains("<title>Hello · Acme &lt;Travel&gt;</title>"),
            "{text}"
        );
        assert!(
            text.contains(&format!("<img src=\"{data}\" alt=\"\">")),
            "{text}"
        );
        // Yellow is read with black on it.
        assert!(text.contains("--accent:#ffcc00;") && text.contains("--on-accent:#000000;"));
        for tag in ["style", "script"] {
            let inner = text.split(&format!("<{tag}>")).nth(1).unwrap();
            let inner = inner.split(&format!("</{tag}>")).next().unwrap();
            assert!(
                policy.contains(&format!("{tag}-src '{}'", hash(inner))),
                "{policy}"
            );
        }
        let plain = look.answer(StatusCode::OK, &Page::new("Hello", html! {}));
        let policy = plain.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("script-src"), "{policy}");
    }
}
