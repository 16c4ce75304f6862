//! A gate without async that loses nothing over a power cut: `gate URL KEY_ID OUTBOX < secret-in-base64`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::{io::stdin, time::Duration};

use seatpilot_sdk_server::{
    Event, Outbox, Sender, SigningKey, WhenFull, blocking,
    event_data::{CheckinStarted, CheckinSuccess},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key_id, outbox] = &arguments[..] else {
        return Err("gate URL KEY_ID OUTBOX < secret-in-base64".into());
    };
    let mut secret = String::new();
    stdin().read_line(&mut secret)?;

    let builder = Sender::builder(url, SigningKey::from_base64(key_id, &secret)?)
        // A night of guests; what an earlier run left is sent first.
        .outbox(Outbox::on_disk(outbox, 100_000)?)
        .when_full(WhenFull::DropOldest)
        .on_outcome(|outcome| println!("{} {:?}", outcome.id, outcome.status));
    let sender = blocking::Sender::start(builder)?;
    for _ in 0..3 {
        sender.send(Event::new("arena", CheckinStarted::default()).channel("kiosk"))?;
        let data =
            CheckinSuccess { latency_ms: 12.5, door_id: Some("north-1".to_owned()), ..Default::default() };
        sender.send(Event::new("arena", data).channel("kiosk"))?;
    }
    println!("{} unsent", sender.close(Duration::from_secs(5))?);
    Ok(())
}
