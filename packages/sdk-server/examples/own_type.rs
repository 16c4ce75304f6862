//! Many events, one of them of a type that the server does not know: `own_type URL KEY_ID < secret-in-base64`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::{io::stdin, time::Duration};

use seatpilot_sdk_server::{Event, EventType, Sender, SigningKey, Status, event_data::WayfindingRouteShown};
use serde::Serialize;

/// What the bar would like to tell.
#[derive(Serialize)]
struct DrinkPoured {
    litres: f64,
}

impl EventType for DrinkPoured {
    const NAME: &'static str = "bar.drink_poured";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key_id] = &arguments[..] else { return Err("own_type URL KEY_ID < secret-in-base64".into()) };
    let mut secret = String::new();
    stdin().read_line(&mut secret)?;

    let sender = Sender::builder(url, SigningKey::from_base64(key_id, &secret)?).start()?;
    let mut sent = vec![sender.send(Event::new("arena", DrinkPoured { litres: 0.5 })).await?];
    for _ in 0..250 {
        let data = WayfindingRouteShown { profile: Some("walk".to_owned()), ..Default::default() };
        sent.push(sender.send(Event::new("arena", data).channel("signage")).await?);
    }
    sender.flush().await;
    for one in sent {
        let outcome = one.outcome().await;
        if let Status::Rejected(reason) = outcome.status {
            println!("{} was rejected: {reason}", outcome.id);
        }
    }
    println!("{} unsent", sender.close(Duration::from_secs(5)).await?);
    Ok(())
}
