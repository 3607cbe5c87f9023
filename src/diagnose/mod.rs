//! Evidence: what a log says beyond what rules look for. Pure, and a leaf: observations in, evidence out.

pub mod novelty;

pub use novelty::Novelties;
