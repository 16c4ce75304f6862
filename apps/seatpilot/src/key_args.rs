//! With which key a request is signed: one that is given, or the running one's.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use seatpilot_runtime::{SecretBytes, SecretString};

use crate::{
    failure::Failure,
    global::Global,
    running::not_running,
    state::{IngestKey, State},
};

/// A key on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct KeyArgs {
    /// The key's id [default: the running one's ingest key].
    // `x-key`'s alphabet has the hyphen, and so may its first character be one.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    key_id: Option<String>,
    /// The key's secret in base64; --secret-file keeps it out of the list of processes.
    #[arg(long, value_name = "BASE64", requires = "key_id", conflicts_with = "secret_file")]
    secret: Option<SecretString>,
    /// A file with the key's secret in base64.
    #[arg(long, value_name = "FILE", requires = "key_id")]
    secret_file: Option<PathBuf>,
}

/// The state of what runs here, if something does.
pub(crate) type FoundState = Result<Option<State>, Failure>;

impl KeyArgs {
    /// Its id and its secret.
    ///
    /// # Errors
    /// Where there is none, or its secret is no base64.
    pub(crate) fn read(&self, global: &Global, state: &FoundState) -> Result<(String, SecretBytes), Failure> {
        let given = match (&self.secret, &self.secret_file) {
            (Some(secret), _) => Some(secret.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                Some(SecretString::new(
                    text.map_err(|error| Failure::from(error).while_doing(path.display()))?,
                ))
            }
            (None, None) => None,
        };
        match (&self.key_id, given, state) {
            (Some(key_id), Some(secret), _) => Ok((key_id.clone(), decoded(&secret)?)),
            (Some(key_id), None, Ok(Some(state))) if state.ingest_key.key_id == *key_id => running_key(state),
            (Some(key_id), None, _) => Err(Failure::new(format!(
                "the secret of {key_id} is not known here: add --secret or --secret-file"
            ))),
            (None, _, Ok(Some(state))) => running_key(state),
            (None, _, _) => Err(not_running(global, "give --key-id and --secret")),
        }
    }
}

fn running_key(state: &State) -> Result<(String, SecretBytes), Failure> {
    let IngestKey { key_id, secret } = &state.ingest_key;
    Ok((key_id.clone(), decoded(&SecretString::from(secret.as_str()))?))
}

/// Not decoded while the arguments are read: a message about a wrong argument quotes it.
fn decoded(secret: &SecretString) -> Result<SecretBytes, Failure> {
    let bytes = STANDARD.decode(secret.expose_secret().trim());
    bytes
        .map(SecretBytes::new)
        .map_err(|_| Failure::new("the secret must be standard base64 with its padding"))
}
