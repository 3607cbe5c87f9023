//! Arcane: a hacker's PaaS in one binary.
