//! An app's settings as arguments, and as the body of a request.
//!
//! It promises: a body made of an answer holds what goes in and nothing of what only comes out.
//! It never: holds a client secret; that is added on the line that sends it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::args::{pair, span};
use crate::cli::failure::Failure;
use crate::http::wire::apps::INPUTS;
use crate::limits;

/// What an app can be told. Everything is optional: the server says what is missing.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// What people see; the id unless given.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// OAuth tokens or static API keys.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<Kind>,
    /// What it is for, shown to people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A picture's URL, kept for consoles that show one.
    #[arg(long, value_name = "URL")]
    pub logo: Option<String>,
    /// The remote MCP server it is of, by its URL: all else is found out, and Strongroom registers
    /// itself where no client id is given.
    #[arg(long = "mcp", value_name = "URL")]
    pub server_url: Option<String>,
    /// How to come by a client id at an MCP server's authorization server.
    #[arg(long, value_name = "HOW")]
    pub registration: Option<Registration>,
    /// What tokens are for (RFC 8707), sent with every request: a URL, or `omit` for MCP servers
    /// that refuse it.
    #[arg(long, value_name = "URL")]
    pub resource: Option<String>,
    /// The client id registered at the provider.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// File with the client secret (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// How the client proves itself at the token endpoint.
    #[arg(long, value_name = "HOW")]
    pub client_auth: Option<Auth>,
    /// The authorization server, where its metadata has the endpoints.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Where people's browsers are sent. Wins over the metadata.
    #[arg(long, value_name = "URL")]
    pub authorization_url: Option<String>,
    /// Where codes and refresh tokens are redeemed. Wins over the metadata.
    #[arg(long, value_name = "URL")]
    pub token_url: Option<String>,
    /// Where refresh tokens are redeemed, if elsewhere.
    #[arg(long, value_name = "URL")]
    pub refresh_url: Option<String>,
    /// Where tokens are revoked (RFC 7009). Wins over the metadata.
    #[arg(long, value_name = "URL")]
    pub revocation_url: Option<String>,
    /// A scope to ask for, unless a connect link names others (repeatable).
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// What stands between scopes in a request: a space, unless the provider wants another.
    #[arg(long, value_name = "TEXT")]
    pub scope_separator: Option<String>,
    /// Extra parameter of the authorization request (repeatable).
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
    /// Extra parameter of every token request (repeatable).
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub token_param: Vec<(String, String)>,
    /// Whether to send PKCE (S256). Only for providers that refuse it: `false`.
    #[arg(long, value_name = "BOOL")]
    pub pkce: Option<bool>,
    /// Where the provider sends people back to: the app's own redirect URI, or the shared one.
    #[arg(long, value_name = "WHICH")]
    pub callback: Option<Callback>,
    /// Life of an access token where the provider names none: 90s, 10m, 12h, 30d.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub default_lifetime: Option<Duration>,
    /// Where people may be sent back to after connecting, exactly (repeatable).
    #[arg(long, value_name = "URL")]
    pub return_url: Vec<String>,
    /// What a variable of the service is, such as its region (repeatable).
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub value: Vec<(String, String)>,
    /// JSON file of further settings, named as in `app show --json` (`-`: standard input).
    ///
    /// For what has no option: `dialect`, `api`, `fields`, `variables`. Options win over it.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// What kind of credential an app's tokens are.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Tokens from an OAuth authorization server.
    Oauth,
    /// Static keys.
    ApiKey,
}

/// How to come by a client id.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Registration {
    /// The URL of a document that Strongroom serves where that is taken, else dynamically.
    Auto,
    /// Dynamically (RFC 7591): where the server cannot reach this Strongroom.
    Dynamic,
}

/// Which redirect URI is an app's.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Callback {
    /// `/callback/APP`. An answer of one provider never passes for another's (RFC 9700 4.4).
    Own,
    /// `/v1/outbound/oauth/callback`, one for all apps: registered already by who used Descope.
    Shared,
}

/// How the client proves itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Auth {
    /// HTTP Basic, id and secret form-encoded first (RFC 6749 2.3.1).
    Basic,
    /// HTTP Basic, id and secret as they are.
    BasicRaw,
    /// Id and secret in the body.
    Post,
    /// A public client, without a secret.
    None,
}

/// Empties a setting.
///
/// # Errors
/// Wrong use, where there is no such setting.
pub fn clear(body: &mut Value, name: &str) -> Result<(), Failure> {
    let settable: Vec<&str> = INPUTS
        .into_iter()
        .filter(|known| !["id", "kind", "name"].contains(known))
        .collect();
    if !settable.contains(&name) {
        return Err(Failure::usage(
            format!("there is no setting `{name}` to clear"),
            format!("it is one of: {}", settable.join(", ")),
        ));
    }
    match name {
        // An absent secret means: keep the old one. So does an absent client id of an MCP server's.
        "client_secret" => body[name] = json!(""),
        "client_id" if body["server_url"].is_string() => body[name] = json!(""),
        _ => _ = body.as_object_mut().and_then(|fields| fields.remove(name)),
    }
    Ok(())
}

