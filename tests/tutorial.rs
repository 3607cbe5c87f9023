//! docs/rules.md begins with a tutorial, and a reader who types what it says sees what it shows. Its blocks are played in
//! order, in an empty directory: `toml FILE` and `text FILE` write a file, what stands behind a `$` is typed, and what comes
//! below it must come out. Blocks of `sh` need a server and are only read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md");
const BEGIN: &str = "<!-- tutorial -->\n";
const END: &str = "<!-- end of the tutorial -->";
const ASK: &str = "regenerate with ARCANE_UPDATE_DOCS=1 cargo test --test tutorial";

/// A directory of its own, gone with the test.
struct Scene(PathBuf);

impl Scene {
    fn new() -> Self {
        let scene = Self(env::temp_dir().join(format!("arcane-tutorial-{}", std::process::id())));
        fs::create_dir_all(scene.0.join("home")).unwrap();
        // What `arcane record` would bring.
        let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tutorial/shop.recording");
        fs::copy(recording, scene.0.join("shop.recording")).unwrap();
        scene
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Types a command; gives what a terminal would show.
    fn types(&self, command: &str) -> String {
        let arcane = Path::new(env!("CARGO_BIN_EXE_arcane")).parent().unwrap();
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(&self.0)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", arcane.display()))
            .env("HOME", self.0.join("home"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Plays a block; gives what should stand in it.
fn play(scene: &Scene, info: &str, body: &str) -> String {
    let mut words = info.split_whitespace();
    match (words.next(), words.next()) {
        (Some("toml" | "text"), Some(file)) => {
            scene.write(file, body);
            body.to_owned()
        }
        (Some("text"), None) => {
            let commands = body.lines().filter_map(|line| line.strip_prefix("$ "));
            let shown = commands.map(|command| format!("$ {command}\n{}", scene.types(command)));
            let shown: Vec<String> = shown.map(|shown| shown.trim_end().to_owned() + "\n").collect();
            assert!(!shown.is_empty(), "a block of `text` without a file or a command:\n{body}");
            shown.concat()
        }
        (Some("sh"), None) => body.to_owned(),
        _ => panic!("a block of `{info}` is neither played nor written:\n{body}"),
    }
}

/// The tutorial as it should be.
fn played(tutorial: &str) -> String {
    let scene = Scene::new();
    let mut out = String::new();
    let mut rest = tutorial;
    while let Some((before, block)) = rest.split_once("\n```") {
        let (info, block) = block.split_once('\n').unwrap();
        let (body, after) = block.split_once("```\n").unwrap_or_else(|| panic!("`{info}` has no end"));
        out.push_str(&format!("{before}\n```{info}\n{}```\n", play(&scene, info, body)));
        rest = after;
    }
    out + rest
}

#[test]
fn the_tutorial_shows_what_its_reader_sees() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the tutorial has a beginning");
    let (tutorial, after) = rest.split_once(END).expect("the tutorial has an end");
    let should = played(tutorial);
    if env::var_os("ARCANE_UPDATE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{should}{END}{after}")).unwrap();
        return;
    }
    let line = tutorial.lines().zip(should.lines()).find(|(is, should)| is != should);
    assert!(tutorial == should, "{PAGE} shows and {line:?} is what comes out; {ASK}");
}
