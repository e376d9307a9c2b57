//! The options of `key add` for a key that JWTs of an issuer stand for.
//!
//! It promises: without `--jwt-issuer` none of them is taken, so that no key is thought to be
//! guarded by what it is not.
//! It never: asks the issuer anything (the server does, when the first token comes).

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::web_url;
use crate::cli::output;
use crate::model::url::WebUrl;

/// Whose JWTs stand for the key. Then there is no key to be shown.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "For callers with a JWT")]
pub struct JwtArgs {
    /// Take JWTs of this issuer in the place of a key, exactly as their `iss` says it.
    #[arg(long, value_name = "URL")]
    pub jwt_issuer: Option<String>,
    /// Whom they are meant for, as their `aud` says it (repeatable).
    #[arg(long, value_name = "AUD", requires = "jwt_issuer")]
    pub jwt_audience: Vec<String>,
    /// Take those without an `aud` too. Any service that is shown one could bring it here.
    #[arg(long, requires = "jwt_issuer")]
    pub jwt_no_audience: bool,
    /// Where the issuer's keys are, where its metadata does not say.
    #[arg(long, value_name = "URL", value_parser = web_url, requires = "jwt_issuer")]
    pub jwks_url: Option<WebUrl>,
    /// The claim that names the user [default: sub]. Never one that users choose themselves.
    #[arg(long, value_name = "CLAIM", requires = "jwt_issuer")]
    pub user_claim: Option<String>,
    /// The claim that names the user's tenants [default: tenants].
    #[arg(long, value_name = "CLAIM", requires = "jwt_issuer")]
    pub tenants_claim: Option<String>,
    /// A scope that they must carry.
    #[arg(long, value_name = "SCOPE", requires = "jwt_issuer")]
    pub jwt_scope: Option<String>,
    /// Let users use the tokens of their tenants themselves, too.
    #[arg(long, requires = "jwt_issuer")]
    pub tenant_tokens: bool,
}

impl JwtArgs {
    /// The rule as the server takes it; nothing where there is no issuer.
    pub fn rule(&self) -> Option<Value> {
        let issuer = self.jwt_issuer.as_ref()?;
        let mut rule = json!({
            "issuer": issuer,
            "audiences": self.jwt_audience,
            "no_audience": self.jwt_no_audience,
            "tenant_tokens": self.tenant_tokens,
        });
        let url = self.jwks_url.as_ref().map(WebUrl::as_str);
        for (name, value) in [
            ("jwks_url", url),
            ("user_claim", self.user_claim.as_deref()),
            ("tenants_claim", self.tenants_claim.as_deref()),
            ("scope", self.jwt_scope.as_deref()),
        ] {
            if let Some(value) = value {
                rule[name] = json!(value);
            }
        }
        Some(rule)
    }
}

/// Who may present a key, as people read it: `JWTs of https://idp.example for vault, scope x`.
pub fn in_words(rule: &Value) -> String {
    if rule.is_null() {
        return "its holder".into();
    }
    let mut words = format!("JWTs of {}", output::cell(&rule["issuer"]));
    let audiences = rule["audiences"].as_array().into_iter().flatten();
    let mut audiences: Vec<String> = audiences.map(output::cell).collect();
    if rule["no_audience"] == true {
        audiences.push("nobody in particular".into());
    }
    words.push_str(&format!(" for {}", audiences.join(", ")));
    if let Some(scope) = rule["scope"].as_str() {
        words.push_str(&format!(" with {scope}"));
    }
    if rule["tenant_tokens"] == true {
        words.push_str(", tenants' tokens too");
    }
    words
}
