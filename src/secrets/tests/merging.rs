//! Merging two branches' versions of an environment.

use super::*;

fn changed(base: &Contents, secrets: &[(&str, Option<&str>)]) -> Contents {
    let mut changed = base.clone();
    for (name, value) in secrets {
        match value {
            Some(value) => {
                changed.set(variable(name), Value::from(*value), "bob", at(2)).unwrap();
            }
            None => {
                changed.secrets.remove(&variable(name));
            }
        }
    }
    changed
}

fn values(contents: &Contents) -> Vec<(&str, &str)> {
    contents.secrets.iter().map(|(name, secret)| (name.as_str(), secret.value.text().unwrap())).collect()
}

#[test]
fn different_names_merge_and_the_same_name_conflicts() {
    let base = contents("production", &[&person("alice")], &[("A", "a"), ("B", "b"), ("C", "c")]);
    let ours = changed(&base, &[("A", Some("a2")), ("NEW", Some("n")), ("SAME", Some("s"))]);
    let theirs = changed(&base, &[("B", None), ("OTHER", Some("o")), ("SAME", Some("s"))]);
    let (merged, conflicts) = merge(Some(&base), &ours, &theirs);
    assert_eq!(conflicts, []);
    let expected = [("A", "a2"), ("C", "c"), ("NEW", "n"), ("OTHER", "o"), ("SAME", "s")];
    assert_eq!(values(&merged), expected);

    let theirs = changed(&base, &[("A", Some("a3")), ("C", Some("c2"))]);
    let ours = changed(&base, &[("A", Some("a2")), ("C", None)]);
    let (merged, conflicts) = merge(Some(&base), &ours, &theirs);
    assert_eq!(values(&merged), [("A", "a2"), ("B", "b")], "ours is kept where both changed");
    let told: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
    let by_bob = "set by bob at 1970-01-01T00:00:02Z";
    assert_eq!(
        told,
        [format!("A: ours {by_bob}, theirs {by_bob}"), format!("C: ours removed, theirs {by_bob}")]
    );
}

#[test]
fn without_a_common_past_only_equal_values_agree() {
    let alice = person("alice");
    let ours = contents("production", &[&alice], &[("A", "a"), ("B", "b")]);
    let theirs = contents("production", &[&alice], &[("A", "a"), ("C", "c")]);
    assert_eq!(merge(None, &ours, &theirs).0.file_keys.len(), 2, "what either side sealed can be opened");
    assert_eq!(values(&merge(None, &ours, &theirs).0), [("A", "a"), ("B", "b"), ("C", "c")]);
    let theirs = contents("production", &[&alice], &[("A", "other")]);
    assert_eq!(merge(None, &ours, &theirs).1.len(), 1);
}

#[test]
fn who_was_removed_on_one_branch_stays_out_and_knows_what_the_other_branch_set() {
    let (alice, bob, carol) = (person("alice"), person("bob"), person("carol"));
    let base = contents("production", &[&alice, &bob], &[("A", "a")]);
    let mut ours = base.clone();
    ours.dismiss(&bob.name, FileKey::generate());
    ours.set(variable("OURS"), Value::from("after bob"), "alice", at(3)).unwrap();
    let mut theirs = changed(&base, &[("THEIRS", Some("seen by bob"))]);
    theirs.readers.entry(carol.name.clone()).or_default().insert(carol.key.clone());
    for merged in [merge(Some(&base), &ours, &theirs).0, merge(Some(&base), &theirs, &ours).0] {
        assert_eq!(merged.readers.keys().map(MemberName::as_str).collect::<Vec<_>>(), ["alice", "carol"]);
        assert_eq!(merged.file_keys, ours.file_keys, "bob's key is not used again");
        let knows = |name| merged.secrets[&variable(name)].known_by.contains(&bob.name);
        assert_eq!((knows("A"), knows("OURS"), knows("THEIRS")), (true, false, true));
    }
}
