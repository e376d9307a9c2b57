//! What screens are made of: times, states, owners, pages of a table.
//!
//! It promises: text from anywhere is escaped by the template library; a moment is told as people
//! tell it, with the exact one beside it for who needs that.
//! It never: reads anything.

pub(super) mod apps;
pub(super) mod audit;
pub(super) mod entry;
pub(super) mod health;
pub(super) mod keys;
pub(super) mod making;
pub(super) mod tokens;

use std::time::Duration;

use maud::{Markup, html};

use crate::clock::Timestamp;
use crate::model::token::{Summary, TokenState};

/// A moment beside now.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let text = match at > now {
        true => format!("in {}", span(at.since(now))),
        false => match now.since(at) {
            short if short < Duration::from_secs(10) => "just now".to_owned(),
            long => format!("{} ago", span(long)),
        },
    };
    html! { time datetime=(at) title=(at) { (text) } }
}

/// A moment that may not be there.
pub(super) fn maybe_moment(at: Option<Timestamp>, now: Timestamp, else_: &str) -> Markup {
    match at {
        Some(at) => moment(at, now),
        None => html! { span.soft { (else_) } },
    }
}

/// A span in its largest unit, rounded down.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How a token stands, in a word.
pub(super) fn state(token: &Summary, now: Timestamp) -> Markup {
    let has_ended = token.expires_at.is_some_and(|end| end <= now);
    match token.state {
        TokenState::ReconnectRequired(reason) => html! {
            span.badge.bad { "reconnect: " (words(reason.as_str())) }
        },
        TokenState::Active if token.last_refresh_error.is_some() => html! {
            span.badge.warn { @if has_ended { "ended, refresh fails" } @else { "refresh fails" } }
        },
        TokenState::Active if has_ended && token.has_refresh_token => html! {
            span.badge { "refreshed when asked for" }
        },
        TokenState::Active if has_ended => html! { span.badge.warn { "ended" } },
        TokenState::Active => html! { span.badge.good { "well" } },
    }
}

/// A word of the wire as people write it.
fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// A number with its thousands apart.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_numbers_are_told_as_people_tell_them() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let told = |at: Timestamp| moment(at, now).into_string();
        for (span, text) in [
            (3, "just now"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
        ] {
            let at = now.minus(Duration::from_secs(span));
            assert!(told(at).contains(&format!(">{text}<")), "{text}");
        }
        for (span, text) in [(3700, "in 1 hour"), (200_000, "in 2 days")] {
            let at = now.plus(Duration::from_secs(span));
            assert!(told(at).contains(&format!(">{text}<")), "{text}");
            assert!(told(at).contains(&format!("datetime=\"{at}\"")));
        }
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
