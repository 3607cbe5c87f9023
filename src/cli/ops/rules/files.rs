//! Where rule files are found, and whether they have changed. Four layers, each over those before it: the built-in rules,
//! `rules/` in the user's configuration, `rules/` beside the arcane.toml, and what `--rules` names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config;
use crate::heal::RuleSource;
use crate::rules::RuleSet;
use crate::watch::Sampling;

/// A rule file larger than this is not one.
const LIMIT: u64 = 1 << 20;
/// Files of one directory; more are no rules.
const MOST_FILES: usize = 1000;

/// The name and text of each file.
type Layer = Vec<(String, String)>;

/// All layers, the lowest first.
pub(super) fn layers(directory: &Path, paths: &[PathBuf]) -> Result<Vec<Layer>, Failure> {
    let mut layers = vec![RuleSet::builtin_files()];
    for folder in folders(directory) {
        layers.push(read(&toml_files(&folder)?)?);
    }
    layers.push(read(paths)?);
    Ok(layers)
}

/// The folders of rules that are there without being named.
fn folders(directory: &Path) -> Vec<PathBuf> {
    let users = config::config_home().map(|home| home.join("arcane").join("rules"));
    let start = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let project = start.ancestors().find(|ancestor| ancestor.join("arcane.toml").is_file());
    let projects = project.map(|project| project.join("rules"));
    users.into_iter().chain(projects).filter(|folder| folder.is_dir()).collect()
}

/// What is in files, and in the `.toml` files of directories.
pub(super) fn read(paths: &[PathBuf]) -> Result<Layer, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = toml_files(path)?;
            if found.is_empty() {
                return Err(Failure::new(exit::USAGE, format!("{} holds no .toml file", path.display())));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    files.iter().map(|file| read_one(file)).collect()
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|error| unreadable(folder, &error))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .take(MOST_FILES + 1)
        .collect();
    if files.len() > MOST_FILES {
        let message = format!("{} holds more than {MOST_FILES} .toml files", folder.display());
        return Err(
            Failure::new(exit::USAGE, message).hint("name those that are rules, or move the others away")
        );
    }
    files.sort();
    Ok(files)
}

