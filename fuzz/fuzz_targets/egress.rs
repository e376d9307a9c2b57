//! The address filter of the way out, against a second reading of the IANA registries.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use strongroom::provider::addresses::{AllowedHosts, Route, is_public};
use url::{Host, Url};

/// Special-purpose IPv4 blocks, as prefix and length.
const SPECIAL_V4: [(u32, u32); 21] = [
    (0x0000_0000, 8),
    (0x0a00_0000, 8),
    (0x6440_0000, 10),
    (0x7f00_0000, 8),
    (0xa83f_8110, 32),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc000_0000, 24),
    (0xc000_0200, 24),
    (0xc01f_c400, 24),
    (0xc034_c100, 24),
    (0xc058_6300, 24),
    (0xc0a8_0000, 16),
    (0xc0af_3000, 24),
    (0xc612_0000, 15),
    (0xc633_6400, 24),
    (0xcb00_7100, 24),
    (0xe000_0000, 4),
    (0xf000_0000, 4),
    (0xffff_ffff, 32),
    (0xc058_6302, 32),
];

/// Blocks within 2000::/3 that are not of the public internet.
const SPECIAL_V6: [(u128, u32); 4] = [
    (0x2001_0000 << 96, 23),
    (0x2001_0db8 << 96, 32),
    (0x2620_004f_8000 << 80, 48),
    (0x3fff_0000 << 96, 20),
];

fn public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !SPECIAL_V4
        .iter()
        .any(|(prefix, length)| (bits ^ prefix) >> (32 - length) == 0)
}

fn public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let tail = Ipv4Addr::from(bits as u32);
    match bits >> 32 {
        0xffff | 0xffff_0000 => return public_v4(tail),
        high if high == 0x0064_ff9b << 64 => return public_v4(tail),
        _ => {}
    }
    if bits >> 112 == 0x2002 {
        return public_v4(Ipv4Addr::from((bits >> 80) as u32));
    }
    bits >> 125 == 1
        && !SPECIAL_V6
            .iter()
            .any(|(prefix, length)| (bits ^ prefix) >> (128 - length) == 0)
}

fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => public_v4(address),
        IpAddr::V6(address) => public_v6(address),
    }
}

fuzz_target!(|data: &[u8]| {
    if let Some(octets) = data.first_chunk::<4>() {
        let address = IpAddr::from(*octets);
        assert_eq!(is_public(address), public(address), "{address}");
    }
    if let Some(octets) = data.first_chunk::<16>() {
        let address = IpAddr::from(*octets);
        assert_eq!(is_public(address), public(address), "{address}");
    }
    let Some(url) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| Url::parse(text).ok())
    else {
        return;
    };
    if let Ok(route) = AllowedHosts::default().route(&url) {
        assert_eq!(route, Route::Public, "nobody is exempt");
        assert_eq!(url.scheme(), "https");
        assert!(url.username().is_empty() && url.password().is_none());
        match url.host() {
            Some(Host::Ipv4(address)) => assert!(public(address.into()), "{address}"),
            Some(Host::Ipv6(address)) => assert!(public(address.into()), "{address}"),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                assert!(
                    !name.ends_with("localhost")
                        || name.ends_with("-localhost")
                        || name.contains('.')
                );
                assert!(
                    name.parse::<IpAddr>().is_err(),
                    "an address in disguise: {name}"
                );
            }
            None => panic!("a destination has a host"),
        }
    }
});
