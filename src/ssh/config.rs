//! The operator's SSH configuration, as `ssh -G` reports it: the one program that reads all of it.
//!
//! `ssh` takes the home directory from the password database and ignores `$HOME`. Where the two differ (containers,
//! tests, sudo) the configuration of `$HOME` is passed to it, and paths are moved there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::error::Error;
use super::target::{Address, Agent, Environment, Target};
use crate::fleet::HostName;
use crate::fleet::text::quoted;

/// Longest chain of jump hosts.
const MAX_JUMPS: usize = 8;
/// `ssh -G` may run the operator's own `Match exec` commands.
const DEADLINE: Duration = Duration::from_secs(10);
/// The keys that are tried when nothing names any; what OpenSSH tries, less what needs hardware or is obsolete.
const DEFAULT_IDENTITIES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The target that an address and the configuration describe, with its jump hosts.
pub(super) async fn resolve(
    host: &HostName,
    address: &Address,
    environment: &Environment,
) -> Result<Target, Error> {
    let lookup = Lookup { host, environment };
    let (mut target, mut proxy) = lookup.one(address).await?;
    let mut jumps = Vec::new();
    // As in OpenSSH, only the first hop of a list is reached by its own ProxyJump; the others follow from there.
    while let Some(list) = proxy.take() {
        let mut hops = Vec::new();
        for hop in list.split(',') {
            let address = lookup.jump_address(hop)?;
            let (hop, own_proxy) = lookup.one(&address).await?;
            if hops.is_empty() {
                proxy = own_proxy;
            }
            hops.push(hop);
        }
        hops.append(&mut jumps);
        jumps = hops;
        if jumps.len() > MAX_JUMPS {
            return Err(lookup.problem(format!("goes through more than {MAX_JUMPS} jump hosts")));
        }
    }
    target.jumps = jumps;
    Ok(target)
}

struct Lookup<'a> {
    host: &'a HostName,
    environment: &'a Environment,
}

