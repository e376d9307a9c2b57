//! Which destinations the way out may reach: schemes, host names, addresses. Pure.
//!
//! It promises: only addresses of the public internet pass, whatever disguise they come in
//! (RFC 6890 and its registries, read as "global unicast or nothing"); only hosts that an operator
//! named are exempt, and they are matched whole.
//! It never: resolves a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::error::{Error, Result};
use crate::limits;

/// Hosts that an operator exempted: internal names that may be private, and spoken to in the clear.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<(Host, Option<u16>)>);

/// What may be done with a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// A public host: https, and every address it resolves to is checked.
    Public,
    /// A host the operator named: reached as it is.
    Allowed,
}

impl AllowedHosts {
    /// Reads hosts such as `keycloak.corp`, `127.0.0.1:8080`, `[::1]`, `localhost:3000`.
    ///
    /// # Errors
    /// [`Error::Settings`] naming the first that is none, or that there are too many.
    pub fn parse<S: AsRef<str>>(hosts: &[S]) -> Result<Self> {
        if hosts.len() > limits::ALLOWED_HOSTS_MAX {
            return Err(Error::Settings(format!(
                "at most {} allowed hosts",
                limits::ALLOWED_HOSTS_MAX
            )));
        }
        let read = |text: &S| {
            let text = text.as_ref();
            read_host(text).ok_or_else(|| {
                Error::Settings(format!(
                    "not a host such as `auth.internal` or `127.0.0.1:8080`: `{text}`"
                ))
            })
        };
        Ok(Self(hosts.iter().map(read).collect::<Result<_>>()?))
    }

    fn contains(&self, host: &Host, port: Option<u16>) -> bool {
        self.0.iter().any(|(allowed, allowed_port)| {
            allowed == host && (allowed_port.is_none() || *allowed_port == port)
        })
    }

    /// Decides how `url` may be reached, as far as its text tells.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the rule it breaks.
    pub fn route(&self, url: &Url) -> Result<Route> {
        let Some(host) = url.host().map(|host| undotted(host.to_owned())) else {
            return Err(Error::Forbidden("a destination must have a host".into()));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return forbidden("a destination must not hold a user name or password");
        }
        if !matches!(url.scheme(), "https" | "http") {
            return forbidden("a destination is an https URL");
        }
        if self.contains(&host, url.port_or_known_default()) {
            return Ok(Route::Allowed);
        }
        if url.scheme() != "https" {
            return forbidden(&format!(
                "`{host}` may be reached by https alone, for it is sent credentials"
            ));
        }
        match &host {
            Host::Ipv4(address) if !is_public((*address).into()) => refuse_address(&host),
            Host::Ipv6(address) if !is_public((*address).into()) => refuse_address(&host),
            Host::Domain(name) if !is_public_name(name) => forbidden(&format!(
                "`{name}` is the name of an internal host, not of a public one"
            )),
            _ => Ok(Route::Public),
        }
    }
}

fn forbidden<T>(why: &str) -> Result<T> {
    Err(Error::Forbidden(why.into()))
}

fn refuse_address<T>(host: &Host) -> Result<T> {
    forbidden(&format!(
        "`{host}` is not an address of the public internet"
    ))
}

/// Reads `host` or `host:port` by the same parser that reads URLs, so that both spell it alike.
pub fn read_host(text: &str) -> Option<(Host, Option<u16>)> {
    if text.is_empty()
        || text.contains(['/', '\\', '?', '#', '@'])
        || text.contains(char::is_control)
    {
        return None;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (
            host,
            Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        ),
        _ => (text, None),
    };
    let bracketed = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let host = Host::parse(&bracketed).ok()?;
    Some((undotted(host), port))
}

/// A trailing dot names the same host (RFC 1034 3.1), so it must not slip past a rule.
fn undotted(host: Host<impl AsRef<str>>) -> Host {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref();
            Host::Domain(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
        }
        Host::Ipv4(address) => Host::Ipv4(address),
        Host::Ipv6(address) => Host::Ipv6(address),
    }
}

/// Names that never belong to a public host. They matter where a proxy resolves for us; else the
/// check of addresses would find them out.
const INTERNAL_SUFFIXES: [&str; 11] = [
    "localhost",   // RFC 6761 6.3
    "localdomain", // what /etc/hosts of many systems says
    "local",       // RFC 6762
    "internal",    // reserved by ICANN, 2024; metadata.google.internal
    "home.arpa",   // RFC 8375
    "lan",
    "intranet",
    "corp",
    "home",
    "test",    // RFC 6761 6.2
    "invalid", // RFC 6761 6.4
];