fn read_one(path: &Path) -> Result<(String, String), Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    // A device has no end, and a pipe waits for ever for somebody to write into it.
    if !metadata.is_file() {
        return Err(Failure::new(exit::USAGE, format!("{} is no regular file", path.display())));
    }
    let size = metadata.len();
    if size > LIMIT {
        return Err(Failure::new(
            exit::USAGE,
            format!("{} has {size} bytes, {LIMIT} are allowed", path.display()),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok((path.display().to_string(), text))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit::USAGE, format!("cannot read rules from {}: {error}", path.display()))
}

/// The rule files of a supervisor, watched while it runs.
pub(in crate::cli::ops) struct RuleWatch {
    directory: PathBuf,
    paths: Vec<PathBuf>,
    /// Turned on when the rules need samples.
    sampling: Sampling,
    last: Mutex<Seen>,
}

/// What was last seen of the files.
#[derive(Default)]
struct Seen {
    /// Their lengths and times.
    stamps: BTreeMap<PathBuf, Option<(u64, SystemTime)>>,
    layers: Vec<Layer>,
}

impl RuleWatch {
    /// Reads the rules that are in force now, and watches from then on.
    pub(in crate::cli::ops) fn begin(
        directory: &Path,
        paths: &[PathBuf],
        sampling: Sampling,
    ) -> Result<(Self, RuleSet), Failure> {
        let watch =
            Self { directory: directory.to_owned(), paths: paths.to_vec(), sampling, last: Mutex::default() };
        let stamps = watch.stamps();
        let layers = layers(directory, paths)?;
        let rules = RuleSet::layered(&layers).map_err(|error| Failure::from_error(exit::USAGE, &error))?;
        watch.sampling.turn(rules.needs_stats());
        *watch.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Seen { stamps, layers };
        Ok((watch, rules))
    }

    /// Every file that is there, with what tells cheaply that it was changed.
    fn stamps(&self) -> BTreeMap<PathBuf, Option<(u64, SystemTime)>> {
        let named = self.paths.iter().map(|path| if path.is_dir() { (path, true) } else { (path, false) });
        let mut files: Vec<PathBuf> = Vec::new();
        for (path, is_folder) in named {
            if is_folder {
                files.extend(toml_files(path).unwrap_or_default());
            } else {
                files.push(path.clone());
            }
        }
        for folder in folders(&self.directory) {
            files.extend(toml_files(&folder).unwrap_or_default());
        }
        let stamp = |file: &Path| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        files.into_iter().map(|file| (file.clone(), stamp(&file))).collect()
    }
}

impl RuleSource for RuleWatch {
    fn changed(&self) -> Option<Result<RuleSet, String>> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stamps = self.stamps();
        if stamps == last.stamps {
            return None;
        }
        last.stamps = stamps;
        let layers = match layers(&self.directory, &self.paths) {
            Ok(layers) if layers == last.layers => return None,
            Ok(layers) => layers,
            Err(failure) => {
                // Whatever comes next is news.
                last.layers.clear();
                return Some(Err(failure.line()));
            }
        };
        let rules = RuleSet::layered(&layers).map_err(|error| error.to_string());
        last.layers = layers;
        if let Ok(rules) = &rules {
            self.sampling.turn(rules.needs_stats());
        }
        Some(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "pack = \"shop\"\nschema = 1\n[[rule]]\nid = \"boom\"\nclass = \"hang\"\nlog = { any = [\"boom\"] }\n";

    /// A folder that is empty.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("arcane-rules-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(rules: &RuleSet) -> Vec<&str> {
        rules.rules().iter().map(crate::rules::Rule::name).filter(|name| name.starts_with("shop/")).collect()
    }

    #[test]
    fn rules_beside_the_project_are_found_from_below_it() {
        let project = folder("project");
        let below = project.join("src/deep");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::create_dir(project.join("rules")).unwrap();
        std::fs::write(project.join("rules/shop.toml"), RULE).unwrap();
        let find = || layers(&below, &[]).unwrap().iter().flatten().any(|(_, text)| text == RULE);
        assert!(!find(), "without an arcane.toml it is no project");
        std::fs::write(project.join("arcane.toml"), "").unwrap();
        assert!(find());
        std::fs::write(project.join("rules/notes.txt"), "no rules").unwrap();
        assert!(layers(&below, &[]).unwrap().iter().flatten().all(|(name, _)| !name.ends_with(".txt")));
        std::fs::remove_dir_all(project).unwrap();
    }

    #[test]
    fn a_change_is_found_once_and_a_mistake_leaves_what_was() {
        let folder = folder("changes");
        let file = folder.join("shop.toml");
        std::fs::write(&file, RULE).unwrap();
        let sampling = Sampling::default();
        let paths = [folder.clone()];
        let (watch, rules) = RuleWatch::begin(&folder, &paths, sampling.clone()).unwrap();
        assert_eq!(names(&rules), ["shop/boom"]);
        assert!(watch.changed().is_none());
        std::fs::write(&file, RULE.replace("boom", "bang!")).unwrap();
        let why = watch.changed().unwrap().unwrap_err();
        assert!(why.contains("shop.toml:4:6: `bang!` is no id"), "{why}");
        assert!(watch.changed().is_none(), "told once");
        std::fs::write(
            &file,
            format!("{RULE}[[rule]]\nid = \"fat\"\nclass = \"hang\"\nstat = \"mem_pct > 90\"\n"),
        )
        .unwrap();
        assert_eq!(names(&watch.changed().unwrap().unwrap()), ["shop/boom", "shop/fat"]);
        assert!(sampling.is_on());
        std::fs::write(folder.join("more.toml"), RULE.replace("boom", "more")).unwrap();
        assert_eq!(names(&watch.changed().unwrap().unwrap()), ["shop/more", "shop/boom", "shop/fat"]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(names(&watch.changed().unwrap().unwrap()), ["shop/more"]);
        assert!(!sampling.is_on());
        std::fs::remove_file(folder.join("more.toml")).unwrap();
        assert!(watch.changed().unwrap().unwrap_err().contains("holds no .toml file"));
        std::fs::write(&file, RULE).unwrap();
        assert_eq!(names(&watch.changed().unwrap().unwrap()), ["shop/boom"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
