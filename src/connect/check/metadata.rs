//! How what an issuer says of itself differs from what an app says of it.
//!
//! It promises: what is set by hand is compared, and never called wrong: it may be meant.
//! It never: asks the issuer.

use super::{Finding, Level, finding, ok};
use crate::model::app::{ClientAuth, OAuth};
use crate::model::url::WebUrl;
use crate::provider::metadata::Discovered;
use crate::provider::remote::RemoteServer;
use crate::remote::{Said, take_over};

/// What an operator does about metadata that is not taken over by itself.
const TAKE_IT: &str = "where the provider announces it: `strongroom app set APP`, with \
    `--client-secret-file` where the secret then goes to another host";

/// When an issuer's metadata was read, and whether what it said then is in use.
pub(super) fn last_read(oauth: &OAuth) -> Finding {
    let Some(read) = &oauth.metadata else {
        let what = "its metadata was not read yet; it is when a token is refreshed or somebody \
            connects";
        return ok("issuer", what);
    };
    let (at, until) = (read.at, read.until);
    match &read.withheld {
        None => ok(
            "issuer",
            format!("its metadata was read at {at}, and is read again from {until} on"),
        ),
        Some(why) => warning(
            "issuer",
            format!("what its metadata said at {at} was not taken over: {why}"),
            TAKE_IT,
        ),
    }
}

/// What an issuer's metadata tells of an app.
pub(super) fn findings(oauth: &OAuth, issuer: &WebUrl, said: &Said<'_>) -> Vec<Finding> {
    let found = said.found;
    let mut findings = vec![ok("issuer", format!("the metadata of {issuer} is there"))];
    let taken = take_over(oauth, said);
    if let Err(why) = &taken {
        let what = format!("what its metadata says now is not taken over by itself: {why}");
        findings.push(warning("issuer", what, TAKE_IT));
    }
    findings.extend(endpoints(oauth, found, taken.is_ok()));
    findings.extend(resource(oauth, said.server));
    findings.push(pkce(oauth.pkce, found.pkce_s256));
    findings.extend(client_auth(oauth, found));
    findings.extend(scopes(oauth, found));
    findings
}

fn warning(about: &str, found: String, hint: &str) -> Finding {
    finding(Level::Warning, about, found, hint)
}

/// Tokens are for the resource that they were obtained for.
fn resource(oauth: &OAuth, server: Option<&RemoteServer>) -> Option<Finding> {
    let kept = &oauth.remote.as_ref()?.found.as_ref()?.resource;
    let now = &server?.resource;
    (kept != now).then(|| {
        let what = "the MCP server names another resource than when the app was made or changed";
        warning("resource", what.into(), "`strongroom app set APP` takes it")
    })
}

fn endpoints(oauth: &OAuth, found: &Discovered, is_taken: bool) -> Vec<Finding> {
    let hint = match is_taken {
        true => "it is taken over when it is read again; `strongroom app set APP` does so now",
        false => "it is not taken over by itself: see `issuer`",
    };
    let (by_hand, kept, now) = (&oauth.by_hand, &oauth.discovered, &found.endpoints);
    let all = [
        (
            "authorization_url",
            &by_hand.authorization_url,
            &kept.authorization_url,
            &now.authorization_url,
        ),
        (
            "token_url",
            &by_hand.token_url,
            &kept.token_url,
            &now.token_url,
        ),
        (
            "revocation_url",
            &by_hand.revocation_url,
            &kept.revocation_url,
            &now.revocation_url,
        ),
    ];
    let compare = |(about, by_hand, kept, now): (_, &Option<WebUrl>, _, &Option<WebUrl>)| match (
        by_hand, now,
    ) {
        (Some(own), Some(now)) if own != now => Some(warning(
            about,
            format!("is set by hand to {own}; the metadata says {now}"),
            &format!("leave it where that is meant; else: app set APP --clear {about}"),
        )),
        (None, now) if kept != now => Some(warning(
            about,
            "the metadata says something else than when it was read".into(),
            hint,
        )),
        _ => None,
    };
    all.into_iter().filter_map(compare).collect()
}

