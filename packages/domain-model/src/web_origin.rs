//! Where a page comes from, as its browser says it in `Origin`.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer};

/// Longest origin, in bytes: the longest name of a host, scheme and port.
pub const WEB_ORIGIN_MAX: usize = 270;

/// An origin that may have a session key: `https://host[:port]`, or `http` on the machine itself, in the one form in which
/// browsers send it (lower case, no port that goes without saying, no path). `null` is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebOrigin(String);

/// A text that is no such origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an origin as browsers send it: https://host, with :port where it is not 443, or http:// on localhost or a \
     loopback address"
)]
pub struct InvalidWebOrigin;

impl WebOrigin {
    /// The origin.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = InvalidWebOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidWebOrigin> {
        let good = text.len() <= WEB_ORIGIN_MAX
            && match text.split_once("://") {
                Some(("https", rest)) => host(rest, "443").is_some(),
                Some(("http", rest)) => host(rest, "80").is_some_and(is_loopback),
                _ => false,
            };
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidWebOrigin) }
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WebOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = WebOrigin;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an origin")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WebOrigin, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The host of `host[:port]`, where both are written as browsers write them.
fn host<'a>(rest: &'a str, unsaid: &str) -> Option<&'a str> {
    let at = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
    let (host, port) = at.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    let port_is_good = port.is_none_or(|port| {
        port != unsaid && port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
    });
    (port_is_good && (is_name(host) || is_address(host))).then_some(host)
}

/// Labels of lower-case letters, digits, dashes and underscores; the last is no number, or it would be an address.
fn is_name(host: &str) -> bool {
    let letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(label) && !number
}

fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => six.parse::<Ipv6Addr>().is_ok_and(|address| address.to_string() == six),
        None => host.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == host),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_this_machine_as_browsers_write_it() {
        for good in [
            "https://tickets.example",
            "https://tickets.example:8443",
            "https://xn--bcher-kva.example",
            "https://192.0.2.7",
            "https://[2001:db8::1]:444",
            "http://localhost:5173",
            "http://app.localhost",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert_eq!(good.parse::<WebOrigin>().map(|origin| origin.to_string()), Ok(good.to_owned()));
        }
        let long = format!("https://{}example", "a.".repeat(130));
        for bad in [
            "",
            "null",
            "*",
            "https://",
            "http://tickets.example",
            "HTTPS://tickets.example",
            "https://Tickets.example",
            "https://tickets.example/",
            "https://tickets.example:443",
            "https://tickets.example:",
            "https://tickets.example:0",
            "https://tickets.example:08443",
            "https://tickets.example:99999",
            "https://tickets.example.",
            "https://a..b",
            "https://*.example",
            "https://user@tickets.example",
            "https://tickets.example?x",
            "https://1.2.3",
            "https://0x7f.1",
            "https://[::1",
            "https://[2001:DB8::1]",
            "https://bücher.example",
            "http://localhost:80",
            "http://localhost.example",
            "http://128.0.0.1",
            "http://[::2]",
            "file://",
            "capacitor://localhost",
            "https://tickets.example https://b.example",
            "https://tickets.example\n",
            &long,
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(InvalidWebOrigin), "{bad}");
        }
    }
}
