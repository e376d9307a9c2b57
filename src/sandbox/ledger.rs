//! Who was granted what: codes, grants, access tokens and refresh tokens, and the rules they obey.
//!
//! It promises:
//! 1. a code is redeemed once; a second time revokes what the first brought (RFC 6749 4.1.2);
//! 2. a refresh token used outside its rotation's rule revokes its whole grant (RFC 9700 4.14.2);
//! 3. nothing of a revoked grant works, whatever its own expiry;
//! 4. tokens are kept as fingerprints only.
//!
//! It never: reads a clock or speaks HTTP; `now` is an argument.

use std::time::Duration;

use super::rules::{Refusal, Shaping, check_verifier, narrow, shrink};
use super::settings::{Rotation, Settings};
use super::shelf::{Fingerprint, Shelf};
use crate::clock::Timestamp;
use crate::limits;
use crate::secret::{Secret, base64url, random};

/// Codes, grants and tokens.
pub(super) struct Ledger {
    pub(super) access_token_life: Duration,
    pub(super) refresh_token_life: Option<Duration>,
    pub(super) rotation: Rotation,
    codes: Shelf<Fingerprint, Code>,
    grants: Shelf<u64, Grant>,
    refresh_tokens: Shelf<Fingerprint, RefreshToken>,
    access_tokens: Shelf<Fingerprint, AccessToken>,
    next_grant: u64,
}

/// What a person allowed: the content of a code.
pub(super) struct Approval {
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) scopes: Vec<String>,
    /// As the authorization request had it; then the token request must repeat it.
    pub(super) redirect_uri: Option<String>,
    /// The PKCE challenge, S256.
    pub(super) challenge: Option<String>,
    /// OpenID's `nonce`, for the id token.
    pub(super) nonce: Option<String>,
}

struct Code {
    approval: Approval,
    expires_at: Timestamp,
    /// What it brought, once redeemed.
    grant: Option<u64>,
}

struct Grant {
    client_id: String,
    user: String,
    scopes: Vec<String>,
    revoked: bool,
    /// Access tokens numbered below this are no longer accepted.
    access_tokens_from: u64,
    access_tokens_issued: u64,
}

struct RefreshToken {
    grant: u64,
    /// The one whose use brought this one.
    parent: Option<Fingerprint>,
    /// From here on its use is a reuse.
    dead_from: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

struct AccessToken {
    grant: u64,
    number: u64,
    scopes: Vec<String>,
    expires_at: Timestamp,
}

/// What was issued.
pub(super) struct Issue {
    pub(super) access_token: Secret<String>,
    pub(super) refresh_token: Option<Secret<String>>,
    pub(super) expires_in: Duration,
    pub(super) scopes: Vec<String>,
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) nonce: Option<String>,
}

/// A live token, as the API and introspection see it.
pub(super) struct Live<'a> {
    pub(super) client_id: &'a str,
    pub(super) user: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) expires_at: Option<Timestamp>,
    pub(super) is_refresh_token: bool,
}

/// A request to redeem a code.
pub(super) struct Redemption<'a> {
    pub(super) client_id: &'a str,
    pub(super) code: &'a str,
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) verifier: Option<&'a str>,
}

