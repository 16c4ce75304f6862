//! The keys that seal secrets in the database: a file that only its owner reads, a key a line. The first one seals, all
//! of them open. What is sealed with them, and how: `docs/adr/0008-secrets-at-rest.md`.

use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::fs::{StatVfsMountFlags, fstatvfs};

use crate::{
    config::Deployment,
    environment::Environment,
    secret::{Secret, SecretBytes, SecretString},
    variable,
};

/// Bytes of a key: AES-256.
pub const AT_REST_KEY_BYTES: usize = 32;
/// Most keys of a file: the one in use and those whose rows were not sealed anew yet.
const KEYS_MAX: usize = 16;
/// Longest file, in bytes: that many keys with a page of comments.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// One key.
pub type AtRestKey = Secret<[u8; AT_REST_KEY_BYTES]>;

/// What becomes of a secret that stands in the database as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainSecrets {
    /// It is read: a laptop, a test.
    Read,
    /// It is refused: whoever can write to the database could have put it there.
    Refused,
}

/// How secrets rest in the database, as far as this process may know.
#[derive(Debug, Clone)]
pub struct AtRest {
    /// The first seals, all open; none where no file was named.
    pub keys: Vec<AtRestKey>,
    /// What becomes of a secret that is not sealed.
    pub plain: PlainSecrets,
}

impl AtRest {
    /// Without a key: what a laptop starts with.
    pub fn unsealed() -> Self {
        Self { keys: Vec::new(), plain: PlainSecrets::Read }
    }

    /// `SEATPILOT_SECRETS_KEY_FILE`, which production demands.
    pub fn read(env: &mut Environment, deployment: Deployment) -> Self {
        let faults_before = env.fault_count();
        let found = Self::optional(env, deployment);
        if deployment == Deployment::Production && found.keys.is_empty() && env.fault_count() == faults_before
        {
            env.fault(
                &variable::SEATPILOT_SECRETS_KEY_FILE,
                "is required in production: it names the file with the keys that seal secrets in the database, a \
                 line each, 32 random bytes in base64",
            );
        }
        found
    }

    /// The same, for a process that can do without.
    pub fn optional(env: &mut Environment, deployment: Deployment) -> Self {
        let plain = match deployment {
            Deployment::Development => PlainSecrets::Read,
            Deployment::Production => PlainSecrets::Refused,
        };
        let path = env.text(&variable::SEATPILOT_SECRETS_KEY_FILE);
        let keys = path.and_then(|path| {
            read_keys(Path::new(&path))
                .map_err(|reason| {
                    env.fault(
                        &variable::SEATPILOT_SECRETS_KEY_FILE,
                        format!("names a file that {reason} ({path})"),
                    );
                })
                .ok()
        });
        Self { keys: keys.unwrap_or_default(), plain }
    }

    /// The keys of a file that was found by other means than the environment.
    ///
    /// # Errors
    /// Why not, as the end of "a file that …"; never what stands in it.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        Ok(Self { keys: read_keys(path)?, plain: PlainSecrets::Read })
    }
}

fn read_keys(path: &Path) -> Result<Vec<AtRestKey>, String> {
    let file = File::open(path).map_err(|error| format!("cannot be opened ({})", error.kind()))?;
    let unseen = |error: std::io::Error| format!("cannot be read ({})", error.kind());
    let metadata = file.metadata().map_err(unseen)?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mount = match fstatvfs(&file) {
        Ok(found) if found.f_flag.contains(StatVfsMountFlags::RDONLY) => Mount::ReadOnly,
        _ => Mount::Writable,
    };
    private(metadata.mode(), mount)?;
    let mut content = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut content);
    let text = SecretString::new(content);
    if read.map_err(unseen)? as u64 > FILE_BYTES_MAX {
        return Err(format!("is longer than {FILE_BYTES_MAX} bytes"));
    }
    parse(text.expose_secret())
}

/// What a file lies on.
#[derive(Debug, Clone, Copy)]
enum Mount {
    /// Nobody writes here: what Docker and Kubernetes hand on as a secret.
    ReadOnly,
    /// Anything else.
    Writable,
}

/// Only the owner may read it. A container sees the host's file with the host's owner and mode, on a mount of its own
/// that nobody can write to, and has no other users: there it is the folder on the host that keeps others out.
fn private(mode: u32, mount: Mount) -> Result<(), String> {
    let shared = mode & 0o7177;
    match mount {
        Mount::Writable if shared != 0 => Err(format!(
            "has mode {:04o}: only its owner may read it, `chmod 0400` (0600 will do)",
            mode & 0o7777
        )),
        Mount::ReadOnly | Mount::Writable => Ok(()),
    }
}