fn is_public_name(name: &str) -> bool {
    // Names of one label are completed by the search list of whoever resolves them. A label has a
    // letter or more (RFC 1034 3.1): what a resolver makes of `localhost..` is for it to say.
    name.contains('.')
        && !name.split('.').any(str::is_empty)
        && !INTERNAL_SUFFIXES.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

/// True for an address of the public internet, and for nothing else.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, ..) => true, // this network, private, loopback
        (100, 64..=127, _) => true, // carrier-grade NAT (RFC 6598), Alibaba's metadata
        (168, 63, 129) => d == 16,  // Azure's host, seen from inside alone
        (169, 254, _) => true,      // link-local, the clouds' metadata
        (172, 16..=31, _) => true,  // private
        (192, 0, 0 | 2) => true,    // protocol assignments, documentation
        (192, 31, 196) | (192, 52, 193) => true, // AS112, AMT
        (192, 88, 99) => true,      // 6to4 relays, withdrawn (RFC 7526)
        (192, 168, _) => true,      // private
        (192, 175, 48) => true,     // AS112
        (198, 18 | 19, _) => true,  // benchmarking
        (198, 51, 100) | (203, 0, 113) => true, // documentation
        (224..=255, ..) => true,    // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let words = address.segments();
    if let Some(inner) = embedded_v4(&words) {
        return is_public_v4(inner);
    }
    match words {
        [0x2001, 0..=0x01ff, ..] => false, // protocol assignments: Teredo, ORCHID, benchmarking
        [0x2001, 0x0db8, ..] => false,     // documentation
        [0x2620, 0x004f, 0x8000, ..] => false, // AS112
        [0x3fff, 0..=0x0fff, ..] => false, // documentation (RFC 9637)
        // Global unicast is 2000::/3 (RFC 4291 2.4). All else is loopback, unspecified, ULA,
        // link-local, site-local, multicast, discard-only, or not handed out.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

/// The IPv4 address that an IPv6 address stands for, where a translator or tunnel would go there.
fn embedded_v4(words: &[u16; 8]) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match *words {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(join(high, low)), // mapped
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)), // translated (RFC 2765)
        [0x2002, high, low, ..] => Some(join(high, low)),            // 6to4
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)), // NAT64 (RFC 6052)
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no disguise of an internal address passes. Method: every special range of the IANA
    /// registries by its first, last and a middle address, bare and embedded.
    #[test]
    fn n6_internal_addresses_are_refused() {
        let bad = "
            0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.0
            100.100.100.200 100.127.255.255 127.0.0.0 127.0.0.1 127.0.0.53 127.1.2.3
            127.255.255.255 168.63.129.16 169.254.0.0 169.254.0.1 169.254.169.123
            169.254.169.253 169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.16.0.1
            172.20.10.2 172.31.255.255 192.0.0.0 192.0.0.1 192.0.0.8 192.0.0.170 192.0.0.192
            192.0.2.0 192.0.2.1 192.0.2.255 192.31.196.1 192.52.193.1 192.88.99.1 192.88.99.255
            192.168.0.0 192.168.0.1 192.168.1.254 192.168.255.255 192.175.48.6 198.18.0.0
            198.18.0.1 198.19.0.1 198.19.255.255 198.51.100.0 198.51.100.7 203.0.113.0
            203.0.113.99 224.0.0.0 224.0.0.1 224.0.0.251 239.255.255.250 239.255.255.255
            240.0.0.0 240.0.0.1 250.1.2.3 255.255.255.254 255.255.255.255
            :: ::1 ::2 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:127.0.0.1
            ::ffff:10.1.2.3 ::ffff:169.254.169.254 ::ffff:192.168.1.1 ::ffff:172.16.0.1
            ::ffff:100.64.0.1 ::ffff:0:127.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::127.0.0.1
            64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b::192.168.0.1 64:ff9b:1::1
            64:ff9b:1::8.8.8.8 64:ff9b:1:ffff::1 64:ff9b::1:0:0 100::1 100:0:0:1::1 1fff::1
            2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1::1 2001:2::1 2001:3::1 2001:4:112::1
            2001:10::1 2001:20::1 2001:30::1 2001:1ff:ffff::1 2001:db8::1
            2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe::
            2002:c0a8:101::1 2002:ac10:1::1 2002:6440:1::1 2002:e000:1::1 2002:: 2620:4f:8000::1
            3fff::1 3fff:fff::1 4000::1 5f00::1 8000::1 fc00::1 fc00:: fd00::1 fd00:ec2::254
            fd00:ec2::23 fd12:3456:789a::1 fdff:ffff::1 fe00::1 fe80::1 fe80::a9fe:a9fe
            febf:ffff::1 fec0::1 fec0:0:0:ffff::1 feff::1 ff00:: ff01::1 ff02::1 ff02::fb ff05::2
            ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        for text in bad.split_whitespace() {
            let address: IpAddr = text.parse().unwrap();
            assert!(!is_public(address), "{text} passed");
        }
        assert!(bad.split_whitespace().count() >= 120);
    }

    #[test]
    fn n6_public_addresses_pass() {
        let good = "
            1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 20.190.159.0 34.120.54.55 52.94.236.248
            99.255.255.255 100.63.255.255 100.128.0.0 104.16.0.1 126.255.255.255 128.0.0.0
            140.82.121.4 142.250.74.14 168.63.129.15 169.253.255.255 169.255.0.0 172.15.255.255
            172.32.0.0 191.255.255.255 192.0.1.1 192.0.3.1 192.167.255.255 192.169.0.0
            198.17.255.255 198.20.0.0 199.0.0.1 203.0.112.255 203.0.114.0 223.255.255.255
            2001:200::1 2001:4860:4860::8888 2003::1 2400:cb00::1 2606:4700::6810:1
            2620:1ec:a92::171 2a00:1450:4001:80e::200e 2a03:2880:f12f:83:face:b00c:0:25de
            2c0f:f248::1 3ffe::1 3fff:1000::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1";
        for text in good.split_whitespace() {
            let address: IpAddr = text.parse().unwrap();
            assert!(is_public(address), "{text} was refused");
        }
    }

    fn route(url: &str, allowed: &[&str]) -> Result<Route> {
        let url = Url::parse(url).map_err(|error| Error::invalid(error.to_string()))?;
        AllowedHosts::parse(allowed).unwrap().route(&url)
    }

    /// Goal: no spelling of a URL slips past. Method: odd forms that resolvers and parsers accept.
    #[test]
    fn n6_odd_spellings_of_internal_hosts_are_refused() {
        let bad = "
            http://example.com/ https://127.0.0.1/ https://127.1/ https://127.0.1/
            https://0177.0.0.1/ https://0x7f.0.0.1/ https://0x7f000001/ https://2130706433/
            https://017700000001/ https://127.0.0.1./ https://0/ https://0.0.0.0/
            https://0x0a.1/ https://012.1.2.3/ https://167772161/ https://0xA9FEA9FE/
            https://2852039166/ https://169.254.169.254/latest https://169.254.43518/
            https://%31%32%37.0.0.1/ https://[::1]/ https://[::]/ https://[::ffff:127.0.0.1]/
            https://[::ffff:7f00:1]/ https://[0:0:0:0:0:ffff:a9fe:a9fe]/ https://[fd00:ec2::254]/
            https://[64:ff9b::7f00:1]/ https://[2002:7f00:1::]/ https://[fec0::1]/
            https://[::127.0.0.1]/ https://localhost/ https://LOCALHOST/ https://localhost./
            https://localhost../ https://localhost%2E%2E/ https://a..example.com/
            https://a.localhost/ https://localhost.localdomain/ https://metadata/
            https://metadata.google.internal/ https://metadata.google.internal./
            https://printer.local/ https://router.lan/ https://nas.home.arpa/ https://db/
            https://intranet/ https://vault.corp/ https://a.test/ https://a.invalid/
            https://user@example.com/ https://user:pw@example.com/ https://127.0.0.1@example.com/
            https://example.com@127.0.0.1/ https://example.com:pw@[::1]/ ftp://example.com/
            https://%6cocalhost/ https://\u{24db}ocalhost/ https://\u{ff11}27.0.0.1/
            https://127\u{3002}0\u{3002}0\u{3002}1/";
        for url in bad.split_whitespace() {
            assert!(route(url, &[]).is_err(), "{url} passed");
        }
        let good = "
            https://example.com/ https://example.com./ https://example.com:8443/x?y
            https://localhost.example.com/ https://notlocal.dev/ https://1.1.1.1/
            https://[2606:4700::1]/ https://internal.example.com/ https://127.0.0.1.example.com/
            https://xn--bcher-kva.example/";
        for url in good.split_whitespace() {
            assert_eq!(route(url, &[]), Ok(Route::Public), "{url}");
        }
    }

    #[test]
    fn an_allowed_host_is_matched_whole_and_with_its_port() {
        let allowed = [
            "Auth.Internal",
            "127.0.0.1:8080",
            "::1",
            "[fd00::7]:9",
            "localhost:80",
        ];
        for url in [
            "http://auth.internal/",
            "https://auth.internal./",
            "http://auth.internal:99/",
            "http://127.0.0.1:8080/",
            "https://2130706433:8080/",
            "http://[::1]:1/",
            "https://[fd00::7]:9/",
            "http://localhost/",
        ] {
            assert_eq!(route(url, &allowed), Ok(Route::Allowed), "{url}");
        }
        for url in [
            "http://x.auth.internal/",
            "http://auth.internal.example.com/",
            "http://xauth.internal/",
            "http://127.0.0.1:8081/",
            "http://127.0.0.2:8080/",
            "https://[fd00::7]/",
            "https://localhost/",
            "http://u@auth.internal/",
        ] {
            assert!(route(url, &allowed).is_err(), "{url} passed");
        }
    }

    #[test]
    fn what_is_no_host_is_not_allowed_silently() {
        for bad in [
            "",
            "http://a.example",
            "a/b",
            "a:0",
            "a:99999",
            "a:b",
            "a b",
            "u@h",
            "*.corp.example/",
            "[::1",
            "a:",
        ] {
            assert!(AllowedHosts::parse(&[bad]).is_err(), "{bad:?} was taken");
        }
    }
}
