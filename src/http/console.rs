//! The operator's console: screens in a browser, for who holds an access key.
//!
//! ```text
//!   cookie -> session (V21) -> caller -> POST? form token -> screen -> vault or flow -> page
//! ```
//!
//! It promises: a screen does what the access key behind the session may do through the API, by the
//! same functions, and is on record as these are; what changes anything is a form of ours, with
//! the session's token in it, and is followed by a 303; a form whose answer shows a secret is good
//! once; every screen works without scripts, and a screen that keeps itself fresh where it can says
//! so where it cannot.
//! It never: keeps an access key or a credential, shows one but where it was asked for again, or
//! decides who may do what.

mod apps;
mod audit;
mod chart;
mod entry;
mod form;
mod frame;
mod health;
mod keys;
mod making;
mod tokens;
mod views;

use http::{HeaderValue, StatusCode};

use self::form::Form;
use self::frame::Frame;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::cookie::Cookie;
use crate::http::routes::console::Screen;
use crate::http::wire;
use crate::secret::Secret;
use crate::vault::{AtConsole, Attention};

/// A request at the console, with whoever is there.
struct Visit<'a> {
    app: &'a App,
    call: &'a Call,
    at: AtConsole,
    /// What was typed.
    form: Form,
    now: Timestamp,
}

/// Answers a screen's route. What goes wrong is told as a page.
pub async fn answer(app: &App, screen: Screen, call: Call) -> Answer {
    let outcome = match screen {
        Screen::Entry => entry::show(app, &call),
        Screen::SignIn => entry::sign_in(app, &call),
        Screen::Unlock => entry::unlock(app, &call).await,
        _ => inside(app, screen, &call).await,
    };
    outcome.unwrap_or_else(|error| entry::trouble(app, &error))
}

/// A screen behind the sign-in.
async fn inside(app: &App, screen: Screen, call: &Call) -> Result<Answer> {
    let mut visit = match visit(app, screen, call) {
        Ok(visit) => visit,
        Err(error) => return entry::turned_away(app, screen, &error),
    };
    let outcome = match read_form(&mut visit) {
        Ok(()) => show(&visit, screen).await,
        Err(error) => Err(error),
    };
    match outcome {
        Err(Error::Locked) => entry::turned_away(app, screen, &Error::Locked),
        Err(error) => Ok(visit.trouble(screen, &error)),
        Ok(answer) => Ok(answer),
    }
}

async fn show(visit: &Visit<'_>, screen: Screen) -> Result<Answer> {
    match screen {
        Screen::Health => health::show(visit).await,
        Screen::HealthNow => health::now(visit).await,
        Screen::Tokens => tokens::list(visit),
        Screen::Token => tokens::show(visit),
        Screen::Refresh => tokens::refresh(visit).await,
        Screen::AskReveal => tokens::ask_reveal(visit),
        Screen::Reveal => tokens::reveal(visit),
        Screen::AskDelete => tokens::ask_delete(visit),
        Screen::Delete => tokens::delete(visit).await,
        Screen::Reconnect => tokens::reconnect(visit).await,
        Screen::Apps => apps::list(visit),
        Screen::NewApp => making::choose(visit),
        Screen::AskApp => making::ask(visit),
        Screen::MakeApp => making::make(visit).await,
        Screen::App => apps::show(visit),
        Screen::CheckApp => apps::check(visit).await,
        Screen::ConnectMe => apps::connect_me(visit).await,
        Screen::EditApp => making::edit(visit),
        Screen::ChangeApp => making::change(visit).await,
        Screen::AskUpdate => apps::ask_update(visit).await,
        Screen::UpdateApp => apps::update(visit).await,
        Screen::AskRemoveApp => apps::ask_remove(visit),
        Screen::RemoveApp => apps::remove(visit).await,
        Screen::Keys => keys::list(visit),
        Screen::NewKey => keys::ask_new(visit),
        Screen::MakeKey => keys::make(visit).await,
        Screen::AskRemoveKey => keys::ask_remove(visit),
        Screen::RemoveKey => keys::remove(visit).await,
        Screen::Audit => audit::show(visit).await,
        Screen::AuditNow => audit::now(visit).await,
        Screen::VerifyAudit => audit::verify(visit).await,
        Screen::ExportAudit => audit::export(visit).await,
        Screen::SignOut => entry::sign_out(visit),
        Screen::SignOutEverywhere => entry::sign_out_everywhere(visit),
        Screen::Lock => entry::lock(visit).await,
        Screen::Entry | Screen::SignIn | Screen::Unlock => Err(Error::NotFound("screen")),
    }
}

