//! The forms in which a value ends up in a text: as it is, escaped as JSON, percent-encoded, in base64, in hexadecimal. One list for
//! whatever looks for values, so that what `scan` finds is what logs do not show.
//!
//! A value that is short, or is made of very few different bytes, has no forms: `true`, `5432` and `00000000` are in too
//! many texts by chance, and a text in which each of them was replaced would tell what they are.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

/// A value shorter than this is in too many texts by chance.
pub(super) const SHORTEST: usize = 8;
/// Of a value larger than this, only the commonest forms are made: each of them is as large once more.
const LARGE: usize = 64 * 1024;
/// After how many characters base64 is wrapped: by `base64`, and in PEM.
const WRAPPED: [usize; 2] = [76, 64];
/// How the lines around a key's body begin. They are in every key, secret or not.
const ARMOUR: &[u8] = b"-----";

/// A form of a value.
pub(super) type Form = Zeroizing<Vec<u8>>;

#[derive(Default)]
struct Forms(Vec<Form>);

impl Forms {
    fn add(&mut self, form: Form) {
        if form.len() >= SHORTEST && !self.0.contains(&form) {
            self.0.push(form);
        }
    }
}

/// The forms of a whole value.
pub(super) fn of(value: &[u8]) -> Vec<Form> {
    let trimmed = value.trim_ascii();
    if !is_telling(trimmed) {
        return Vec::new();
    }
    let is_large = trimmed.len() > LARGE;
    let mut forms = Forms::default();
    add_open(trimmed, is_large, &mut forms);
    if !is_large {
        for style in PERCENT {
            forms.add(percent(trimmed, style, b"0123456789ABCDEF"));
            forms.add(percent(trimmed, style, b"0123456789abcdef"));
        }
        forms.add(Zeroizing::new(HEXLOWER.encode(trimmed).into_bytes()));
        forms.add(Zeroizing::new(HEXUPPER.encode(trimmed).into_bytes()));
    }
    for encoding in [&BASE64, &BASE64URL] {
        let mut whole = Zeroizing::new(encoding.encode(value).into_bytes());
        let end = whole.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        whole.truncate(end);
        forms.add(whole);
        for before in 0..if is_large { 0 } else { 3 } {
            forms.add(inside_base64(trimmed, before, encoding));
        }
    }
    forms.0
}

/// The forms of each line of a value of several lines, and of its base64 as it is wrapped: a log has one line at a time.
pub(super) fn of_lines(value: &[u8]) -> Vec<Form> {
    let mut forms = Forms::default();
    if is_telling(value) && value.len() <= LARGE {
        let encoded = Zeroizing::new(BASE64.encode(value).into_bytes());
        for width in WRAPPED.into_iter().filter(|width| encoded.len() > *width) {
            encoded.chunks(width).filter(|line| is_telling(line)).for_each(|line| forms.add(exact(line)));
        }
    }
    if !value.trim_ascii().contains(&b'\n') {
        return forms.0;
    }
    let mut known = BTreeSet::new();
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| is_telling(line) && !line.starts_with(ARMOUR)) {
        if known.insert(line) {
            let mut of_line = Forms::default();
            add_open(line, line.len() > LARGE, &mut of_line);
            forms.0.append(&mut of_line.0);
        }
    }
    forms.0
}

/// Whether it says something when this is in a text.
fn is_telling(bytes: &[u8]) -> bool {
    bytes.len() >= SHORTEST && varied(bytes)
}

/// Whether more than a few different bytes are in it.
pub(super) fn varied(bytes: &[u8]) -> bool {
    let mut seen: Vec<u8> = Vec::new();
    for byte in bytes {
        if !seen.contains(byte) {
            seen.push(*byte);
        }
        if seen.len() > 4 {
            return true;
        }
    }
    false
}

/// The value as it is, and as a string of JSON.
fn add_open(bytes: &[u8], is_large: bool, forms: &mut Forms) {
    forms.add(Zeroizing::new(bytes.to_vec()));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for style in JSON.iter().take(if is_large { 1 } else { JSON.len() }) {
        forms.add(json(text, *style));
    }
    if !is_large {
        // As our own messages quote what is not ASCII.
        forms.add(collected(text, |c, out| match c {
            ' '..='~' => out.push(c as u8),
            c => out.extend(c.escape_default().map(|c| c as u8)),
        }));
    }
}

/// What else than it has to a writer of JSON escapes.
#[derive(Clone, Copy)]
struct Json {
    /// `<`, `>` and `&`, as Go does.
    html: bool,
    /// `/`, as PHP does.
    slash: bool,
    /// What is not ASCII, as Python does.
    ascii: bool,
}

const JSON: [Json; 5] = [
    Json { html: false, slash: false, ascii: false },
    Json { html: true, slash: false, ascii: false },
    Json { html: false, slash: true, ascii: false },
    Json { html: false, slash: false, ascii: true },
    Json { html: false, slash: true, ascii: true },
];

fn json(text: &str, style: Json) -> Form {
    collected(text, |c, out| match c {
        '"' => out.extend(b"\\\""),
        '\\' => out.extend(b"\\\\"),
        '\n' => out.extend(b"\\n"),
        '\r' => out.extend(b"\\r"),
        '\t' => out.extend(b"\\t"),
        '\u{8}' => out.extend(b"\\b"),
        '\u{c}' => out.extend(b"\\f"),
        '/' if style.slash => out.extend(b"\\/"),
        '<' | '>' | '&' if style.html => unit(c as u16, out),
        c if c < ' ' => unit(c as u16, out),
        c if !c.is_ascii() && style.ascii => {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|half| unit(*half, out));
        }
        c => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
    })
}

