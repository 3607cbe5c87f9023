//! Story: a host fills up over the months. What nobody needs is named with what it takes, and goes; nothing else does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Lab, LabHost, TestEnv, image_with};

fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nport = 8080\nstop_timeout = \"1s\"\nhealth = {{ tcp = true }}\n{more}\n"
    )
}

fn tags(host: &LabHost) -> BTreeSet<String> {
    let images = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).succeeds();
    images.text().lines().map(str::to_owned).collect()
}

fn containers(host: &LabHost) -> BTreeSet<String> {
    let names = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
    names.text().lines().map(str::to_owned).collect()
}

#[test]
fn only_what_nobody_needs_goes() {
    let host = Lab::host();
    for version in ["one", "two"] {
        image_with(
            &format!("prune-story:{version}"),
            &[("VERSION", version)],
            &["--seed", version, "--size", "10M"],
        );
    }
    // The first one is proved, so it stays beyond `keep` until the next one is proved too.
    let env = TestEnv::new().fleet(&[&host]);
    let env = env.write("arcane.toml", &shop("prune-story:one", "keep = 0\nprove = \"6s\""));
    env.run(&["push"]).succeeds();
    std::thread::sleep(Duration::from_secs(7));
    let env = env.write("arcane.toml", &shop("prune-story:two", "keep = 0\nprove = \"6s\""));
    env.run(&["push"]).succeeds();

    // Two references to releases that are gone, of which one has an image of its own, and much that is not ours.
    let live = host.docker(&["inspect", "-f", "{{.Image}}", "shop"]).succeeds().text().to_owned();
    host.docker(&["tag", &live, "arcane/shop:20250101-000000-0001"]).succeeds();
    host.ssh("head -c 3000000 /dev/urandom >/tmp/f && tar -C /tmp -c f | docker import - arcane/shop:20250101-000000-0002")
        .succeeds();
    host.docker(&["tag", &live, "arcane/shop:partial-20250101-0123456789abcdef"]).succeeds();
    for foreign in ["arcane/shop:latest", "arcane/shop:v1", "shop:20250101-000000-0001", "other:1"] {
        host.docker(&["tag", &live, foreign]).succeeds();
    }
    host.docker(&["create", "--name", "bank_release", &live]).succeeds();
    host.docker(&["create", "--name", "shop_release", "--label", "arcane.one-off=shop", &live]).succeeds();
    let (kept_tags, kept_containers) = (tags(&host), containers(&host));
    std::thread::sleep(Duration::from_secs(7));

    let plan = env.run(&["prune", "--plan", "--json"]).succeeds().json();
    assert_eq!(
        (tags(&host), containers(&host)),
        (kept_tags.clone(), kept_containers.clone()),
        "--plan touched something"
    );
    let removed = plan["removed"].as_array().unwrap();
    let named = |kind: &str| removed.iter().filter(|it| it["kind"] == kind).collect::<Vec<_>>();
    let count = |kind| named(kind).len();
    assert_eq!((removed.len(), count("release"), count("image")), (5, 1, 2), "{plan}");
    assert_eq!((count("upload"), count("one-off")), (1, 1), "{plan}");
    let freed = |kind, index: usize| named(kind)[index]["bytes"].as_u64().unwrap();
    // The test app itself is a layer that the live release uses, too: only the blob goes.
    assert!((10_485_760..10_600_000).contains(&freed("release", 0)), "{plan}");
    let images: BTreeSet<_> = [freed("image", 0), freed("image", 1)].into();
    assert!(
        images.contains(&0) && images.iter().any(|bytes| (2_990_000..3_100_000).contains(bytes)),
        "{plan}"
    );

    env.run(&["prune", "nothing-here"]).succeeds().says("Nothing to remove");
    env.run(&["prune"]).succeeds().says("shop_old").says("Freed 12.");
    let gone: Vec<_> = kept_tags.difference(&tags(&host)).cloned().collect();
    assert_eq!(gone.len(), 4, "{gone:?}");
    let ours = |tag: &String| tag.starts_with("arcane/shop:202") || tag.starts_with("arcane/shop:partial-");
    assert!(gone.iter().all(ours), "{gone:?}");
    let gone: Vec<_> = kept_containers.difference(&containers(&host)).cloned().collect();
    assert_eq!(gone, ["shop_old", "shop_release"]);
    env.run(&["prune"]).succeeds().says("Nothing to remove");
}

#[test]
fn nothing_goes_while_somebody_works_on_it_or_left_it_half_way() {
    let host = Lab::host();
    image_with("prune-busy:1", &[("VERSION", "one")], &[]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("prune-busy:1", ""));
    env.run(&["push"]).succeeds();
    let live = host.docker(&["inspect", "-f", "{{.Image}}", "shop"]).succeeds().text().to_owned();
    host.docker(&["tag", &live, "arcane/shop:20250101-000000-0001"]).succeeds();
    host.ssh("exec 9</var/lock/arcane.deploy; flock 9; sleep 5 </dev/null >/dev/null 2>&1 &").succeeds();
    env.run(&["prune"]).exits(7).complains("is locked by");
    // As a push leaves it that was killed in its switch.
    host.docker(&["rename", "shop", "shop_old"]).succeeds();
    env.run(&["prune", "--wait", "20s"]).exits(1).complains("cut off half-way").complains("arcane status");
    assert!(tags(&host).contains("arcane/shop:20250101-000000-0001"));
}