impl Ledger {
    /// An empty ledger under these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            access_token_life: settings.access_token_life,
            refresh_token_life: settings.refresh_token_life,
            rotation: settings.rotation,
            codes: Shelf::new(limits::SANDBOX_VISITS_MAX),
            grants: Shelf::new(limits::SANDBOX_GRANTS_MAX),
            refresh_tokens: Shelf::new(limits::SANDBOX_TOKENS_MAX),
            access_tokens: Shelf::new(limits::SANDBOX_TOKENS_MAX),
            next_grant: 0,
        }
    }

    /// Makes a code of what a person allowed.
    pub(super) fn code(&mut self, now: Timestamp, approval: Approval) -> Secret<String> {
        let code = mint("sbx_code_");
        self.codes.put(
            Fingerprint::of(code.expose()),
            Code {
                approval,
                expires_at: now.plus(limits::SANDBOX_CODE_LIFE),
                grant: None,
            },
        );
        code
    }

    /// Redeems a code.
    pub(super) fn redeem(
        &mut self,
        now: Timestamp,
        asked: &Redemption<'_>,
        shaping: &Shaping,
    ) -> Result<Issue, Refusal> {
        let fingerprint = Fingerprint::of(asked.code);
        let code = self
            .codes
            .get(&fingerprint)
            .filter(|code| code.approval.client_id == asked.client_id)
            .ok_or(Refusal::grant("no such code was issued to this client"))?;
        if let Some(grant) = code.grant {
            self.revoke_grant(grant);
            return Err(Refusal::reuse("this code was redeemed before"));
        }
        if now >= code.expires_at {
            return Err(Refusal::grant("this code has expired"));
        }
        if let Some(given) = &code.approval.redirect_uri
            && asked.redirect_uri != Some(given)
        {
            return Err(Refusal::grant("`redirect_uri` differs from the request's"));
        }
        check_verifier(code.approval.challenge.as_deref(), asked.verifier)?;
        let (user, nonce) = (code.approval.user.clone(), code.approval.nonce.clone());
        let scopes = code.approval.scopes.clone();
        let grant = self.open_grant(asked.client_id, &user, scopes.clone());
        if let Some(code) = self.codes.get_mut(&fingerprint) {
            code.grant = Some(grant);
        }
        let refresh_token =
            (!shaping.no_refresh_token).then(|| self.refresh_token(now, grant, None));
        let mut issue = self.issue(now, grant, shrink(scopes, shaping), refresh_token)?;
        issue.nonce = nonce;
        Ok(issue)
    }

    /// Refreshes: a new access token for a refresh token. `scope` narrows, if given.
    pub(super) fn refresh(
        &mut self,
        now: Timestamp,
        client_id: &str,
        token: &str,
        scope: Option<&str>,
        shaping: &Shaping,
    ) -> Result<Issue, Refusal> {
        let fingerprint = Fingerprint::of(token);
        let presented = self
            .refresh_tokens
            .get(&fingerprint)
            .ok_or(Refusal::grant("no such refresh token"))?;
        let number = presented.grant;
        let grant = self
            .grants
            .get(&number)
            .filter(|grant| grant.client_id == client_id)
            .ok_or(Refusal::grant("this refresh token is not this client's"))?;
        if grant.revoked {
            return Err(Refusal::grant("this grant was revoked"));
        }
        if presented.dead_from.is_some_and(|moment| now >= moment) {
            self.revoke_grant(number);
            return Err(Refusal::reuse("this refresh token was used before"));
        }
        if presented.expires_at.is_some_and(|moment| now >= moment) {
            return Err(Refusal::grant("this refresh token has expired"));
        }
        let scopes = narrow(&grant.scopes, scope)?;
        let next = if shaping.no_refresh_token {
            None
        } else {
            Some(self.rotate(now, number, token, fingerprint))
        };
        self.issue(now, number, shrink(scopes, shaping), next)
    }

    /// Opens a grant outside any flow and issues its first tokens.
    pub(super) fn seed(
        &mut self,
        now: Timestamp,
        client_id: &str,
        user: &str,
        scopes: Vec<String>,
    ) -> (Secret<String>, Secret<String>) {
        let grant = self.open_grant(client_id, user, scopes.clone());
        let refresh_token = self.refresh_token(now, grant, None);
        (self.access_token(now, grant, scopes), refresh_token)
    }

    /// Looks a token up; `None` where it would not be accepted.
    pub(super) fn live(&self, now: Timestamp, token: &str) -> Option<Live<'_>> {
        let fingerprint = Fingerprint::of(token);
        if let Some(token) = self.access_tokens.get(&fingerprint) {
            let grant = self
                .grants
                .get(&token.grant)
                .filter(|grant| !grant.revoked)?;
            if now >= token.expires_at || token.number < grant.access_tokens_from {
                return None;
            }
            return Some(Live {
                client_id: &grant.client_id,
                user: &grant.user,
                scopes: &token.scopes,
                expires_at: Some(token.expires_at),
                is_refresh_token: false,
            });
        }
        let token = self.refresh_tokens.get(&fingerprint)?;
        let grant = self
            .grants
            .get(&token.grant)
            .filter(|grant| !grant.revoked)?;
        let ended = |moment: Option<Timestamp>| moment.is_some_and(|moment| now >= moment);
        if ended(token.dead_from) || ended(token.expires_at) {
            return None;
        }
        Some(Live {
            client_id: &grant.client_id,
            user: &grant.user,
            scopes: &grant.scopes,
            expires_at: token.expires_at,
            is_refresh_token: true,
        })
    }

    /// Revokes a token (RFC 7009): a refresh token with its whole grant, an access token alone.
    /// Answers whether there was anything to revoke.
    pub(super) fn revoke(&mut self, client_id: &str, token: &str) -> Result<bool, Refusal> {
        let fingerprint = Fingerprint::of(token);
        let refresh_token = self.refresh_tokens.get(&fingerprint).map(|it| it.grant);
        let access_token = self.access_tokens.get(&fingerprint).map(|it| it.grant);
        let Some(number) = refresh_token.or(access_token) else {
            return Ok(false);
        };
        if self
            .grants
            .get(&number)
            .is_some_and(|grant| grant.client_id != client_id)
        {
            return Err(Refusal::new(
                "unauthorized_client",
                "this token was issued to another client",
            ));
        }
        if refresh_token.is_some() {
            self.revoke_grant(number);
        } else {
            self.access_tokens.take(&fingerprint);
        }
        Ok(true)
    }

    /// Revokes every grant of a user.
    pub(super) fn revoke_user(&mut self, user: &str) {
        for grant in self.grants.values_mut().filter(|grant| grant.user == user) {
            grant.revoked = true;
        }
    }

    /// Refuses every access token a user has; the refresh tokens go on working.
    pub(super) fn refuse_access_tokens(&mut self, user: &str) {
        for grant in self.grants.values_mut().filter(|grant| grant.user == user) {
            grant.access_tokens_from = grant.access_tokens_issued;
        }
    }

    fn revoke_grant(&mut self, number: u64) {
        if let Some(grant) = self.grants.get_mut(&number) {
            grant.revoked = true;
        }
    }

    fn open_grant(&mut self, client_id: &str, user: &str, scopes: Vec<String>) -> u64 {
        let number = self.next_grant;
        self.next_grant += 1;
        self.grants.put(
            number,
            Grant {
                client_id: client_id.to_owned(),
                user: user.to_owned(),
                scopes,
                revoked: false,
                access_tokens_from: 0,
                access_tokens_issued: 0,
            },
        );
        number
    }

    /// Marks what a use makes of the presented token and its parent, and answers the token that the
    /// client is to use from now on.
    fn rotate(
        &mut self,
        now: Timestamp,
        grant: u64,
        token: &str,
        fingerprint: Fingerprint,
    ) -> Secret<String> {
        let (ended, from) = match self.rotation {
            Rotation::Off => return Secret::new(token.to_owned()),
            Rotation::On { grace } => (Some(fingerprint), now.plus(grace)),
            Rotation::PreviousUntilNewUsed => {
                let presented = self.refresh_tokens.get(&fingerprint);
                (presented.and_then(|presented| presented.parent), now)
            }
        };
        if let Some(ended) = ended.and_then(|ended| self.refresh_tokens.get_mut(&ended)) {
            ended.dead_from.get_or_insert(from);
        }
        self.refresh_token(now, grant, Some(fingerprint))
    }

    fn refresh_token(
        &mut self,
        now: Timestamp,
        grant: u64,
        parent: Option<Fingerprint>,
    ) -> Secret<String> {
        let token = mint("sbx_rt_");
        self.refresh_tokens.put(
            Fingerprint::of(token.expose()),
            RefreshToken {
                grant,
                parent,
                dead_from: None,
                expires_at: self.refresh_token_life.map(|life| now.plus(life)),
            },
        );
        token
    }

    fn access_token(&mut self, now: Timestamp, number: u64, scopes: Vec<String>) -> Secret<String> {
        let token = mint("sbx_at_");
        let issued = self.grants.get_mut(&number).map_or(0, |grant| {
            grant.access_tokens_issued += 1;
            grant.access_tokens_issued - 1
        });
        self.access_tokens.put(
            Fingerprint::of(token.expose()),
            AccessToken {
                grant: number,
                number: issued,
                scopes,
                expires_at: now.plus(self.access_token_life),
            },
        );
        token
    }

    fn issue(
        &mut self,
        now: Timestamp,
        number: u64,
        scopes: Vec<String>,
        refresh_token: Option<Secret<String>>,
    ) -> Result<Issue, Refusal> {
        let access_token = self.access_token(now, number, scopes.clone());
        let grant = self
            .grants
            .get(&number)
            .ok_or(Refusal::grant("this grant is no longer known"))?;
        Ok(Issue {
            access_token,
            refresh_token,
            expires_in: self.access_token_life,
            scopes,
            client_id: grant.client_id.clone(),
            user: grant.user.clone(),
            nonce: None,
        })
    }
}

/// A new token: a prefix that says what it is, and 256 bits of chance.
pub(super) fn mint(prefix: &str) -> Secret<String> {
    Secret::new(format!("{prefix}{}", base64url(&random::<32>())))
}
