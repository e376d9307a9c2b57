//! What a person's browser is shown that strayed: another site's form, a path that is not there,
//! the address of a form.
//!
//! It promises: the page says what happened and what to do, with the headers of every page and the
//! status that a program gets; a program, which does not ask for a page, gets JSON.
//! It never: says who is signed in, or repeats anything of the request.

use http::header::{ACCEPT, ALLOW};
use http::{HeaderMap, Method, StatusCode};
use maud::{Markup, html};

use crate::http::answer::Answer;
use crate::http::guard::Refusal;
use crate::http::look::{Look, Page};
use crate::http::wire;

/// Where pages are, and nothing but pages.
const AREAS: [&str; 4] = ["/console", "/connect", "/callback", "/c"];

/// Whether a request is for a page, by its path and by what it says that it takes.
pub(super) fn asks_for_page(headers: &HeaderMap, path: &str) -> bool {
    let rest = AREAS.iter().find_map(|area| path.strip_prefix(area));
    let is_there = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_there && takes_html(headers)
}

/// A browser names HTML when it goes to a page (Fetch, "fetching"); a program that takes anything
/// says so with a star.
pub(super) fn takes_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    let ranges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut kinds = ranges.filter_map(|range| range.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
}

/// A request that is not let in.
pub(super) fn refused(look: &Look, refusal: Refusal) -> Answer {
    let content = match refusal {
        Refusal::ForeignOrigin => html! {
            p { strong { "Another web site made this request, and nothing was done." } }
            p {
                "If you did not mean to do anything, close this page. If you did, open the page on "
                "this server yourself, and do it there."
            }
            p.soft {
                "If you came from here, the address in your browser is not the one that this "
                "server knows: whoever runs it says so with " code { "serve --public-url URL" } "."
            }
        },
        Refusal::BadHost | Refusal::ForeignHost => {
            let (message, hint) = refusal.words();
            html! { p { strong { (message) } } p { (hint) } }
        }
    };
    shown(look, refusal.status(), "Not from there", content)
}

/// There is no such path.
pub(super) fn unknown(look: &Look) -> Answer {
    let content = html! {
        p { strong { "There is no such page here." } }
        p { "Check the address: it has no slash at its end. If somebody gave you a link, open \
             that one again." }
    };
    shown(look, StatusCode::NOT_FOUND, "Not here", content)
}

/// The path is there, under other methods.
pub(super) fn wrong_method(look: &Look, allowed: Vec<&'static Method>) -> Answer {
    let content = html! {
        p { strong { "This cannot be opened by its address." } }
        p { "A button on a page leads here. Go back to that page, and press it there." }
    };
    let mut answer = shown(
        look,
        StatusCode::METHOD_NOT_ALLOWED,
        "Not like this",
        content,
    );
    if let Some(allow) = wire::wrong_method(allowed).headers_mut().remove(ALLOW) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

fn shown(look: &Look, status: StatusCode, title: &str, content: Markup) -> Answer {
    let content = html! {
        div.card { (content) }
        p.soft.small { "Do you run this server? " a href="/console" { "To the console" } }
    };
    look.answer(status, &Page::new(title, content))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_is_for_who_asks_for_one_where_pages_are() {
        let asks = |accept: &'static str, path| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            asks_for_page(&headers, path)
        };
        for accept in ["text/html", "image/png, Text/HTML;q=0.9", "text/html,*/*"] {
            assert!(asks(accept, "/console"), "{accept}");
            assert!(asks(accept, "/connect/x/y/z") && asks(accept, "/c/x/y"));
            assert!(!asks(accept, "/consoles") && !asks(accept, "/v1/apps"));
            assert!(!asks(accept, "/"));
        }
        for accept in ["*/*", "application/json", "text/*", "text/htmlx", ""] {
            assert!(!asks(accept, "/console"), "{accept}");
        }
        assert!(!asks_for_page(&HeaderMap::new(), "/console"));
    }
}
