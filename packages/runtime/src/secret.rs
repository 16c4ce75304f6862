//! Values that must not be seen: wiped from memory when dropped, redacted in `Debug`, without `Display`.

use std::fmt;

use zeroize::Zeroize;

/// A value that neither a log line nor a panic can show. Its memory is wiped on drop.
///
/// Comparing secrets is left out on purpose: where one is checked, it is checked in constant time.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize>(T);

/// A secret text: a password, a token, a connection string.
pub type SecretString = Secret<String>;
/// Secret bytes: a signing key.
pub type SecretBytes = Secret<Vec<u8>>;

impl<T: Zeroize> Secret<T> {
    /// Takes a value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it. The name is long so that it can be searched for.
    pub fn expose_secret(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl From<&str> for SecretString {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let shown = format!("{:?} {:?}", SecretString::from("canary"), SecretBytes::new(b"canary".to_vec()));
        assert_eq!(shown, "Secret(..) Secret(..)");
    }
}
