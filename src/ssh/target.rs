//! A target: everything that is known about a host before a byte is sent to it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::config;
use super::error::Error;
use crate::fleet::{Host, HostName};

/// Where sshd listens when nothing else is said.
const DEFAULT_PORT: u16 = 22;

/// How to reach a host, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The operator's name for it.
    pub host: HostName,
    /// The user to log in as.
    pub user: String,
    /// The name or address to connect to.
    pub address: String,
    /// The port to connect to.
    pub port: u16,
    /// The name to look up in known_hosts instead of the address (`HostKeyAlias`).
    pub host_key_alias: Option<String>,
    /// Where known host keys are; the user's files first. A file need not exist.
    pub known_hosts: Vec<PathBuf>,
    /// Private keys to try, in order. A file need not exist.
    pub identities: Vec<PathBuf>,
    /// Whether to offer only [`Self::identities`], and nothing else that an agent holds.
    pub identities_only: bool,
    /// The agent to ask.
    pub agent: Agent,
    /// Hosts to go through, the first one first.
    pub jumps: Vec<Target>,
}

/// Which SSH agent to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// None.
    None,
    /// The one that listens on this socket.
    Socket(PathBuf),
}

/// What a [`Target`] depends on besides fleet.toml: this process's environment, made explicit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// `$HOME`: where `~` points to.
    pub home: Option<PathBuf>,
    /// The home directory of the password database, which `ssh` itself uses.
    pub passwd_home: Option<PathBuf>,
    /// `$USER` or `$LOGNAME`.
    pub user: Option<String>,
    /// `$SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// The `ssh` program, when there is one.
    pub ssh: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn current() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let passwd = config::passwd_entry();
        Self {
            home: path("HOME").or_else(|| passwd.as_ref().map(|entry| entry.home.clone())),
            user: ["USER", "LOGNAME"]
                .into_iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
                .or_else(|| passwd.as_ref().map(|entry| entry.name.clone())),
            passwd_home: passwd.map(|entry| entry.home),
            agent: path("SSH_AUTH_SOCK"),
            ssh: config::find_program("ssh"),
        }
    }
}

impl Target {
    /// Finds out how to reach a host: what fleet.toml says, and for the rest the operator's SSH configuration, as
    /// `ssh -G` reports it (which knows `Include`, `Match` and tokens). Where there is no `ssh`, the defaults hold.
    ///
    /// # Errors
    /// When the address is malformed, or the configuration cannot be read or wants what is not supported
    /// (`ProxyCommand`).
    pub async fn resolve(host: &Host) -> Result<Self, Error> {
        Self::resolve_in(host, &Environment::current()).await
    }

    /// As [`Self::resolve`], with an environment of the caller's choice.
    ///
    /// # Errors
    /// Those of [`Self::resolve`].
    pub async fn resolve_in(host: &Host, environment: &Environment) -> Result<Self, Error> {
        let address = Address::parse(&host.ssh).map_err(|problem| Error::Address {
            host: host.name.clone(),
            address: host.ssh.clone(),
            problem,
        })?;
        config::resolve(&host.name, &address, environment).await
    }

    /// The name under which known_hosts has the host: its alias, `address`, or `[address]:port`.
    #[must_use]
    pub fn known_hosts_name(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.clone(),
            None if self.port == DEFAULT_PORT => self.address.to_ascii_lowercase(),
            None => format!("[{}]:{}", self.address.to_ascii_lowercase(), self.port),
        }
    }

    /// Address and port, as people write them.
    #[must_use]
    pub fn endpoint(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}

/// A parsed `[user@]address[:port]`. Cannot hold anything that a program could take for an option or a shell for a
/// command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The user, when one is named.
    pub user: Option<String>,
    /// A host name, an alias, or an IP address without brackets.
    pub name: String,
    /// The port, when one is named.
    pub port: Option<u16>,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressProblem {
    /// Nothing was given, or nothing before or after `@`.
    Empty(&'static str),
    /// A character that is not allowed in this part.
    Character(&'static str, char),
    /// It could be taken for an option.
    LeadingHyphen(&'static str),
    /// It is longer than any name.
    TooLong(&'static str),
    /// The port is not a number from 1 to 65535.
    Port,
    /// What stands in brackets is not an IPv6 address, or a bracket is missing.
    Brackets,
    /// An IPv6 address without brackets.
    BareIpv6,
}

impl fmt::Display for AddressProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(part) => write!(f, "has an empty {part}"),
            Self::Character(part, c) => {
                write!(f, "has {} in its {part}", crate::fleet::text::quoted(&c.to_string()))
            }
            Self::LeadingHyphen(part) => write!(f, "starts with `-` in its {part}"),
            Self::TooLong(part) => write!(f, "is too long in its {part}"),
            Self::Port => f.write_str("has a port that is not a number from 1 to 65535"),
            Self::Brackets => f.write_str("has brackets around something that is not an IPv6 address"),
            Self::BareIpv6 => f.write_str("has an IPv6 address without brackets"),
        }
    }
}

impl Address {
    /// Parses `[user@]address[:port]`.
    ///
    /// # Errors
    /// When a part is empty, too long or has a character that it cannot have; the problem says which.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(word("user", user, |c| matches!(c, '.' | '_' | '-' | '+'))?), rest),
            None => (None, text),
        };
        let (name, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (name, after) = inner.split_once(']').ok_or(AddressProblem::Brackets)?;
            (ipv6(name)?, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("") }))
        } else {
            match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(AddressProblem::BareIpv6),
                Some((name, port)) => (host_name(name)?, Some(port)),
                None => (host_name(rest)?, None),
            }
        };
        Ok(Self { user, name, port: port.map(port_number).transpose()? })
    }
}

