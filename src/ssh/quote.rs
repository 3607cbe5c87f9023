//! The one function through which a value reaches a remote shell.

/// `value` as one word of a POSIX shell command, whatever it holds: in single quotes, with every single quote
/// replaced by `'\''`. A NUL cannot be an argument of any program and is dropped, as the shell itself would do.
#[must_use]
pub fn quote(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('\'');
    for c in value.chars() {
        match c {
            '\'' => out.push_str(r"'\''"),
            '\0' => {}
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// What a real `sh` makes of the quoted value.
    fn through_sh(value: &str) -> String {
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("printf %s {}", quote(value)))
            .stdin(Stdio::null())
            .output()
            .expect("a POSIX system has sh");
        assert!(output.status.success(), "{value:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn hostile_words_stay_one_word() {
        for value in [
            "",
            "a",
            "a b",
            "'",
            "''",
            "\\",
            "\\'",
            "$(id)",
            "`id`",
            "a;id",
            "a\nb",
            "-n",
            "~",
            "*",
            "a'b\"c$d",
            "!!",
            "größe\u{202e}",
            "%s%n",
            "\r\t\x1b[31m",
        ] {
            assert_eq!(through_sh(value), value);
        }
        assert_eq!(quote("a\0b"), "'ab'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_word_survives_a_real_shell(value in "[^\0]{0,40}") {
            prop_assert_eq!(through_sh(&value), value);
        }

        #[test]
        fn shell_metacharacters_survive_a_real_shell(value in r#"['"\\$`;&|<>(){}*?!~# \n\t=%-]{0,24}"#) {
            prop_assert_eq!(through_sh(&value), value);
        }
    }
}
