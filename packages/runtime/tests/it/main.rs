//! Configuration and signals, from outside.

mod configuration;
mod env_example;
mod signals;
