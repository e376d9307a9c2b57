//! `strongroom dev`: a vault in memory, unlocked, with a sandbox provider inside, to look around.
//!
//! It promises: no file is written; loopback only; what programs need stands on the first lines of
//! standard output, then three commands to try.
//! It never: opens a data directory.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::args::{DEFAULT_LISTEN, listen};
use super::brand::BrandArgs;
use super::catalogue;
use super::descriptors::Shares;
use super::failure::Failure;
use super::output;
use super::sandbox::{Bound, CLIENT_ID, CLIENT_SECRET, loopback};
use super::server::{Server, Settings, block_on};
use crate::clock::Clock;
use crate::error::Result;
use crate::http::guard::page_origin;
use crate::http::listen::ListenAddress;
use crate::limits;
use crate::model::access::{Caller, Role};
use crate::model::app::{App, AppKind, Endpoints, OAuth};
use crate::model::link::Proof;
use crate::model::token::Grant;
use crate::model::url::WebUrl;
use crate::model::{Address, AppId, Owner, Scopes, UserId};
use crate::provider::egress::EgressSettings;
use crate::secret::{Secret, base64url, random};
use crate::vault::{NewCredential, NewKey, NewToken, Vault};

/// Arguments of `dev`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom dev\n  strongroom dev --listen 127.0.0.1:0")]
pub struct DevArgs {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN, value_parser = listen)]
    pub listen: ListenAddress,
    /// Origin of pages that may call from browsers, such as `http://localhost:3000` (repeatable).
    #[arg(long, value_name = "ORIGIN", value_parser = page_origin)]
    pub allow_origin: Vec<String>,
    /// Directory with templates of your own, `*.json`, beside the built-in ones.
    #[arg(long, env = "STRONGROOM_CATALOGUE", value_name = "DIR")]
    pub catalogue: Option<PathBuf>,
    /// Whose pages these are.
    #[command(flatten)]
    pub brand: BrandArgs,
}

/// Runs until the process is told to end.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(args: DevArgs) -> std::result::Result<(), Failure> {
    loopback(&args.listen)?;
    let shares = Shares::of_the_system(limits::CONNECTIONS_MAX, 2)?;
    let catalogue = catalogue::read(args.catalogue.as_deref())?;
    let brand = args.brand.read()?;
    let clock = Clock::system();
    let (vault, _) = Vault::in_memory(clock.clone())?;
    block_on(async move {
        let any_port = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let bound = Bound::new(&any_port, clock).await?;
        let provider = WebUrl::parse("issuer", &bound.issuer)?;
        let settings = Settings {
            listen: vec![args.listen],
            tls: None,
            behind_proxy: false,
            public_url: None,
            hosts: Vec::new(),
            pages: args.allow_origin,
            egress: EgressSettings {
                allowed_hosts: vec![provider.authority()],
                calls_max: shares.calls,
                ..EgressSettings::default()
            },
            connections_max: shares.connections,
            brand,
            remote_unlock: false,
            catalogue,
            // A terminal that is closed sends SIGHUP too, and then it is to end.
            reread_from: None,
        };
        let server = Server::bind(vault.clone(), settings).await?;
        for path in ["/callback/demo", "/v1/outbound/oauth/callback"] {
            let redirect_uri = format!("{}{path}", server.local_url);
            bound.sandbox.add_redirect_uri(CLIENT_ID, redirect_uri)?;
        }
        let key = furnish(&vault, &bound).await?;
        greet(&server.local_url, &bound.issuer, &key, &vault.project_id()?)?;
        let sandbox = tokio::spawn(bound.serve(std::future::pending()));
        let ended = server.run().await;
        sandbox.abort();
        Ok(ended?)
    })
}

