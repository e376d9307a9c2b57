//! Looks at an app as a doctor would: what is set, what can be reached, and what its provider says
//! of its client.
//!
//! It promises: each finding says what is wrong and what to do; the client secret is sent to the
//! app's own token endpoint and nowhere else, and never to an address that a connection fills in;
//! it ends in a bounded time.
//! It never: changes anything, or keeps what a provider answers.

mod metadata;

use std::fmt::Display;

use super::Connect;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::access::{Action, Caller};
use crate::model::api::Api;
use crate::model::app::{App, ClientAuth, OAuth, OpenEndpoints};
use crate::model::blanks::{AskedOf, Blanks};
use crate::model::url::WebUrl;
use crate::provider::check::Verdict;
use crate::provider::classify::FORBIDDEN;
use crate::remote::Said;
use crate::vault::AppSecrets;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It may be meant so.
    Warning,
    /// People cannot connect, or tokens cannot be used, before this is mended.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The setting it is about, as on the wire.
    pub about: String,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub hint: String,
}

/// The worst of some findings.
pub fn worst(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(|finding| finding.level);
    levels.max().unwrap_or(Level::Ok)
}

fn ok(about: &str, found: impl Display) -> Finding {
    finding(Level::Ok, about, found, "")
}

fn finding(level: Level, about: &str, found: impl Display, hint: impl Display) -> Finding {
    Finding {
        level,
        about: about.to_owned(),
        found: found.to_string(),
        hint: hint.to_string(),
    }
}

impl Connect {
    /// Looks at an app.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`]; [`Error::Invalid`] for a value that has no place in
    /// a URL.
    pub async fn check(&self, caller: &Caller, id: &AppId) -> Result<Vec<Finding>> {
        let found = self.vault().app_secrets(caller, Action::Apps, id)?;
        let mut findings = variables(&found.app);
        let asked = async {
            match found.app.oauth_of(&found.app.settled())? {
                Some(oauth) => self.check_oauth(&found, &oauth).await,
                None => Ok(self.check_api(&found.app).await),
            }
        };
        match tokio::time::timeout(limits::APP_CHECK_MAX, asked).await {
            Ok(asked) => findings.extend(asked?),
            Err(_) => findings.push(finding(
                Level::Error,
                "provider",
                "the provider did not answer in time",
                "try again; where it stays so, look at the network between the two",
            )),
        }
        Ok(findings)
    }

    async fn check_oauth(&self, found: &AppSecrets, oauth: &OAuth) -> Result<Vec<Finding>> {
        let redirect_uri = self.redirect_uri(&found.app.id, oauth.callback);
        let mut findings = vec![
            ok(
                "redirect_uri",
                format!("the provider must have registered exactly {redirect_uri}"),
            ),
            secret(found, oauth),
        ];
        let open = found.app.oauth().and_then(|oauth| oauth.open.as_ref());
        let blanks =
            |of: fn(&OpenEndpoints) -> &Option<Blanks>| open.and_then(|open| of(open).as_ref());
        let ((from_metadata, authorization, token), (refresh, revocation)) = tokio::join!(
            async {
                tokio::join!(
                    self.check_metadata(oauth),
                    self.check_endpoint(
                        "authorization_url",
                        oauth.authorization_url(),
                        blanks(|open| &open.authorization_url),
                    ),
                    self.check_token_url(
                        found,
                        oauth,
                        &redirect_uri,
                        blanks(|open| &open.token_url)
                    ),
                )
            },
            async {
                let refresh_url = oauth.by_hand.refresh_url.as_ref();
                tokio::join!(
                    self.check_endpoint("refresh_url", refresh_url, None),
                    self.check_endpoint("revocation_url", oauth.revocation_url(), None),
                )
            }
        );
        findings.extend(from_metadata);
        findings.extend(needed("authorization_url", authorization));
        findings.extend(needed("token_url", token));
        findings.extend(refresh.into_iter().chain(revocation).flatten());
        Ok(findings)
    }

