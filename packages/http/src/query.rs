//! Query parameters into types.

use actix_web::{HttpRequest, web};
use seatpilot_domain_model::Fault;
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, IntoDeserializer,
        value::{Error, MapDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::json::violation;

/// Most parameters that are read: no route has more than a handful.
const PARAMETERS_MAX: usize = 64;

/// Reads the query parameters of a request. Unknown ones are ignored, as intermediaries and analytics add
/// them; one that stands there twice is refused, known or not: nobody could say which holds.
///
/// # Errors
/// `schema_violation` with the pointer `/query/<name>`.
pub fn parse_query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Fault> {
    parse(request.query_string())
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Fault> {
    // A broken percent-encoding becomes U+FFFD, which no grammar of ours has.
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|_| Fault::schema("/query", "must be name=value pairs joined by &"))?
        .into_inner();
    if pairs.len() > PARAMETERS_MAX {
        return Err(Fault::schema("/query", format!("must have at most {PARAMETERS_MAX} parameters")));
    }
    for (index, (name, _)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            let name: String = name.chars().take(64).collect();
            return Err(Fault::schema(format!("/query/{name}"), "stands there more than once"));
        }
    }
    let reader = MapDeserializer::<_, Error>::new(pairs.into_iter().map(|(name, value)| (name, Text(value))));
    serde_path_to_error::deserialize(reader)
        .map_err(|error| violation("/query", error.path(), &error.inner().to_string()))
}

/// A parameter's value: a text, or a number or truth value where the type asks for one.
struct Text(String);

impl<'de> IntoDeserializer<'de, Error> for Text {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty),+) => {
        $(
            fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                match self.0.parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    // The visitor words what it expects.
                    Err(_) => visitor.visit_string(self.0),
                }
            }
        )+
    };
}

impl<'de> Deserializer<'de> for Text {
    type Error = Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(self.0))
    }

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::{FaultCode, Profile, VenueId};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Asked {
        venue_id: VenueId,
        profile: Option<Profile>,
        limit: Option<u8>,
    }

    fn refused(query: &str) -> (String, String) {
        let fault = parse::<Asked>(query).unwrap_err();
        assert_eq!(fault.code(), FaultCode::SchemaViolation);
        (fault.errors()[0].pointer.clone(), fault.errors()[0].detail.clone())
    }

    #[test]
    fn parameters_are_read_into_their_types_and_unknown_ones_are_ignored() {
        let asked: Asked = parse("venue_id=nissan%2Dstadium&profile=step_free&limit=7&utm=x").unwrap();
        assert_eq!(asked.venue_id.as_str(), "nissan-stadium");
        assert_eq!((asked.profile, asked.limit), (Some(Profile::StepFree), Some(7)));
        let least: Asked = parse("venue_id=v").unwrap();
        assert_eq!((least.profile, least.limit), (None, None));
    }

    #[test]
    fn a_missing_bad_or_doubled_parameter_is_named() {
        assert_eq!(refused(""), ("/query/venue_id".into(), "is required".into()));
        assert_eq!(
            refused("venue_id=v&limit=many"),
            ("/query/limit".into(), "must be a whole number in range".into())
        );
        assert_eq!(
            refused("venue_id=v&limit=300"),
            ("/query/limit".into(), "must be a whole number in range".into())
        );
        assert_eq!(refused("venue_id=v&profile=fly").0, "/query/profile");
        assert_eq!(refused("venue_id=%ff").0, "/query/venue_id");
        assert_eq!(refused("venue_id=v&venue_id=w").0, "/query/venue_id");
        assert_eq!(refused("venue_id=v&x=1&x=1").0, "/query/x");
    }
}
