//! What `up` makes up and must know again: kept in `secrets.json`, mode 0600, one set for each data directory.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use seatpilot_runtime::{AT_REST_KEY_BYTES, AtRest, SecretBytes, SecretString};
use seatpilot_store::admin::SERVICE_ROLES;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::data_dir::DataDir;
use crate::{failure::Failure, state::AT_REST_FILE};

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
        made.save(data_dir)?;
        Ok(made)
    }

    /// Another ingest key, for the one that it had signs no more.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn renew_key(&mut self, data_dir: &DataDir) -> Result<(), Failure> {
        self.key_id = format!("up_{}", hex::encode(random::<8>()?));
        self.key_secret = STANDARD.encode(random::<32>()?);
        self.save(data_dir)
    }

    fn save(&self, data_dir: &DataDir) -> Result<(), Failure> {
        let text = SecretBytes::new(serde_json::to_vec_pretty(self).map_err(Failure::new)?);
        data_dir.write(SECRETS_FILE, text.expose_secret())
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

/// The key file with which the private database's secrets are sealed: read, or made where there is none.
///
/// # Errors
/// Where it cannot be read or written, or others can read it. The text never quotes it.
pub(super) fn at_rest(data_dir: &DataDir) -> Result<AtRest, Failure> {
    let path = data_dir.file(AT_REST_FILE);
    if data_dir.read(AT_REST_FILE)?.is_none() {
        let text = SecretString::new(format!(
            "# Seals the signing secrets of this folder's database. Without it they cannot be read: keep a copy with\n\
             # every backup, in another place.\n{}\n",
            STANDARD.encode(random::<AT_REST_KEY_BYTES>()?)
        ));
        data_dir.write_as(AT_REST_FILE, text.expose_secret().as_bytes(), 0o400)?;
    }
    AtRest::of_file(&path)
        .map_err(|reason| Failure::Configuration(vec![format!("{}: a file that {reason}", path.display())]))
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_known_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = DataDir::open(folder.path()).expect("opened");
        let made = Secrets::of(&data_dir).expect("made");
        let known = Secrets::of(&data_dir).expect("read");
        assert_eq!(made.device_token, known.device_token);
        assert_eq!(made.key_bytes().expect("bytes").expose_secret().len(), 32);
        let mut renewed = Secrets::of(&data_dir).expect("read");
        renewed.renew_key(&data_dir).expect("written");
        let known = Secrets::of(&data_dir).expect("read");
        assert_eq!((&known.key_id, &known.key_secret), (&renewed.key_id, &renewed.key_secret));
        assert!(known.key_id != made.key_id && known.device_token == made.device_token);
        data_dir.write(SECRETS_FILE, b"{\"postgres_password\": \"canary\"").expect("written");
        let why = Secrets::of(&data_dir).map(drop).expect_err("damaged").to_string();
        assert!(!why.contains("canary"), "{why}");
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = DataDir::open(folder.path()).expect("opened");
        let made = at_rest(&data_dir).expect("made");
        let mode = std::fs::metadata(data_dir.file(AT_REST_FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o400);
        let known = at_rest(&data_dir).expect("read");
        assert_eq!((made.keys.len(), made.keys[0].expose_secret()), (1, known.keys[0].expose_secret()));
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
