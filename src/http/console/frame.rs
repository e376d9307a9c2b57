//! What stands around every screen: the menu, who is signed in, and what was done just now.
//!
//! It promises: what was done is told in words of ours, chosen by a word of ours.
//! It never: puts a request's text into a page.

use http::StatusCode;
use maud::{Markup, html};

use crate::http::answer::Answer;
use crate::http::look::{Look, Page};
use crate::http::routes::console::Screen;
use crate::vault::AtConsole;

/// Keeps the parts of a screen fresh that say where to ask for them.
const SCRIPT: &str = include_str!("live.js");

/// What stands around a screen.
pub(super) struct Frame<'a> {
    pub(super) look: &'a Look,
    pub(super) at: &'a AtConsole,
    pub(super) screen: Screen,
    pub(super) told: Option<Told>,
}

/// What was done just now, and whether it went well.
#[derive(Clone, Copy)]
pub(super) struct Told {
    is_good: bool,
    text: &'static str,
}

/// The menu: where it leads, what it says, and the screens that belong to it.
const MENU: [(&str, &str, &[Screen]); 5] = [
    ("/console/health", "Health", &[Screen::Health]),
    (
        "/console/tokens",
        "Tokens",
        &[
            Screen::Tokens,
            Screen::Token,
            Screen::Refresh,
            Screen::AskReveal,
            Screen::Reveal,
            Screen::AskDelete,
            Screen::Delete,
            Screen::Reconnect,
        ],
    ),
    (
        "/console/apps",
        "Apps",
        &[
            Screen::Apps,
            Screen::NewApp,
            Screen::AskApp,
            Screen::App,
            Screen::CheckApp,
            Screen::ConnectMe,
            Screen::EditApp,
            Screen::AskUpdate,
            Screen::AskRemoveApp,
        ],
    ),
    (
        "/console/keys",
        "Keys",
        &[
            Screen::Keys,
            Screen::NewKey,
            Screen::MakeKey,
            Screen::AskRemoveKey,
            Screen::RemoveKey,
        ],
    ),
    (
        "/console/audit",
        "Audit",
        &[Screen::Audit, Screen::VerifyAudit],
    ),
];

impl Frame<'_> {
    /// A screen as an answer.
    pub(super) fn answer(
        &self,
        status: StatusCode,
        title: impl Into<String>,
        content: Markup,
    ) -> Answer {
        let content = html! {
            @if let Some(told) = self.told {
                p.alert.good[told.is_good].warn[!told.is_good] role="status" { (told.text) }
            }
            (content)
        };
        let page = Page::new(title, content).wide(self.menu());
        self.look.answer(status, &page.with_script(SCRIPT))
    }

    fn menu(&self) -> Markup {
        html! {
            nav aria-label="Console" {
                ul.menu {
                    @for (place, name, screens) in MENU {
                        @let here = screens.contains(&self.screen);
                        li { a href=(place) aria-current=[here.then_some("page")] { (name) } }
                    }
                }
            }
            details.who {
                summary { (self.key_name()) }
                div {
                    p.small.soft {
                        "Signed in with the access key " strong { (self.key_name()) } "."
                    }
                    (self.button("/console/sign-out", "Sign out"))
                    (self.button("/console/sign-out/everywhere", "Sign out everywhere"))
                    (self.button("/console/lock", "Lock the vault"))
                }
            }
        }
    }

    fn key_name(&self) -> &str {
        self.at.caller.key().map_or("", |key| key.name.as_str())
    }

    fn button(&self, place: &str, text: &str) -> Markup {
        form(self.at, place, html! { button type="submit" { (text) } })
    }
}

/// A form of the console, with the session's token in it.
pub(super) fn form(at: &AtConsole, place: &str, content: Markup) -> Markup {
    html! {
        form method="post" action=(place) autocomplete="off" {
            input type="hidden" name="form_token" value=(at.form_token.expose());
            (content)
        }
    }
}

/// [`form`], for one whose answer shows a secret: it is good once.
pub(super) fn form_for_secret(at: &AtConsole, place: &str, content: Markup) -> Markup {
    let once = html! { input type="hidden" name="once" value=(at.once.expose()); };
    form(at, place, html! { (once) (content) })
}

/// What a word of ours in the address tells; any other tells nothing.
pub(super) fn told(word: Option<&str>) -> Option<Told> {
    let (is_good, text) = match word? {
        "refreshed" => (true, "The token was refreshed."),
        "reconnect" => (
            false,
            "The service refused the refresh: its owner has to connect again.",
        ),
        "later" => (
            false,
            "The refresh did not work this time and is tried again. Why stands below.",
        ),
        "revoked" => (
            true,
            "The token was revoked at its service and deleted here.",
        ),
        "not_supported" => (
            true,
            "The token was deleted here. Its service has no way to revoke it: it ends by itself.",
        ),
        "nothing_to_revoke" => (true, "The token was deleted. There was nothing to revoke."),
        "app-made" => (
            true,
            "The app is there. Register its redirect URI, check it, then connect yourself.",
        ),
        "keys-app-made" => (true, "The app is there. Connect yourself, to try it."),
        "app-changed" => (true, "The app was changed."),
        "app-removed" => (true, "The app and its tokens were deleted."),
        "key-removed" => (true, "The access key was removed."),
        "failed" => (
            false,
            "The token was deleted here. Revoking it at its service did not work: revoke it there.",
        ),
        _ => return None,
    };
    Some(Told { is_good, text })
}