fn host_name(name: &str) -> Result<String, AddressProblem> {
    word("address", name, |c| matches!(c, '.' | '_' | '-'))
}

fn word(part: &'static str, text: &str, extra: fn(char) -> bool) -> Result<String, AddressProblem> {
    if text.is_empty() {
        return Err(AddressProblem::Empty(part));
    }
    if text.starts_with('-') {
        return Err(AddressProblem::LeadingHyphen(part));
    }
    if let Some(c) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || extra(c))) {
        return Err(AddressProblem::Character(part, c));
    }
    if text.len() > 253 {
        return Err(AddressProblem::TooLong(part));
    }
    Ok(text.to_owned())
}

/// An IPv6 address, with a zone (`fe80::1%eth0`) if it has one.
fn ipv6(text: &str) -> Result<String, AddressProblem> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    address.parse::<Ipv6Addr>().map_err(|_| AddressProblem::Brackets)?;
    if let Some(zone) = zone {
        word("zone", zone, |c| matches!(c, '.' | '_' | '-'))?;
    }
    Ok(text.to_owned())
}

fn port_number(text: &str) -> Result<u16, AddressProblem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(AddressProblem::Port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, user: Option<&str>, name: &str, port: Option<u16>) {
        let address = Address::parse(text).unwrap();
        let expected = Address { user: user.map(str::to_owned), name: name.to_owned(), port };
        assert_eq!(address, expected, "{text}");
    }

    #[test]
    fn addresses_are_taken_apart() {
        check("web1", None, "web1", None);
        check("deploy@203.0.113.10:22", Some("deploy"), "203.0.113.10", Some(22));
        check("web1.example.com:65535", None, "web1.example.com", Some(65535));
        check("[::1]", None, "::1", None);
        check("a.b-c_d+e@[2001:db8::1]:2201", Some("a.b-c_d+e"), "2001:db8::1", Some(2201));
        check("[fe80::1%eth0]:22", None, "fe80::1%eth0", Some(22));
    }

    #[test]
    fn hostile_addresses_are_refused_with_the_reason() {
        let long = "a".repeat(254);
        for (text, expected) in [
            ("", "has an empty address"),
            ("@web1", "has an empty user"),
            ("deploy@", "has an empty address"),
            ("-oProxyCommand=id", "starts with `-` in its address"),
            ("-l@web1", "starts with `-` in its user"),
            ("deploy@-web1", "starts with `-` in its address"),
            ("web1;id", "has `;` in its address"),
            ("$(id)@web1", "has `$` in its user"),
            ("a b", "has ` ` in its address"),
            ("web1\nProxyCommand id", r"has `\n` in its address"),
            ("a@b@web1", "has `@` in its user"),
            ("größe", r"has `\u{f6}` in its address"),
            ("web1:", "has a port that is not a number from 1 to 65535"),
            ("web1:0", "has a port that is not a number from 1 to 65535"),
            ("web1:+22", "has a port that is not a number from 1 to 65535"),
            ("web1:65536", "has a port that is not a number from 1 to 65535"),
            ("web1:ssh", "has a port that is not a number from 1 to 65535"),
            ("::1", "has an IPv6 address without brackets"),
            ("[::1", "has brackets around something that is not an IPv6 address"),
            ("[web1]", "has brackets around something that is not an IPv6 address"),
            ("[::1]22", "has a port that is not a number from 1 to 65535"),
            ("[fe80::1%a b]", "has ` ` in its zone"),
            (long.as_str(), "is too long in its address"),
        ] {
            assert_eq!(Address::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn known_hosts_has_a_port_only_when_it_is_not_22() {
        let mut target = Target {
            host: HostName::parse("web1").unwrap(),
            user: "deploy".to_owned(),
            address: "Web1.Example.com".to_owned(),
            port: 22,
            host_key_alias: None,
            known_hosts: vec![],
            identities: vec![],
            identities_only: false,
            agent: Agent::None,
            jumps: vec![],
        };
        assert_eq!(target.known_hosts_name(), "web1.example.com");
        target.port = 2201;
        assert_eq!(target.known_hosts_name(), "[web1.example.com]:2201");
        target.host_key_alias = Some("web".to_owned());
        assert_eq!(target.known_hosts_name(), "web");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_harmless(text in r"[a-z@:\[\]%;$ \n./_0-9-]{0,24}") {
            if let Ok(address) = Address::parse(&text) {
                let harmless = |word: &str| {
                    !word.is_empty()
                        && !word.starts_with('-')
                        && word.chars().all(|c| c.is_ascii_alphanumeric() || ".:%_+-".contains(c))
                };
                prop_assert!(harmless(&address.name));
                prop_assert!(address.user.as_deref().is_none_or(harmless));
            }
        }
    }
}
