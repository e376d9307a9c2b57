//! The pure rules of granting: PKCE, scopes, and the words of a refusal.
//!
//! It promises: a rule is a function of its arguments.
//! It never: holds state.

use super::shelf::Fingerprint;
use crate::secret::base64url;

/// An OAuth error (RFC 6749 5.2).
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) description: &'static str,
    /// Something spent came again, and its grant is now revoked.
    pub(super) reuse: bool,
}

impl Refusal {
    /// A refusal with this code.
    pub(super) const fn new(code: &'static str, description: &'static str) -> Self {
        Self {
            code,
            description,
            reuse: false,
        }
    }

    /// An `invalid_grant`.
    pub(super) const fn grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    /// An `invalid_grant` for something spent that came again.
    pub(super) const fn reuse(description: &'static str) -> Self {
        Self {
            code: "invalid_grant",
            description,
            reuse: true,
        }
    }
}

/// How an issue differs from the ordinary, for a server that misbehaves.
#[derive(Default)]
pub(super) struct Shaping {
    /// Issue no refresh token; on a refresh the old one stays as it is.
    pub(super) no_refresh_token: bool,
    /// Grant no more than these scopes.
    pub(super) scopes_at_most: Option<Vec<String>>,
}

/// Compares verifier and challenge (RFC 7636 4.6). A verifier where no challenge was is refused as
/// well: somebody stripped the challenge on the way (RFC 9700 2.1.1).
pub(super) fn check_verifier(
    challenge: Option<&str>,
    verifier: Option<&str>,
) -> Result<(), Refusal> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(Refusal::grant("`code_verifier` is missing")),
        (None, Some(_)) => Err(Refusal::grant("the request had no `code_challenge`")),
        (Some(challenge), Some(verifier)) => {
            let length_fits = (43..=128).contains(&verifier.len());
            if length_fits && base64url(Fingerprint::of(verifier).bytes()) == challenge {
                Ok(())
            } else {
                Err(Refusal::grant("`code_verifier` does not fit the challenge"))
            }
        }
    }
}

/// The scopes of a refresh: those granted, or the part of them that was asked for.
pub(super) fn narrow(granted: &[String], asked: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(asked) = asked else {
        return Ok(granted.to_vec());
    };
    let asked = scopes(asked)?;
    if asked.iter().all(|scope| granted.contains(scope)) {
        Ok(asked)
    } else {
        Err(Refusal::new(
            "invalid_scope",
            "the scopes exceed those granted",
        ))
    }
}

/// The scopes that a server in this shape really grants.
pub(super) fn shrink(mut scopes: Vec<String>, shaping: &Shaping) -> Vec<String> {
    if let Some(most) = &shaping.scopes_at_most {
        scopes.retain(|scope| most.contains(scope));
    }
    scopes
}

/// Reads a `scope` parameter (RFC 6749 3.3) into a list without repeats.
pub(super) fn scopes(parameter: &str) -> Result<Vec<String>, Refusal> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in parameter.split(' ').filter(|scope| !scope.is_empty()) {
        let allowed = |byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if !scope.bytes().all(allowed) {
            return Err(Refusal::new(
                "invalid_scope",
                "a scope has a character that is not allowed",
            ));
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn a_challenge_is_met_by_its_verifier_alone() {
        assert!(check_verifier(Some(CHALLENGE), Some(VERIFIER)).is_ok());
        assert!(check_verifier(Some(CHALLENGE), Some("short")).is_err());
        assert!(check_verifier(Some(CHALLENGE), Some(&VERIFIER.to_lowercase())).is_err());
        assert!(check_verifier(Some(CHALLENGE), None).is_err());
        assert!(check_verifier(None, Some(VERIFIER)).is_err());
        assert!(check_verifier(None, None).is_ok());
    }

    #[test]
    fn scopes_are_read_without_repeats_and_narrowed_within_the_grant() {
        assert_eq!(scopes("a b  a").unwrap(), ["a", "b"]);
        assert_eq!(scopes("a\"").unwrap_err().code, "invalid_scope");
        let granted = [String::from("a"), String::from("b")];
        assert_eq!(narrow(&granted, None).unwrap(), granted);
        assert_eq!(narrow(&granted, Some("b")).unwrap(), ["b"]);
        assert_eq!(
            narrow(&granted, Some("c")).unwrap_err().code,
            "invalid_scope"
        );
    }
}