fn unit(unit: u16, out: &mut Vec<u8>) {
    out.extend(b"\\u");
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift & 0xf)];
    out.extend([digit(12), digit(8), digit(4), digit(0)]);
}

/// Escapes character by character, into memory that leaves no copy behind: no escape is longer than this.
fn collected(text: &str, mut write: impl FnMut(char, &mut Vec<u8>)) -> Form {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 16));
    text.chars().for_each(|c| write(c, &mut out));
    exact(&out)
}

/// A copy without room to spare.
fn exact(bytes: &[u8]) -> Form {
    Zeroizing::new(bytes.to_vec())
}

/// What a percent-encoding leaves as it is besides letters and digits, and whether a space is `+`.
struct Percent {
    plain: &'static [u8],
    plus: bool,
}

const PERCENT: &[Percent] = &[
    // RFC 3986, and JavaScript's encodeURIComponent and encodeURI; HTML's forms; all that is no letter or digit.
    Percent { plain: b"-._~", plus: false },
    Percent { plain: b"-._~!*'()", plus: false },
    Percent { plain: b"-._~!*'();/?:@&=+$,#", plus: false },
    Percent { plain: b"-._*", plus: true },
    Percent { plain: b"-._~", plus: true },
    Percent { plain: b"", plus: false },
];

fn percent(bytes: &[u8], style: &Percent, digits: &[u8; 16]) -> Form {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for &byte in bytes {
        match byte {
            b' ' if style.plus => out.push(b'+'),
            byte if byte.is_ascii_alphanumeric() || style.plain.contains(&byte) => out.push(byte),
            byte => out.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 0xf)]]),
        }
    }
    exact(&out)
}

/// What base64 makes of a value when `before` bytes, of every three, stand before it: the characters in which nothing but
/// the value is. So `user:password` gives `password` away in none of its three forms.
fn inside_base64(bytes: &[u8], before: usize, encoding: &data_encoding::Encoding) -> Form {
    let mut shifted = Zeroizing::new(Vec::with_capacity(before + bytes.len()));
    shifted.resize(before, 0);
    shifted.extend_from_slice(bytes);
    let encoded = Zeroizing::new(encoding.encode(&shifted).into_bytes());
    let from = [0, 2, 3].get(before).copied().unwrap_or(0);
    exact(encoded.get(from..shifted.len() * 8 / 6).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &[u8], form: &str) -> bool {
        of(value).iter().any(|it| it.as_slice() == form.as_bytes())
    }

    #[test]
    fn what_encoders_make_of_a_value_is_among_its_forms() {
        for (value, form) in [
            ("p&ss/<é> \"1\"\n", "p&ss/<é> \"1\""),
            ("p&ss/<é> \"1\"\n", r#"p&ss/<é> \"1\""#),
            ("p&ss/<é> \"1\"\n", r#"p\u0026ss/\u003cé\u003e \"1\""#),
            ("p&ss/<é> \"1\"\n", r#"p&ss\/<\u00e9> \"1\""#),
            ("p&ss/<é> \"1\"\n", r#"p&ss/<\u{e9}> "1""#),
            ("p&ss/<é> \"1\"\n", "p%26ss%2F%3C%C3%A9%3E%20%221%22"),
            ("p&ss/<é> \"1\"\n", "p%26ss%2f%3c%c3%a9%3e%20%221%22"),
            ("p&ss/<é> \"1\"\n", "p%26ss%2F%3C%C3%A9%3E+%221%22"),
            ("p&ss/<é> \"1\"\n", "p&ss/%3C%C3%A9%3E%20%221%22"),
            ("\u{1f511} is a key", r"\ud83d\udd11 is a key"),
            ("p?ss~w>rd", "cD9zc353PnJk"),
            ("p?ss~w>rd", "703f73737e773e7264"),
            ("p?ss~w>rd", "703F73737E773E7264"),
            ("p-ss_w.rd", "p%2Dss%5Fw%2Erd"),
        ] {
            assert!(has(value.as_bytes(), form), "{form}");
        }
    }

    #[test]
    fn base64_is_known_whatever_stands_around_the_value() {
        let value = b"correct horse>battery?staple";
        for (before, after) in
            [("", ""), ("u", ""), ("us", "x"), ("usr", "xy"), ("user", "xyz"), ("users", "")]
        {
            let whole = [before.as_bytes(), value, after.as_bytes()].concat();
            for text in [BASE64.encode(&whole), BASE64URL.encode(&whole)] {
                let found = of(value).iter().any(|form| {
                    form.len() + 4 >= value.len() * 4 / 3
                        && text.as_bytes().windows(form.len()).any(|window| window == form.as_slice())
                });
                assert!(found, "{before} {after}: {text}");
            }
        }
    }

    #[test]
    fn what_is_in_every_text_has_no_forms() {
        for value in ["", "short", "true", "aaaaaaaaaaaa", "0000000000", " 1234567 "] {
            assert!(of(value.as_bytes()).is_empty() && of_lines(value.as_bytes()).is_empty(), "{value}");
        }
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nabc\n  hkiG9w0BAQEF  \n-----END PRIVATE KEY-----\n";
        let lines = of_lines(key.as_bytes());
        let open: Vec<_> =
            lines.iter().filter(|line| key.as_bytes().windows(line.len()).any(|it| it == ***line)).collect();
        assert_eq!(
            open.iter().map(|form| form.as_slice()).collect::<Vec<_>>(),
            [&b"MIIEvQIBADANBgkq"[..], b"hkiG9w0BAQEF"]
        );
    }
}
