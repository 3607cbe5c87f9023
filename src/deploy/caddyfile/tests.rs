//! Real-looking files, hostile ones, and all others.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fleet::{BlueGreen, SiteAddress};

fn app(domain: &str) -> BlueGreen {
    BlueGreen {
        ports: [8001, 8002],
        domain: SiteAddress::parse(domain).unwrap(),
        drain: BlueGreen::DEFAULT_DRAIN,
    }
}

/// Finds the upstream, moves it to the other slot, and sees that nothing else moved and that it is found again.
#[track_caller]
fn moves(domain: &str, text: &str, line: usize) {
    let app = app(domain);
    let found = find(text, &app).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    assert_eq!(found.line, line, "{text}");
    let other = app.other(found.port);
    let moved = found.moved(text, other);
    let changed: Vec<_> = text.bytes().zip(moved.bytes()).enumerate().filter(|(_, (a, b))| a != b).collect();
    assert_eq!((moved.len(), changed.len()), (text.len(), 1), "{moved}");
    let again = find(&moved, &app).unwrap();
    assert_eq!((again.port, again.line), (other, line), "{moved}");
    assert_eq!(again.moved(&moved, found.port), text);
}

#[test]
fn the_upstream_is_found_wherever_it_may_stand() {
    for (domain, text, line) in [
        ("a.com", "a.com {\n\treverse_proxy localhost:8001\n}\n", 2),
        ("a.com", "a.com\nreverse_proxy localhost:8001\n", 2),
        ("a.com", "a.com\n\nencode gzip\nreverse_proxy :8002", 4),
        ("a.com", "{\n\temail x@y.z\n}\nb.com, a.com,\nc.com {\n\treverse_proxy 127.0.0.1:8001\n}\n", 6),
        ("a.com", "a.com b.com {\n reverse_proxy /api/* localhost:8001 localhost:9000\n}", 2),
        ("a.com", "a.com {\n reverse_proxy @ws localhost:9000 \\\n   localhost:8001\n}", 3),
        ("a.com", "a.com {\n reverse_proxy {\n  to http://localhost:8001\n  lb_policy first\n }\n}", 3),
        ("a.com", "a.com {\n handle /x/* {\n  route {\n   reverse_proxy h2c://localhost:8002\n  }\n }\n}", 4),
        ("a.com", "a.com {\n reverse_proxy \"localhost:8001\" # localhost:8001\n}", 2),
        ("a.com", "a.com {\n reverse_proxy `localhost:8001`\n}", 2),
        ("a.com", "# a.com { reverse_proxy localhost:8001 }\na.com {\n reverse_proxy localhost:8001\n}", 3),
        (
            "a.com",
            "a.com {\n respond <<END\n }\n reverse_proxy localhost:8001\n END 200\n reverse_proxy :8001\n}",
            6,
        ),
        ("a.com", "a.com {\n respond \"}\n reverse_proxy localhost:8001 {\"\n reverse_proxy :8001\n}", 4),
        ("a.com", "(log) {\n log\n}\na.com {\n import log\n reverse_proxy {$OTHER} localhost:8001\n}", 6),
        ("a.com", "b.com {\n reverse_proxy localhost:8001\n}\na.com {\n reverse_proxy localhost:8002\n}", 5),
        ("a.com", "a.com {\r\n\treverse_proxy localhost:8001\r\n}\r\n", 2),
        ("a.com", "\u{feff}a.com {\n reverse_proxy localhost:8001\n}", 2),
        ("a.com", "https://A.com:443 {\n header X {http.request.host}\n reverse_proxy localhost:8001\n}", 3),
        (":8080", ":80 {\n respond no\n}\n:8080 {\n reverse_proxy localhost:8001\n}", 5),
        ("http://a.com", "a.com {\n respond no\n}\nhttp://a.com {\n reverse_proxy localhost:8001\n}", 5),
        ("*.a.com", "*.a.com {\n @b host b.a.com\n handle @b {\n  reverse_proxy localhost:8001\n }\n}", 4),
    ] {
        moves(domain, text, line);
    }
}

