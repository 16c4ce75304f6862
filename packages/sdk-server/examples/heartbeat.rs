//! One event and its outcome: `heartbeat URL KEY_ID < secret-in-base64`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::{io::stdin, time::Duration};

use seatpilot_sdk_server::{Event, Sender, SigningKey, event_data::DeviceHeartbeat};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(key_id)) = (arguments.next(), arguments.next()) else {
        return Err("heartbeat URL KEY_ID < secret-in-base64".into());
    };
    // Not as an argument: those are in every list of processes.
    let mut secret = String::new();
    stdin().read_line(&mut secret)?;

    let sender = Sender::builder(url, SigningKey::from_base64(key_id, &secret)?)
        .linger(Duration::ZERO)
        .on_trouble(|trouble| println!("{trouble}"))
        .start()?;
    let sent = sender.send(Event::new("arena", DeviceHeartbeat::default())).await?;
    let outcome = sent.outcome().await;
    println!("{} {:?}", outcome.id, outcome.status);
    sender.close(Duration::from_secs(5)).await?;
    Ok(())
}
