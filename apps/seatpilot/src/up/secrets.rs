//! What `up` makes up and must know again: kept in `secrets.json`, mode 0600, one set for each data directory.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use seatpilot_runtime::{SecretBytes, SecretString};
use seatpilot_store::admin::SERVICE_ROLES;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::data_dir::DataDir;
use crate::failure::Failure;

/// The file's name inside the data directory.
const SECRETS_FILE: &str = "secrets.json";

/// All of them. No `Debug`: nothing in here is to be shown.
#[derive(Serialize, Deserialize)]
pub(super) struct Secrets {
    /// Of the private cluster's superuser.
    pub(super) postgres_password: String,
    /// Of the services' roles in the private cluster.
    role_passwords: BTreeMap<String, String>,
    /// The device of `state.json`.
    pub(super) device_token: String,
    /// The ingest key of `state.json`.
    pub(super) key_id: String,
    /// Its secret, base64.
    pub(super) key_secret: String,
    /// What `x-metrics-key` takes.
    pub(super) metrics_key: String,
    /// Signs administrators' tokens.
    pub(super) jwt_secret: String,
    /// Of the guests that are made up.
    pub(super) guests_seed: u64,
}

impl Secrets {
    /// Reads the file, or makes it.
    ///
    /// # Errors
    /// Where it cannot be read or written. The text never quotes it.
    pub(super) fn of(data_dir: &DataDir) -> Result<Self, Failure> {
        if let Some(bytes) = data_dir.read(SECRETS_FILE)? {
            return serde_json::from_slice(&bytes).map_err(|error| {
                Failure::new(format!(
                    "{SECRETS_FILE} in the data directory is damaged (line {}): restore it, or use another --data-dir",
                    error.line()
                ))
            });
        }
        let mut role_passwords = BTreeMap::new();
        for role in SERVICE_ROLES {
            role_passwords.insert((*role).to_owned(), hex::encode(random::<24>()?));
        }
        let made = Self {
            postgres_password: hex::encode(random::<24>()?),
            role_passwords,
            device_token: format!("spd_{}", hex::encode(random::<32>()?)),
            key_id: format!("up_{}", hex::encode(random::<8>()?)),
            key_secret: STANDARD.encode(random::<32>()?),
            metrics_key: hex::encode(random::<24>()?),
            jwt_secret: hex::encode(random::<32>()?),
            guests_seed: u64::from_le_bytes(random()?),
        };
        let text = serde_json::to_vec_pretty(&made).map_err(Failure::new)?;
        data_dir.write(SECRETS_FILE, &text)?;
        Ok(made)
    }

    /// The secret bytes of the ingest key.
    pub(super) fn key_bytes(&self) -> Result<SecretBytes, Failure> {
        let damaged =
            |_| Failure::new(format!("{SECRETS_FILE} in the data directory is damaged: restore it"));
        STANDARD.decode(&self.key_secret).map(SecretBytes::new).map_err(damaged)
    }

    /// The password of a service's role: a random one in the private cluster. In a database that was given,
    /// several starts must agree on it without writing to each other, so it follows from the owner's URL.
    pub(super) fn role_password(&self, role: &str, given: Option<&SecretString>) -> SecretString {
        match given {
            None => SecretString::from(self.role_passwords.get(role).map(String::as_str).unwrap_or_default()),
            Some(url) => {
                let tag =
                    tag(url.expose_secret().as_bytes(), format!("seatpilot role password:{role}").as_bytes());
                SecretString::new(URL_SAFE_NO_PAD.encode(tag))
            }
        }
    }

    /// The seed of the guests that are made up; the same for all who share a database that was given, so that they
    /// make the same list.
    pub(super) fn guests_seed(&self, given: Option<&SecretString>) -> u64 {
        let derive = |url: &SecretString| tag(url.expose_secret().as_bytes(), b"seatpilot guests seed");
        given.map(derive).map_or(self.guests_seed, |[a, b, c, d, e, f, g, h, ..]| {
            u64::from_le_bytes([a, b, c, d, e, f, g, h])
        })
    }
}

/// A seed that nobody can guess.
///
/// # Errors
/// Where the operating system has none.
pub(super) fn fresh_seed() -> Result<u64, Failure> {
    random().map(u64::from_le_bytes)
}

/// HMAC-SHA256.
fn tag(key: &[u8], message: &[u8]) -> [u8; 32] {
    // A key of any length is taken (RFC 2104): the error has no occasion.
    Hmac::<Sha256>::new_from_slice(key)
        .map_or([0; 32], |mac| mac.chain_update(message).finalize().into_bytes().into())
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format!("the operating system gives no random bytes: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_known_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = DataDir::open(folder.path()).expect("opened");
        let made = Secrets::of(&data_dir).expect("made");
        let known = Secrets::of(&data_dir).expect("read");
        assert_eq!(made.device_token, known.device_token);
        assert_eq!(made.key_bytes().expect("bytes").expose_secret().len(), 32);
        data_dir.write(SECRETS_FILE, b"{\"postgres_password\": \"canary\"").expect("written");
        let why = Secrets::of(&data_dir).map(drop).expect_err("damaged").to_string();
        assert!(!why.contains("canary"), "{why}");
    }

    #[test]
    fn starts_on_one_given_database_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = |name: &str| {
            Secrets::of(&DataDir::open(&folder.path().join(name)).expect("opened")).expect("made")
        };
        let (one, two) = (secrets("one"), secrets("two"));
        let url = SecretString::from("postgres://owner:pw@db/seatpilot");
        let of = |secrets: &Secrets, url: Option<&SecretString>| {
            (secrets.role_password("seatpilot_kpi", url).expose_secret().clone(), secrets.guests_seed(url))
        };
        assert_eq!(of(&one, Some(&url)), of(&two, Some(&url)));
        assert_ne!(of(&one, None), of(&two, None));
    }
}
