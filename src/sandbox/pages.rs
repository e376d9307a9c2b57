//! The pages a person sees: what this is, signing in, consent, and what went wrong.
//!
//! It promises: plain forms that work without scripts; text is escaped by the template.
//! It never: fetches anything from elsewhere, or shows a secret.

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::authorize::Asked;
use super::reply::{Policy, Reply};
use super::settings::Settings;

/// The style sheet of all pages.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}\
h1{font-size:1.4rem}\
code{font-size:.9em}\
label{display:block;margin:.6rem 0}\
input:not([type=checkbox]){display:block;width:100%;box-sizing:border-box;padding:.4rem}\
input{font:inherit}\
button{font:inherit;padding:.4rem 1.2rem;margin:.8rem .6rem 0 0}\
table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0;vertical-align:top}\
.note{opacity:.75;font-size:.9rem}\
.problem{border-left:4px solid #c33;padding-left:.8rem}";

const ROUTES: [(&str, &str); 9] = [
    (
        "GET /.well-known/oauth-authorization-server",
        "RFC 8414 metadata",
    ),
    (
        "GET /.well-known/openid-configuration",
        "the same for OpenID Connect",
    ),
    ("GET /authorize", "authorization, code with PKCE S256"),
    ("POST /token", "codes and refresh tokens"),
    ("POST /revoke", "revocation (RFC 7009)"),
    ("POST /introspect", "introspection (RFC 7662)"),
    ("GET /jwks", "no keys: id tokens here are unsigned"),
    ("GET /api/me", "tells whose access token was sent"),
    ("GET /api/key", "tells whose X-Api-Key was sent"),
];

/// `GET /`.
pub(super) fn index(settings: &Settings) -> Reply {
    let body = html! {
        p {
            "This is the sandbox of Strongroom: an OAuth 2.0 provider for development and tests. "
            "It keeps everything in memory, its users are made up, and its tokens open nothing."
        }
        table {
            @for (route, what) in ROUTES {
                tr { td { code { (route) } } td { (what) } }
            }
        }
        p { "Issuer: " code { (settings.issuer) } }
        p { "Clients:" @for client in &settings.clients { " " code { (client.id) } } }
        p { (users(settings)) }
    };
    let page = page("Strongroom sandbox", &body);
    Reply::page(StatusCode::OK, Policy::Here, page)
}

/// The form to sign in with. A status other than 200 says that the last try failed.
pub(super) fn login(status: StatusCode, settings: &Settings, id: &str, client: &str) -> Reply {
    let easy = settings.users.iter().find(|user| user.password.is_none());
    let name = easy.map_or("", |user| user.name.as_str());
    let body = html! {
        @if status != StatusCode::OK {
            p .problem role="alert" { "No user has this name and password. Try again." }
        }
        p { code { (client) } " wants to act for you. Who are you?" }
        form method="post" action="/login" {
            input type="hidden" name="request" value=(id);
            label { "User" input type="text" name="user" value=(name) autocomplete="username"
                autocapitalize="none" required autofocus; }
            label { "Password"
                input type="password" name="password" autocomplete="current-password"; }
            button type="submit" { "Sign in" }
        }
        p .note { (users(settings)) }
    };
    Reply::page(status, Policy::Here, page("Sign in to the sandbox", &body))
}

/// The form that asks for consent, scope by scope.
pub(super) fn consent(id: &str, asked: &Asked, user: &str) -> Reply {
    let body = html! {
        p { "You are " strong { (user) } ". May " code { (asked.client_id) } " have this?" }
        form method="post" action="/consent" {
            input type="hidden" name="request" value=(id);
            @for scope in &asked.scopes {
                label { input type="checkbox" name="scope" value=(scope) checked; " " (scope) }
            }
            button type="submit" name="decision" value="allow" { "Allow" }
            button type="submit" name="decision" value="deny" { "Deny" }
        }
        p .note { "Untick what it shall not have." }
    };
    let page = page("Consent", &body);
    Reply::page(StatusCode::OK, Policy::Onwards, page)
}

/// A page that says what went wrong.
pub(super) fn problem(status: StatusCode, text: &str) -> Reply {
    let body = html! { p .problem role="alert" { (text) } };
    Reply::page(status, Policy::Here, page("This did not work", &body))
}

/// The request is gone, used up, or another browser's.
pub(super) fn lapsed() -> Reply {
    let text = "This request has lapsed, was answered, or was begun in another browser. \
                Go back to the application and start again.";
    problem(StatusCode::BAD_REQUEST, text)
}

fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body { main { h1 { (title) } (body) } }
        }
    }
}

fn users(settings: &Settings) -> Markup {
    html! {
        "Users here:"
        @for user in &settings.users {
            " " code { (user.name) }
            @if user.password.is_none() { " (no password needed)" }
        }
    }
}
