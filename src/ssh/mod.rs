//! One SSH connection per host: who the host is, who we are, and byte streams to what it offers. Knows nothing of
//! Docker or of apps.