    /// What can be said of an endpoint without a credential; nothing where there is none.
    async fn check_endpoint(
        &self,
        about: &str,
        url: Option<&WebUrl>,
        blanks: Option<&Blanks>,
    ) -> Option<Vec<Finding>> {
        let (url, mut findings) = match self.look_at(about, url, blanks)? {
            (Some(url), findings) => (url, findings),
            (None, findings) => return Some(findings),
        };
        findings.push(match self.0.provider.knock(url).await {
            Ok(status @ 500..) => finding(
                Level::Warning,
                about,
                format!("{url} answers with status {status}: it is in trouble, or the wrong URL"),
                "compare it with the provider's documentation; try again later",
            ),
            Ok(status) => ok(about, format!("{url} is reached (status {status})")),
            Err(failure) if failure.code == FORBIDDEN => {
                not_allowed(about, url, &Error::from(failure))
            }
            Err(failure) => unreached(about, url, &failure.description),
        });
        Some(findings)
    }

    /// What the text of an endpoint says; the URL where it may be asked.
    fn look_at<'u>(
        &self,
        about: &str,
        url: Option<&'u WebUrl>,
        blanks: Option<&Blanks>,
    ) -> Option<(Option<&'u WebUrl>, Vec<Finding>)> {
        let Some(url) = url else {
            let blanks = blanks?;
            let what = format!("{blanks} is filled by each connection, so it was not asked");
            return Some((None, vec![ok(about, what)]));
        };
        if let Err(error) = self.0.provider.may_reach(url) {
            return Some((None, vec![not_allowed(about, url, &error)]));
        }
        let is_plain = url.as_url().scheme() == "http";
        let plain = || {
            finding(
                Level::Warning,
                about,
                format!("{url} is spoken to in the clear"),
                "use https, but for a provider on this machine",
            )
        };
        Some((Some(url), is_plain.then(plain).into_iter().collect()))
    }

    async fn check_token_url(
        &self,
        found: &AppSecrets,
        oauth: &OAuth,
        redirect_uri: &str,
        blanks: Option<&Blanks>,
    ) -> Option<Vec<Finding>> {
        let about = "token_url";
        let (url, mut findings) = match self.look_at(about, oauth.token_url(), blanks)? {
            (Some(url), findings) => (url, findings),
            (None, findings) => return Some(findings),
        };
        let client_secret = found.client_secret.as_ref();
        if needs_secret(oauth) && client_secret.is_none() {
            findings.push(ok(
                about,
                "was not asked, since the client has no secret to show",
            ));
            return Some(findings);
        }
        let known = found.app.settled();
        let tried = self
            .0
            .provider
            .try_client(oauth, client_secret, redirect_uri, &known);
        findings.push(of_verdict(url, redirect_uri, tried.await));
        Some(findings)
    }

    async fn check_metadata(&self, oauth: &OAuth) -> Vec<Finding> {
        let Some(issuer) = oauth.issuer_in_use() else {
            return Vec::new();
        };
        let mut findings = vec![metadata::last_read(oauth)];
        let server = match &oauth.remote {
            Some(remote) => Some(self.0.provider.remote_server(&remote.server_url).await),
            None => None,
        };
        if let Some(Err(error)) = &server {
            findings.push(finding(
                Level::Error,
                "server_url",
                format!("the MCP server does not say what protects it: {error}"),
                "compare `server_url` with the service's documentation",
            ));
        }
        let server = server.and_then(Result::ok);
        match self.0.provider.discover(issuer).await {
            Ok(found) => {
                let server = server.as_ref();
                let said = Said {
                    found: &found,
                    server,
                };
                findings.extend(metadata::findings(oauth, issuer, &said));
            }
            Err(error) => findings.push(finding(
                Level::Error,
                "issuer",
                format!("the metadata of {issuer} cannot be had: {error}"),
                "compare `issuer` with the provider's documentation, or give the endpoints by hand",
            )),
        }
        findings
    }

    async fn check_api(&self, app: &App) -> Vec<Finding> {
        let Some(Api {
            base_url, verify, ..
        }) = app.api.as_deref()
        else {
            let what = "nothing is known of how its keys are used: they are stored as they are";
            return vec![ok("api", what)];
        };
        let mut findings = Vec::new();
        if let Some(base_url) = base_url {
            // A blank may be a field of the key.
            let known = app.settled();
            let is_known = base_url.names().iter().all(|name| known.contains_key(name));
            let url = is_known.then(|| base_url.url("api.base_url", &known));
            findings.extend(match url.transpose() {
                Ok(url) => self
                    .check_endpoint("api.base_url", url.as_ref(), Some(base_url))
                    .await
                    .unwrap_or_default(),
                Err(error) => vec![finding(Level::Error, "api.base_url", &error, error.hint())],
            });
        }
        findings.push(match verify {
            Some(verify) => ok(
                "api.verify",
                format!(
                    "keys can be tried by {} {}",
                    verify.method.as_str(),
                    verify.url
                ),
            ),
            None => finding(
                Level::Warning,
                "api.verify",
                "no call is known that proves a key, so a mistyped one is noticed when it is used",
                "name one: `strongroom app set APP --settings FILE`",
            ),
        });
        findings
    }
}