fn parse(text: &str) -> Result<Vec<AtRestKey>, String> {
    let mut keys: Vec<AtRestKey> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let decoded = STANDARD.decode(line).map(SecretBytes::new).ok();
        let bytes = decoded.as_ref().and_then(|bytes| bytes.expose_secret().as_slice().try_into().ok());
        let key = AtRestKey::new(bytes.ok_or_else(|| {
            format!("has no key in line {}: {AT_REST_KEY_BYTES} bytes in padded base64", number + 1)
        })?);
        // Their order says which one seals; a key that stands there twice would stay when its first line goes.
        if keys.iter().any(|known| known.expose_secret() == key.expose_secret()) {
            return Err(format!("has the key of line {} twice", number + 1));
        }
        keys.push(key);
    }
    match keys.len() {
        0 => Err("holds no key".to_owned()),
        1..=KEYS_MAX => Ok(keys),
        _ => Err(format!("holds more than {KEYS_MAX} keys")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn read_with(mode: u32, content: &str, deployment: &str) -> Result<AtRest, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let env = [
            ("SEATPILOT_SECRETS_KEY_FILE", path.to_str().unwrap().to_owned()),
            ("SEATPILOT_ENV", deployment.to_owned()),
        ];
        let read = |env: &mut Environment| {
            let deployment = Deployment::read(env);
            AtRest::read(env, deployment)
        };
        Environment::of(env).read(read).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_first_key_seals_and_comments_are_no_keys() {
        let file = format!("# made by hand\n{TWO}\n\n  {ONE}  \n");
        for mode in [0o400, 0o600] {
            let at_rest = read_with(mode, &file, "production").unwrap();
            let firsts: Vec<u8> = at_rest.keys.iter().map(|key| key.expose_secret()[0]).collect();
            assert_eq!((firsts, at_rest.plain), (vec![2, 1], PlainSecrets::Refused));
        }
        assert_eq!(read_with(0o400, ONE, "development").unwrap().plain, PlainSecrets::Read);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_its_mode() {
        for mode in [0o440, 0o404, 0o444, 0o644, 0o620, 0o602, 0o700, 0o4400] {
            let why = read_with(mode, ONE, "development").unwrap_err();
            assert!(why.starts_with("SEATPILOT_SECRETS_KEY_FILE: names a file that has mode"), "{why}");
        }
    }

    #[test]
    fn what_a_container_is_handed_on_is_taken_as_the_host_has_it() {
        assert!(private(0o100_444, Mount::ReadOnly).is_ok());
        assert!(private(0o100_444, Mount::Writable).is_err());
    }

    #[test]
    fn a_bad_file_is_named_by_its_line_and_never_quoted() {
        let cases = [
            ("", "holds no key"),
            ("# nothing\n", "holds no key"),
            ("AQEB", "no key in line 1"),
            (&format!("{ONE}\ncanary-canary"), "no key in line 2"),
            (&ONE[..43], "no key in line 1"),
            (&format!("{ONE}\n{ONE}"), "the key of line 2 twice"),
            (&"#".repeat(20_000), "longer than"),
        ];
        for (content, reason) in cases {
            let why = read_with(0o400, content, "development").unwrap_err();
            assert!(why.contains(reason) && !why.contains("canary") && !why.contains("AQEB"), "{why}");
        }
    }

    #[test]
    fn production_demands_a_file_and_a_laptop_does_not() {
        let read = |deployment| Environment::of::<&str, &str>([]).read(|env| AtRest::read(env, deployment));
        let why = read(Deployment::Production).unwrap_err().to_string();
        assert!(why.starts_with("SEATPILOT_SECRETS_KEY_FILE: is required in production"), "{why}");
        assert!(read(Deployment::Development).unwrap().keys.is_empty());
        let nowhere = Environment::of([("SEATPILOT_SECRETS_KEY_FILE", "/nowhere/keys")]);
        let why = nowhere.read(|env| AtRest::read(env, Deployment::Production)).unwrap_err().to_string();
        assert_eq!(
            why,
            "SEATPILOT_SECRETS_KEY_FILE: names a file that cannot be opened (entity not found) (/nowhere/keys)"
        );
    }
}
