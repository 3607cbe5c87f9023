//! Vault files: whole, cut off, changed, swapped, in the open, and from elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

/// A vault with one environment that Alice reads, and its bytes.
fn sealed(place: &Place, alice: &Person, secrets: &[(&str, &str)]) -> (Vault, Vec<u8>) {
    let vault = place.vault();
    let contents = contents("production", &[alice], secrets);
    vault.lock().unwrap().write(&contents).unwrap();
    let bytes = fs::read(vault.file(&contents.environment)).unwrap();
    (vault, bytes)
}

#[test]
fn any_bytes_come_back_as_they_were() {
    let (place, alice) = (Place::new("bytes"), person("alice"));
    let vault = place.vault();
    let mut before = contents("production", &[&alice], &[]);
    let large: Vec<u8> =
        (0..10 * 1024 * 1024_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let values = [
        ("EMPTY", Vec::new()),
        ("TEXT", b"gr\xc3\xb6\xc3\x9fe = \"$x\" '\\n'\n\t\x01\n".to_vec()),
        ("BINARY", vec![0, 255, 254, 0, 10, 13]),
        ("LARGE", large),
    ];
    for (name, value) in &values {
        assert!(before.set(variable(name), Value::new(value.clone()), "alice", at(5)).unwrap());
    }
    vault.lock().unwrap().write(&before).unwrap();
    let after = vault.read(&before.environment, &alice.identities).unwrap();
    assert_eq!(after, before);
    for (name, value) in &values {
        assert_eq!(after.get(&variable(name)).unwrap().value.expose(), value, "{name}");
    }
}

#[test]
fn a_value_beyond_the_limit_is_refused() {
    let mut contents = contents("production", &[], &[]);
    let error =
        contents.set(variable("A"), Value::new(vec![1; Value::LIMIT + 1]), "alice", at(1)).unwrap_err();
    assert_eq!(error.to_string(), "the value of A is larger than 16 MiB");
    assert!(contents.secrets.is_empty());
}

#[test]
fn setting_what_is_there_changes_nothing() {
    let mut contents = contents("production", &[], &[("A", "one")]);
    contents.dismiss(&MemberName::parse("bob").unwrap(), FileKey::generate());
    assert!(!contents.set(variable("A"), Value::from("one"), "bob", at(9)).unwrap());
    assert_eq!(contents.secrets[&variable("A")].set, at(1));
    assert!(contents.set(variable("A"), Value::from("two"), "bob", at(9)).unwrap());
    assert_eq!(contents.secrets[&variable("A")].version, 2);
}

#[test]
fn a_file_cut_off_anywhere_or_changed_anywhere_gives_an_error_and_no_data() {
    let (place, alice) = (Place::new("cut"), person("alice"));
    let (_, bytes) = sealed(&place, &alice, &[("A", "sentinel-value")]);
    let path = std::path::Path::new("production.age");
    let open = |bytes: &[u8]| Vault::open(bytes, &environment("production"), &alice.identities, path);
    assert!(open(&bytes).is_ok());
    for length in 0..bytes.len() {
        let error = open(&bytes[..length]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("production.age is damaged: "), "{length}: {text}");
        assert!(!format!("{error:?}{text}").contains("sentinel"), "{length}");
    }
    // Of a header that was changed it depends on where what is left of it looks like.
    let expected = [
        "production.age is damaged: ",
        "production.age is not encrypted, and is not read as a vault",
        "production.age is not sealed for any key of yours",
    ];
    for (index, bit) in (0..bytes.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
        let mut changed = bytes.clone();
        changed[index] ^= 1 << bit;
        let error = open(&changed).map(|_| (index, bit)).unwrap_err();
        let text = error.to_string();
        assert!(expected.iter().any(|expected| text.starts_with(expected)), "{index}.{bit}: {text}");
        assert!(error.hint().is_some(), "{index}.{bit}: {text}");
        assert!(!format!("{error:?}{error}").contains("sentinel"), "{index}.{bit}");
    }
    let longer = [&bytes[..], b"more"].concat();
    assert!(open(&longer).is_err(), "what was appended is not overlooked");
}

#[test]
fn each_way_in_which_a_header_is_broken_has_its_message() {
    let (place, alice) = (Place::new("header"), person("alice"));
    let (_, bytes) = sealed(&place, &alice, &[]);
    let path = std::path::Path::new("production.age");
    let end = bytes.windows(5).position(|found| found == b"\n--- ").unwrap();
    let (header, mac_and_rest) = bytes.split_at(end);
    let stanza = |text: &str| [b"age-encryption.org/v1\n", text.as_bytes(), mac_and_rest].concat();
    let mut mac = bytes.clone();
    mac[end + 8] = if mac[end + 8] == b'A' { b'B' } else { b'A' };
    for (what, bytes, expected) in [
        ("another mac", mac, "is damaged: its header was changed"),
        ("a stanza more", [header, b"\n-> X25519 x\n", mac_and_rest].concat(), "is damaged: "),
        ("nobody", stanza("-> x-grease y\n"), "is not sealed for any key of yours"),
        ("no stanza", stanza(""), "is damaged: its header is broken, or of a newer age"),
        ("words", stanza("password: sentinel"), "is damaged: its header is broken, or of a newer age"),
        (
            "a newer age",
            [b"age-encryption.org/v9", &bytes[21..]].concat(),
            "is not encrypted, and is not read as a vault",
        ),
    ] {
        let error = Vault::open(&bytes, &environment("production"), &alice.identities, path).unwrap_err();
        assert!(error.to_string().starts_with(&format!("production.age {expected}")), "{what}: {error}");
        let formed = ["another mac", "a stanza more"].contains(&what);
        assert_eq!(is_whole(&bytes), formed, "{what}");
    }
}

#[test]
fn a_whole_file_is_told_from_what_only_begins_like_one() {
    let alice = person("alice");
    let production = contents("production", &[&alice], &[]);
    let path = std::path::Path::new("config.yml");
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072] {
        let bytes = Vault::seal_file(&vec![7; size], &production, path).unwrap();
        assert!(is_whole(&bytes), "{size}");
        // What is cut off in the middle of a piece is seen only with the key, unless hardly anything is left of it.
        let payload = bytes.len() - (size + 16 * size.div_ceil(65_536).max(1));
        assert!(!is_whole(&bytes[..payload]) && !is_whole(&bytes[..payload + 15]), "{size}");
        assert!(!is_whole(&[&bytes[..], b"\n>>>>>>> theirs\n"].concat()), "{size}");
        assert!(!is_whole(&bytes[1..]));
    }
    let armoured = age::encrypt_and_armor(&age::x25519::Identity::generate().to_public(), b"x").unwrap();
    assert!(is_whole(armoured.as_bytes()));
    assert!(!is_whole(&armoured.as_bytes()[..armoured.len() - 40]));
}