/// The settings of the file that was named; none where none was.
///
/// # Errors
/// Wrong use, where it cannot be read, is too long, or is no JSON object.
pub fn read_file(given: &SettingArgs) -> Result<Value, Failure> {
    let Some(path) = &given.settings else {
        return Ok(json!({}));
    };
    let is_stdin = path.as_os_str() == "-";
    if is_stdin && given.client_secret_file.as_ref() == Some(path) {
        return Err(Failure::usage(
            "standard input cannot hold both the settings and the client secret",
            "give one of them in a file",
        ));
    }
    let most = limits::CLIENT_SETTINGS_FILE_BYTES_MAX;
    let mut text = String::new();
    let read = match is_stdin {
        true => io::stdin().lock().take(most + 1).read_to_string(&mut text),
        false => File::open(path).and_then(|file| file.take(most + 1).read_to_string(&mut text)),
    };
    let shown = path.display();
    let read = read.map_err(|error| {
        Failure::usage(
            format!("cannot read the settings from {shown}: {error}"),
            "check the file's name and permissions",
        )
    })?;
    if read as u64 > most {
        return Err(Failure::usage(
            format!("the settings are longer than {most} bytes"),
            "check that it is the right file",
        ));
    }
    match serde_json::from_str(&text) {
        Ok(settings @ Value::Object(_)) => Ok(settings),
        Ok(_) => Err(Failure::usage(
            format!("{shown} holds no JSON object"),
            "write the settings as `app show --json` does",
        )),
        Err(error) => Err(Failure::usage(
            format!("{shown} is not valid JSON: {error}"),
            "write the settings as `app show --json` does",
        )),
    }
}

/// Writes the settings that were given into a body.
pub fn apply(body: &mut Value, given: &SettingArgs) {
    let kind = given.kind.map(|kind| match kind {
        Kind::Oauth => "oauth".to_owned(),
        Kind::ApiKey => "api_key".to_owned(),
    });
    let auth = given.client_auth.map(|auth| match auth {
        Auth::Basic => "basic".to_owned(),
        Auth::BasicRaw => "basic_raw".to_owned(),
        Auth::Post => "post".to_owned(),
        Auth::None => "none".to_owned(),
    });
    let callback = given.callback.map(|callback| match callback {
        Callback::Own => "own".to_owned(),
        Callback::Shared => "shared".to_owned(),
    });
    let registration = given.registration.map(|how| match how {
        Registration::Auto => "auto".to_owned(),
        Registration::Dynamic => "dynamic".to_owned(),
    });
    let texts = [
        ("name", &given.name),
        ("kind", &kind),
        ("description", &given.description),
        ("logo", &given.logo),
        ("server_url", &given.server_url),
        ("registration", &registration),
        ("resource", &given.resource),
        ("client_id", &given.client_id),
        ("client_auth", &auth),
        ("callback", &callback),
        ("issuer", &given.issuer),
        ("authorization_url", &given.authorization_url),
        ("token_url", &given.token_url),
        ("refresh_url", &given.refresh_url),
        ("revocation_url", &given.revocation_url),
        ("scope_separator", &given.scope_separator),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body[name] = json!(text);
        }
    }
    for (name, list) in [("scopes", &given.scope), ("return_urls", &given.return_url)] {
        if !list.is_empty() {
            body[name] = json!(list);
        }
    }
    for (name, pairs) in [
        ("authorization_params", &given.param),
        ("token_params", &given.token_param),
    ] {
        if !pairs.is_empty() {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)));
            body[name] = Value::Object(pairs.collect());
        }
    }
    for (name, value) in &given.value {
        body["values"][name] = json!(value);
    }
    if let Some(pkce) = given.pkce {
        body["pkce"] = json!(pkce);
    }
    if let Some(life) = given.default_lifetime {
        body["default_lifetime_s"] = json!(life.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_setting_is_left_out_and_a_cleared_secret_is_empty() {
        let mut body = json!({"server_url": "https://m.example", "client_id": "c"});
        clear(&mut body, "client_id").unwrap();
        assert_eq!(body["client_id"], "", "it is to be registered anew");
        let mut body = json!({"id": "a", "scopes": ["x"], "client_id": "c"});
        clear(&mut body, "client_id").unwrap();
        clear(&mut body, "scopes").unwrap();
        clear(&mut body, "client_secret").unwrap();
        assert_eq!(body, json!({"id": "a", "client_secret": ""}));
        assert!(clear(&mut body, "id").is_err());
    }
}
