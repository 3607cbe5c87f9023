//! The rules that come with Arcane: a file per kind of software, embedded. `docs/rules.md` describes their language.

/// Each file's name and text, in the order in which `arcane rules list` shows them.
pub(super) const FILES: [(&str, &str); 6] = [
    ("config.toml", include_str!("../../rules/config.toml")),
    ("core.toml", include_str!("../../rules/core.toml")),
    ("data.toml", include_str!("../../rules/data.toml")),
    ("network.toml", include_str!("../../rules/network.toml")),
    ("runtime.toml", include_str!("../../rules/runtime.toml")),
    ("system.toml", include_str!("../../rules/system.toml")),
];
