//! Tokens that are fetched and deleted.
//!
//! It promises: a level is what the path says, and never what a request leaves out.
//! It never: writes a time that is not there, or a number for one that is.

use serde::{Deserialize, Serialize};

use super::super::failure::{Failure, Result};
use super::{is_absent, needed, text};
use crate::clock::Timestamp;
use crate::http::answer::Answer;
use crate::http::app::Call;
use crate::http::routes::descope::{Level, Pick};
use crate::http::wire::ok;
use crate::limits;
use crate::model::{Account, AppId, Owner, Scopes, TenantId, TokenId, UserId};
use crate::refresh::TokenAsk;
use crate::vault::{Ask, Filter, Handed};

/// A fetch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchRequest {
    #[serde(default, deserialize_with = "text")]
    app_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    external_identifier: Option<String>,
    #[serde(default)]
    scopes: Option<Vec<Option<String>>>,
    #[serde(default)]
    options: Option<FetchOptions>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FetchOptions {
    #[serde(default)]
    with_refresh_token: Option<bool>,
    /// The same, as the README of one of the SDKs has it.
    #[serde(default)]
    refresh_token: Option<bool>,
    #[serde(default)]
    force_refresh: Option<bool>,
}

impl FetchRequest {
    /// Reads it as what the flows take.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn into_ask(self, level: Level, pick: Pick) -> Result<TokenAsk> {
        let options = self.options.unwrap_or_default();
        let wanted = |flag: Option<bool>| flag.unwrap_or(false);
        let scopes = match pick {
            Pick::ByScopes => scopes(self.scopes)?,
            Pick::Latest => Scopes::default(),
        };
        Ok(TokenAsk {
            ask: Ask {
                app: AppId::parse(needed(self.app_id, "appId")?)?,
                owner: owner(level, self.tenant_id, self.user_id)?,
                account: account(self.external_identifier)?,
                scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
                min_ttl: limits::MIN_TTL_DEFAULT,
                with_refresh_token: wanted(options.with_refresh_token)
                    || wanted(options.refresh_token),
            },
            force: wanted(options.force_refresh),
            rejected: None,
        })
    }
}

/// Whose token is meant at this level.
///
/// # Errors
/// A failure that names the field.
pub fn owner(level: Level, tenant: Option<String>, user: Option<String>) -> Result<Owner> {
    let tenant_id = |tenant: String| TenantId::parse(tenant);
    match level {
        Level::Tenant => Ok(Owner::Tenant(tenant_id(needed(tenant, "tenantId")?)?)),
        Level::User => {
            let user = UserId::parse(needed(user, "userId")?)?;
            Ok(Owner::new(tenant.map(tenant_id).transpose()?, Some(user))?)
        }
    }
}

/// Which of the owner's accounts is meant.
///
/// # Errors
/// A failure that says what is wrong with it.
pub fn account(text: Option<String>) -> Result<Option<Account>> {
    Ok(text.map(Account::parse).transpose()?)
}

/// The scopes of a request; what is no scope in the list is overlooked.
///
/// # Errors
/// A failure that says what is wrong with them.
pub fn scopes(said: Option<Vec<Option<String>>>) -> Result<Scopes> {
    let said = said.unwrap_or_default().into_iter().flatten();
    Ok(Scopes::parse(said.filter(|scope| !is_absent(scope)))?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenShape<'a> {
    id: TokenId,
    app_id: &'a AppId,
    user_id: &'a str,
    tenant_id: &'a str,
    token_sub: &'a str,
    access_token: &'a str,
    access_token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_expiry: Option<String>,
    has_refresh_token: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refresh_time: Option<String>,
    last_refresh_error: String,
    scopes: &'a Scopes,
    granted_by: &'a str,
    external_identifier: &'a str,
}

#[derive(Serialize)]
struct FetchedShape<'a> {
    token: TokenShape<'a>,
}

/// The answer that hands a credential out.
pub fn handed(ask: &Ask, found: &Handed) -> Answer {
    let error = found.last_refresh_error.as_ref();
    let error = error.map(|error| match error.description.as_str() {
        "" => error.code.clone(),
        description => format!("{}: {description}", error.code),
    });
    let token = TokenShape {
        id: found.id,
        app_id: &ask.app,
        user_id: ask.owner.user().map_or("", UserId::as_str),
        tenant_id: ask.owner.tenant().map_or("", TenantId::as_str),
        token_sub: found.subject.as_deref().unwrap_or_default(),
        access_token: found.value.expose(),
        access_token_type: &found.token_type,
        access_token_expiry: found.expires_at.map(in_digits),
        has_refresh_token: found.has_refresh_token,
        refresh_token: found
            .refresh_token
            .as_ref()
            .map(|token| token.expose().as_str()),
        last_refresh_time: found.last_refreshed_at.map(in_digits),
        last_refresh_error: error.unwrap_or_default(),
        scopes: &found.scopes,
        granted_by: &found.granted_by,
        external_identifier: found.account.as_ref().map_or("", Account::as_str),
    };
    ok(&FetchedShape { token })
}

/// A moment in whole seconds, as the text that a 64-bit number is on this wire.
fn in_digits(at: Timestamp) -> String {
    (at.unix_ms() / 1000).to_string()
}

/// The tokens that a deletion names: of users, by app or by user or both. A tenant narrows it.
///
/// # Errors
/// A failure where neither is there, or something else is: overlooked, it would widen what is
/// meant.
pub fn filter(call: &Call) -> Result<Filter> {
    call.takes(&["appId", "userId", "tenantId"])?;
    let filter = Filter {
        app: call.optional("appId").map(AppId::parse).transpose()?,
        user: call.optional("userId").map(UserId::parse).transpose()?,
        tenant: call.optional("tenantId").map(TenantId::parse).transpose()?,
        of_users: true,
        ..Filter::default()
    };
    match (&filter.app, &filter.user) {
        (None, None) => Err(Failure::missing("appId` or `userId")),
        _ => Ok(filter),
    }
}

/// The token that a deletion names.
///
/// # Errors
/// A failure where none is named. What is no id is answered like one that is not there.
pub fn token_id(call: &Call) -> Result<TokenId> {
    call.takes(&["id"])?;
    let id = needed(call.optional("id"), "id")?;
    TokenId::parse(id).ok_or_else(|| crate::error::Error::NotFound("token").into())
}

/// The user, in a tenant or in none, that a query names.
///
/// # Errors
/// A failure where none is named.
pub fn owner_in_query(call: &Call) -> Result<Owner> {
    let said = |name| call.optional(name).map(str::to_owned);
    owner(Level::User, said("tenantId"), said("userId"))
}
