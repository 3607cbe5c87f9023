//! The rules that come with Arcane: a file per kind of software, embedded. `docs/rules.md` describes their language.

/// Each file's name and text, in the order in which `arcane rules list` shows them.
pub(super) const FILES: [(&str, &str); 24] = [
    ("beam.toml", include_str!("../../rules/beam.toml")),
    ("celery.toml", include_str!("../../rules/celery.toml")),
    ("config.toml", include_str!("../../rules/config.toml")),
    ("core.toml", include_str!("../../rules/core.toml")),
    ("crash.toml", include_str!("../../rules/crash.toml")),
    ("deno.toml", include_str!("../../rules/deno.toml")),
    ("django.toml", include_str!("../../rules/django.toml")),
    ("dotnet.toml", include_str!("../../rules/dotnet.toml")),
    ("go.toml", include_str!("../../rules/go.toml")),
    ("gunicorn.toml", include_str!("../../rules/gunicorn.toml")),
    ("jvm.toml", include_str!("../../rules/jvm.toml")),
    ("native.toml", include_str!("../../rules/native.toml")),
    ("network.toml", include_str!("../../rules/network.toml")),
    ("node.toml", include_str!("../../rules/node.toml")),
    ("noise.toml", include_str!("../../rules/noise.toml")),
    ("perl.toml", include_str!("../../rules/perl.toml")),
    ("php.toml", include_str!("../../rules/php.toml")),
    ("prisma.toml", include_str!("../../rules/prisma.toml")),
    ("python.toml", include_str!("../../rules/python.toml")),
    ("ruby.toml", include_str!("../../rules/ruby.toml")),
    ("rust.toml", include_str!("../../rules/rust.toml")),
    ("spring.toml", include_str!("../../rules/spring.toml")),
    ("storage.toml", include_str!("../../rules/storage.toml")),
    ("system.toml", include_str!("../../rules/system.toml")),
];
