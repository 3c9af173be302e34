//! Where may be pushed to: what somebody subscribes is called by our nodes, from within.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is anybody's on the Internet: none of this machine, of its neighbours, of private networks, and none
/// with a meaning of its own (RFC 6890 and the registries that it founded). What carries an IPv4 address within is judged by
/// that.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let special = match v4.octets() {
        [0 | 10 | 127, ..] => true,
        // RFC 6598, between carriers and their customers.
        [100, b, ..] => b & 0xc0 == 64,
        [169, 254, ..] | [192, 168, ..] | [192, 0, 0, _] | [192, 88, 99, _] => true,
        [172, b, ..] => b & 0xf0 == 16,
        // RFC 2544, RFC 5737
        [198, 18 | 19, ..] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [a, ..] => a >= 224,
    };
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let parts = v6.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match parts {
        // RFC 6052
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // RFC 3056
        [0x2002, high, low, ..] => embedded(high, low),
        // RFC 3849, RFC 9637, RFC 4380 and what else is below 2001::/23
        [0x2001, 0xdb8 | ..=0x1ff, ..] | [0x3fff, ..=0xfff, ..] => false,
        // RFC 4291 §2.4: of the rest, only what is given out for all.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_anybodys_is_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "100::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}
