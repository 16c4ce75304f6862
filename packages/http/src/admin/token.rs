//! A token's text into an administrator: signature, audience, time, claims, in this order.
//!
//! Which algorithm is right is decided by how this process was set up, never by the token: a shared secret checks
//! HS256 and nothing else, public keys check the algorithm of the key. Nobody may forge HS256 with a public key's
//! bytes, and `none` has no code here.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use seatpilot_domain_model::{Administrator, Fault, FaultCode};
use seatpilot_runtime::{AdminAccess, Clock, SecretString};
use serde::Deserialize;

use super::{guard::AdminGuardFault, jwks::Jwks};

/// How far the issuer's clock may be ahead of ours, in seconds; for `nbf` only. An expired token is expired.
const NOT_BEFORE_LEEWAY_SECONDS: f64 = 60.0;
/// Longest `sub` that is taken, in characters. Supabase's are UUIDs.
const SUBJECT_CHARACTERS_MAX: usize = 255;

/// How tokens are checked.
pub(super) enum Verifier {
    /// No token is any good.
    Nobody,
    /// HS256. The secret also signs the sessions that login codes open.
    Secret { key: DecodingKey, secret: SecretString },
    /// ES256 and RS256.
    Jwks(Box<Jwks>),
}

/// A token that is good now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verified {
    pub(super) who: Administrator,
    /// Unix seconds.
    pub(super) expires_at: i64,
    /// `jti`, of a login code.
    pub(super) id: Option<String>,
}

/// What is read of the claims. A claim that stands there twice is refused by serde.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    jti: Option<String>,
    tenant_id: Option<String>,
    app_metadata: Option<AppMetadata>,
}

/// What only the issuer writes. `user_metadata` is the user's own text: it has no field here.
#[derive(Deserialize)]
struct AppMetadata {
    tenant_id: Option<String>,
    seatpilot_role: Option<String>,
}

impl Verifier {
    pub(super) fn new(access: AdminAccess, clock: &Clock) -> Result<Self, AdminGuardFault> {
        Ok(match access {
            AdminAccess::Nobody => Self::Nobody,
            AdminAccess::Secret(secret) => {
                Self::Secret { key: DecodingKey::from_secret(secret.expose_secret().as_bytes()), secret }
            }
            AdminAccess::Jwks(url) => Self::Jwks(Box::new(Jwks::new(url, clock.clone())?)),
        })
    }

    /// Checks a token for an audience.
    ///
    /// # Errors
    /// `unauthorized`, one and the same for every reason; `forbidden` for a good token of somebody who has no tenant or
    /// no role here; `not_ready` where the keys cannot be had.
    pub(super) async fn verify(&self, token: &str, audience: &str, clock: &Clock) -> Result<Verified, Fault> {
        let claims = match self {
            Self::Nobody => return Err(refused("no secret and no keys are set up")),
            Self::Secret { key, .. } => claims(token, key, Algorithm::HS256, audience),
            Self::Jwks(keys) => {
                let header = decode_header(token).map_err(|_| refused("it is no JWT"))?;
                if !matches!(header.alg, Algorithm::ES256 | Algorithm::RS256) {
                    return Err(refused("its algorithm is neither ES256 nor RS256"));
                }
                let set = keys.having(header.kid.as_deref(), header.alg).await?;
                let mut fitting = set.fitting(header.kid.as_deref(), header.alg);
                let claims = fitting.find_map(|key| claims(token, key, header.alg, audience).ok());
                claims.ok_or("no key fits")
            }
        };
        administrator(claims.map_err(refused)?, clock)
    }
}

/// One and the same answer; the reason is in the log only.
fn refused(reason: &'static str) -> Fault {
    tracing::info!(reason, "administrator's token refused");
    Fault::unauthorized()
}

fn claims(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    audience: &str,
) -> Result<Claims, &'static str> {
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "aud"]);
    // By our clock, below: the library reads the machine's.
    validation.validate_exp = false;
    decode::<Claims>(token, key, &validation)
        .map(|data| data.claims)
        .map_err(|_| "its signature, audience or shape is wrong")
}

fn administrator(claims: Claims, clock: &Clock) -> Result<Verified, Fault> {
    let now = clock.now().as_second() as f64;
    // JSON has no number that is not finite.
    if claims.exp <= now {
        return Err(refused("it is expired"));
    }
    if claims.nbf.is_some_and(|from| from > now + NOT_BEFORE_LEEWAY_SECONDS) {
        return Err(refused("it is not good yet"));
    }
    let plain =
        |text: &String| text.chars().count() <= SUBJECT_CHARACTERS_MAX && !text.chars().any(char::is_control);
    if claims.sub.as_ref().is_some_and(|sub| !plain(sub))
        || claims.jti.as_ref().is_some_and(|jti| !plain(jti))
    {
        return Err(refused("its subject or id is no plain text"));
    }
    let app = claims.app_metadata.unwrap_or(AppMetadata { tenant_id: None, seatpilot_role: None });
    let nobody_here = |what: &str| {
        Fault::new(FaultCode::Forbidden, format!("The token is good, but names no {what} of SeatPilot."))
    };
    let tenant = app.tenant_id.or(claims.tenant_id).and_then(|tenant| tenant.parse().ok());
    let role = app.seatpilot_role.and_then(|role| role.parse().ok());
    Ok(Verified {
        who: Administrator {
            tenant: tenant.ok_or_else(|| nobody_here("tenant"))?,
            role: role.ok_or_else(|| nobody_here("role"))?,
            subject: claims.sub.filter(|sub| !sub.is_empty()),
        },
        expires_at: claims.exp as i64,
        id: claims.jti,
    })
}
