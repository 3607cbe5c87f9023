//! Members of JSON lines, by the documentation.

use serde_json::Value;

/// What a rule's `json` sees under a path.
#[must_use]
pub fn member(line: &str, path: &str) -> Option<String> {
    let line = Some(line.trim()).filter(|line| line.len() <= 64 << 10)?;
    let object: Value = serde_json::from_str(line).ok().filter(Value::is_object)?;
    let mut value = object.get(path);
    if value.is_none() {
        value = path.split('.').try_fold(&object, |value, name| value.get(name));
    }
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