#[test]
fn what_is_not_plain_is_left_alone_with_its_line() {
    for (text, said) in [
        ("", "has no site a.com; write one with `arcane init --caddy`"),
        ("b.com {\n reverse_proxy localhost:8001\n}", "has no site a.com"),
        ("http://a.com {\n reverse_proxy localhost:8001\n}", "has no site a.com"),
        ("import sites/*\n", "what line 1 stands for (sites/*)"),
        (
            "b.com {\n respond no\n}\n{$DOMAIN} {\n reverse_proxy localhost:8001\n}",
            "line 4 stands for ({$DOMAIN})",
        ),
        (
            "a.com {\n respond hi\n}",
            ":1: no upstream of this site is localhost:8001 or localhost:8002; write",
        ),
        ("a.com {\n reverse_proxy localhost:80010\n}", "`localhost:80010` on line 2 cannot be moved"),
        ("a.com {\n reverse_proxy localhost:18001\n}", "`localhost:18001` on line 2 cannot be moved"),
        ("a.com {\n # reverse_proxy localhost:8001\n}", "no upstream of this site"),
        ("a.com {\n reverse_proxy localhost:{$PORT}\n}", "`localhost:{$PORT}` on line 2 cannot be moved"),
        ("a.com {\n reverse_proxy {$UPSTREAM:localhost:8001}\n}", "on line 2 cannot be moved"),
        ("a.com {\n reverse_proxy localhost:8001-8002\n}", "`localhost:8001-8002` on line 2 cannot be moved"),
        ("a.com {\n reverse_proxy 10.0.0.1:8001\n}", "`10.0.0.1:8001` on line 2 cannot be moved"),
        ("a.com {\n reverse_proxy local\rhost:8001\n}", "on line 2 cannot be moved"),
        (
            "a.com {\n reverse_proxy {\n  dynamic srv _http._tcp.a\n }\n}",
            "`dynamic` on line 3 cannot be moved",
        ),
        ("a.com {\n import proxy 8001\n}", "`proxy` on line 2 cannot be moved"),
        ("a.com {\n forward_auth localhost:8001\n}", "no upstream of this site"),
        ("a.com {\n reverse_proxy localhost:8001 localhost:8002\n}", ":2 and :2 both lead to a slot"),
        (
            "a.com {\n reverse_proxy /x localhost:8001\n reverse_proxy localhost:8001\n}",
            ":2 and :3 both lead to a slot",
        ),
        ("a.com {\n respond 1\n}\na.com {\n respond 2\n}", ":1 and :4 both are the site a.com"),
        ("a.com {\n reverse_proxy localhost:8001\n", ":1: a brace is opened here and never closed"),
        ("a.com {\n}\n}", ":3: a closing brace without an opening one"),
        ("a.com {\n respond \"x\n}", ":2: a quote is opened here"),
        ("a.com {\n respond <<X\n}", ":2: a heredoc is opened here"),
        ("a.com {\n respond <<<X\n}", ":2: a heredoc begins with two"),
        ("a.com {\n respond \"{\"\n}", ":2: a brace in quotes"),
        ("a.com, {\n}\n", "no upstream of this site"),
    ] {
        let problem = find(text, &app("a.com")).expect_err(text).to_string();
        assert!(problem.contains(said), "{text:?}\n{problem}\nshould say: {said}");
    }
    let deep = format!("a.com {{\n{}{}}}", "handle {\n".repeat(5_000), "}\n".repeat(5_000));
    assert!(find(&deep, &app("a.com")).unwrap_err().to_string().contains("nested too deeply"));
}

#[test]
fn streams_are_known_to_live_on_where_the_file_says_so() {
    let says = |more: &str| {
        find(&format!("a.com {{\n reverse_proxy localhost:8001 {{\n{more}\n }}\n}}"), &app("a.com")).unwrap()
    };
    assert!(says("stream_close_delay 30s").keeps_streams);
    assert!(!says("stream_timeout 30s").keeps_streams);
}

#[test]
fn a_block_goes_behind_everything_else_and_is_found_there() {
    let app = BlueGreen { drain: Duration::from_secs(90), ..app("a.com") };
    for (text, line) in [("", 2), (":80 {\n respond hi\n}\n", 6), (":80 {\n respond hi\n}", 6)] {
        for keeps_streams in [false, true] {
            let whole = with_block(text, &block(&app, keeps_streams)).unwrap();
            assert!(whole.starts_with(text), "{whole}");
            let found = find(&whole, &app).unwrap();
            assert_eq!((found.port, found.line, found.keeps_streams), (8001, line, keeps_streams), "{whole}");
        }
    }
    assert!(block(&app, true).contains("stream_close_delay 1m30s"));
    let bare = with_block("b.com\nrespond hi\n", &block(&app, false)).unwrap_err();
    assert!(bare.to_string().contains(":1: this site has no braces"), "{bare}");
}

