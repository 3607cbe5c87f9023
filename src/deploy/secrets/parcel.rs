//! What goes over the line: records, as launcher/keep.rs reads them.

use zeroize::Zeroizing;

use super::Values;
use crate::fleet::{App, SecretForm};

/// A file beside the launcher.
const BESIDE: u8 = b'l';
/// The launcher itself.
const PROGRAM: u8 = b'x';
/// A file for the app.
const FILE: u8 = b'f';
/// The end.
const END: u8 = b'.';

/// Everything that a container of a release gets.
pub(super) fn pack(app: &App, values: &Values, launcher: &[u8]) -> Zeroizing<Vec<u8>> {
    let variables = app.secrets.iter().filter(|(_, secret)| secret.form == SecretForm::Variable);
    let mut size = launcher.len() + 1024;
    for (name, value) in &values.0 {
        size += 2 * (value.len() + name.as_str().len() + 16);
    }
    // Never moved while it grows: what it is moved from would not be wiped.
    let mut environment = Zeroizing::new(Vec::with_capacity(size));
    for (name, _) in variables {
        if let Some(value) = values.0.get(name) {
            environment.extend_from_slice(name.as_str().as_bytes());
            environment.push(b'=');
            environment.extend_from_slice(value.expose());
            environment.push(0);
        }
    }
    let mut parcel = Zeroizing::new(Vec::with_capacity(size));
    record(&mut parcel, PROGRAM, "launch", launcher);
    record(&mut parcel, BESIDE, "env", &environment);
    for (name, value) in &values.0 {
        record(&mut parcel, FILE, name.as_str(), value.expose());
    }
    record(&mut parcel, END, "", b"");
    parcel
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
        let parcel = pack(&app, &values, b"ELF");
        let expected = [
            &b"x\x06\x03\0\0\0launchELF"[..],
            b"l\x03\x04\0\0\0envA=1\0",
            b"f\x01\x01\0\0\0A1",
            b"f\x03\x02\0\0\0KEY\0\x01",
            b".\0\0\0\0\0",
        ];
        assert_eq!(parcel.as_slice(), expected.concat());
        assert!(parcel.capacity() >= parcel.len());
    }
}
