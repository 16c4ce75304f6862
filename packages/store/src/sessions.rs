//! Sessions: a guest admitted at a door, and seated.

use std::hash::{DefaultHasher, Hash, Hasher};

use seatpilot_domain_model::{
    Admission, Arrival, ArrivalPing, ArrivalRefusal, CheckIn, Nonce, Refusal, ScanAnswer, TenantId,
    TraceParent,
};
use seatpilot_runtime::Clock;
use tokio_postgres::Row;

use crate::{
    Error,
    connection::Target,
    prepared::Prepared,
    writer::{Batch, SendError},
};

pub(crate) struct SessionCheckIn {
    pub(crate) clock: Clock,
}

impl Batch for SessionCheckIn {
    type Row = CheckIn;
    type Answer = ScanAnswer;
    type Line = Prepared;
    const NAME: &'static str = "session_check_in";

    fn tenant(row: &CheckIn) -> &TenantId {
        &row.tenant
    }

    fn key(row: &CheckIn) -> u64 {
        hash(&(&row.tenant, row.scan_id))
    }

    fn bytes(_row: &CheckIn) -> usize {
        size_of::<CheckIn>() + 256
    }

    async fn open(&self, target: &Target) -> Result<Prepared, Error> {
        Prepared::open(target, include_str!("../sql/session_check_in.sql")).await
    }

    async fn send(
        &self,
        line: &Prepared,
        tenant: &str,
        rows: &[&CheckIn],
    ) -> Result<Vec<ScanAnswer>, SendError> {
        let now = self.clock.monotonic();
        let scan_ids: Vec<_> = rows.iter().map(|row| row.scan_id).collect();
        let session_ids: Vec<_> = rows.iter().map(|row| row.session_id).collect();
        let telemetry_ids: Vec<_> = rows.iter().map(|row| row.telemetry_id).collect();
        let fingerprints: Vec<_> = rows.iter().map(|row| row.fingerprint.as_slice()).collect();
        let venues: Vec<_> = rows.iter().map(|row| row.venue.as_str()).collect();
        let events: Vec<_> = rows.iter().map(|row| row.event.as_str()).collect();
        let doors: Vec<_> = rows.iter().map(|row| row.door.as_str()).collect();
        let tickets: Vec<_> = rows.iter().map(|row| row.ticket.as_bytes().as_slice()).collect();
        let channels: Vec<_> = rows.iter().map(|row| row.channel.as_str()).collect();
        let devices: Vec<_> = rows.iter().map(|row| row.device).collect();
        let party_sizes: Vec<_> =
            rows.iter().map(|row| row.party_size.map(|size| i16::from(size.get()))).collect();
        let times: Vec<_> = rows.iter().map(|row| row.checked_in_at).collect();
        let waits_ms: Vec<_> =
            rows.iter().map(|row| now.saturating_duration_since(row.received).as_secs_f64() * 1e3).collect();
        let traces = traces(rows, |row| row.trace.as_ref());
        let found = line
            .query(&[
                &tenant,
                &scan_ids,
                &session_ids,
                &telemetry_ids,
                &fingerprints,
                &venues,
                &events,
                &doors,
                &tickets,
                &channels,
                &devices,
                &party_sizes,
                &times,
                &waits_ms,
                &traces,
            ])
            .await?;
        in_order(rows.len(), found, scan_answer)
    }
}

