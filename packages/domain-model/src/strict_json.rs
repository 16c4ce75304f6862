//! Strict JSON. Written by the ingest owner.
