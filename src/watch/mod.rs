//! A host's streams made into ordered, complete, bounded [`crate::fleet::Observation`]s.
