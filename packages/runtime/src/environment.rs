//! The environment as a value, and every fault in it at once.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    io::Read as _,
    net::IpAddr,
    ops::RangeInclusive,
};

use crate::{
    secret::SecretString,
    variable::{self, Exposure, Variable},
};

/// Longest secret that is read from a file, in bytes. Certificates and long DSNs fit; a device or a log
/// named by mistake does not fill the memory.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The variables a process was started with. Reading never fails at once: faults are collected by name, a
/// placeholder is returned, and [`Environment::read`] gives either the whole configuration or all faults.
pub struct Environment {
    values: BTreeMap<String, OsString>,
    faults: Vec<ConfigFault>,
}

impl Environment {
    /// The process' own, as far as the table of variables goes.
    pub fn process() -> Self {
        let names = variable::ALL.iter().flat_map(|known| [known.name.to_owned(), file_name(known)]);
        let values = names.filter_map(|name| std::env::var_os(&name).map(|value| (name, value))).collect();
        Self { values, faults: Vec::new() }
    }

    /// One made up, for tests and for processes started in process.
    pub fn of<N: Into<String>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, faults: Vec::new() }
    }

    /// Reads a configuration: `Environment::process().read(Config::read)?`.
    ///
    /// # Errors
    /// [`ConfigFaults`] with everything that is wrong, in the order it was read.
    pub fn read<T>(mut self, config: impl FnOnce(&mut Self) -> T) -> Result<T, ConfigFaults> {
        let value = config(&mut self);
        self.finish().map(|()| value)
    }

    /// Ends the reading; what was read may be used only if this is `Ok`.
    ///
    /// # Errors
    /// [`ConfigFaults`] with everything that is wrong, in the order it was read.
    pub fn finish(self) -> Result<(), ConfigFaults> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigFaults(self.faults)) }
    }

    /// Records a fault that only the caller can see, such as a connection string that the driver refuses.
    /// `detail` completes "NAME: …" and must not quote a secret.
    pub fn fault(&mut self, variable: &'static Variable, detail: impl Into<String>) {
        self.faults.push(ConfigFault { variable: variable.name, detail: detail.into() });
    }

    /// How many faults were found so far.
    pub fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// A text, where it is set. An empty value counts as not set, as compose files write it.
    pub fn text(&mut self, variable: &'static Variable) -> Option<String> {
        match variable.exposure {
            Exposure::Open => self.plain(variable, variable.name),
            // Read as what it is: the caller gets a copy that nobody wipes, so secrets have `secret`.
            Exposure::Secret => self.secret(variable).map(|secret| secret.expose_secret().clone()),
        }
    }

    /// A value of some grammar, where it is set and inside it. `expected` completes "must be …".
    pub fn parsed<T>(
        &mut self,
        variable: &'static Variable,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let value = parse(text.trim());
        if value.is_none() {
            let shown = match variable.exposure {
                Exposure::Open => format!(", not {:?}", text.chars().take(64).collect::<String>()),
                Exposure::Secret => String::new(),
            };
            self.fault(variable, format!("must be {expected}{shown}"));
        }
        value
    }

    /// One word of a closed set.
    pub fn word<T: Copy>(
        &mut self,
        variable: &'static Variable,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", names.join(", "));
        let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        self.parsed(variable, &expected, find).unwrap_or(default)
    }

    /// A port; 0 takes a free one.
    pub fn port(&mut self, variable: &'static Variable, default: u16) -> u16 {
        self.parsed(variable, "a port, 0 to 65535", decimal).unwrap_or(default)
    }

    /// An address to listen on; `localhost` is read as 127.0.0.1.
    pub fn address(&mut self, variable: &'static Variable, default: IpAddr) -> IpAddr {
        let parse =
            |text: &str| if text == "localhost" { "127.0.0.1".parse().ok() } else { text.parse().ok() };
        self.parsed(variable, "an IP address to listen on, such as 127.0.0.1 or 0.0.0.0", parse)
            .unwrap_or(default)
    }

    /// A whole number inside a range.
    pub fn integer(&mut self, variable: &'static Variable, range: RangeInclusive<u64>, default: u64) -> u64 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(variable, &expected, |text| decimal(text).filter(|number| range.contains(number)))
            .unwrap_or(default)
    }

    /// An `http://` or `https://` address, without its trailing slash.
    pub fn http_url(&mut self, variable: &'static Variable) -> Option<String> {
        self.parsed(variable, "an http:// or https:// address without user, query or fragment", http_url)
    }

    /// A list separated by commas, empty where it is not set. White space around an item is not part of it.
    pub fn list<T>(
        &mut self,
        variable: &'static Variable,
        expected: &str,
        parse_item: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let parse = |text: &str| text.split(',').map(|item| parse_item(item.trim())).collect();
        self.parsed(variable, expected, parse).unwrap_or_default()
    }

    /// A secret, from the variable or from the file that `<NAME>_FILE` names (its last line break is not
    /// part of it). Both set is a fault: nobody could say which one holds.
    pub fn secret(&mut self, variable: &'static Variable) -> Option<SecretString> {
        let file_name = file_name(variable);
        let value = self.plain(variable, variable.name).map(SecretString::new);
        let Some(path) = self.plain(variable, &file_name) else { return value };
        if value.is_some() {
            self.fault(variable, format!("is set twice, here and by {file_name}"));
            return None;
        }
        match read_secret_file(OsStr::new(&path)) {
            Ok(secret) => Some(secret),
            Err(reason) => {
                self.fault(variable, format!("{file_name} names a file that {reason}"));
                None
            }
        }
    }

    fn plain(&mut self, variable: &'static Variable, name: &str) -> Option<String> {
        let value = self.values.get(name)?;
        match value.to_str() {
            Some("") => None,
            Some(text) if !text.contains('\0') => Some(text.to_owned()),
            _ => {
                self.fault(variable, "must be UTF-8 text");
                None
            }
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Environment")
            .field("set", &self.values.keys())
            .field("faults", &self.faults)
            .finish()
    }
}

fn file_name(variable: &Variable) -> String {
    format!("{}_FILE", variable.name)
}

fn read_secret_file(path: &OsStr) -> Result<SecretString, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened ({})", error.kind()))?;
    let mut content = String::new();
    let read = file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut content);
    let text = SecretString::new(content);
    let read = read.map_err(|error| format!("cannot be read as text ({})", error.kind()))?;
    if read as u64 > SECRET_FILE_BYTES_MAX {
        return Err(format!("is longer than {SECRET_FILE_BYTES_MAX} bytes"));
    }
    let whole = text.expose_secret();
    let line =
        whole.strip_suffix('\n').map_or(whole.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() { Err("is empty".to_owned()) } else { Ok(SecretString::from(line)) }
}

/// Digits only: `parse` alone would take `+1`.
fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn http_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let good = !host.is_empty()
        && port.is_none_or(|port| decimal::<u16>(port).is_some_and(|port| port != 0))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "@?#\\\"<>".contains(c));
    good.then(|| text.trim_end_matches('/').to_owned())
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong, without a secret's value.
    pub detail: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.variable, self.detail)
    }
}

/// Everything that is wrong with the configuration, a line each. Ends the process with code 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(Vec<ConfigFault>);

impl ConfigFaults {
    /// One fault that was found after the reading.
    pub fn of(variable: &'static Variable, detail: impl Into<String>) -> Self {
        Self(vec![ConfigFault { variable: variable.name, detail: detail.into() }])
    }

    /// Each fault.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigFault> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}
