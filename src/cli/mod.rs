//! One file per command: arguments, one call into the library, text or JSON. The only room that prints.
