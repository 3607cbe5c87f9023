//! This machine's memory in SQLite: releases, incidents, actions, decisions, audit. Never the only copy of what is
//! needed to roll back.
