//! The order of a rollout. Pure: groups in, stages out.
//!
//! Gate after gate, as they were named. Within a gate one host goes first, the canary: whatever is wrong with a release
//! shows on one host and not on all. The others follow in batches.

use serde::Serialize;

use crate::fleet::{Batch, Gate, Host};

/// Hosts that are changed together, after those of the stage before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The gate it belongs to, as it was named.
    pub gate: String,
    /// What it is in its gate.
    pub kind: Kind,
    /// Its hosts; at least one.
    pub hosts: Vec<Host>,
}

/// What a stage is in its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first host of several.
    Canary,
    /// The others, some at a time; or the only host.
    Batch,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Batch => "batch",
        }
    }
}

/// Draws up the order. The size of a batch is that of its gate's hosts, the canary counted in.
#[must_use]
pub fn stages(gates: &[Gate], batch: Batch) -> Vec<Stage> {
    let mut stages = Vec::new();
    for gate in gates {
        let mut stage = |kind, hosts: &[Host]| {
            stages.push(Stage { gate: gate.name.clone(), kind, hosts: hosts.to_vec() })
        };
        let rest = match gate.hosts.as_slice() {
            [canary, rest @ ..] if !rest.is_empty() => {
                stage(Kind::Canary, std::slice::from_ref(canary));
                rest
            }
            only => only,
        };
        for hosts in rest.chunks(batch.of(gate.hosts.len())) {
            stage(Kind::Batch, hosts);
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::HostName;

    fn gate(name: &str, hosts: usize) -> Gate {
        let host = |number| Host {
            name: HostName::parse(&format!("{name}{number}")).unwrap(),
            ssh: "deploy@192.0.2.1".to_owned(),
        };
        Gate { name: name.to_owned(), hosts: (1..=hosts).map(host).collect() }
    }

    fn drawn(gates: &[Gate], batch: Batch) -> Vec<String> {
        let line = |stage: &Stage| {
            let hosts: Vec<_> = stage.hosts.iter().map(|host| host.name.as_str()).collect();
            format!("{} {} {}", stage.gate, stage.kind.as_str(), hosts.join(" "))
        };
        stages(gates, batch).iter().map(line).collect()
    }

    #[test]
    fn a_canary_first_then_batches_gate_after_gate() {
        let gates = [gate("s", 1), gate("p", 6)];
        assert_eq!(
            drawn(&gates, Batch::Hosts(2)),
            ["s batch s1", "p canary p1", "p batch p2 p3", "p batch p4 p5", "p batch p6"]
        );
        assert_eq!(
            drawn(&gates, Batch::Percent(100)),
            ["s batch s1", "p canary p1", "p batch p2 p3 p4 p5 p6"]
        );
    }

    proptest! {
        #[test]
        fn every_host_comes_once_in_its_order_and_no_batch_is_too_large(
            sizes in prop::collection::vec(1_usize..60, 1..5),
            batch in prop_oneof![
                (1_u8..=100).prop_map(Batch::Percent),
                (1_usize..80).prop_map(Batch::Hosts),
            ],
        ) {
            let gates: Vec<_> = sizes.iter().zip(["a", "b", "c", "d"]).map(|(size, name)| gate(name, *size)).collect();
            let stages = stages(&gates, batch);
            let expected: Vec<_> = gates.iter().flat_map(|gate| &gate.hosts).collect();
            let in_order: Vec<_> = stages.iter().flat_map(|stage| &stage.hosts).collect();
            prop_assert_eq!(in_order, expected);
            for stage in &stages {
                let gate = gates.iter().find(|gate| gate.name == stage.gate).unwrap();
                prop_assert!(!stage.hosts.is_empty());
                prop_assert!(stage.hosts.len() <= batch.of(gate.hosts.len()));
                prop_assert!(stage.kind == Kind::Batch || stage.hosts.len() == 1);
            }
            for gate in gates.iter().filter(|gate| gate.hosts.len() > 1) {
                let first = stages.iter().find(|stage| stage.gate == gate.name).unwrap();
                prop_assert_eq!(first.kind, Kind::Canary);
            }
        }
    }
}
