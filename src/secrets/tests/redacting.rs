//! The redactor: no value survives in any form, and what holds none stays as it is.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fleet::VariableName;
use crate::secrets::{Redactor, Value};

fn redactor(secrets: &[(&str, &[u8])]) -> Redactor {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|(name, value)| (VariableName::parse(name).unwrap(), Value::new(value.to_vec())))
        .collect();
    Redactor::new(secrets.iter().map(|(name, value)| (name, value))).unwrap()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What other programs make of a value, written by other code than ours.
fn encodings(value: &[u8]) -> Vec<Vec<u8>> {
    let percent = |byte: &u8| match byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02x}"),
    };
    let lower: String = value.iter().map(percent).collect();
    let mut encodings = vec![
        value.to_vec(),
        lower.replace('%', "\0").to_uppercase().into_bytes(),
        lower.clone().into_bytes(),
        BASE64.encode(value).into_bytes(),
        BASE64URL.encode(value).into_bytes(),
        BASE64URL_NOPAD.encode(value).into_bytes(),
        HEXLOWER.encode(value).into_bytes(),
        HEXUPPER.encode(value).into_bytes(),
    ];
    // Upper-case digits, and only those.
    let mut upper = lower.into_bytes();
    for at in 0..upper.len() {
        if upper[at] == b'%' {
            upper[at + 1..at + 3].make_ascii_uppercase();
        }
    }
    encodings[1] = upper;
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::to_string(text).unwrap();
        encodings.push(json.as_bytes()[1..json.len() - 1].to_vec());
    }
    encodings
}

#[test]
fn a_value_is_replaced_by_its_name() {
    let redactor = redactor(&[("API_KEY", b"tok_9f8e7d6c"), ("DSN", b"postgres://shop:p&ss@db/shop\n")]);
    for (text, masked) in [
        ("", ""),
        ("nothing here", "nothing here"),
        ("key=tok_9f8e7d6c;", "key=[secret API_KEY];"),
        ("tok_9f8e7d6c tok_9f8e7d6c", "[secret API_KEY] [secret API_KEY]"),
        ("tok_9f8e7d6", "tok_9f8e7d6"),
        ("to postgres://shop:p&ss@db/shop failed", "to [secret DSN] failed"),
        ("to postgres://shop:other@db/shop failed", "to postgres://shop:other@db/shop failed"),
        (r#"{"dsn":"postgres:\/\/shop:p&ss@db\/shop"}"#, r#"{"dsn":"[secret DSN]"}"#),
        ("?dsn=postgres%3A%2F%2Fshop%3Ap%26ss%40db%2Fshop&", "?dsn=[secret DSN]&"),
        ("größe tok_9f8e7d6c größe", "größe [secret API_KEY] größe"),
    ] {
        assert_eq!(redactor.redact(text), masked);
        assert_eq!(redactor.redact(masked), masked, "twice");
        assert_eq!(matches!(redactor.redact(text), Cow::Borrowed(_)), text == masked, "{text}");
    }
    let basic = BASE64.encode(b"admin:tok_9f8e7d6c");
    assert!(
        !redactor.redact(&basic).contains("dG9rXzlmOGU3ZDZj"[2..12].trim()),
        "{}",
        redactor.redact(&basic)
    );
    assert!(redactor.redact(&basic).contains("[secret API_KEY]"));
}

#[test]
fn one_without_values_masks_nothing() {
    for redactor in [Redactor::default(), redactor(&[]), redactor(&[("A", b"true"), ("B", b"00000000000")])] {
        assert!(redactor.is_empty());
        assert_eq!(redactor.redact("true 00000000000…"), "true 00000000000…");
        assert_eq!(redactor.redact_json("{\"a\":true}"), "{\"a\":true}");
        assert_eq!(redactor.cut(b"true", 3), 3);
    }
}

#[test]
fn values_within_and_across_one_another_are_masked_whole() {
    let redactor = redactor(&[
        ("WHOLE", b"user-hunter2hunter2-db"),
        ("INNER", b"hunter2hunter2"),
        ("ACROSS", b"2-db.example.org"),
    ]);
    for (text, masked) in [
        ("user-hunter2hunter2-db", "[secret WHOLE]"),
        ("x hunter2hunter2 x", "x [secret INNER] x"),
        ("user-hunter2hunter2-db.example.org!", "[secret WHOLE]!"),
        ("hunter2hunter2-db.example.org!", "[secret INNER]!"),
        ("2-db.example.org", "[secret ACROSS]"),
    ] {
        assert_eq!(redactor.redact(text), masked);
    }
}

#[test]
fn a_value_cannot_hide_in_a_mark() {
    // In the name of another, in the words of every mark, or around a mark.
    for value in
        ["PASSWORD_FILE", "[secret PASSWORD_FILE]", "before [secret A] after", "xy[secret", "secret PAS"]
    {
        let redactor = redactor(&[("PASSWORD_FILE", b"correct horse"), ("A", value.as_bytes())]);
        let text = format!("one {value} two correct horse three");
        let masked = redactor.redact(&text).into_owned();
        assert!(!masked.contains(value) && !masked.contains("horse"), "{masked}");
        assert_eq!(redactor.redact(&masked), masked, "twice");
    }
}

#[test]
fn what_is_left_of_a_value_that_was_cut_is_masked() {
    let redactor = redactor(&[("API_KEY", b"tok_9f8e7d6c5b4a39281706")]);
    for (text, masked) in [
        ("key tok_9f8e7d6c5b4… (9 more characters)", "key [secret API_KEY]… (9 more characters)"),
        ("key tok_9…", "key [secret API_KEY]…"),
        ("`tok_9f8e7d6c5b4a3928…`", "`[secret API_KEY]…`"),
        ("key tok… and tok_9f8e", "key tok… and tok_9f8e"),
    ] {
        assert_eq!(redactor.redact(text), masked);
    }
    assert_eq!(&*redactor.redact_cut(b"key tok_9f8e"), b"key [secret API_KEY]");
    assert_eq!(&*redactor.redact_cut(b"key tok_9f8e7d6c5b"), b"key [secret API_KEY]");
    assert_eq!(&*redactor.redact_cut(b"key to"), b"key to");
}

#[test]
fn the_end_of_a_value_is_masked_where_a_beginning_is_missing() {
    let redactor = redactor(&[("API_KEY", b"tok_9f8e7d6c5b4a39281706"), ("B", b"xy4a39281706")]);
    for (text, masked) in [
        ("7d6c5b4a39281706 next", "[secret API_KEY] next"),
        ("4a39281706 next", "[secret B] next"),
        ("281706 next", "281706 next"),
        ("tok_9f8e7d6c5b4a39281706 next", "tok_9f8e7d6c5b4a39281706 next"),
        ("", ""),
    ] {
        assert_eq!(&*redactor.redact_rest(text.as_bytes()), masked.as_bytes());
    }
}

#[test]
fn each_line_of_a_key_is_masked() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJTU\n\
               -----END PRIVATE KEY-----\n";
    let redactor = redactor(&[("KEY", key.as_bytes())]);
    assert_eq!(
        redactor.redact("loaded\n-----BEGIN PRIVATE KEY-----\nAASCBKcwggSjAgEAAoIBAQC7VJTU\r\n"),
        "loaded\n-----BEGIN PRIVATE KEY-----\n[secret KEY]\r\n"
    );
    assert_eq!(redactor.redact(key), "[secret KEY]\n");
    let wrapped: Vec<_> = BASE64.encode(key.as_bytes()).into_bytes();
    for width in [64, 76] {
        for line in wrapped.chunks(width).filter(|line| line.len() == width) {
            assert_eq!(&*redactor.redact_bytes(line), b"[secret KEY]");
        }
    }
}

