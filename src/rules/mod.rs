//! Heal rules: parse, compile, match. Pure: observations in, signals out.
