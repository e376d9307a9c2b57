//! In whose words a request is answered: ours, a page's, or those of Descope's clients.
//!
//! It promises: whatever goes wrong on the way to a handler is told in the words of the door that
//! was knocked at.
//! It never: decides what went wrong.

use http::{HeaderMap, Method};

use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::descope::failure::Failure;
use crate::http::guard::{Door, Refusal};
use crate::http::look::Look;
use crate::http::routes::{Entrance, Lookup, Route, descope};
use crate::http::{pages, stray, wire};

/// The kinds of words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tongue {
    /// Those of the native API.
    Native,
    /// A page, for a person.
    Page,
    /// Those of Descope's clients.
    Descope,
}

impl Tongue {
    /// The words for a request to this path, of which this was found.
    pub fn of(found: &Lookup, path: &str, headers: &HeaderMap) -> Self {
        match found {
            Lookup::Found(row, _) => match (row.entrance, row.route) {
                (Entrance::Page, _) => Self::Page,
                (_, Route::Descope(_)) => Self::Descope,
                (Entrance::Open | Entrance::Key, _) => Self::Native,
            },
            Lookup::WrongMethod(_) | Lookup::Unknown => match descope::is_theirs(path) {
                true => Self::Descope,
                false if stray::asks_for_page(headers, path) => Self::Page,
                false => Self::Native,
            },
        }
    }

    /// The door that a browser's word about a request's origin is held against.
    pub fn door(self) -> Door {
        match self {
            Self::Page => Door::Page,
            Self::Native | Self::Descope => Door::Api,
        }
    }

    /// An error.
    pub fn error(self, look: &Look, error: &Error) -> Answer {
        match self {
            Self::Native => wire::error(error),
            Self::Page => pages::trouble(look, error),
            Self::Descope => Failure::from(error.clone()).answer(),
        }
    }

    /// A request that is not let in. A form of a page's may be a program's too.
    pub fn refusal(self, look: &Look, headers: &HeaderMap, refusal: Refusal) -> Answer {
        match self {
            Self::Page if stray::takes_html(headers) => stray::refused(look, refusal),
            Self::Native | Self::Page => refusal.answer(),
            Self::Descope => Failure::not_let_in(refusal).answer(),
        }
    }

    /// The path is there, the method is not.
    pub fn wrong_method(self, look: &Look, allowed: Vec<&'static Method>) -> Answer {
        match self {
            Self::Page => stray::wrong_method(look, allowed),
            Self::Native => wire::wrong_method(allowed),
            Self::Descope => Failure::wrong_method(&allowed).answer(),
        }
    }

    /// There is no such path.
    pub fn unknown_route(self, look: &Look) -> Answer {
        match self {
            Self::Page => stray::unknown(look),
            Self::Native => wire::unknown_route(),
            Self::Descope => Failure::unknown_route().answer(),
        }
    }
}