#[test]
fn json_stays_json() {
    let redactor = redactor(&[("A", b"nabcdefgh"), ("B", b"say \"hello\" twice"), ("C", b"12345678")]);
    for (json, masked) in [
        (
            r#"{"a":"\nabcdefgh","n":12345678,"c":"12345678"}"#,
            r#"{"a":"\nabcdefgh","n":12345678,"c":"[secret C]"}"#,
        ),
        (r#"{"a":"é nabcdefgh \"x\""}"#, r#"{"a":"é [secret A] \"x\""}"#),
        (r#"["say \"hello\" twice","",{"nabcdefgh":1}]"#, r#"["[secret B]","",{"[secret A]":1}]"#),
        (r#""say \\\"hello\\\" twice""#, r#""[secret B]""#),
    ] {
        assert_eq!(redactor.redact_json(json), masked);
        serde_json::from_str::<serde_json::Value>(masked).unwrap();
    }
    assert!(matches!(redactor.redact_json(r#"{"a":"x"}"#), Cow::Borrowed(_)));
}

#[test]
fn a_value_of_ten_megabytes_is_masked_to_its_last_piece() {
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
            [usize::try_from(state >> 58).unwrap()]
    };
    let value: Vec<u8> = (0..10 << 20).map(|_| byte()).collect();
    let redactor = redactor(&[("BLOB", &value), ("API_KEY", b"tok_9f8e7d6c")]);
    let around = |inner: &[u8]| [b"tok_9f8e7d6c <", inner, b">"].concat();
    let masked = b"[secret API_KEY] <[secret BLOB]>";
    assert_eq!(&*redactor.redact_bytes(&around(&value)), masked);
    let encoded = BASE64.encode(&value);
    assert_eq!(&*redactor.redact_bytes(&around(encoded.trim_end_matches('=').as_bytes())), masked);
    // A part of it is known by the pieces that are whole.
    let part = redactor.redact_bytes(&value[1000..9000]).into_owned();
    assert!(part.len() < 2100, "{}", part.len());
}

#[test]
fn debug_shows_no_value() {
    assert_eq!(format!("{:?}", redactor(&[("API_KEY", b"tok_9f8e7d6c")])), "Redactor(1 secrets)");
}

/// Values that are looked for, among them such with characters of several bytes and such that are no text.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-zA-Z0-9_+/=&%<>\" -]{12,60}".prop_map(String::into_bytes),
        "[a-zé\u{1f511}\\\\\"\n]{10,40}".prop_map(String::into_bytes),
        vec(any::<u8>(), 12..80),
        vec(any::<u8>(), 2000..5000),
    ]
    .prop_map(|value| value.trim_ascii().to_vec())
    .prop_filter("is looked for", |value| {
        value.len() >= 8 && value.iter().collect::<std::collections::BTreeSet<_>>().len() > 4
    })
}

proptest! {
    // Each case makes automata of its own.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_value_survives_in_any_form(
        values in vec(value(), 1..5),
        parts in vec((vec(any::<u8>(), 0..30), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let named: Vec<_> = values.iter().map(|value| ("NAME", value.as_slice())).collect();
        let redactor = redactor(&named);
        let mut text = Vec::new();
        for (before, value, form) in &parts {
            text.extend_from_slice(before);
            let encodings = encodings(value.get(&values).as_slice());
            text.extend_from_slice(form.get(&encodings).as_slice());
        }
        let masked = redactor.redact_bytes(&text).into_owned();
        for form in values.iter().flat_map(|value| encodings(value)) {
            let core = form.strip_suffix(b"==").or(form.strip_suffix(b"=")).unwrap_or(&form);
            prop_assert!(!contains(&masked, core), "{:?}", String::from_utf8_lossy(core));
        }
    }

    #[test]
    fn a_value_in_longer_base64_leaves_only_its_edges(
        before in vec(any::<u8>(), 0..7), value in "[a-zA-Z0-9]{12,40}", after in vec(any::<u8>(), 0..7),
    ) {
        prop_assume!(value.bytes().collect::<std::collections::BTreeSet<_>>().len() > 4);
        let redactor = redactor(&[("NAME", value.as_bytes())]);
        let whole = [&before, value.as_bytes(), &after].concat();
        let masked = redactor.redact(&BASE64.encode(&whole)).into_owned();
        let left = masked.replace("[secret NAME]", "").len();
        prop_assert!(left <= (before.len() + after.len()) * 4 / 3 + 8, "{}", masked);
    }

    #[test]
    fn what_holds_no_value_stays_as_it_is(text in vec(any::<u8>(), 0..400)) {
        let redactor = redactor(&[("A", b"correct horse battery staple"), ("B", b"tok_9f8e7d6c")]);
        prop_assume!(!contains(&text, "…".as_bytes()));
        prop_assert!(matches!(redactor.redact_bytes(&text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_text_that_is_cut_where_it_may_be_hides_as_much_as_a_whole_one(
        before in "[a-z ]{0,60}", after in "[a-z ]{0,60}", size in 1_usize..40,
        value in "[a-zA-Z0-9]{12,40}",
    ) {
        prop_assume!(value.bytes().collect::<std::collections::BTreeSet<_>>().len() > 4);
        let redactor = redactor(&[("A", value.as_bytes())]);
        let text = format!("{before}{value}{after}");
        let (mut given, mut kept) = (Vec::new(), Vec::new());
        for chunk in text.as_bytes().chunks(size) {
            kept.extend_from_slice(chunk);
            let cut = redactor.cut(&kept, kept.len());
            let rest = kept.split_off(cut);
            given.extend_from_slice(&redactor.redact_bytes(&kept));
            kept = rest;
        }
        given.extend_from_slice(&redactor.redact_bytes(&kept));
        prop_assert_eq!(String::from_utf8(given).unwrap(), redactor.redact(&text).into_owned());
    }

    #[test]
    fn masked_json_is_json(text in ".{0,40}", value in value()) {
        let redactor = redactor(&[("A", &value)]);
        let shown = format!("{text}{}{text}", String::from_utf8_lossy(&value));
        let json = serde_json::to_string(&serde_json::json!({ "a": [shown], "b": 1 })).unwrap();
        let masked = redactor.redact_json(&json).into_owned();
        let read: serde_json::Value = serde_json::from_str(&masked).unwrap();
        let read = read["a"][0].as_str().unwrap();
        prop_assert_eq!(read, &*redactor.redact(&shown));
    }
}
