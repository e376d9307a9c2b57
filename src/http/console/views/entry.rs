//! What the way in looks like.
//!
//! It promises: says what to do next, to who runs a vault for the first time as well.
//! It never: tells a wrong key from a missing one.

use maud::{Markup, html};

use crate::error::Error;
use crate::http::look::Page;
use crate::http::wire::message_of;

/// What a word of ours in the address tells at the way in.
pub(in crate::http::console) fn told(word: Option<&str>) -> Option<&'static str> {
    match word? {
        "ended" => Some("You are not signed in, or not any more. Sign in again."),
        "out" => Some("You are signed out."),
        "out-everywhere" => Some("You are signed out, here and wherever this key was used."),
        "locked" => Some("The vault is locked. Every session has ended."),
        _ => None,
    }
}

/// Why a key did not open the console.
pub(in crate::http::console) fn not_in(error: &Error) -> &'static str {
    match error {
        Error::Denied => {
            "This access key may not look at anything here. It takes one that may list tokens or \
             see apps, keys or the audit trail."
        }
        Error::Invalid(_) => "Type an access key.",
        _ => "That is no access key of this vault, or it has ended. Check it and try again.",
    }
}

/// Why a passphrase did not open the vault.
pub(in crate::http::console) fn not_unlocked(error: &Error) -> &'static str {
    match error {
        Error::Busy(_) => "Somebody tried a moment ago. Wait a few seconds, then try again.",
        Error::Invalid(_) => "Type the passphrase.",
        _ => "That did not unlock the vault. Check the passphrase and try again.",
    }
}

/// What there is to say of the last step.
fn notice(told: Option<&str>, is_wrong: bool) -> Markup {
    let role = if is_wrong { "alert" } else { "status" };
    html! {
        @if let Some(told) = told { p.alert.bad[is_wrong] role=(role) { (told) } }
    }
}

/// The form for an access key.
pub(in crate::http::console) fn sign_in(told: Option<&str>, is_wrong: bool) -> Markup {
    html! {
        (notice(told, is_wrong))
        form.card method="post" action="/console/sign-in" autocomplete="off" {
            div.field {
                label for="key" { "Access key" }
                input id="key" name="key" type="password" required autocomplete="off"
                    spellcheck="false" aria-describedby="key-hint"
                    aria-invalid=[is_wrong.then_some("true")];
                p.hint id="key-hint" {
                    "It begins with " code { "sr_" } ". "
                    code { "strongroom init" } " printed the first one; "
                    code { "strongroom key add console --role operator --connect-verify code" }
                    " makes one that sees no secret."
                }
            }
            button.main type="submit" { "Sign in" }
        }
    }
}

/// The form for a passphrase.
pub(in crate::http::console) fn unlock(
    (told, is_wrong): (Option<&str>, bool),
    because: Option<&str>,
    can_unlock: bool,
) -> Markup {
    html! {
        (notice(told, is_wrong))
        @if let Some(because) = because {
            p.alert.bad {
                "The last try did not end well though the passphrase was right: "
                code { (because) } ". The server's log says more."
            }
        }
        @if can_unlock {
            form.card method="post" action="/console/unlock" autocomplete="off" {
                div.field {
                    label for="passphrase" { "Passphrase" }
                    input id="passphrase" name="passphrase" type="password" required
                        autocomplete="off" aria-describedby="passphrase-hint";
                    p.hint id="passphrase-hint" {
                        "Or the recovery code that " code { "strongroom init" } " printed. It \
                         takes a second or two."
                    }
                }
                button.main type="submit" { "Unlock" }
            }
        } @else {
            p {
                "It is unlocked on the machine it runs on: " code { "strongroom unlock" }
                ". Whoever runs it may allow it from elsewhere with "
                code { "serve --allow-remote-unlock" } "."
            }
        }
    }
}

/// For a page that keeps itself fresh: its session has ended.
pub(in crate::http::console) fn ended() -> Page {
    Page::new(
        "Signed out",
        html! { p { a href="/console" { "Sign in again" } } },
    )
}

/// What went wrong: a title, and what to do.
pub(in crate::http::console) fn refused(error: &Error) -> (&'static str, Markup) {
    let title = match error {
        Error::NotFound(_) => "Not here",
        Error::Denied => "Not with this key",
        Error::Locked => "The vault is locked",
        _ => "That did not work",
    };
    let content = html! {
        div.alert.bad role="alert" {
            strong { (sentence(&message_of(error))) }
            (sentence(error.hint()))
        }
        p { a href="/console" { "Back to the console" } }
    };
    (title, content)
}

/// A message as a sentence: errors begin small and end bare.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