fn scan_answer(row: &Row) -> Result<ScanAnswer, SendError> {
    let verdict: &str = row.try_get("verdict")?;
    Ok(match verdict {
        "admitted" | "replayed" => ScanAnswer::Admitted(Admission {
            session_id: row.try_get("session_id")?,
            ticket_id: row.try_get("ticket_id")?,
            party_size: u8::try_from(row.try_get::<_, i16>("party_size")?).map_err(shape)?,
            section: slug(row, "section")?,
            table: slug(row, "table_id")?,
            seat: slug(row, "seat_id")?,
            door: required_slug(row, "door_id")?,
            checked_in_at: row.try_get("checked_in_at")?,
            ticket_profile: slug(row, "profile")?,
            replayed: verdict == "replayed",
        }),
        "ticket_unknown" => ScanAnswer::Refused(Refusal::TicketUnknown),
        "ticket_revoked" => ScanAnswer::Refused(Refusal::TicketRevoked),
        "wrong_event" => ScanAnswer::Refused(Refusal::WrongEvent),
        "not_yet_valid" => ScanAnswer::Refused(Refusal::NotYetValid),
        "no_longer_valid" => ScanAnswer::Refused(Refusal::NoLongerValid),
        "wrong_door" => ScanAnswer::Refused(Refusal::WrongDoor),
        "already_checked_in" => ScanAnswer::Refused(Refusal::AlreadyCheckedIn {
            first_checked_in_at: row.try_get("checked_in_at")?,
            first_door: required_slug(row, "door_id")?,
        }),
        "scan_id_reused" => ScanAnswer::ScanIdReused,
        "party_too_large" => ScanAnswer::PartyTooLarge {
            ticket_admits: u8::try_from(row.try_get::<_, i16>("party_size")?).map_err(shape)?,
        },
        other => return Err(SendError::Shape(format!("session_check_in answered {other:?}"))),
    })
}

/// A ping with the nonce of its signature, if it was signed.
pub(crate) struct SignedPing {
    pub(crate) ping: ArrivalPing,
    pub(crate) nonce: Option<Nonce>,
}

/// What the statement answers for one ping.
#[derive(Debug, Clone, PartialEq)]
pub enum ArriveAnswer {
    /// Seated, now or before (`first`).
    Seated {
        /// The arrival as first answered.
        arrival: Arrival,
        /// Whether a used nonce was answered with its first outcome.
        replayed: bool,
        /// The trace of the check-in, where it was kept and this ping or the nonce it repeats closed the session.
        check_in_trace: Option<TraceParent>,
    },
    /// Not an arrival.
    Refused(ArrivalRefusal),
    /// The nonce was used for another body; nothing was stored.
    NonceReused,
}

pub(crate) struct SessionArrive;

impl Batch for SessionArrive {
    type Row = SignedPing;
    type Answer = ArriveAnswer;
    type Line = Prepared;
    const NAME: &'static str = "session_arrive";

    fn tenant(row: &SignedPing) -> &TenantId {
        &row.ping.tenant
    }

    fn key(row: &SignedPing) -> u64 {
        hash(&(&row.ping.tenant, row.ping.session_id))
    }

    fn bytes(_row: &SignedPing) -> usize {
        size_of::<SignedPing>() + 256
    }

    async fn open(&self, target: &Target) -> Result<Prepared, Error> {
        Prepared::open(target, include_str!("../sql/session_arrive.sql")).await
    }

    async fn send(
        &self,
        line: &Prepared,
        tenant: &str,
        rows: &[&SignedPing],
    ) -> Result<Vec<ArriveAnswer>, SendError> {
        let ping_ids: Vec<_> = rows.iter().map(|row| row.ping.ping_id).collect();
        let session_ids: Vec<_> = rows.iter().map(|row| row.ping.session_id).collect();
        let telemetry_ids: Vec<_> = rows.iter().map(|row| row.ping.telemetry_id).collect();
        let tables: Vec<_> = rows
            .iter()
            .map(|row| row.ping.place.table.as_ref().map(AsRef::as_ref))
            .collect::<Vec<Option<&str>>>();
        let seats: Vec<_> = rows
            .iter()
            .map(|row| row.ping.place.seat.as_ref().map(AsRef::as_ref))
            .collect::<Vec<Option<&str>>>();
        let sections: Vec<_> = rows
            .iter()
            .map(|row| row.ping.place.section.as_ref().map(AsRef::as_ref))
            .collect::<Vec<Option<&str>>>();
        let signs: Vec<_> =
            rows.iter().map(|row| row.ping.sign.as_ref().map(AsRef::as_ref)).collect::<Vec<Option<&str>>>();
        let arrivals: Vec<_> = rows.iter().map(|row| row.ping.arrived_at).collect();
        let receipts: Vec<_> = rows.iter().map(|row| row.ping.received_at).collect();
        let key_ids: Vec<_> =
            rows.iter().map(|row| row.nonce.as_ref().map(|nonce| nonce.key_id.as_str())).collect();
        let key_times: Vec<_> = rows.iter().map(|row| row.nonce.as_ref().map(|nonce| nonce.ts)).collect();
        let nonces: Vec<_> =
            rows.iter().map(|row| row.nonce.as_ref().map(|nonce| nonce.nonce.as_str())).collect();
        let bodies: Vec<_> =
            rows.iter().map(|row| row.nonce.as_ref().map(|nonce| nonce.body_sha256.as_slice())).collect();
        let traces = traces(rows, |row| row.ping.trace.as_ref());
        let found = line
            .query(&[
                &tenant,
                &ping_ids,
                &session_ids,
                &telemetry_ids,
                &tables,
                &seats,
                &sections,
                &signs,
                &arrivals,
                &receipts,
                &key_ids,
                &key_times,
                &nonces,
                &bodies,
                &traces,
            ])
            .await?;
        let mut answers = in_order(rows.len(), found, arrive_answer)?;
        for (answer, row) in answers.iter_mut().zip(rows) {
            if let ArriveAnswer::Seated { arrival, .. } = answer {
                arrival.session_id = row.ping.session_id;
            }
        }
        Ok(answers)
    }
}

