//! The supervisor: a pure state machine that decides, and the shell that carries out what it decided.
