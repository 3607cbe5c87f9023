//! The address of a site in a Caddyfile: what an app's `domain` says, and what the head of a site block says.
//!
//! Two spellings of the same address are the same: `shop.example.com`, `https://Shop.example.com` and
//! `shop.example.com:443`. A path is no part of it, since a site with a path is not the whole site.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// Longer than any domain name with a scheme and a port.
const LONGEST: usize = 300;

/// A site's address. Compared by what it means, shown as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteAddress {
    text: String,
    host: String,
    port: u16,
}

/// A text that is no address of a site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not the address of a site{why}; write it like shop.example.com, http://shop.internal or :8080", quoted(.text))]
pub struct SiteAddressError {
    text: String,
    why: &'static str,
}

impl SiteAddress {
    /// Parses an address: `[http://|https://]HOST[:PORT]`, either part of which may be missing, but not both.
    ///
    /// # Errors
    /// When it has a path, a placeholder, white space or anything else that does not belong into one.
    pub fn parse(text: &str) -> Result<Self, SiteAddressError> {
        let fail = |why| SiteAddressError { text: text.to_owned(), why };
        if text.len() > LONGEST {
            return Err(fail(": it is too long"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
            Some(_) => return Err(fail(": its scheme is neither http nor https")),
            None => (None, text),
        };
        if rest.contains('/') {
            return Err(fail(": it has a path"));
        }
        let (host, port) = match rest.rsplit_once(':') {
            // The colons of an IPv6 address are inside brackets.
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (host, Some(port.ok_or_else(|| fail(": its port is no number from 1 to 65535"))?))
            }
            _ => (rest, None),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "-._*[]:".contains(c);
        if !host.chars().all(known) || (host.is_empty() && port.is_none() && scheme.is_none()) {
            return Err(fail(""));
        }
        let port = port.unwrap_or(if scheme == Some("http") { 80 } else { 443 });
        Ok(Self { text: text.to_owned(), host: host.to_ascii_lowercase(), port })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, in small letters; empty for every host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl PartialEq for SiteAddress {
    fn eq(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

impl Eq for SiteAddress {}

impl FromStr for SiteAddress {
    type Err = SiteAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for SiteAddress {
    type Error = SiteAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SiteAddress> for String {
    fn from(address: SiteAddress) -> Self {
        address.text
    }
}

impl fmt::Display for SiteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_equal_and_others_are_not() {
        let parse = |text: &str| SiteAddress::parse(text).unwrap();
        for (one, other, same) in [
            ("shop.example.com", "https://SHOP.example.com", true),
            ("shop.example.com", "shop.example.com:443", true),
            ("http://shop", "shop:80", true),
            (":80", "http://", true),
            ("[::1]:80", "http://[::1]", true),
            ("shop.example.com", "http://shop.example.com", false),
            ("shop.example.com", "shop.example.com:8443", false),
            ("shop.example.com", "hop.example.com", false),
            (":8080", ":80", false),
        ] {
            assert_eq!(parse(one) == parse(other), same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "a b",
            "a/b",
            "a{b",
            "{$DOMAIN}",
            "a\"",
            "a,b",
            "ftp://a",
            ":0",
            ":99999",
            "a:x",
            "größe",
            "#",
        ] {
            assert!(SiteAddress::parse(text).is_err(), "{text}");
        }
        assert!(SiteAddress::parse(&"a".repeat(301)).is_err());
    }
}
