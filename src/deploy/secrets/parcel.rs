//! What goes over the line: records, as launcher/keep.rs reads them, or lines for a shell, as keep.sh does.

use zeroize::Zeroizing;

use super::Values;
use super::launcher::Launcher;
use crate::fleet::{App, SecretForm, VariableName};
use crate::secrets::Value;

/// A file beside the launcher.
const BESIDE: u8 = b'l';
/// The launcher itself.
const PROGRAM: u8 = b'x';
/// A file for the app.
const FILE: u8 = b'f';
/// The end.
const END: u8 = b'.';

/// For an image's shell: what the launcher does.
const SCRIPT: &[u8] = b"#!/bin/sh\n. /run/arcane/env.sh && exec \"$@\"\n";
/// How many bytes a line for a shell brings.
const LINE: usize = 250;

/// Everything that a container of a release gets.
pub(super) fn pack(app: &App, values: &Values, launcher: Launcher) -> Zeroizing<Vec<u8>> {
    // Never moved while they grow: what they are moved from would not be wiped.
    let total: usize = values.0.iter().map(|(name, value)| 4 * value.len() + name.as_str().len() + 64).sum();
    let mut environment = Zeroizing::new(Vec::with_capacity(total));
    for (name, value) in variables(app, values) {
        match launcher {
            Launcher::Program(_) => entry(&mut environment, name, value.expose()),
            Launcher::Shell => line(&mut environment, name, value.expose()),
        }
    }
    let files = values.0.iter().map(|(name, value)| (FILE, name.as_str(), value.expose()));
    let (own, env): (&[u8], _) = match launcher {
        Launcher::Program(program) => (program, "env"),
        Launcher::Shell => (SCRIPT, "env.sh"),
    };
    let beside = [(PROGRAM, "launch", own), (BESIDE, env, environment.as_slice())];
    let size = 6 * (own.len() + environment.len() + total) + 1024;
    let mut parcel = Zeroizing::new(Vec::with_capacity(size));
    for (kind, name, content) in beside.into_iter().chain(files) {
        match launcher {
            Launcher::Program(_) => record(&mut parcel, kind, name, content),
            Launcher::Shell => lines(&mut parcel, kind, name, content),
        }
    }
    match launcher {
        Launcher::Program(_) => record(&mut parcel, END, "", b""),
        Launcher::Shell => parcel.extend_from_slice(b"finish\n"),
    }
    parcel
}

fn variables<'v>(app: &'v App, values: &'v Values) -> impl Iterator<Item = (&'v VariableName, &'v Value)> {
    let variables = app.secrets.iter().filter(|(_, secret)| secret.form == SecretForm::Variable);
    variables.filter_map(|(name, _)| Some((name, values.0.get(name)?)))
}

/// A variable as the launcher reads it.
fn entry(environment: &mut Vec<u8>, name: &VariableName, value: &[u8]) {
    environment.extend_from_slice(name.as_str().as_bytes());
    environment.push(b'=');
    environment.extend_from_slice(value);
    environment.push(0);
}

/// A variable as a shell reads it.
fn line(environment: &mut Vec<u8>, name: &VariableName, value: &[u8]) {
    environment.extend_from_slice(b"export ");
    environment.extend_from_slice(name.as_str().as_bytes());
    environment.extend_from_slice(b"='");
    for byte in value {
        match byte {
            b'\'' => environment.extend_from_slice(b"'\\''"),
            byte => environment.push(*byte),
        }
    }
    environment.extend_from_slice(b"'\n");
}

/// A file as keep.sh makes it: every byte as `printf` writes it.
fn lines(parcel: &mut Vec<u8>, kind: u8, name: &str, content: &[u8]) {
    let directory = if kind == FILE { "files" } else { "launch" };
    parcel.extend_from_slice(format!("to {directory}/{name}\n").as_bytes());
    for piece in content.chunks(LINE) {
        parcel.extend_from_slice(b"add '");
        for byte in piece {
            let digit = |shift: u32| b'0' + (byte >> shift & 7);
            parcel.extend_from_slice(&[b'\\', digit(6), digit(3), digit(0)]);
        }
        parcel.extend_from_slice(b"'\n");
    }
}

fn record(parcel: &mut Vec<u8>, kind: u8, name: &str, content: &[u8]) {
    // Names have 128 bytes at most, and values 16 MiB.
    let (name, size) = (name.as_bytes(), u32::try_from(content.len()).unwrap_or(u32::MAX));
    parcel.push(kind);
    parcel.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    parcel.extend_from_slice(&size.to_le_bytes());
    parcel.extend_from_slice(name);
    parcel.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::deploy::sample::app;
    use crate::fleet::{AppSecret, VariableName};
    use crate::secrets::Value;

    #[test]
    fn variables_are_files_too_and_files_are_no_variables() {
        let name = |text: &str| VariableName::parse(text).unwrap();
        let mut app = app("shop");
        app.secrets.insert(name("A"), AppSecret { form: SecretForm::Variable, version: None });
        app.secrets.insert(name("KEY"), AppSecret { form: SecretForm::File, version: None });
        let values =
            Values(BTreeMap::from([(name("A"), Value::from("1")), (name("KEY"), Value::new(vec![0, 1]))]));
        let parcel = pack(&app, &values, Launcher::Program(b"ELF"));
        let expected = [
            &b"x\x06\x03\0\0\0launchELF"[..],
            b"l\x03\x04\0\0\0envA=1\0",
            b"f\x01\x01\0\0\0A1",
            b"f\x03\x02\0\0\0KEY\0\x01",
            b".\0\0\0\0\0",
        ];
        assert_eq!(parcel.as_slice(), expected.concat());
    }

    /// What a shell makes of a parcel.
    #[test]
    fn a_shell_gets_every_byte() {
        let name = |text: &str| VariableName::parse(text).unwrap();
        let value: Vec<u8> = (1..=255).chain(*b"'\"$(id)`%s\\n").collect();
        let binary: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut app = app("shop");
        app.secrets.insert(name("A"), AppSecret { form: SecretForm::Variable, version: None });
        let values = Values(BTreeMap::from([
            (name("A"), Value::new(value.clone())),
            (name("EMPTY"), Value::new(Vec::new())),
            (name("KEY"), Value::new(binary.clone())),
        ]));
        let parcel = pack(&app, &values, Launcher::Shell);
        let room = crate::ssh::fake::scratch();
        std::fs::create_dir_all(room.join("launch")).unwrap();
        std::fs::create_dir_all(room.join("files")).unwrap();
        let helpers = "to() { file=$1; : >\"$file\"; }\nadd() { printf \"$1\" >>\"$file\"; }\nfinish() { echo kept; }\n";
        let script = room.join("script");
        std::fs::write(&script, [helpers.as_bytes(), &parcel].concat()).unwrap();
        let run = |shell: &str, arguments: &[&str]| {
            std::process::Command::new(shell).args(arguments).current_dir(&room).output().unwrap().stdout
        };
        assert_eq!(run("sh", &["script"]), b"kept\n");
        assert_eq!(std::fs::read(room.join("files/KEY")).unwrap(), binary);
        assert_eq!(std::fs::read(room.join("files/EMPTY")).unwrap(), b"");
        assert_eq!(run("sh", &["-c", ". ./launch/env.sh; printf %s \"$A\""]), value);
    }
}