fn pkce(is_sent: bool, advertised: Option<bool>) -> Finding {
    match (is_sent, advertised) {
        (true, Some(true)) => ok("pkce", "S256 is advertised, and sent"),
        (true, None) => ok("pkce", "no method is advertised; S256 is sent all the same"),
        (true, Some(false)) => finding(
            Level::Error,
            "pkce",
            "S256 is not among the methods that are advertised",
            "where the provider refuses it: `strongroom app set APP --pkce false`",
        ),
        (false, Some(true)) => warning(
            "pkce",
            "S256 is advertised, and not sent".into(),
            "`strongroom app set APP --pkce true`",
        ),
        (false, _) => ok("pkce", "S256 is not advertised, and not sent"),
    }
}

fn client_auth(oauth: &OAuth, found: &Discovered) -> Option<Finding> {
    // How the metadata writes it (RFC 7591 2).
    let method = match oauth.client_auth {
        ClientAuth::Basic | ClientAuth::BasicRaw => "client_secret_basic",
        ClientAuth::Post => "client_secret_post",
        ClientAuth::None => "none",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
    };
    let methods = &found.token_endpoint_auth_methods;
    let is_unknown = !methods.is_empty() && !methods.iter().any(|known| known == method);
    is_unknown.then(|| {
        warning(
            "client_auth",
            format!("`{method}` is not among the ways that are advertised"),
            "compare `client_auth` with the provider's documentation",
        )
    })
}

fn scopes(oauth: &OAuth, found: &Discovered) -> Option<Finding> {
    let known = &found.scopes_supported;
    let is_unknown = |scope: &&str| !known.iter().any(|one| one == scope);
    let unknown: Vec<&str> = oauth.scopes.iter().filter(is_unknown).collect();
    (!known.is_empty() && !unknown.is_empty()).then(|| {
        warning(
            "scopes",
            format!("not among those that are advertised: {}", unknown.join(" ")),
            "compare them with the provider's documentation; some advertise only a few",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scopes;
    use crate::model::app::Endpoints;
    use crate::provider::metadata;

    /// Goal: what differs from the metadata is said, each thing by its name. Method: an app that
    /// agrees with a document, and one that does not in anything.
    #[test]
    fn what_differs_from_the_metadata_is_said() {
        let url = |text: &str| WebUrl::parse("url", text).unwrap();
        let issuer = url("https://a.example");
        let document = br#"{"issuer": "https://a.example",
            "authorization_endpoint": "https://a.example/a",
            "token_endpoint": "https://a.example/t", "scopes_supported": ["openid"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"]}"#;
        let found = metadata::read(&issuer, document).unwrap();
        let mut oauth = OAuth {
            issuer: Some(issuer.clone()),
            discovered: found.endpoints.clone(),
            client_auth: ClientAuth::Post,
            scopes: Scopes::parse(["openid"]).unwrap(),
            ..OAuth::of("c")
        };
        let said = |oauth: &OAuth| -> Vec<(Level, String)> {
            let all = Said {
                found: &found,
                server: None,
            };
            let findings = findings(oauth, &issuer, &all);
            let said = findings.into_iter().map(|one| (one.level, one.about));
            said.collect()
        };
        let agreed = [(Level::Ok, "issuer".into()), (Level::Ok, "pkce".into())];
        assert_eq!(said(&oauth), agreed);
        oauth.by_hand = Endpoints {
            token_url: Some(url("https://b.example/t")),
            ..Endpoints::default()
        };
        oauth.discovered = Endpoints::default();
        oauth.pkce = false;
        oauth.client_auth = ClientAuth::Basic;
        oauth.scopes = Scopes::parse(["openid", "other"]).unwrap();
        let warned: Vec<String> = said(&oauth)
            .into_iter()
            .filter(|(level, _)| *level == Level::Warning)
            .map(|(_, about)| about)
            .collect();
        let expected = [
            "authorization_url",
            "token_url",
            "pkce",
            "client_auth",
            "scopes",
        ];
        assert_eq!(warned, expected);
        assert_eq!(pkce(true, Some(false)).level, Level::Error);
    }
}