impl Lookup<'_> {
    fn problem(&self, problem: String) -> Error {
        Error::Config { host: self.host.clone(), problem }
    }

    fn jump_address(&self, hop: &str) -> Result<Address, Error> {
        let hop = hop.strip_prefix("ssh://").unwrap_or(hop);
        Address::parse(hop.trim_end_matches('/'))
            .map_err(|problem| self.problem(format!("names a jump host {} that {problem}", quoted(hop))))
    }

    /// One target, and the jump hosts that its configuration names.
    async fn one(&self, address: &Address) -> Result<(Target, Option<String>), Error> {
        let report = match &self.environment.ssh {
            Some(ssh) => Report::parse(&self.ask(ssh, address).await?),
            None => Report::default(),
        };
        if let Some(command) = report.get("proxycommand") {
            return Err(self.problem(format!(
                "reaches {} by ProxyCommand {}, which is not supported; a ProxyJump is",
                address.name,
                quoted(command)
            )));
        }
        let user = address.user.clone().or_else(|| report.get("user").map(str::to_owned));
        let user = user.or_else(|| self.environment.user.clone()).ok_or_else(|| {
            self.problem("names no user, and neither does this machine; write user@address".to_owned())
        })?;
        let target = Target {
            host: self.host.clone(),
            user,
            address: report.get("hostname").unwrap_or(&address.name).to_owned(),
            port: address.port.or_else(|| report.get("port")?.parse().ok()).unwrap_or(22),
            host_key_alias: report.get("hostkeyalias").map(str::to_ascii_lowercase),
            known_hosts: self.known_hosts(&report),
            identities: self.identities(&report),
            identities_only: report.get("identitiesonly") == Some("yes"),
            agent: self.agent(&report),
            jumps: Vec::new(),
        };
        Ok((target, report.get("proxyjump").map(str::to_owned)))
    }

    async fn ask(&self, ssh: &Path, address: &Address) -> Result<String, Error> {
        let mut command = Command::new(ssh);
        command.arg("-G");
        if let Some(file) = self.environment.configuration_of_home() {
            command.arg("-F").arg(file);
        }
        if let Some(user) = &address.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = address.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg("--").arg(&address.name).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, command.output())
            .await
            .map_err(|_| Error::Deadline {
                host: self.host.clone(),
                what: "`ssh -G`".to_owned(),
                after: DEADLINE,
            })?
            .map_err(|error| {
                self.problem(format!("cannot be read: {} does not run: {error}", ssh.display()))
            })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            Err(self.problem(format!("cannot be read: `ssh -G` says {}", quoted(last))))
        }
    }

    fn known_hosts(&self, report: &Report) -> Vec<PathBuf> {
        let listed: Vec<PathBuf> = ["userknownhostsfile", "globalknownhostsfile"]
            .into_iter()
            .filter_map(|key| report.get(key))
            .flat_map(split_paths)
            .filter_map(|path| self.environment.expand(&path))
            .collect();
        if report.is_empty() {
            let mut files: Vec<PathBuf> = self.environment.expand("~/.ssh/known_hosts").into_iter().collect();
            files.push(PathBuf::from("/etc/ssh/ssh_known_hosts"));
            return files;
        }
        listed
    }

    fn identities(&self, report: &Report) -> Vec<PathBuf> {
        if report.is_empty() {
            let defaults = DEFAULT_IDENTITIES.into_iter();
            return defaults.filter_map(|name| self.environment.expand(&format!("~/.ssh/{name}"))).collect();
        }
        report.all("identityfile").filter_map(|path| self.environment.expand(path)).collect()
    }

    fn agent(&self, report: &Report) -> Agent {
        let socket = match report.get("identityagent") {
            None | Some("SSH_AUTH_SOCK") => self.environment.agent.clone(),
            Some(variable) if variable.starts_with('$') => {
                std::env::var_os(&variable[1..]).map(PathBuf::from)
            }
            Some(path) => self.environment.expand(path),
        };
        socket.map_or(Agent::None, Agent::Socket)
    }
}

impl Environment {
    /// The configuration file to name to `ssh`, when it would not find that of `$HOME` by itself. Only then: naming
    /// one makes `ssh` ignore the system-wide configuration.
    fn configuration_of_home(&self) -> Option<PathBuf> {
        let (home, passwd_home) = (self.home.as_ref()?, self.passwd_home.as_ref()?);
        if home == passwd_home {
            return None;
        }
        let file = home.join(".ssh/config");
        Some(if file.is_file() { file } else { PathBuf::from("none") })
    }

    /// A path of the configuration: `~` is `$HOME`, and what `ssh` put into its own idea of home is moved there.
    /// `none` is no path.
    fn expand(&self, path: &str) -> Option<PathBuf> {
        if path == "none" {
            return None;
        }
        if let Some(rest) = path.strip_prefix("~/") {
            return self.home.as_ref().map(|home| home.join(rest));
        }
        let path = Path::new(path);
        let moved = self.passwd_home.as_ref().and_then(|home| path.strip_prefix(home.join(".ssh")).ok());
        match (moved, &self.home) {
            (Some(rest), Some(home)) => Some(home.join(".ssh").join(rest)),
            _ => Some(path.to_owned()),
        }
    }
}

/// What `ssh -G` printed: a keyword and its value per line, keywords in lower case.
#[derive(Debug, Default)]
struct Report(Vec<(String, String)>);

impl Report {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.trim().split_once(' '));
        Self(lines.map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned())).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of a keyword that is set; `none` is how `ssh` writes "not set", except for an agent.
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())?;
        (key == "identityagent" || value != "none").then_some(value)
    }
}

/// Several paths in one value, each perhaps in double quotes.
fn split_paths(value: &str) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => paths.push(String::new()),
            c => paths.last_mut().expect("starts with one path").push(c),
        }
    }
    paths.retain(|path| !path.is_empty());
    paths
}

