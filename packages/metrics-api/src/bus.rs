//! What goes over the bus between those who verify and those who write, where there is one.

use prometheus::{Gauge, IntCounter, Registry};

use crate::{families, family::Family};

/// What the bus did with a verified request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusSent {
    /// It is in the stream.
    Taken,
    /// The stream was full.
    Full,
    /// Nobody took it in time.
    Away,
}

/// What became of a writer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusAnswer {
    /// Its request waited for it.
    InTime,
    /// None came until the deadline.
    Missing,
    /// It came when nobody waited any more.
    Late,
    /// It was not sealed with a key of ours, or could not be understood.
    Unreadable,
}

/// How a request came to its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusReceived {
    /// For the first time.
    First,
    /// Again: who had it before did not say that it was written.
    Again,
    /// Not sealed with a key of ours, or not understood: let go.
    Unreadable,
}

/// `seatpilot_bus_*`.
pub struct BusMetrics {
    connected: Gauge,
    waiting: Gauge,
    writing: Gauge,
    sent: [IntCounter; 3],
    answers: [IntCounter; 4],
    received: [IntCounter; 3],
}

impl BusMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let gauge = |family: &Family| family.gauges(registry).with_label_values::<&str>(&[]);
        let sent = families::BUS_SENT_TOTAL.counters(registry);
        let answers = families::BUS_ANSWERS_TOTAL.counters(registry);
        let received = families::BUS_RECEIVED_TOTAL.counters(registry);
        // In the order of the enums above: a variant's discriminant is its place.
        Self {
            connected: gauge(&families::BUS_CONNECTED),
            waiting: gauge(&families::BUS_WAITING),
            writing: gauge(&families::BUS_WRITING),
            sent: ["taken", "full", "away"].map(|word| sent.with_label_values(&[word])),
            answers: ["in_time", "missing", "late", "unreadable"]
                .map(|word| answers.with_label_values(&[word])),
            received: ["first", "again", "unreadable"].map(|word| received.with_label_values(&[word])),
        }
    }

    /// Says whether the bus is connected.
    pub fn set_connected(&self, connected: f64) {
        self.connected.set(connected);
    }

    /// Says how many requests of this process wait for an answer.
    pub fn set_waiting(&self, requests: usize) {
        self.waiting.set(requests as f64);
    }

    /// Says how many requests off the bus this process is writing.
    pub fn set_writing(&self, requests: usize) {
        self.writing.set(requests as f64);
    }

    /// Counts a request that was given to the bus.
    pub fn count_sent(&self, sent: BusSent) {
        self.sent[sent as usize].inc();
    }

    /// Counts an answer, or that there was none.
    pub fn count_answer(&self, answer: BusAnswer) {
        self.answers[answer as usize].inc();
    }

    /// Counts a request that was taken off the bus.
    pub fn count_received(&self, received: BusReceived) {
        self.received[received as usize].inc();
    }
}
