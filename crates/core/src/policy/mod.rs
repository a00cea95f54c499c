//! Roles compiled to a snapshot, and the one evaluator over it.
