//! The only room that changes a server: plan, lock, transfer, switch, keep, roll back.
