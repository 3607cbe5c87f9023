//! What several fuzz targets have in common: how decisions are drawn from an input, and the plain ways of doing what Arcane
//! does in quicker ones.

mod draw;
pub mod drawn;
pub mod joined;
mod json;
pub mod plain;

pub use draw::{Draw, chunks};
pub use json::member;

/// A text as it stands in a TOML file.
#[must_use]
pub fn in_toml(text: &str) -> String {
    toml::Value::from(text).to_string()
}
