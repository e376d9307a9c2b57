//! How long a document may be kept, as the fields of its answer say (RFC 9111). Pure.
//!
//! It promises: a field that cannot be read says nothing, or that the document has ended, whichever
//! the RFC has it mean.
//! It never: decides how long something is kept: whoever keeps it has bounds of its own.

use std::time::Duration;

/// The life that an answer gives its document, where it says: by `Cache-Control`, else by `Expires`
/// (RFC 9111 5.3). An `Age` is not taken off.
pub(super) fn kept_for(cache_control: &str, expires: &str, date: &str) -> Option<Duration> {
    max_age(cache_control).or_else(|| until(expires, date))
}

/// The life that `Cache-Control` fields give (RFC 9111 5.2.2). The first word on it counts.
fn max_age(fields: &str) -> Option<Duration> {
    fields.split([',', '\n']).find_map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => Some(Duration::ZERO),
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse();
                seconds.ok().map(Duration::from_secs)
            }
            _ => None,
        }
    })
}

/// The life that `Expires` gives, by the server's own clock. What is no date there, such as `0`,
/// stands for the past.
fn until(expires: &str, date: &str) -> Option<Duration> {
    let moment = |text: &str| httpdate::parse_http_date(text.trim()).ok();
    if expires.trim().is_empty() {
        return None;
    }
    let Some(end) = moment(expires) else {
        return Some(Duration::ZERO);
    };
    let life = end.duration_since(moment(date)?);
    Some(life.unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_document_is_what_its_issuer_says_first() {
        for (field, seconds) in [
            ("max-age=300", Some(300)),
            ("public, MAX-AGE = \"60\" , must-revalidate", Some(60)),
            ("public\nmax-age=60", Some(60)),
            ("no-store, max-age=5", Some(0)),
            ("No-Cache=\"x\"", Some(0)),
            ("max-age=-1", None),
            ("max-age=99999999999999999999999", None),
            ("s-maxage=7", None),
            ("", None),
        ] {
            let found = kept_for(field, "", "");
            assert_eq!(found, seconds.map(Duration::from_secs), "{field}");
        }
    }

    #[test]
    fn where_no_life_is_said_the_end_is_taken_by_the_servers_clock() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 09:49:37 GMT";
        for (cache_control, expires, date, seconds) in [
            ("", later, date, Some(3600)),
            ("public", later, date, Some(3600)),
            ("max-age=5", later, date, Some(5)),
            ("", date, later, Some(0)),
            ("", "0", date, Some(0)),
            ("", "-1", "", Some(0)),
            ("", later, "", None),
            ("", later, "now", None),
            ("", "", date, None),
        ] {
            let found = kept_for(cache_control, expires, date);
            let seconds = seconds.map(Duration::from_secs);
            assert_eq!(found, seconds, "{cache_control} {expires} {date}");
        }
    }
}
