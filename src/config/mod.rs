//! The two files people write, arcane.toml (apps) and fleet.toml (hosts, groups): typed, validated, every error pointing
//! at its line. Depends on `fleet` alone.
