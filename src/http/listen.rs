//! Where we listen: addresses, what may be bound without TLS, sockets, certificates.
//!
//! It promises: no address but loopback is bound in the clear unless an operator says that a proxy
//! stands before it; a Unix socket is its owner's alone from its first moment; a private key that
//! others can read is refused.
//! It never: removes a file that is not a dead socket, or a socket that is not its own.

use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use crate::error::{Error, Result};
use crate::limits;
use crate::secret::{Secret, hex, random};

/// Longest path of a Unix socket, in bytes (`sun_path` of unix(7), less its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// An address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// An IP address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Reads `127.0.0.1:7420`, `[::1]:0`, `localhost:7420` or `unix:/run/strongroom.sock`.
    ///
    /// # Errors
    /// [`Error::Settings`] for anything else: a name is no address, since what it resolves to may
    /// change.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() || path.ends_with('/') {
                let what = format!("`{text}` names no socket: write unix:/run/strongroom.sock");
                return Err(Error::Settings(what));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        numeric.parse().map(Self::Tcp).map_err(|_| {
            Error::Settings(format!(
                "`{text}` is no address to listen on: write 127.0.0.1:7420, [::1]:7420 or unix:PATH"
            ))
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What protects the traffic of a listener.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Exposure {
    /// We end TLS ourselves.
    pub tls: bool,
    /// The operator says that a proxy ends TLS and nobody else reaches us.
    pub behind_proxy: bool,
}

/// Checks that nothing would cross a network in the clear (T25).
///
/// # Errors
/// [`Error::Settings`] for an address other than loopback with neither TLS nor a proxy.
pub fn check(address: &ListenAddress, exposure: &Exposure) -> Result<()> {
    match address {
        ListenAddress::Tcp(tcp)
            if !tcp.ip().to_canonical().is_loopback()
                && !exposure.tls
                && !exposure.behind_proxy =>
        {
            Err(Error::Settings(format!(
                "listening on {address} without TLS would send tokens over the network in the \
                 clear; give `--tls-cert` and `--tls-key`, or `--behind-proxy` where a proxy on a \
                 network of yours ends TLS, or listen on 127.0.0.1"
            )))
        }
        _ => Ok(()),
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// The file of a Unix socket, and the socket. The file is dropped first: while the socket is
    /// open its inode's number cannot be another file's.
    Unix(SocketFile, UnixListener),
}

impl Listener {
    /// The address of a TCP listener, its port as it turned out; `None` for a Unix socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

/// The file of a Unix socket; removed when dropped, if it still is the one we made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode);
        if ours && let Err(why) = fs::remove_file(&self.path) {
            tracing::warn!(%why, "the socket file could not be removed");
        }
    }
}

/// Binds an address that [`check`] has let pass.
///
/// # Errors
/// [`Error::Settings`] where the address is taken, not ours to bind, or no place for a socket.
pub async fn bind(address: &ListenAddress) -> Result<Listener> {
    let failed = |why: io::Error| Error::Settings(format!("cannot listen on {address}: {why}"));
    match address {
        ListenAddress::Tcp(tcp) => bind_tcp(*tcp).map(Listener::Tcp).map_err(failed),
        ListenAddress::Unix(path) => {
            clear_the_place(path).await?;
            let (listener, file) = bind_unix(path).map_err(failed)?;
            Ok(Listener::Unix(file, listener))
        }
    }
}

/// As `TcpListener::bind` does it, with a backlog of our own: where it overflows, a client waits a
/// second for the next try of its system's, and one that says nothing never learns of it.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::BACKLOG)
}

/// Removes a socket that a killed process left behind, and nothing else.
async fn clear_the_place(path: &Path) -> Result<()> {
    let shown = path.display();
    let refuse = |why: &str| {
        Err(Error::Settings(format!(
            "cannot listen on unix:{shown}: {why}"
        )))
    };
    match fs::symlink_metadata(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return refuse(&why.to_string()),
        Ok(found) if !found.file_type().is_socket() => {
            return refuse("there is a file of that name, and it is not a socket");
        }
        Ok(_) => {}
    }
    let probe = tokio::time::timeout(limits::SOCKET_PROBE_MAX, UnixStream::connect(path)).await;
    match probe {
        // Only this says that nobody has it open; a full backlog or a missing right does not.
        Ok(Err(why)) if why.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).or_else(|why| refuse(&why.to_string()))
        }
        Ok(Err(why)) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => refuse("another process is listening there"),
    }
}

/// Binds inside a directory that nobody else may enter, sets the mode there, and only then links
/// the socket to its place. A `bind` at the place itself would leave a moment with the umask's
/// mode, and the umask belongs to the whole process. The link, unlike a rename, replaces nothing.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let private = parent.join(format!(".sr-{}", hex(&random::<4>())));
    let inside = private.join("s");
    let longest = path.as_os_str().len().max(inside.as_os_str().len());
    if longest > SOCKET_PATH_BYTES_MAX {
        let why = "the path is too long for a socket: at most 107 bytes, its directory 92";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_inside(&inside, path);
    fs::remove_dir_all(&private)?;
    bound
}

fn bind_inside(inside: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let listener = UnixListener::bind(inside)?;
    fs::set_permissions(inside, Permissions::from_mode(0o600))?;
    let made = fs::symlink_metadata(inside)?;
    fs::hard_link(inside, path)?;
    let file = SocketFile {
        path: path.to_path_buf(),
        device_and_inode: (made.dev(), made.ino()),
    };
    Ok((listener, file))
}

/// Our side of TLS: 1.2 or 1.3, HTTP/1.1 on it.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Loads a certificate chain and its private key, both PEM.
    ///
    /// # Errors
    /// [`Error::Settings`] where a file cannot be read, is not PEM, does not match the other, or
    /// where the key can be read by others than its owner.
    pub fn load(cert_pem: &Path, key_pem: &Path) -> Result<Self> {
        let chain_text = read_pem(cert_pem, false)?;
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(chain_text.expose())
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| wrong(cert_pem, "it is not a PEM certificate chain"))?;
        if chain.is_empty() {
            return Err(wrong(cert_pem, "it holds no certificate"));
        }
        let key_text = read_pem(key_pem, true)?;
        let key = PrivateKeyDer::from_pem_slice(key_text.expose())
            .map_err(|_| wrong(key_pem, "it holds no PEM private key without a passphrase"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|why| wrong(cert_pem, &why.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|why| wrong(cert_pem, &format!("it does not go with the key: {why}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The settings of a handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

/// Reads a file of bounded length; looks at the rights of the file it has open, not of its name.
fn read_pem(path: &Path, private: bool) -> Result<Secret<Vec<u8>>> {
    let failed = |why: io::Error| wrong(path, &why.to_string());
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if private && mode & 0o066 != 0 {
        let why = "others than its owner may read or change it; do `chmod 600` on it";
        return Err(wrong(path, why));
    }
    // Room for all of it at once, so that no growing buffer leaves a copy of the key behind.
    let mut bytes = Vec::with_capacity(limits::PEM_BYTES_MAX + 1);
    let most = limits::PEM_BYTES_MAX as u64 + 1;
    let read = file.take(most).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    if read.map_err(failed)? > limits::PEM_BYTES_MAX {
        return Err(wrong(path, "it is too long"));
    }
    Ok(bytes)
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::Settings(format!(
        "`{}` cannot be used for TLS: {why}",
        path.display()
    ))
}