/// Our line of the password database.
pub(super) struct PasswdEntry {
    pub(super) name: String,
    pub(super) home: PathBuf,
}

/// Reads `/etc/passwd` only: accounts of a directory service have the same home in `$HOME`, or none known here.
pub(super) fn passwd_entry() -> Option<PasswdEntry> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2) == Some(&uid.as_str())).then_some(PasswdEntry {
            name: (*fields.first()?).to_owned(),
            home: PathBuf::from(fields.get(5)?),
        })
    })
}

/// A program on `$PATH`.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            home: Some(PathBuf::from("/home/test")),
            passwd_home: Some(PathBuf::from("/home/real")),
            user: Some("tester".to_owned()),
            agent: Some(PathBuf::from("/run/agent")),
            ssh: None,
        }
    }

    fn lookup<T>(environment: &Environment, question: impl FnOnce(&Lookup<'_>) -> T) -> T {
        let host = HostName::parse("web1").unwrap();
        question(&Lookup { host: &host, environment })
    }

    #[tokio::test]
    async fn without_ssh_the_defaults_hold() {
        let host = HostName::parse("web1").unwrap();
        let address = Address::parse("203.0.113.10:2201").unwrap();
        let target = resolve(&host, &address, &environment()).await.unwrap();
        assert_eq!((target.user.as_str(), target.port), ("tester", 2201));
        assert_eq!(target.known_hosts[0], Path::new("/home/test/.ssh/known_hosts"));
        assert_eq!(target.identities[0], Path::new("/home/test/.ssh/id_ed25519"));
        assert_eq!(target.agent, Agent::Socket("/run/agent".into()));
        assert!(target.jumps.is_empty());
        let nobody = Environment { user: None, ..environment() };
        let error = resolve(&host, &address, &nobody).await.unwrap_err();
        assert!(error.to_string().contains("write user@address"), "{error}");
    }

    #[test]
    fn home_is_where_home_says() {
        for (path, expected) in [
            ("~/.ssh/id_ed25519", Some("/home/test/.ssh/id_ed25519")),
            ("/home/real/.ssh/known_hosts", Some("/home/test/.ssh/known_hosts")),
            ("/home/real/keys/id", Some("/home/real/keys/id")),
            ("/etc/ssh/ssh_known_hosts", Some("/etc/ssh/ssh_known_hosts")),
            ("none", None),
        ] {
            assert_eq!(environment().expand(path), expected.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn a_report_is_understood() {
        let report = Report::parse(
            "user deploy\nHostName 203.0.113.10\nproxyjump none\nidentityfile ~/.ssh/a\nidentityfile ~/.ssh/b\n\
             userknownhostsfile \"/home/real/.ssh/known hosts\" /dev/null\nglobalknownhostsfile none\n\
             identityagent none\nnonsense\n",
        );
        assert_eq!((report.get("user"), report.get("hostname")), (Some("deploy"), Some("203.0.113.10")));
        assert_eq!(report.get("proxyjump"), None);
        let paths =
            |paths: Vec<PathBuf>| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        lookup(&environment(), |lookup| {
            assert_eq!(paths(lookup.identities(&report)), ["/home/test/.ssh/a", "/home/test/.ssh/b"]);
            assert_eq!(paths(lookup.known_hosts(&report)), ["/home/test/.ssh/known hosts", "/dev/null"]);
            assert_eq!(lookup.agent(&report), Agent::None);
        });
    }

    #[test]
    fn a_jump_host_is_as_strict_as_a_host() {
        lookup(&environment(), |lookup| {
            assert_eq!(lookup.jump_address("ssh://deploy@door:22/").unwrap().name, "door");
            for hop in ["-oProxyCommand=id", "door;id", "", "a b"] {
                assert!(lookup.jump_address(hop).is_err(), "{hop}");
            }
        });
    }
}
