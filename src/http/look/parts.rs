//! What pages are put together from: pictures, alerts, progress.
//!
//! It promises: nothing is told by colour alone; a picture that only repeats a name is silent for
//! who listens.
//! It never: shows a picture that another host would have to be asked for.

use maud::{Markup, html};

use crate::model::logo::Logo;

/// Backgrounds that the style sheet has for initials.
const TINTS: usize = 8;

/// How a thing stands, as colour and weight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tone {
    /// Nothing to say.
    Plain,
    /// It went well.
    Good,
    /// Look at it.
    Warn,
    /// It went wrong.
    Bad,
}

impl Tone {
    /// Its class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A logo, or the initials of `name` on a colour of their own.
pub fn picture(logo: Option<&Logo>, name: &str) -> Markup {
    html! {
        @if let Some(data) = logo.and_then(Logo::inline) {
            span.logo { img src=(data) alt=""; }
        } @else {
            span class={ "logo tint-" (tint(name)) } aria-hidden="true" { (initials(name)) }
        }
    }
}

/// A word or two about how a thing stands.
pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// Something to notice: what is wrong or done, and what to do.
pub fn alert(tone: Tone, content: Markup) -> Markup {
    let role = match tone {
        Tone::Bad => "alert",
        Tone::Plain | Tone::Good | Tone::Warn => "status",
    };
    html! { div class={ "alert " (tone.class()) } role=(role) { (content) } }
}

/// The first letters of the first two words.
fn initials(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let first = words.filter_map(|word| word.chars().next());
    let initials: String = first.take(2).flat_map(char::to_uppercase).collect();
    match initials.is_empty() {
        true => "?".into(),
        false => initials,
    }
}

/// Always the same for one name.
fn tint(name: &str) -> usize {
    let sum = name.bytes().fold(7_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    sum % TINTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_two_words() {
        for (name, expected) in [
            ("Google Calendar", "GC"),
            ("github", "G"),
            ("", "?"),
            ("  !", "?"),
            ("über alles und mehr", "ÜA"),
            ("<b>x", "BX"),
        ] {
            assert_eq!(initials(name), expected, "{name}");
        }
    }

    #[test]
    fn only_a_picture_written_out_is_shown() {
        let web = Logo::parse("logo", "https://example.com/a.png").unwrap();
        let shown = picture(Some(&web), "Mail").into_string();
        assert!(
            !shown.contains("example.com") && shown.contains(">M<"),
            "{shown}"
        );
        let inline = Logo::parse("logo", "data:image/png;base64,AAAA").unwrap();
        let shown = picture(Some(&inline), "Mail").into_string();
        assert!(
            shown.contains("src=\"data:image/png;base64,AAAA\""),
            "{shown}"
        );
    }
}
