//! The only room that changes a server: plan, lock, transfer, switch, keep, roll back.

pub mod labels;
pub mod situation;

#[cfg(test)]
mod sample;