/// Two apps, a connected user, and an access key.
async fn furnish(vault: &Vault, provider: &Bound) -> Result<Secret<String>> {
    let me = Caller::local();
    let oauth = app(vault, "demo", "Demo Calendar", demo(&provider.issuer)?)?;
    let secret = Secret::new(CLIENT_SECRET.into());
    vault.add_app(&me, oauth, Some(secret))?.await?;
    let keyed = app(vault, "weather", "Demo Weather", AppKind::ApiKey)?;
    vault.add_app(&me, keyed, None)?.await?;

    let issued = provider
        .sandbox
        .grant(CLIENT_ID, "alice", &["calendar.read"]);
    let scopes = Scopes::parse(["calendar.read"])?;
    let granted = NewCredential::Granted(Grant {
        access_token: issued.access_token,
        token_type: "Bearer".into(),
        refresh_token: Some(issued.refresh_token),
        id_token: None,
        expires_in_s: Some(issued.expires_in.as_secs()),
        scopes: Some(scopes.clone()),
        subject: Some("alice".into()),
        brought: Default::default(),
    });
    let token = of_alice("demo", scopes, granted)?;
    vault.store_token(&me, token)?.await?;
    let weather = Secret::new(format!("wx_{}", base64url(&random::<16>())));
    provider.sandbox.register_api_key("alice", &weather);
    let token = of_alice("weather", Scopes::default(), NewCredential::ApiKey(weather))?;
    vault.store_token(&me, token)?.await?;
    let new = NewKey {
        name: "dev".into(),
        role: Some(Role::Admin),
        connect_verify: vec![Proof::Code, Proof::None],
        ..NewKey::default()
    };
    Ok(vault.add_key(&me, new).await?.1)
}

fn app(vault: &Vault, id: &str, name: &str, kind: AppKind) -> Result<App> {
    let now = vault.clock().now();
    Ok(App {
        name: name.into(),
        ..App::of(AppId::parse(id)?, kind, now)
    })
}

fn of_alice(app: &str, scopes: Scopes, credential: NewCredential) -> Result<NewToken> {
    let address = Address {
        app: AppId::parse(app)?,
        owner: Owner::User(UserId::parse("alice")?),
        account: None,
        scopes,
    };
    Ok(NewToken::of(address, credential))
}

fn demo(issuer: &str) -> Result<AppKind> {
    let at = |path: &str| WebUrl::parse("endpoint", &format!("{issuer}{path}")).map(Some);
    Ok(AppKind::OAuth(Box::new(OAuth {
        issuer: Some(WebUrl::parse("issuer", issuer)?),
        by_hand: Endpoints {
            authorization_url: at("/authorize")?,
            token_url: at("/token")?,
            revocation_url: at("/revoke")?,
            ..Endpoints::default()
        },
        iss_advertised: true,
        scopes: Scopes::parse(["calendar.read"])?,
        ..OAuth::of(CLIENT_ID)
    })))
}

/// The first three lines are for programs; the rest is for people.
fn greet(
    url: &str,
    issuer: &str,
    key: &Secret<String>,
    project: &str,
) -> std::result::Result<(), Failure> {
    output::line(&format!("STRONGROOM_URL={url}"))?;
    output::line(&format!("STRONGROOM_KEY={}", key.expose()))?;
    output::line(&format!("STRONGROOM_PROJECT_ID={project}"))?;
    let ask = |body: &str| {
        format!(
            "curl -s {url}/v1/token -H 'Authorization: Bearer {}' \\\n       \
             -H 'Content-Type: application/json' -d '{body}'",
            key.expose()
        )
    };
    let fetch = ask(r#"{"app":"demo","user":"alice"}"#);
    let connect = ask(r#"{"app":"demo","user":"bob","connect":{}}"#);
    let text = format!(
        "
A vault in memory with a provider to try things on ({issuer}).
Nothing here outlives this process. `alice` is connected already. Three things to try in another
terminal:

  1. Fetch alice's access token. It lives for 30 seconds; ask again a little later and it has been
     refreshed, with no caller waiting for it:

       {fetch}

  2. Ask for bob, who has connected nothing: the answer holds a link for his browser and a code
     for its page (sign in as `bob`, no password). Then ask again:

       {connect}

  3. See what is stored, with nothing secret in it:

       curl -s {url}/v1/tokens -H 'Authorization: Bearer {}'

The same in a browser, signed in with the key above: {url}/console

Ctrl-C ends it.",
        key.expose()
    );
    output::line(&text)
}
