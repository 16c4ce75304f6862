//! Sends telemetry to SeatPilot's telemetry-ingest from a Rust program: typed events, signed, in batches, sent again until
//! the server has answered for each of them.
//!
//! ```no_run
//! use seatpilot_sdk_server::{Event, Outbox, Sender, SigningKey, event_data::CheckinSuccess};
//!
//! # async fn example(secret: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::from_base64("acme_gate_01", secret)?;
//! let sender = Sender::builder("https://ingest.example", key)
//!     .outbox(Outbox::on_disk("/var/lib/gate/outbox.redb", 100_000)?)
//!     .on_trouble(|trouble| eprintln!("{trouble}"))
//!     .start()?;
//!
//! let event = Event::new("arena", CheckinSuccess { latency_ms: 12.5, ..Default::default() }).channel("kiosk");
//! let sent = sender.send(event).await?;       // kept: on the disk, here
//! let outcome = sent.outcome().await;         // answered: accepted, a duplicate, or rejected and why
//! println!("{}: {:?}", outcome.id, outcome.status);
//!
//! let unsent = sender.close(std::time::Duration::from_secs(5)).await?;
//! assert_eq!(unsent, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - [`Sender::send`] returns when the event is kept. Whatever happens then, it is sent until the server answers for it, and
//!   is stored once, since it keeps its id.
//! - The same bytes with the same signature while that is fresh (240 s), then signed anew with the same ids.
//! - Full jitter, 8 tries, then a rest of 5 s to 5 min; never before `Retry-After`; retries cost at most a tenth of what is
//!   sent, or one a second ([`Pace`]).
//! - A clock that is off by over a minute is set by the server's `Date`, once.
//! - A full outbox does what [`WhenFull`] says.
//! - With [`Outbox::on_disk`] an event that was kept survives the death of the process and of the machine.
//!
//! # What it does not do
//!
//! It does not check an event against its schema before it is sent: the types of [`event_data`] have the members and their
//! types, the server checks the rest, and a rejected outcome has the reason. It writes no log and reads no environment: what
//! goes wrong is told to [`Builder::on_trouble`].
//!
//! Pages sign by keys that their server mints for them: [`SessionKeys`].
//!
//! Without async: [`blocking`].

mod delivery;
mod disk;
mod event;
// As it was written.
#[rustfmt::skip]
pub mod event_data;
mod key;
mod outbox;
mod outcome;
mod retry;
mod sender;
mod session_key;
mod worker;

pub mod blocking;

pub use event::{EVENT_BYTES_MAX, Event, EventType};
pub use key::{BadKey, SigningKey};
pub use outbox::{Outbox, OutboxError};
pub use outcome::{Outcome, Sent, Status};
pub use retry::Pace;
pub use sender::{BadOption, Builder, SendError, Sender, WhenFull};
pub use session_key::{MintError, SessionKey, SessionKeyWish, SessionKeys};
pub use worker::{Trouble, TroubleKind};