fn arrive_answer(row: &Row) -> Result<ArriveAnswer, SendError> {
    let verdict: &str = row.try_get("verdict")?;
    Ok(match verdict {
        "arrived" | "repeated" => ArriveAnswer::Seated {
            arrival: Arrival {
                session_id: uuid::Uuid::nil(),
                table: slug(row, "table_id")?,
                seat: slug(row, "seat_id")?,
                section: slug(row, "section")?,
                channel: required_slug(row, "channel")?,
                checked_in_at: row.try_get("checked_in_at")?,
                arrived_at: row.try_get("arrived_at")?,
                first: row.try_get("first")?,
            },
            replayed: row.try_get("nonce_replayed")?,
            // Written by us only; a value that is none is worth no error to a guest who is seated.
            check_in_trace: row
                .try_get::<_, Option<&str>>("check_in_traceparent")?
                .and_then(|text| text.parse().ok()),
        },
        "session_unknown" => ArriveAnswer::Refused(ArrivalRefusal::SessionUnknown),
        "table_mismatch" => ArriveAnswer::Refused(ArrivalRefusal::TableMismatch),
        "arrived_at_out_of_range" => ArriveAnswer::Refused(ArrivalRefusal::ArrivedAtOutOfRange),
        "nonce_reused" => ArriveAnswer::NonceReused,
        other => return Err(SendError::Shape(format!("session_arrive answered {other:?}"))),
    })
}

/// The traces of the rows as the statement takes them: nothing at all where no row has one.
fn traces<'a, R>(rows: &[&'a R], trace: impl Fn(&'a R) -> Option<&'a TraceParent>) -> Vec<Option<String>> {
    if rows.iter().all(|row| trace(row).is_none()) {
        return Vec::new();
    }
    rows.iter().map(|row| trace(row).map(ToString::to_string)).collect()
}

/// Rows come back in any order; their ordinal says whose they are.
pub(crate) fn in_order<T>(
    expected: usize,
    found: Vec<Row>,
    read: impl Fn(&Row) -> Result<T, SendError>,
) -> Result<Vec<T>, SendError> {
    let mut answers: Vec<Option<T>> = std::iter::repeat_with(|| None).take(expected).collect();
    for row in &found {
        let ordinal: i64 = row.try_get(0)?;
        let slot = usize::try_from(ordinal - 1).ok().and_then(|index| answers.get_mut(index));
        match slot {
            Some(slot @ None) => *slot = Some(read(row)?),
            _ => return Err(SendError::Shape(format!("the ordinal {ordinal} came twice or from nowhere"))),
        }
    }
    answers.into_iter().collect::<Option<_>>().ok_or_else(|| SendError::Shape("a row has no answer".into()))
}

pub(crate) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn shape(error: impl std::fmt::Display) -> SendError {
    SendError::Shape(error.to_string())
}

fn slug<T: std::str::FromStr>(row: &Row, column: &str) -> Result<Option<T>, SendError>
where
    T::Err: std::fmt::Display,
{
    row.try_get::<_, Option<&str>>(column)?.map(|text| text.parse().map_err(shape)).transpose()
}

fn required_slug<T: std::str::FromStr>(row: &Row, column: &str) -> Result<T, SendError>
where
    T::Err: std::fmt::Display,
{
    row.try_get::<_, &str>(column)?.parse().map_err(shape)
}
