//! Which source a try to unlock counts for: the peer's user where the system knows it.
//!
//! A connection over loopback is some process of this machine: its user stands in the system's
//! table of connections (proc(5), `/proc/net/tcp`). So one user's guesses over TCP do not delay
//! another's. Being this process's own user counts over a Unix socket alone: over TCP it may be a
//! browser or a proxy that speaks for a stranger.
//!
//! It promises: what cannot be learnt makes the source wider (all of an address), never narrower.
//! It never: believes a header.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::http::serve::{End, Peer};
use crate::limits;
use crate::vault::Source;

/// The source of a peer. Reads a table of the system: not for a thread that serves others.
pub(crate) fn source(peer: &Peer) -> Source {
    match (&peer.end, peer.loopback_or_unix) {
        (End::Unix(Some(uid)), true) => Source::over_unix(*uid),
        // A proxy's user, whoever it speaks for.
        (End::Unix(Some(uid)), false) => Source::User(*uid),
        (End::Unix(None), _) => Source::network(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        (End::Tcp { ours, theirs }, is_local) => ours
            .filter(|_| is_local)
            .and_then(|ours| user_of(*theirs, ours))
            .map_or(Source::network(theirs.ip()), Source::User),
    }
}

/// The user whose socket has these two ends.
fn user_of(local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (plain, mapped) = (ends(local, remote, false), ends(local, remote, true));
    find(File::open("/proc/net/tcp").ok()?, &plain)
        .or_else(|| find(File::open("/proc/net/tcp6").ok()?, &mapped))
}

/// Both ends as a line of the table begins with them.
fn ends(local: SocketAddr, remote: SocketAddr, as_v6: bool) -> String {
    format!("{} {} ", end(local, as_v6), end(remote, as_v6))
}

/// `0100007F:1F90`: words of the address as they lie in memory, and the port.
fn end(address: SocketAddr, as_v6: bool) -> String {
    let word = |four: &[u8]| {
        let four = four.try_into().expect("chunks of four");
        format!("{:08X}", u32::from_ne_bytes(four))
    };
    let ip: String = match (address.ip().to_canonical(), as_v6) {
        (IpAddr::V4(v4), false) => word(&v4.octets()),
        (IpAddr::V4(v4), true) => v4.to_ipv6_mapped().octets().chunks(4).map(word).collect(),
        (IpAddr::V6(v6), _) => Ipv6Addr::octets(&v6).chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

fn find(table: File, ends: &str) -> Option<u32> {
    let lines = BufReader::new(table)
        .lines()
        .map_while(std::result::Result::ok);
    for line in lines.take(limits::TCP_TABLE_LINES_MAX) {
        // sl, local, remote, state, queues, timer, retransmits, uid
        let Some((_, rest)) = line.split_once(": ") else {
            continue;
        };
        if rest.starts_with(ends) {
            let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
            // A socket that its process has closed is shown as root's.
            let is_established = fields.get(2) == Some(&"01");
            return fields.get(6).filter(|_| is_established)?.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn peer(end: End, loopback_or_unix: bool) -> Peer {
        Peer {
            address: String::new().into(),
            loopback_or_unix,
            tls: false,
            end,
        }
    }

    /// Goal: over loopback the user is known, whichever family the socket is of. Method: real
    /// connections of this very process; the user of one that is not there is not known.
    #[test]
    fn n7_a_loopback_peer_counts_as_its_user_and_any_other_as_its_address() {
        let own = rustix::process::geteuid().as_raw();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // a machine without IPv6
            };
            let ours = listener.local_addr().unwrap();
            let client = TcpStream::connect(ours).unwrap();
            let theirs = client.local_addr().unwrap();
            let end = End::Tcp {
                ours: Some(ours),
                theirs,
            };
            assert_eq!(source(&peer(end.clone(), true)), Source::User(own));
            // Behind a proxy the user would be the proxy's.
            assert_eq!(source(&peer(end, false)), Source::network(theirs.ip()));
            let nobody = End::Tcp {
                ours: Some(ours),
                theirs: ours,
            };
            assert_eq!(source(&peer(nobody, true)), Source::network(ours.ip()));
        }
        assert_eq!(source(&peer(End::Unix(Some(own)), true)), Source::Owner);
        assert_eq!(source(&peer(End::Unix(Some(0)), true)), Source::Owner);
        assert_eq!(
            source(&peer(End::Unix(Some(own)), false)),
            Source::User(own)
        );
        let other = own + 1;
        assert_eq!(
            source(&peer(End::Unix(Some(other)), true)),
            Source::User(other)
        );
    }

    #[test]
    fn the_ends_are_written_as_the_table_has_them() {
        let (a, b) = (
            "127.0.0.1:8080".parse().unwrap(),
            "[::1]:1".parse().unwrap(),
        );
        if cfg!(target_endian = "little") {
            assert_eq!(end(a, false), "0100007F:1F90");
            assert_eq!(end(a, true), "0000000000000000FFFF00000100007F:1F90");
            assert_eq!(end(b, false), "00000000000000000000000001000000:0001");
        }
    }
}
