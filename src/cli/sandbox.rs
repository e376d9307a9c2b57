//! `strongroom sandbox`: the sandbox provider alone.
//!
//! It promises: loopback only; what a client needs to know is printed first.
//! It never: is a provider for anything real.

use std::time::Duration;

use clap::Args;

use super::args::listen;
use super::failure::Failure;
use super::output;
use super::server::block_on;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::http::listen::ListenAddress;
use crate::sandbox::{Client, ClientAuth, Sandbox, Settings, User};
use crate::secret::Secret;

/// Arguments of `sandbox`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom sandbox --listen 127.0.0.1:7421")]
pub struct SandboxArgs {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7421", value_parser = listen)]
    pub listen: ListenAddress,
}

/// The demo client. Known to everybody, and good for nothing but the sandbox.
pub const CLIENT_ID: &str = "demo-client";
/// Its secret, which is none.
pub const CLIENT_SECRET: &str = "demo-secret";
/// Life of an access token: short, so that refreshing can be watched.
const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(30);

/// A sandbox bound to a loopback address.
pub struct Bound {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Its issuer, which is its address.
    pub issuer: String,
    listener: tokio::net::TcpListener,
}

impl Bound {
    /// Binds a sandbox with the demo client and the people `alice` and `bob`, who sign in by name
    /// alone.
    ///
    /// # Errors
    /// [`Error::Settings`] for an address that is not loopback or cannot be had.
    pub async fn new(listen: &ListenAddress, clock: Clock) -> Result<Self> {
        let address = loopback(listen)?;
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|error| Error::Settings(format!("cannot listen on {address}: {error}")))?;
        let bound = listener
            .local_addr()
            .map_err(|error| Error::Settings(format!("cannot listen on {address}: {error}")))?;
        let issuer = format!("http://{bound}");
        let mut settings = Settings::new(&issuer);
        settings.access_token_life = ACCESS_TOKEN_LIFE;
        settings.default_scopes = vec!["calendar.read".into()];
        settings.clients = vec![Client {
            id: CLIENT_ID.into(),
            secret: Some(Secret::new(CLIENT_SECRET.into())),
            redirect_uris: Vec::new(),
            auth: ClientAuth::Any,
        }];
        let person = |name: &str| User {
            name: name.into(),
            password: None,
        };
        settings.users = vec![person("alice"), person("bob")];
        Ok(Self {
            sandbox: Sandbox::new(settings, clock),
            issuer,
            listener,
        })
    }

    /// Serves until `shutdown` comes.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        self.sandbox.serve(self.listener, shutdown).await;
    }
}

/// The address of a loopback listener; nothing else will do for a provider anybody may use.
///
/// # Errors
/// [`Error::Settings`].
pub fn loopback(listen: &ListenAddress) -> Result<std::net::SocketAddr> {
    match listen {
        ListenAddress::Tcp(address) if address.ip().is_loopback() => Ok(*address),
        _ => Err(Error::Settings(
            "this is for development and listens on a loopback address only".into(),
        )),
    }
}

/// Serves until the process is told to end.
///
/// # Errors
/// [`Error::Settings`].
pub fn run(args: SandboxArgs) -> std::result::Result<(), Failure> {
    block_on(async move {
        let told = super::server::told_to_end()?;
        let bound = Bound::new(&args.listen, Clock::system()).await?;
        // Any callback of this machine, as a person tries things out with it.
        for port in [7420, 8080, 3000] {
            let uri = format!("http://127.0.0.1:{port}/callback/demo");
            bound.sandbox.add_redirect_uri(CLIENT_ID, uri)?;
        }
        output::note(&format!("issuer         {}", bound.issuer));
        output::note(&format!("client id      {CLIENT_ID}"));
        output::note(&format!("client secret  {CLIENT_SECRET}"));
        output::note("redirect URI   http://127.0.0.1:7420/callback/demo");
        output::note("people         alice, bob (no password)");
        bound.serve(told).await;
        Ok(())
    })
}