/// Whose session the request's cookie is.
fn visit<'a>(app: &'a App, screen: Screen, call: &'a Call) -> Result<Visit<'a>> {
    let cookie = cookie_of(app, call).ok_or(match app.vault.status().locked {
        true => Error::Locked,
        false => Error::Unauthenticated,
    })?;
    let attention = match screen.is_asked_by_itself() {
        true => Attention::Page,
        false => Attention::Person,
    };
    let from = std::sync::Arc::clone(&call.peer.address);
    Ok(Visit {
        app,
        call,
        at: app.vault.at_console(&cookie, from, attention)?,
        form: Form::default(),
        now: app.vault.clock().now(),
    })
}

/// A form that does not carry the session's token is not ours, whatever its origin says (T22).
fn read_form(visit: &mut Visit<'_>) -> Result<()> {
    if !visit.call.is_form {
        return Ok(());
    }
    visit.form = Form::of(visit.call)?;
    let token = visit.form.text("form_token").unwrap_or_default();
    match visit.at.form_token.equals(token.as_bytes()) {
        true => Ok(()),
        false => {
            let vault = &visit.app.vault;
            vault.refuse(&visit.at.caller, "form", "the form is not this session's");
            Err(Error::invalid(
                "the form does not belong to this session; go back, reload the page and send it \
                 again",
            ))
        }
    }
}

fn cookie(app: &App) -> Cookie {
    Cookie::new("sr_console", app.connect.is_secure())
}

fn cookie_of(app: &App, call: &Call) -> Option<Secret<String>> {
    let value = cookie(app).read(&call.headers)?;
    Some(Secret::new(value.to_owned()))
}

impl Visit<'_> {
    fn frame(&self, screen: Screen) -> Frame<'_> {
        Frame {
            look: &self.app.look,
            at: &self.at,
            screen,
            told: frame::told(self.call.optional("told")),
        }
    }

    /// What went wrong, within the console.
    fn trouble(&self, screen: Screen, error: &Error) -> Answer {
        let (title, content) = views::entry::refused(error);
        let mut answer = self
            .frame(screen)
            .answer(wire::status_of(error), title, content);
        wire::say_when(error, &mut answer);
        answer
    }

    /// On to another screen, by a GET, which tells what was done.
    fn on(&self, place: &str) -> Result<Answer> {
        on(self.app, place)
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    /// Uses the form up, and refuses one that was sent before: a browser keeps what was typed, the
    /// access key included, and sends it again for whoever presses "back" or "reload".
    fn spend(&self) -> Result<()> {
        let once = self.form.text("once").unwrap_or_default();
        match self.at.once.equals(once.as_bytes()) && self.app.vault.spend(&self.at)? {
            true => Ok(()),
            false => Err(Error::invalid(
                "this form, or another that shows a secret, was sent before; open it anew",
            )),
        }
    }
}

fn on(app: &App, place: &str) -> Result<Answer> {
    app.look
        .see_other(place)
        .ok_or_else(|| Error::invalid("there is no way to that place"))
}

/// Has the browser leave a page by itself, with or without scripts.
fn leave_after(answer: &mut Answer, seconds: u64, place: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("{seconds}; url={place}")) {
        answer.headers_mut().insert(http::header::REFRESH, value);
    }
}

fn ok(frame: &Frame<'_>, title: impl Into<String>, content: maud::Markup) -> Answer {
    frame.answer(StatusCode::OK, title, content)
}