#[test]
fn only_those_it_is_sealed_for_open_it_and_a_removed_member_does_not() {
    let (place, alice, bob) = (Place::new("readers"), person("alice"), person("bob"));
    let vault = place.vault();
    let mut both = contents("production", &[&alice, &bob], &[("A", "one"), ("B", "two")]);
    vault.lock().unwrap().write(&both).unwrap();
    assert_eq!(vault.read(&both.environment, &bob.identities).unwrap(), both);
    assert!(both.dismiss(&bob.name, FileKey::generate()));
    vault.lock().unwrap().write(&both).unwrap();
    let error = vault.read(&both.environment, &bob.identities).unwrap_err();
    assert!(error.to_string().ends_with("production.age is not sealed for any key of yours"), "{error}");
    assert!(error.hint().unwrap().contains(bob.key.as_str()), "the hint names the key to be added");
    let kept = vault.read(&both.environment, &alice.identities).unwrap();
    assert!(
        kept.secrets.values().all(|secret| secret.known_by.contains(&bob.name)),
        "what he knew is remembered"
    );
}

#[test]
fn one_environments_file_is_refused_in_the_place_of_anothers() {
    let (place, alice) = (Place::new("swapped"), person("alice"));
    let vault = place.vault();
    for name in ["production", "staging"] {
        vault.lock().unwrap().write(&contents(name, &[&alice], &[("A", name)])).unwrap();
    }
    fs::copy(vault.file(&environment("staging")), vault.file(&environment("production"))).unwrap();
    let error = vault.read(&environment("production"), &alice.identities).unwrap_err();
    assert!(
        error.to_string().ends_with("holds the secrets of `staging`, not those of production"),
        "{error}"
    );
}

