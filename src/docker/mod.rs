//! The Engine API over any byte stream, in our own types. Nothing outside this room sees the client library.
