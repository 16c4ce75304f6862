//! Signed requests on their way from the instances that verified them to those that write them, over NATS `JetStream`.
//!
//! Nobody is answered on the bus' word: [`Bus::submit`] waits until a writer says that it has committed, and what it
//! says is what the sender reads. The stream only brings a request to a writer that has room for it, and to another one
//! where the first dies. So a message lives no longer than somebody waits for it ([`waits`]), and one that comes twice
//! is harmless: its nonce is known, and the first outcome is answered again.
//!
//! Everything is sealed ([`seal`]) with a key of the instances' own: who can reach NATS, and has no key, can make
//! senders wait, and neither store an event nor have one acknowledged. Why so: `docs/adr/0011-bus.md`.

mod answer;
mod bus;
mod fault;
mod keeper;
mod request;
mod seal;
mod stream;
mod trace;
mod waiting;
mod waits;
mod writing;

pub use bus::{Bus, BusSettings, BusSettingsFault};
pub use fault::{BusFault, Refusal};
pub use writing::Writing;
