//! Keeps the connection to the bus: makes it, hears what comes back, and says whether requests can go over it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions,
    connection::State,
    jetstream::{self, Context},
};
use futures_util::StreamExt as _;
use seatpilot_runtime::{BusRole, BusState};
use tokio::sync::Notify;

use crate::{
    bus::Inner,
    stream::{self, Makes, PAYLOAD_BYTES_MIN},
    waits::TAKEN_MAX,
};

/// Longest wait for a connection with its login.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How often a quiet server is asked whether it is there: two without an answer, and the connection is given up.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How often the stream is looked for while all is well, and while it is not.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// Pauses between attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// Messages that may wait to be written to the connection: as many as may wait for an answer.
const OUTGOING_MAX: usize = 2_048;

/// Runs until the bus is dropped.
pub(crate) async fn keep(bus: Weak<Inner>) {
    let changed = Arc::new(Notify::new());
    let mut said = String::new();
    let client = loop {
        let Some(inner) = bus.upgrade() else { return };
        match connect(&inner, &changed).await {
            Ok(client) => break client,
            Err(reason) => say(&mut said, reason),
        }
        drop(inner);
        tokio::time::sleep(RECONNECT_MAX).await;
    };
    if !hear(&bus, &client).await {
        return;
    }
    let mut context = jetstream::new(client.clone());
    context.set_timeout(TAKEN_MAX);
    loop {
        let Some(inner) = bus.upgrade() else { return };
        let looked = look(&inner, &client, &context).await;
        let pause = match looked {
            Ok(()) => {
                let _ = inner.client.set((client.clone(), context.clone()));
                if inner.moved_to(BusState::Connected) {
                    tracing::info!("reached the bus");
                }
                said.clear();
                LOOK_EVERY
            }
            Err(reason) => {
                inner.moved_to(BusState::Away);
                say(&mut said, reason);
                RETRY_EVERY
            }
        };
        drop(inner);
        let _ = tokio::time::timeout(pause, changed.notified()).await;
    }
}

/// The same trouble is said once, not every half a second.
fn say(said: &mut String, reason: String) {
    if *said != reason {
        tracing::warn!(reason, "no bus to hand requests to or take them from; trying again");
        *said = reason;
    }
}

async fn connect(inner: &Inner, changed: &Arc<Notify>) -> Result<Client, String> {
    let settings = &inner.settings;
    let changed = Arc::clone(changed);
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .connection_timeout(CONNECT_MAX)
        .ping_interval(PING_EVERY)
        .client_capacity(OUTGOING_MAX)
        .request_timeout(Some(TAKEN_MAX))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            let doubled = 1_u32 << u32::try_from(attempts).unwrap_or(u32::MAX).min(8);
            RECONNECT_MIN.saturating_mul(doubled).min(RECONNECT_MAX)
        })
        .event_callback(move |event| {
            let changed = Arc::clone(&changed);
            async move {
                tracing::debug!(%event, "the bus");
                changed.notify_one();
            }
        });
    if let Some((user, password)) = &settings.login {
        options = options.user_and_password(user.clone(), password.expose_secret().clone());
    }
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    options.connect(settings.servers.clone()).await.map_err(|error| error.to_string())
}

/// Hands what comes back to those who wait, for as long as the connection is there. False once the bus is dropped.
async fn hear(bus: &Weak<Inner>, client: &Client) -> bool {
    loop {
        let Some(inner) = bus.upgrade() else { return false };
        match client.subscribe(stream::returns_of(inner.instance)).await {
            Ok(mut returns) => {
                let waiting = Arc::clone(&inner.waiting);
                tokio::spawn(async move {
                    while let Some(message) = returns.next().await {
                        waiting.hear(message);
                    }
                });
                return true;
            }
            Err(error) => tracing::debug!(%error, "the bus did not take a subscription"),
        }
        drop(inner);
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

async fn look(inner: &Inner, client: &Client, context: &Context) -> Result<(), String> {
    if client.connection_state() != State::Connected {
        return Err("not connected".to_owned());
    }
    let most = client.max_payload();
    if most < PAYLOAD_BYTES_MIN {
        return Err(format!("its server takes {most} bytes, and must take {PAYLOAD_BYTES_MIN}: max_payload"));
    }
    let makes = match inner.settings.role {
        BusRole::Both | BusRole::Write => Makes::WhatIsMissing,
        BusRole::Verify => Makes::Nothing,
    };
    stream::find(context, makes).await
}