#[test]
fn a_dial_is_a_slot_or_it_is_not() {
    for (dial, slot) in [
        ("localhost:8001", Some(8001)),
        (":8002", Some(8002)),
        ("127.0.0.1:8001", Some(8001)),
        ("localhost:80010", None),
        ("localhost:08001", None),
        ("127.0.0.1:8001/", None),
        ("10.0.0.1:8001", None),
        ("8001", None),
    ] {
        assert_eq!(slot_of_dial(dial, &app("a.com")), slot, "{dial}");
    }
}

/// Pieces of which a Caddyfile is made, so that chance makes things that nearly are one.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "a.com",
        "b.com,",
        "{",
        "}",
        "\n",
        "\n",
        " ",
        "\t",
        "reverse_proxy",
        "localhost:8001",
        ":8002",
        "#",
        "\"",
        "`",
        "\\",
        "<<END",
        "END",
        "import",
        "{$X}",
        "handle",
        "to",
        "/api/*",
        "@m",
        "\r",
        "(s)",
        "\u{feff}",
        "ä",
        "\u{a0}",
        "localhost:80010",
        "dynamic",
    ];
    prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_bytes_nothing_panics_and_an_edit_moves_one_port(pieces in prop::collection::vec(piece(), 0..60)) {
        let text: String = pieces.concat();
        let app = app("a.com");
        let _ = site_line(&text, &app.domain);
        let _ = with_block(&text, &block(&app, true));
        if let Ok(found) = find(&text, &app) {
            let other = app.other(found.port);
            let moved = found.moved(&text, other);
            let differing = text.bytes().zip(moved.bytes()).filter(|(a, b)| a != b).count();
            prop_assert_eq!((moved.len(), differing), (text.len(), 1));
            let again = find(&moved, &app).unwrap();
            prop_assert_eq!((again.port, again.line), (other, found.line));
        }
    }

    #[test]
    fn a_site_among_others_keeps_every_other_byte(
        before in prop::collection::vec(0..5_usize, 0..4), after in prop::collection::vec(0..5_usize, 0..4),
        port in prop::sample::select(vec![8001_u16, 8002]), shape in 0..4_usize,
    ) {
        const OTHERS: [&str; 5] = [
            "b.com {\n reverse_proxy localhost:8001\n}\n",
            "# a.com { reverse_proxy :8001 }\n",
            "(snippet) {\n reverse_proxy localhost:8002\n}\n",
            ":9000 {\n respond `a.com { reverse_proxy localhost:8001 `\n}\n",
            "http://a.com {\n reverse_proxy localhost:80010 localhost:8001\n}\n",
        ];
        let own = match shape {
            0 => format!("a.com {{\n\treverse_proxy localhost:{port}\n}}\n"),
            1 => format!("www.a.com, a.com {{\n handle {{\n  reverse_proxy * \"127.0.0.1:{port}\" :80010\n }}\n}}\n"),
            2 => format!("a.com {{ # :8001\n reverse_proxy {{\n  to :{port}\n }}\n}}\n"),
            _ => format!("a.com:443 {{\r\n reverse_proxy \\\n http://localhost:{port}\r\n}}\r\n"),
        };
        let join = |of: &[usize]| of.iter().map(|n| OTHERS[*n]).collect::<String>();
        let (before, after) = (join(&before), join(&after));
        let text = format!("{before}{own}{after}");
        let app = app("a.com");
        let found = find(&text, &app).unwrap();
        prop_assert_eq!(found.port, port);
        let other = app.other(port);
        let moved = found.moved(&text, other);
        let own = own.replacen(&format!(":{port}"), &format!(":{other}"), if shape == 2 && port == 8001 { 2 } else { 1 });
        let own = if shape == 2 { own.replacen("# :8002", "# :8001", 1) } else { own };
        prop_assert_eq!(moved, format!("{before}{own}{after}"));
    }
}
