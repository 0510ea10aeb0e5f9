//! Schemas: what the rows of a table are made of, how that is inferred from a type, and how rows of an older
//! type are read as rows of a newer one.

pub(super) mod infer;
pub(super) mod fingerprint;
pub(super) mod convert;
pub(super) mod migrate;