/// What nobody has filled in.
fn variables(app: &App) -> Vec<Finding> {
    let known = app.known();
    let missing = app.variables.iter().filter(|(name, variable)| {
        let is_asked = variable.asked_of == AskedOf::Operator && !variable.optional;
        is_asked && !known.contains_key(*name)
    });
    missing
        .map(|(name, variable)| {
            finding(
                Level::Error,
                &format!("values.{name}"),
                format!("nothing fills `{name}`: {}", variable.help),
                format!("strongroom app set {} --value {name}=VALUE", app.id),
            )
        })
        .collect()
}

fn needs_secret(oauth: &OAuth) -> bool {
    oauth.client_auth != ClientAuth::None
}

fn secret(found: &AppSecrets, oauth: &OAuth) -> Finding {
    let about = "client_secret";
    let id = &found.app.id;
    match (needs_secret(oauth), found.client_secret.is_some()) {
        (true, true) => ok(about, "there is one"),
        (false, false) => ok(about, "a public client: none is needed"),
        (true, false) => finding(
            Level::Error,
            about,
            "the way the client proves itself needs a secret, and there is none",
            format!(
                "strongroom app set {id} --client-secret-file FILE; for a public client: \
                 strongroom app set {id} --client-auth none"
            ),
        ),
        (false, true) => finding(
            Level::Warning,
            about,
            "there is one, and `client_auth` is `none`: it is never sent",
            format!("strongroom app set {id} --client-auth basic (or post)"),
        ),
    }
}

fn needed(about: &str, findings: Option<Vec<Finding>>) -> Vec<Finding> {
    findings.unwrap_or_else(|| {
        vec![finding(
            Level::Error,
            about,
            "there is none",
            "give it, or an `issuer` whose metadata has it",
        )]
    })
}

fn not_allowed(about: &str, url: &WebUrl, error: &Error) -> Finding {
    let what = format!("{url} may not be reached: {error}");
    finding(Level::Error, about, what, error.hint())
}

fn unreached(about: &str, url: &WebUrl, what: &str) -> Finding {
    finding(
        Level::Error,
        about,
        format!("{url} was not reached: {what}"),
        "compare it with the provider's documentation; look at the network, the proxy and \
         `--ca-file`",
    )
}

fn of_verdict(url: &WebUrl, redirect_uri: &str, verdict: Verdict) -> Finding {
    let error = |found: String, hint: &str| finding(Level::Error, "token_url", found, hint);
    let warning = |found: String, hint: &str| finding(Level::Warning, "token_url", found, hint);
    let by_docs = "compare it with the provider's documentation";
    match verdict {
        Verdict::ClientAccepted => ok(
            "token_url",
            format!("{url} takes the client: a made-up code was refused for the code alone"),
        ),
        Verdict::ClientRefused(said) => error(
            format!("{url} refuses the client ({said})"),
            "client id, client secret or `client_auth` is wrong: compare all three with what the \
             provider shows",
        ),
        Verdict::RedirectUriRefused(said) => error(
            format!("{url} has another redirect URI registered ({said})"),
            &format!("register exactly {redirect_uri} there"),
        ),
        Verdict::Unclear(said) => warning(
            format!("{url} speaks OAuth, and says nothing of the client ({said})"),
            "connect somebody to see whether it works",
        ),
        Verdict::Redirects => error(
            format!("{url} redirects, which no token request follows"),
            by_docs,
        ),
        Verdict::NoTokenEndpoint(said) => error(
            format!("{url} answers with no OAuth error ({said}): probably not the token URL"),
            by_docs,
        ),
        Verdict::TakesAnything => warning(
            format!("{url} gave a token for a made-up code; it was thrown away"),
            "use such a provider for tests alone",
        ),
        Verdict::InTrouble(said) => warning(
            format!("{url} is busy or in trouble ({said})"),
            "try again later",
        ),
        Verdict::Unreached(said) => unreached("token_url", url, &said),
        Verdict::Forbidden(said) => not_allowed("token_url", url, &Error::Forbidden(said)),
    }
}
