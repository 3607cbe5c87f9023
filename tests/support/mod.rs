//! What integration tests share: hosts to deploy to, a home of their own to run arcane in, images to deploy.
//!
//! ```ignore
//! mod support;
//! use support::{Lab, TestEnv, image};
//! ```

// Every test file compiles this for itself and uses a part of it.
#![allow(dead_code, unused_imports)]
// What a failing test left behind is told where its output goes.
#![allow(clippy::print_stderr)]

mod env;
mod lab;
mod probe;
mod ran;
mod traffic;

pub(crate) use env::TestEnv;
pub(crate) use lab::{Lab, LabHost, app_program, image, image_with};
pub(crate) use probe::Probe;
pub(crate) use ran::{Ran, eventually};
pub(crate) use traffic::Traffic;
