//! What verifies administrators' tokens: a shared secret, or the address of public keys; never both, so that no token
//! can choose how it is checked.

use std::net::IpAddr;

use crate::{Deployment, environment::Environment, guessable, secret::SecretString, variable};

/// Fewest bytes of the secret in production: what HS256 asks for (RFC 7518, 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;

/// What verifies administrators' tokens.
#[derive(Debug, Clone)]
pub enum AdminAccess {
    /// Nothing: nobody gets in.
    Nobody,
    /// HS256 with this secret.
    Secret(SecretString),
    /// ES256 or RS256 with the keys at this address.
    Jwks(String),
}

impl AdminAccess {
    /// `SUPABASE_JWT_SECRET` or `SUPABASE_JWKS_URL`.
    pub fn read(env: &mut Environment, deployment: Deployment) -> Self {
        let secret = env.secret(&variable::SUPABASE_JWT_SECRET);
        let jwks = env.http_url(&variable::SUPABASE_JWKS_URL);
        if jwks.as_deref().is_some_and(|url| !is_private_way(url)) {
            env.fault(
                &variable::SUPABASE_JWKS_URL,
                "must be https://, or http:// to this machine: whoever answers there decides who is an administrator",
            );
        }
        match (secret, jwks) {
            (Some(_), Some(_)) => {
                env.fault(
                    &variable::SUPABASE_JWT_SECRET,
                    "is set beside SUPABASE_JWKS_URL: set the one that signs the tokens",
                );
                Self::Nobody
            }
            (Some(secret), None) => {
                let text = secret.expose_secret();
                let weak = text.len() < JWT_SECRET_BYTES_MIN || guessable::is_guessable(text.as_bytes());
                if deployment == Deployment::Production && weak {
                    env.fault(
                        &variable::SUPABASE_JWT_SECRET,
                        "must have 32 bytes or more in production, and not be one of a manual or an example",
                    );
                }
                Self::Secret(secret)
            }
            (None, Some(url)) => Self::Jwks(url),
            (None, None) => Self::Nobody,
        }
    }
}

/// Whether nobody on the way can answer instead: TLS, or a way that never leaves this machine.
pub(crate) fn is_private_way(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<AdminAccess, Vec<&'static str>> {
        Environment::of(pairs.iter().copied())
            .read(|env| {
                let deployment = Deployment::read(env);
                AdminAccess::read(env, deployment)
            })
            .map_err(|faults| faults.iter().map(|fault| fault.variable).collect())
    }

    #[test]
    fn one_of_the_two_verifies_and_neither_lets_nobody_in() {
        assert!(matches!(read(&[]), Ok(AdminAccess::Nobody)));
        assert!(matches!(read(&[("SUPABASE_JWT_SECRET", "s")]), Ok(AdminAccess::Secret(_))));
        let url = ("SUPABASE_JWKS_URL", "https://x.supabase.co/auth/v1/.well-known/jwks.json");
        assert!(matches!(read(&[url]), Ok(AdminAccess::Jwks(_))));
        assert_eq!(read(&[url, ("SUPABASE_JWT_SECRET", "s")]).unwrap_err(), ["SUPABASE_JWT_SECRET"]);
    }

    #[test]
    fn keys_come_by_a_way_that_nobody_can_answer_on_instead() {
        for good in ["http://localhost:9999/keys", "http://127.0.0.1/keys", "http://[::1]:8/k", "https://a.b"]
        {
            assert!(read(&[("SUPABASE_JWKS_URL", good)]).is_ok(), "{good}");
        }
        for bad in
            ["http://10.0.0.8/keys", "http://supabase.local:9999/keys", "http://localhost.evil.example/"]
        {
            assert_eq!(read(&[("SUPABASE_JWKS_URL", bad)]).unwrap_err(), ["SUPABASE_JWKS_URL"], "{bad}");
        }
    }

    #[test]
    fn production_refuses_a_secret_that_can_be_guessed() {
        let production = ("SEATPILOT_ENV", "production");
        for weak in ["short", "super-secret-jwt-token-with-at-least-32-characters-long"] {
            assert_eq!(
                read(&[production, ("SUPABASE_JWT_SECRET", weak)]).unwrap_err(),
                ["SUPABASE_JWT_SECRET"]
            );
        }
        let good = "0123456789abcdef0123456789abcdef";
        assert!(matches!(read(&[production, ("SUPABASE_JWT_SECRET", good)]), Ok(AdminAccess::Secret(_))));
    }
}
