//! Words for people: what a scope lets somebody do, and what a failure means.
//!
//! It promises: the scope itself and the code stand beside the words, for whoever knows them; what
//! is not known is made readable, and never guessed at.
//! It never: shows a provider's text that was not filtered before.

/// Scopes that mean the same wherever they are used (OpenID Connect Core 5.4, 11).
const KNOWN: [(&str, &str); 7] = [
    ("openid", "Know who you are there"),
    ("email", "See your e-mail address"),
    ("profile", "See your name and picture"),
    ("address", "See your postal address"),
    ("phone", "See your phone number"),
    ("offline_access", "Stay connected while you are away"),
    ("offline", "Stay connected while you are away"),
];

/// Words at the end of a scope that say what is done, and how people say it.
const VERBS: [(&str, &str); 17] = [
    ("readonly", "Read"),
    ("read", "Read"),
    ("r", "Read"),
    ("view", "Read"),
    ("list", "List"),
    ("write", "Change"),
    ("w", "Change"),
    ("edit", "Change"),
    ("update", "Change"),
    ("readwrite", "Read and change"),
    ("manage", "Manage"),
    ("admin", "Manage"),
    ("create", "Create"),
    ("delete", "Delete"),
    ("send", "Send"),
    ("upload", "Upload"),
    ("modify", "Change"),
];

/// A variable's name as people read it: `shop_domain` is "Shop domain".
pub(super) fn name(name: &str) -> String {
    let spaced = name.replace(['_', '-', '.'], " ");
    let mut chars = spaced.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// A scope in words. Scopes are made of words in most services: `calendar.read`, `read:jira-work`,
/// `https://www.googleapis.com/auth/drive.readonly`. What does not look like that stays as it is.
pub(super) fn scope(scope: &str) -> String {
    let own = scope.strip_suffix(".default").unwrap_or(scope);
    let last = match own.starts_with("https://") || own.starts_with("http://") {
        true => own.trim_end_matches('/').rsplit('/').next().unwrap_or(own),
        false => own,
    };
    let lower = last.to_ascii_lowercase();
    if let Some((_, words)) = KNOWN.iter().find(|(known, _)| *known == lower) {
        return (*words).to_owned();
    }
    let parts: Vec<&str> = lower
        .split(|c: char| ".:_-/ ".contains(c))
        .filter(|part| !part.is_empty())
        .collect();
    let verb_of = |word: &&str| VERBS.iter().find(|(known, _)| known == word);
    let ends = [parts.last(), parts.first()];
    let said = ends.into_iter().flatten().find_map(verb_of);
    match said {
        Some((word, verb)) if parts.len() > 1 => {
            let rest = parts.into_iter().filter(|part| part != word);
            format!("{verb} {}", rest.collect::<Vec<_>>().join(" "))
        }
        _ => last.to_owned(),
    }
}

/// What a failure means, and what to do about it.
pub(super) struct Told {
    /// What happened.
    pub(super) what: &'static str,
    /// What the person can do.
    pub(super) to_do: &'static str,
}

/// Failures in words, by their codes.
const FAILURES: [(&[&str], &str, &str); 11] = [
    (
        &["key_refused"],
        "The service does not accept this key.",
        "Check that all of it was copied and that it is still valid, then paste it again.",
    ),
    (
        &["key_not_checked"],
        "The service could not be asked whether this key is right.",
        "Try again in a minute, or store it unchecked.",
    ),
    (
        &["key_looks_wrong"],
        "This does not look like a key of this service.",
        "Check that it is the right one, or store it as it is.",
    ),
    (
        &["invalid_key", "invalid_variable"],
        "What was typed cannot be right.",
        "Mend it, and send it again.",
    ),
    (
        &["issuer_mismatch", "answer_not_signed", "invalid_answer"],
        "The answer did not come from the service you were sent to. Nothing was stored.",
        "Try again. If it happens once more, stop and tell whoever sent you here.",
    ),
    (
        &[
            "temporarily_unavailable",
            "server_error",
            "backend_error",
            "internal_error",
            "internal_server_error",
            "service_unavailable",
            "request_timeout",
            "slow_down",
            "rate_limited",
            "rate_limit_exceeded",
            "too_many_requests",
        ],
        "The service has trouble at the moment.",
        "Wait a minute, then try again.",
    ),
    (
        &[
            "login_required",
            "interaction_required",
            "consent_required",
            "mfa_required",
            "account_selection_required",
        ],
        "The service wants you to sign in and agree once more.",
        "Try again, and finish every step there.",
    ),
    (
        &["admin_policy_enforced", "account_inactive"],
        "The service does not allow this for your account.",
        "Ask whoever looks after your account there.",
    ),
    (
        &[
            "invalid_client",
            "unauthorized_client",
            "redirect_uri_mismatch",
            "invalid_scope",
            "invalid_request",
            "settings",
            "deleted_client",
            "redirect_refused",
        ],
        "This service is not set up rightly here.",
        "Nothing you can do will mend it: tell whoever sent you here what stands below.",
    ),
    (
        &["link_over"],
        "The link was taken back while you were away. Nothing was stored.",
        "Ask for a new one.",
    ),
    (
        &["client_renewed", "no_code", "invalid_grant"],
        "The way there and back did not come to its end.",
        "Try again.",
    ),
];

/// A failure by its code, in words.
pub(super) fn failure(code: &str) -> Told {
    let known = FAILURES.iter().find(|(codes, ..)| codes.contains(&code));
    let (what, to_do) = known.map_or(
        (
            "The service did not go along.",
            "Try again. If that does not help, tell whoever sent you here what stands below.",
        ),
        |(_, what, to_do)| (*what, *to_do),
    );
    Told { what, to_do }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_like_words() {
        for (given, expected) in [
            ("shop_domain", "Shop domain"),
            ("region", "Region"),
            ("", ""),
        ] {
            assert_eq!(name(given), expected);
        }
    }

    #[test]
    fn scopes_read_like_words() {
        for (given, expected) in [
            ("calendar.read", "Read calendar"),
            ("read:jira-work", "Read jira work"),
            (
                "https://www.googleapis.com/auth/drive.readonly",
                "Read drive",
            ),
            ("https://www.googleapis.com/auth/calendar", "calendar"),
            ("openid", "Know who you are there"),
            ("channels:history", "channels:history"),
            ("repo", "repo"),
            ("mail.send", "Send mail"),
            ("read", "read"),
            ("user:read:email", "user:read:email"),
            (
                "https://graph.microsoft.com/Mail.ReadWrite",
                "Read and change mail",
            ),
            ("https://mail.google.com/", "mail.google.com"),
            ("<b>", "<b>"),
        ] {
            assert_eq!(scope(given), expected, "{given}");
        }
    }
}
