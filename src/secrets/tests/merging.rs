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

fn merged(base: Option<&Contents>, ours: &Contents, theirs: &Contents) -> Merged {
    merge(base, ours, theirs, FileKey::generate()).expect("theirs comes from base")
}

fn values(contents: &Contents) -> Vec<(&str, &str)> {
    contents.secrets.iter().map(|(name, secret)| (name.as_str(), secret.value.text().unwrap())).collect()
}

#[test]
fn different_names_merge_and_the_same_name_conflicts() {
    let base = contents("production", &[&person("alice")], &[("A", "a"), ("B", "b"), ("C", "c")]);
    let ours = changed(&base, &[("A", Some("a2")), ("NEW", Some("n")), ("SAME", Some("s"))]);
    let theirs = changed(&base, &[("B", None), ("OTHER", Some("o")), ("SAME", Some("s"))]);
    let Merged { contents: merged, conflicts, .. } = self::merged(Some(&base), &ours, &theirs);
    assert_eq!(conflicts, []);
    let expected = [("A", "a2"), ("C", "c"), ("NEW", "n"), ("OTHER", "o"), ("SAME", "s")];
    assert_eq!(values(&merged), expected);

    let theirs = changed(&base, &[("A", Some("a3")), ("C", Some("c2"))]);
    let ours = changed(&base, &[("A", Some("a2")), ("C", None)]);
    let Merged { contents: merged, conflicts, .. } = self::merged(Some(&base), &ours, &theirs);
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
    let both = merged(None, &ours, &theirs).contents;
    assert_eq!(both.file_keys.len(), 3, "what either side sealed can be opened");
    assert!(!theirs.file_keys.contains(&both.file_keys[0]), "what they brought is not used");
    assert_eq!(values(&both), [("A", "a"), ("B", "b"), ("C", "c")]);
    let theirs = contents("production", &[&alice], &[("A", "other")]);
    assert_eq!(merged(None, &ours, &theirs).conflicts.len(), 1);
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
    for (here, there) in [(&ours, &theirs), (&theirs, &ours)] {
        let Merged { contents: merged, uninvited, .. } = self::merged(Some(&base), here, there);
        let expected: &[&str] = if here == &ours { &["alice"] } else { &["alice", "carol"] };
        assert_eq!(merged.readers.keys().map(MemberName::as_str).collect::<Vec<_>>(), expected);
        assert_eq!(uninvited.contains(&(carol.name.clone(), carol.key.clone())), here == &ours);
        assert!(!base.file_keys.contains(&merged.file_keys[0]), "bob's key is not used again");
        let knows = |name, who: &Person| merged.secrets[&variable(name)].known_by.contains(&who.name);
        assert_eq!((knows("A", &bob), knows("OURS", &bob), knows("THEIRS", &bob)), (true, false, true));
        assert_eq!(knows("THEIRS", &carol), here == &ours, "she was not let in, but has seen it");
    }
}

#[test]
fn who_holds_no_key_cannot_merge_their_way_in() {
    let (alice, mallory) = (person("alice"), person("mallory"));
    let base = contents("production", &[&alice], &[("A", "a")]);
    let ours = changed(&base, &[("NEW", Some("n"))]);
    // Sealed for Alice, whose key is no secret, by somebody who could not open what is there.
    let forged = contents("production", &[&alice, &mallory], &[("A", "a")]);
    assert_eq!(merge(Some(&base), &ours, &forged, FileKey::generate()), None);
    // Who was a reader once can go on from there, and still is not let in by that.
    let mut forged = base.clone();
    forged.readers.entry(mallory.name.clone()).or_default().insert(mallory.key.clone());
    forged.renew(FileKey::generate());
    for base in [Some(&base), None] {
        let Merged { contents: merged, uninvited, .. } = self::merged(base, &ours, &forged);
        assert_eq!(merged.readers, ours.readers);
        assert!(!forged.file_keys.contains(&merged.file_keys[0]), "a key that they know seals nothing");
        assert_eq!(uninvited.len(), 1);
    }
}

#[test]
fn two_branches_that_both_made_a_new_key_use_neither() {
    let (alice, bob, carol) = (person("alice"), person("bob"), person("carol"));
    let base = contents("production", &[&alice, &bob, &carol], &[("A", "a")]);
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    ours.dismiss(&bob.name, FileKey::generate());
    theirs.dismiss(&carol.name, FileKey::generate());
    let merged = self::merged(Some(&base), &ours, &theirs).contents;
    assert_eq!(merged.readers.len(), 1);
    let current = &merged.file_keys[0];
    assert!(!ours.file_keys.contains(current) && !theirs.file_keys.contains(current));
    assert_eq!(merged.secrets[&variable("A")].known_by.len(), 2);
}
