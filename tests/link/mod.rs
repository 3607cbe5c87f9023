//! Connecting to a lab host as the user of a test's home would.

// Each story uses a part of it.
#![allow(dead_code, clippy::unwrap_used)]

use std::future::Future;
use std::time::Duration;

use arcane::fleet::{Host, HostName};
use arcane::ssh::{Environment, Error, Session, Target};

use crate::support::TestEnv;

pub(crate) fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), story).await.expect("the story ends within 2 minutes")
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// Where `ssh` would look, if this test's home were the user's.
pub(crate) fn environment(env: &TestEnv) -> Environment {
    Environment { home: Some(env.home()), agent: None, ..Environment::current() }
}

pub(crate) async fn target(env: &TestEnv, address: &str) -> Target {
    let host = Host { name: HostName::parse("web1").unwrap(), ssh: address.to_owned() };
    Target::resolve_in(&host, &environment(env)).await.unwrap()
}

pub(crate) async fn connect(env: &TestEnv, address: &str) -> Result<Session, Error> {
    Session::connect(&target(env, address).await).await
}
