//! Files of `NAME=value`: those of the world are understood, our own come back byte for byte.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::env_file::{parse, render};
use super::*;
use crate::secrets::dotenv::unescaped;

#[test]
fn what_people_write_is_understood() {
    let text = "\u{feff}# comment\n\nA=one\nexport B = two words # comment\r\nC='it $is'\nD=\"line\\nbreak \\\"q\\\" \\$x\" # c\n\
                E=\nF=a#b\nG=\"first\nsecond\"\n  H=a=b==\nI='one\n\ntwo'\n#J=no\nK=\"\"\nL=#comment\nM=base64:AAA=";
    let expected = [
        ("A", "one"),
        ("B", "two words"),
        ("C", "it $is"),
        ("D", "line\nbreak \"q\" $x"),
        ("E", ""),
        ("F", "a#b"),
        ("G", "first\nsecond"),
        ("H", "a=b=="),
        ("I", "one\n\ntwo"),
        ("K", ""),
        ("L", ""),
        ("M", "base64:AAA="),
    ];
    let found = parse(text.as_bytes(), Form::Common).unwrap();
    let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.text().unwrap())).collect();
    assert_eq!(found, expected);
    assert_eq!(parse(text.as_bytes(), Form::Own).unwrap()[&variable("M")].expose(), [0, 0]);
}

#[test]
fn what_is_not_understood_is_named_by_its_line_and_not_quoted() {
    for (text, expected) in [
        ("A=1\nsentinel\n", "line 2 has no `=`"),
        ("A=1\n\nA=2\n", "line 3 sets `A` again"),
        ("A=\"sentinel\nB=2\n", "line 1 opens a quote that is never closed"),
        ("A='x\ny' sentinel\n", "line 2 goes on after the closing quote"),
        ("A=\"x\\", "line 1 opens a quote that is never closed"),
        ("1A=sentinel", "line 1: variable name `1A` has `1` at character 1"),
        ("=sentinel", "line 1: variable name `` is empty"),
    ] {
        let error = parse(text.as_bytes(), Form::Common).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(!error.contains("sentinel"), "{error}");
    }
    assert_eq!(parse(b"A=\xff", Form::Common).unwrap_err(), DotenvError::NotText);
    assert_eq!(parse(b"A=base64:?", Form::Own).unwrap_err(), DotenvError::Base64 { line: 1 });
}

#[test]
fn a_quoted_value_has_as_much_room_as_it_was_written_with() {
    for (inside, expected) in [("", ""), ("plain", "plain"), (r#"a\n\"b\" \x \\"#, "a\n\"b\" \\x \\")] {
        let value = unescaped(inside);
        assert_eq!((value.as_str(), value.capacity()), (expected, inside.len()));
    }
}

#[test]
fn bytes_that_are_no_text_are_not_exported_for_others() {
    let values = BTreeMap::from([(variable("A"), Value::from("x")), (variable("B"), Value::new(vec![255]))]);
    assert_eq!(render(values.iter(), Form::Common).unwrap_err(), [variable("B")]);
    assert_eq!(render(values.iter(), Form::Own).unwrap().as_str(), "A=x\nB=base64:/w==\n");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(values in proptest::collection::btree_map("[A-Z_][A-Z0-9_]{0,5}", "(?s)[ -~\n\r\t\"'\\\\$#=ä\u{85}]{0,20}", 0..5)) {
        let values: BTreeMap<_, _> =
            values.iter().map(|(name, value)| (variable(name), Value::from(value.as_str()))).collect();
        for form in [Form::Common, Form::Own] {
            let text = render(values.iter(), form).unwrap();
            prop_assert_eq!(&parse(text.as_bytes(), form).unwrap(), &values, "{}", text.as_str());
        }
    }

    #[test]
    fn any_bytes_read_back_in_our_own_form(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let values = BTreeMap::from([(variable("A"), Value::new(bytes))]);
        let text = render(values.iter(), Form::Own).unwrap();
        prop_assert_eq!(&parse(text.as_bytes(), Form::Own).unwrap(), &values);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,60}") {
        let _ = parse(text.as_bytes(), Form::Own);
    }
}
