//! The document that is served is the one that is kept.

use std::path::Path;

use seatpilot_http::openapi::{check_current, update_asked};
use seatpilot_runtime::Environment;
use seatpilot_wayfinding::openapi_document;

#[test]
fn the_kept_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/wayfinding.json");
    check_current(&path, &openapi_document(), update_asked(&mut Environment::process())).unwrap();
}
