//! Where settings become rooms: vault, provider, flows, scheduler and endpoint, put together once.
//!
//! It promises: everything that can be refused is refused before the first request is served; on
//! SIGTERM or SIGINT open requests and refreshes in flight are finished, then the vault is closed
//! and its error, if any, reported.
//! It never: decides what a request may do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::catalogue;
use crate::bearer::Issuers;
use crate::connect::Connect;
use crate::error::{Error, Result};
use crate::http::app::{App, Parts};
use crate::http::guard::HostRule;
use crate::http::listen::{self, Exposure, ListenAddress, Listener, Tls};
use crate::http::look::{Brand, Look};
use crate::http::serve::{ServeSettings, serve};
use crate::model::url::WebUrl;
use crate::provider::Provider;
use crate::provider::catalogue::Catalogue;
use crate::provider::egress::EgressSettings;
use crate::refresh::Refresher;
use crate::vault::Vault;

/// How a server is reached, and what it may reach.
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<ListenAddress>,
    /// Our side of TLS.
    pub tls: Option<Tls>,
    /// A proxy of the operator's ends TLS.
    pub behind_proxy: bool,
    /// Where browsers reach us; the first address unless said.
    pub public_url: Option<WebUrl>,
    /// More names to answer under.
    pub hosts: Vec<String>,
    /// Origins of pages elsewhere that may call from browsers.
    pub pages: Vec<String>,
    /// What may be reached.
    pub egress: EgressSettings,
    /// Connections at one time.
    pub connections_max: usize,
    /// Whose pages these are.
    pub brand: Brand,
    /// Other machines may unlock.
    pub remote_unlock: bool,
    /// What apps are made of.
    pub catalogue: Catalogue,
    /// Where it is read again on SIGHUP.
    pub reread_from: Option<PathBuf>,
}

/// A server that is bound and not yet serving.
pub struct Server {
    /// Where browsers reach us.
    pub public_url: WebUrl,
    /// Where programs of this machine reach us.
    pub local_url: String,
    /// Keeps tokens fresh.
    pub refresher: Refresher,
    app: App,
    connect: Connect,
    listeners: Vec<Listener>,
    settings: ServeSettings,
    vault: Vault,
    reread: Option<(PathBuf, Signal)>,
    told: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Builds a runtime and runs `work` on it.
///
/// # Errors
/// [`Error::Settings`] where the system gives no threads; the work's.
pub fn block_on<T, E: From<Error>>(
    work: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Settings(format!("cannot start: {error}")))?
        .block_on(work)
}

impl Server {
    /// Binds the addresses and puts the rooms together.
    ///
    /// # Errors
    /// [`Error::Settings`] for an address that cannot be had or must not be used as it is.
    pub async fn bind(vault: Vault, wanted: Settings) -> Result<Self> {
        // Heard from before anybody is told where we listen: whoever then says "end" is heard.
        let told = Box::pin(told_to_end()?);
        let hear = |directory| heard(SignalKind::hangup()).map(|hangups| (directory, hangups));
        let reread = wanted.reread_from.clone().map(hear).transpose()?;
        let exposure = Exposure {
            tls: wanted.tls.is_some(),
            behind_proxy: wanted.behind_proxy,
        };
        for address in &wanted.listen {
            listen::check(address, &exposure)?;
        }
        let mut listeners = Vec::with_capacity(wanted.listen.len());
        for address in &wanted.listen {
            listeners.push(listen::bind(address).await?);
        }
        let bound: Vec<SocketAddr> = listeners.iter().filter_map(Listener::tcp_address).collect();
        let local_url = local_url(&bound, &wanted);
        let public_url = public_url(&bound, &wanted, &local_url)?;
        let mut hosts =
            HostRule::new(&bound, wanted.tls.is_some()).with_public_url(public_url.as_url())?;
        for host in &wanted.hosts {
            hosts = hosts.with_host(host)?;
        }
        for origin in &wanted.pages {
            hosts = hosts.with_page(origin)?;
        }
        let provider = Provider::new(&wanted.egress, vault.clock().clone())?;
        let refresher = Refresher::new(vault.clone(), provider.clone());
        let notice = refresher.clone();
        let issuers = Issuers::new(vault.clone(), provider.clone());
        let connect = Connect::new(vault.clone(), provider, &public_url, move || {
            notice.notice()
        });
        connect.set_catalogue(wanted.catalogue.clone());
        let app = App::new(Parts {
            issuers,
            vault: vault.clone(),
            refresher: refresher.clone(),
            connect: connect.clone(),
            hosts: hosts.clone(),
            look: Look::new(wanted.brand),
            remote_unlock: wanted.remote_unlock,
        });
        // Whoever waits holds a connection; the rest stays for those who do not.
        refresher.seat_at_most(wanted.connections_max / 2);
        connect.seat_at_most(wanted.connections_max / 4);
        let mut settings = ServeSettings::new(hosts);
        settings.tls = wanted.tls;
        settings.behind_proxy = wanted.behind_proxy;
        settings.connections_max = wanted.connections_max;
        Ok(Self {
            public_url,
            local_url,
            refresher,
            app,
            connect,
            listeners,
            settings,
            vault,
            reread,
            told,
        })
    }

