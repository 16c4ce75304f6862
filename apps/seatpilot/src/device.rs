//! `seatpilot device`: what may scan and ping.

use clap::Subcommand;
use seatpilot_domain_model::{Channel, DeviceScope, DoorId, EventId, VenueId};
use seatpilot_store::admin::DeviceRow;
use serde_json::json;
use uuid::Uuid;

use crate::{
    failure::Failure,
    global::Global,
    output::{Style, columns},
    running::Running,
};

/// Longest name of a device, in characters.
const NAME_CHARS_MAX: usize = 200;

/// What to do with devices.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a device and print its token, which is shown this once.
    #[command(
        after_help = "Example:\n  seatpilot device add \"North gate, lane 3\" --door north-1 --channel mobile"
    )]
    Add(Limits),
    /// List the tenant's devices.
    #[command(after_help = "Example:\n  seatpilot device list --json")]
    List,
    /// Take a device's access away, everywhere within 5 seconds; twice is fine.
    #[command(after_help = "Example:\n  seatpilot device revoke 019aa0c4-7a00-7000-8000-000000000001")]
    Revoke {
        /// The device's id.
        #[arg(value_name = "DEVICE_ID")]
        id: Uuid,
    },
}

/// A device's name and limits; a limit that is not given is none.
#[derive(Debug, Clone, clap::Args)]
pub struct Limits {
    /// What people call it.
    #[arg(default_value = "device", value_parser = name)]
    name: String,
    /// Works at these venues only.
    #[arg(long = "venue", value_name = "ID", value_delimiter = ',')]
    venues: Vec<VenueId>,
    /// Works for these events only.
    #[arg(long = "event", value_name = "ID", value_delimiter = ',')]
    events: Vec<EventId>,
    /// Works at these doors only.
    #[arg(long = "door", value_name = "ID", value_delimiter = ',')]
    doors: Vec<DoorId>,
    /// Speaks for these channels only: mobile, kiosk, desk, signage.
    #[arg(long = "channel", value_name = "CHANNEL", value_delimiter = ',')]
    channels: Vec<Channel>,
}

fn name(text: &str) -> Result<String, &'static str> {
    let good = (1..=NAME_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err("must have 1 to 200 characters and no control characters") }
}

impl Limits {
    fn scope(&self) -> DeviceScope {
        fn limit<T: Clone + Ord>(ids: &[T]) -> Option<std::collections::BTreeSet<T>> {
            (!ids.is_empty()).then(|| ids.iter().cloned().collect())
        }
        DeviceScope {
            venues: limit(&self.venues),
            events: limit(&self.events),
            doors: limit(&self.doors),
            channels: limit(&self.channels),
        }
    }
}

/// Does it.
///
/// # Errors
/// Where the database does not answer, or has no such device.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let (output, tenant) = (global.output(), &running.tenant);
    match command {
        Command::Add(limits) => {
            admin.ensure_tenant(tenant, tenant.as_str()).await?;
            let device = admin.add_device(tenant, &limits.name, &limits.scope()).await?;
            let token = device.token.expose_secret();
            if output.style() != Style::Json {
                output.note("the token is shown this once:")?;
            }
            let made = json!({ "device_id": device.id, "name": limits.name, "token": token });
            output.result(&format!("{}\t{token}", device.id), &made)
        }
        Command::List => {
            let devices = admin.devices(tenant).await?;
            let names =
                ["device_id", "name", "venues", "events", "doors", "channels", "created_at", "revoked_at"];
            output.list(&names, &devices.iter().map(document).collect::<Vec<_>>(), columns(&names))
        }
        Command::Revoke { id } => {
            if !admin.revoke_device(tenant, *id).await? {
                return Err(Failure::new(format!("tenant {tenant} has no device {id}")));
            }
            output.result(&format!("{id} is revoked"), &json!({ "device_id": id, "revoked": true }))
        }
    }
}

fn document(device: &DeviceRow) -> serde_json::Value {
    json!({
        "device_id": device.id,
        "name": device.name,
        "venues": device.venues,
        "events": device.events,
        "doors": device.doors,
        "channels": device.channels,
        "created_at": device.created_at,
        "revoked_at": device.revoked_at,
    })
}
