//! One binary for all of them: it links once.
mod rules;
mod smoke;
mod traces;
