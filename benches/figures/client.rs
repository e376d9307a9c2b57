//! A connection of the load generator: plain or under TLS, never waiting.
//!
//! Measures nothing. One request is out at a time, so that a socket always takes a whole one.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::Outcome;
use crate::answers::{Reader, Template};

/// Longest wait for a connection and its handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for one answer: an unlock reads the whole file.
const LONG_PATIENCE: Duration = Duration::from_secs(240);

/// One connection.
pub struct Connection {
    /// The socket, for whoever waits for it.
    pub socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Connection {
    /// Connects, and shakes hands where there is TLS.
    pub fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Outcome<Self> {
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut session = None;
        if let Some(config) = tls {
            let name = ServerName::from(address.ip());
            let mut begun = ClientConnection::new(Arc::clone(config), name)?;
            while begun.is_handshaking() {
                begun.complete_io(&mut socket)?;
            }
            session = Some(Box::new(begun));
        }
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            tls: session,
        })
    }

    /// Sends a whole request.
    pub fn send(&mut self, request: &[u8]) -> Outcome<()> {
        match &mut self.tls {
            None => {
                let sent = self.socket.write(request)?;
                if sent != request.len() {
                    return Err("a socket took a part of a request".into());
                }
            }
            Some(tls) => {
                tls.writer().write_all(request)?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.socket)?;
                }
            }
        }
        Ok(())
    }

    /// Reads what has come, behind what is there. A peer that went away is an error.
    pub fn receive(&mut self, inbox: &mut Inbox) -> Outcome<()> {
        let Some(tls) = &mut self.tls else {
            match self.socket.read(inbox.room()) {
                Ok(0) => return Err("the server hung up".into()),
                Ok(count) => inbox.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        };
        match tls.read_tls(&mut self.socket) {
            Ok(0) => return Err("the server hung up".into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        tls.process_new_packets()?;
        loop {
            match tls.reader().read(inbox.room()) {
                Ok(0) => return Err("the server hung up".into()),
                Ok(count) => inbox.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Asks once, on a connection of its own, and waits for the body of the answer.
pub fn ask(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    request: &Template,
) -> Outcome<Vec<u8>> {
    let mut connection = Connection::open(address, tls)?;
    let (mut inbox, mut reader) = (Inbox::new(), Reader::default());
    connection.socket.set_nonblocking(false)?;
    connection.socket.set_read_timeout(Some(LONG_PATIENCE))?;
    connection.send(request.bytes())?;
    loop {
        let before = inbox.filled;
        connection.receive(&mut inbox)?;
        if let Some(shape) = reader.shape(inbox.read())? {
            return Ok(inbox.read()[shape.head..shape.head + shape.body].to_vec());
        }
        // Under TLS a record may bring nothing for us; in the clear a wait that brings nothing has
        // run out.
        if tls.is_none() && inbox.filled == before {
            return Err("no answer in time".into());
        }
    }
}

/// What was read and not used yet.
pub struct Inbox {
    bytes: Vec<u8>,
    filled: usize,
}

impl Inbox {
    /// An empty one, small enough that those of many connections stay in the processor's cache.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; 8 * 1024],
            filled: 0,
        }
    }

    fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            // A list, asked for once: what is measured fits.
            self.bytes.resize(2 * self.filled, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// What is there.
    pub fn read(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Forgets the first bytes: they were used.
    pub fn used(&mut self, count: usize) {
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}