    /// Serves until the process is told to end, then ends in order.
    ///
    /// # Errors
    /// [`Error::Storage`] where the vault could not be closed cleanly.
    pub async fn run(self) -> Result<()> {
        let (end, ended) = watch::channel(false);
        let (told, connect) = (self.told, self.connect.clone());
        let waiter = tokio::spawn(async move {
            told.await;
            tracing::info!("ending: open requests and refreshes in flight are finished first");
            connect.end_waits();
            end.send_replace(true);
        });
        let connect = self.connect.clone();
        let reread = self.reread.map(|(from, hangups)| {
            tokio::spawn(async move { catalogue::follow(from, hangups, connect).await })
        });
        let scheduler = {
            let (refresher, ended) = (self.refresher.clone(), ended.clone());
            tokio::spawn(async move { refresher.run(is_set(ended)).await })
        };
        let app = self.app;
        let service = move |request, peer| app.clone().handle(request, peer);
        let served = serve(self.listeners, self.settings, service, is_set(ended)).await;
        waiter.abort();
        if let Some(reread) = reread {
            reread.abort();
        }
        if scheduler.await.is_err() {
            tracing::error!("the refresh scheduler ended early");
            self.refresher.drain().await;
        }
        self.connect.drain().await;
        let vault = self.vault;
        let closed = tokio::task::spawn_blocking(move || vault.close()).await;
        served?;
        closed.unwrap_or(Err(Error::ShuttingDown))
    }
}

async fn is_set(mut ended: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = ended.wait_for(|ended| *ended).await;
}

fn heard(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Error::Settings(format!("cannot hear signals: {error}")))
}

/// Completes when the process is told to end.
///
/// # Errors
/// [`Error::Settings`] where signals cannot be heard.
pub fn told_to_end() -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        heard(SignalKind::terminate())?,
        heard(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn local_url(bound: &[SocketAddr], wanted: &Settings) -> String {
    let scheme = if wanted.tls.is_some() {
        "https"
    } else {
        "http"
    };
    match (bound.first(), wanted.listen.first()) {
        (Some(address), _) => format!("{scheme}://{address}"),
        (None, Some(unix)) => unix.to_string(),
        (None, None) => String::new(),
    }
}

fn public_url(bound: &[SocketAddr], wanted: &Settings, local_url: &str) -> Result<WebUrl> {
    if let Some(url) = &wanted.public_url {
        return Ok(url.clone());
    }
    match bound.first() {
        Some(address) if address.ip().is_unspecified() => Err(Error::Settings(
            "an address such as 0.0.0.0 is none that people can open; give `--public-url`".into(),
        )),
        Some(_) => WebUrl::parse("public URL", local_url),
        // Pages are not reached by a socket file; programs are.
        None => WebUrl::parse("public URL", "http://localhost/"),
    }
}
