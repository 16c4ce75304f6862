//! What must hold of each reader for any bytes at all. Each module is also a test of the crate that it is about, over the
//! seeds that are kept in `corpus/`: what once went wrong stays there.

pub mod events;
pub mod guests;
mod reader;
pub mod signed_headers;
pub mod venue;
