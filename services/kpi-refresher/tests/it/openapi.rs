//! The document on disk is the one that is served.

use std::path::Path;

use seatpilot_http::openapi::{check_current, update_asked};
use seatpilot_runtime::Environment;

#[test]
fn the_openapi_file_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/kpi-refresher.json");
    check_current(&path, &seatpilot_kpi_refresher::openapi(), update_asked(&mut Environment::process()))
        .unwrap();
}