#[test]
fn what_is_not_sealed_is_not_read_and_not_shown() {
    let (place, alice) = (Place::new("open"), person("alice"));
    let (vault, _) = sealed(&place, &alice, &[]);
    let path = vault.file(&environment("production"));
    for (bytes, expected) in [
        (
            &b"{\"arcane\":1,\"secrets\":{\"A\":\"sentinel\"}}"[..],
            "is not encrypted, and is not read as a vault",
        ),
        (b"A=sentinel\n", "is not encrypted, and is not read as a vault"),
        (b"<<<<<<< ours\nage-encryption.org/v1\n", "holds the marks of a merge that did not succeed"),
        (b"", "is damaged: it is empty"),
        (b"age-encryption.org/v2\nx", "is not encrypted, and is not read as a vault"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = vault.read(&environment("production"), &alice.identities).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(!format!("{error:?}{error}{:?}", error.hint()).contains("sentinel"));
    }
}

#[test]
fn sealed_json_that_is_no_vault_is_an_error_that_quotes_none_of_it() {
    let alice = person("alice");
    let path = std::path::Path::new("production.age");
    let head = r#"{"arcane":1,"environment":"production","readers":{},"file_keys":[],"secrets":"#;
    let tail = r#""set":"2026-11-28T06:00:00Z","by":"alice","version":1"#;
    for (text, expected) in [
        ("sentinel".to_owned(), "line 1, column 1 is not"),
        ("\"sentinel\"".to_owned(), "line 1, column 10 is not"),
        (
            r#"{"arcane":2,"new":"sentinel"}"#.to_owned(),
            "was written in format 2, and this arcane reads format 1",
        ),
        (format!(r#"{head}"sentinel"}}"#), "is not as it should be"),
        (format!(r#"{head}{{"sent=inel":{{"value":"sentinel",{tail}}}}}}}"#), "is not as it should be"),
        (
            format!(r#"{head}{{"A":{{"value":"sentinel","base64":"AA==",{tail}}}}}}}"#),
            "`A` has not one value",
        ),
        (format!(r#"{head}{{"A":{{"base64":"sentinel!",{tail}}}}}}}"#), "`A` is not base64"),
        (format!(r#"{head}{{"A":{{"value":"x","sentinel":1,{tail}}}}}}}"#), "is not as it should be"),
        (format!(r#"{head}{{"A":{{"value":"sentinel",{tail}}}}}}}"#), "it has no key for files"),
        (format!(r#"{head}{{}}}}"#).replace("[]", r#"["sentinel"]"#), "is not as it should be"),
    ] {
        let bytes = super::super::seal::seal(text.as_bytes(), [&alice.key].into_iter(), path).unwrap();
        let error = Vault::open(&bytes, &environment("production"), &alice.identities, path).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert!(!format!("{error}{error:?}").contains("sentinel"), "{error}");
    }
}

#[test]
fn a_key_slipped_into_the_team_is_not_sealed_for_until_a_reader_agrees() {
    let (place, alice, mallory) = (Place::new("slipped"), person("alice"), person("mallory"));
    let vault = place.vault();
    let production = environment("production");
    let guard = vault.lock().unwrap();
    let mut member = Member::new(alice.name.clone());
    member.keys.insert(alice.key.clone());
    member.environments.insert(production.clone());
    guard.write_member(&member).unwrap();
    guard.write(&contents("production", &[&alice], &[("A", "one")])).unwrap();
    assert!(guard.read(&production, &alice.identities).is_ok());

    let mut stranger = Member::new(mallory.name.clone());
    stranger.keys.insert(mallory.key.clone());
    guard.write_member(&stranger).unwrap();
    assert!(guard.read(&production, &alice.identities).is_ok(), "who asks for nothing changes nothing");
    stranger.environments.insert(production.clone());
    guard.write_member(&stranger).unwrap();
    let error = guard.read(&production, &alice.identities).unwrap_err();
    assert!(error.to_string().contains("no reader agreed to the key of mallory"), "{error}");
    guard.remove_member(&mallory.name).unwrap();

    member.keys.insert(mallory.key.clone());
    guard.write_member(&member).unwrap();
    let error = guard.read(&production, &alice.identities).unwrap_err();
    assert!(error.to_string().contains("no reader agreed to the key of alice"), "{error}");

    guard.remove_member(&alice.name).unwrap();
    let error = guard.read(&production, &alice.identities).unwrap_err();
    assert!(error.to_string().contains("a key of alice opens it and is not named"), "{error}");
}

#[test]
fn an_older_version_is_read_and_not_changed_until_somebody_accepts_it() {
    let (place, alice, bob) = (Place::new("older"), person("alice"), person("bob"));
    let vault = place.vault().remembering(place.0.join("seen"));
    let both = contents("production", &[&alice, &bob], &[("A", "one")]);
    let guard = vault.lock().unwrap();
    guard.write(&both).unwrap();
    let mut kept = both.clone();
    kept.dismiss(&bob.name, FileKey::generate());
    guard.write(&kept).unwrap();
    let text = "production is older here than what this clone has seen; bob can read it again";
    assert_eq!(guard.write(&both).unwrap_err().to_string(), text, "nothing older is written");
    let path = vault.file(&both.environment);
    fs::write(&path, Vault::seal(&both, &path).unwrap()).unwrap();
    let read = vault.read(&both.environment, &alice.identities).unwrap();
    assert_eq!(vault.newest(&read).unwrap_err().to_string(), text);
    assert_eq!(guard.read(&both.environment, &alice.identities).unwrap_err().to_string(), text);
    // Another clone, which has seen nothing, cannot tell.
    assert!(Vault::create(&place.0).unwrap().newest(&read).is_ok());

    // Another's version with a key of its own is none that follows; one that merges both is.
    let foreign = contents("production", &[&alice], &[]);
    assert!(vault.newest(&foreign).is_err());
    let mut merged = kept.clone();
    merged.renew(FileKey::generate());
    fs::write(&path, Vault::seal(&merged, &path).unwrap()).unwrap();
    vault.read(&both.environment, &alice.identities).unwrap();
    assert!(vault.newest(&kept).is_err(), "what was read is what was seen");

    guard.accept(&both);
    assert!(vault.newest(&both).is_ok() && vault.newest(&merged).is_ok());
    fs::write(place.0.join("seen/production"), "nonsense").unwrap();
    let error = vault.newest(&both).unwrap_err();
    assert!(error.to_string().ends_with("should hold a public key and names, and does not"), "{error}");
}

#[test]
fn what_something_else_wrote_meanwhile_is_not_written_over() {
    let (place, alice) = (Place::new("meanwhile"), person("alice"));
    let (vault, before) = sealed(&place, &alice, &[("A", "one")]);
    let path = vault.file(&environment("production"));
    let guard = vault.lock().unwrap();
    let mut ours = guard.open(&environment("production"), &alice.identities).unwrap();
    ours.set(variable("A"), Value::from("two"), "alice", at(2)).unwrap();
    let theirs = Vault::seal(&contents("production", &[&alice], &[("B", "theirs")]), &path).unwrap();
    fs::write(&path, &theirs).unwrap();
    let error = guard.write(&ours).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("was changed by something else meanwhile, git perhaps; nothing was written")
    );
    assert_eq!(fs::read(&path).unwrap(), theirs);
    fs::remove_file(&path).unwrap();
    assert!(matches!(guard.write(&ours), Err(Error::Changed { .. })), "nor is what was removed put back");
    fs::write(&path, &before).unwrap();
    guard.write(&ours).unwrap();
    guard.write(&ours).unwrap();
}

#[test]
fn two_at_once_wait_for_each_other_and_a_killed_ones_leavings_go() {
    let (place, alice) = (Place::new("lock"), person("alice"));
    let (vault, _) = sealed(&place, &alice, &[]);
    let left = vault.directory().join(".production.age.1.arcane-tmp");
    fs::write(&left, "half").unwrap();
    let first = vault.lock().unwrap();
    assert!(!left.exists());
    let other = vault.clone();
    let waiting = std::thread::spawn(move || other.lock().map(|_| ()));
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(first);
    waiting.join().unwrap().unwrap();

    let _first = vault.lock().unwrap();
    let error = vault.lock().unwrap_err();
    assert!(error.to_string().starts_with("another arcane is changing the vault in "), "{error}");
}

#[test]
fn a_file_opens_with_the_keys_of_its_environment_old_and_new() {
    let (alice, bob) = (person("alice"), person("bob"));
    let path = std::path::Path::new("config.yml");
    let mut production = contents("production", &[&alice, &bob], &[]);
    let sealed = Vault::seal_file(b"port: 80", &production, path).unwrap();
    let before = production.clone();
    assert!(production.dismiss(&bob.name, FileKey::generate()));
    assert_eq!(Vault::open_file(&sealed, &production, path).unwrap(), Value::from("port: 80"));
    assert!(Vault::open_current(&sealed, &production, path).is_none(), "it is to be sealed anew");
    let anew = Vault::seal_file(b"port: 80", &production, path).unwrap();
    assert!(Vault::open_current(&anew, &production, path).is_some());
    let error = Vault::open_file(&anew, &before, path).unwrap_err();
    assert_eq!(error.to_string(), "config.yml is not sealed with a key of production");
    assert!(Vault::open_file(&anew[..anew.len() - 1], &production, path).is_err());
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let (place, alice) = (Place::new("failed"), person("alice"));
    let (vault, before) = sealed(&place, &alice, &[("A", "one")]);
    let nobody = contents("production", &[], &[("A", "two")]);
    vault.lock().unwrap().write(&nobody).unwrap_err();
    assert_eq!(
        fs::read(vault.file(&nobody.environment)).unwrap(),
        before,
        "sealed for nobody is not written"
    );
}

#[test]
fn an_identity_others_can_read_is_not_used_and_one_that_is_there_is_not_replaced() {
    let place = Place::new("identity");
    let path = place.0.join("config/identity");
    let origin = Origin::Usual { identity: Some(path.clone()), ssh: None };
    let error = Identities::load(&origin, &nobody()).unwrap_err();
    assert!(error.to_string().starts_with("you have no identity here; looked for "), "{error}");

    let made = IdentityFile::create(&path, None, at(1)).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(Identities::load(&origin, &nobody()).unwrap().recipients().collect::<Vec<_>>(), [&made]);
    let before = fs::read(&path).unwrap();
    assert!(matches!(IdentityFile::create(&path, None, at(2)), Err(Error::IdentityExists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Identities::load(&origin, &nobody()).unwrap_err();
    assert!(error.to_string().ends_with("can be read by others (mode 0640), so it is not used"), "{error}");
}

#[test]
fn a_passphrase_protects_an_identity() {
    let place = Place::new("passphrase");
    let path = place.0.join("identity");
    let made = IdentityFile::create(&path, Some("correct horse".to_owned().into()), at(1)).unwrap();
    let origin = Origin::Usual { identity: Some(path), ssh: None };
    let typed = |text: &'static str| -> Ask { Arc::new(move |_| Some(text.to_owned().into())) };
    assert_eq!(Identities::load(&origin, &typed("correct horse")).unwrap().recipients().next(), Some(&made));
    let error = Identities::load(&origin, &typed("battery staple")).unwrap_err();
    assert!(error.to_string().ends_with("cannot be used: the passphrase is wrong"), "{error}");
    assert!(matches!(Identities::load(&origin, &nobody()), Err(Error::NoPassphrase)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let alice = person("alice");
        let path = std::path::Path::new("production.age");
        let start: &[u8] = if header { b"age-encryption.org/v1\n-> X25519 " } else { b"" };
        let all = [start, &bytes].concat();
        prop_assert!(Vault::open(&all, &environment("production"), &alice.identities, path).is_err());
    }

    #[test]
    fn no_json_makes_it_panic(text in "\\{\"arcane\":1,.{0,80}\\}") {
        let path = std::path::Path::new("production.age");
        prop_assert!(Contents::parse(text.as_bytes(), &environment("production"), path).is_err());
    }
}
