//! Whether a change comes from a page of ours. A browser says so itself, in headers that a page cannot set.

use actix_web::http::header::{self, HeaderMap, HeaderName};
use seatpilot_domain_model::{Fault, FaultCode};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that another site made a browser send. `Sec-Fetch-Site` is asked first; a browser that does not
/// send it (an old one, or one that came by plain `http` over a network) sends `Origin`, which must name the host that
/// was asked. What sends neither is no browser's page.
///
/// # Errors
/// `forbidden`.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name: &HeaderName| {
        let mut values = headers.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| foreign()),
            (Some(_), Some(_)) => Err(foreign()),
        }
    };
    if let Some(site) = text(&SEC_FETCH_SITE)? {
        // `none`: a person typed it, or followed a link of another program.
        return if matches!(site, "same-origin" | "none") { Ok(()) } else { Err(foreign()) };
    }
    let Some(origin) = text(&header::ORIGIN)? else { return Ok(()) };
    let host = text(&header::HOST)?.ok_or_else(foreign)?;
    let from = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
    if !from.is_empty() && from.eq_ignore_ascii_case(host) { Ok(()) } else { Err(foreign()) }
}

fn foreign() -> Fault {
    Fault::new(FaultCode::Forbidden, "The request comes from a page of another site.")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn passes(headers: &[(&str, &str)]) -> bool {
        let mut request = TestRequest::default().insert_header(("host", "desk.example:3300"));
        for header in headers {
            request = request.append_header(*header);
        }
        check(request.to_http_request().headers()).is_ok()
    }

    #[test]
    fn a_page_of_ours_may_act_and_a_page_of_others_may_not() {
        for good in [
            &[][..],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://desk.example:3300")],
            &[("origin", "https://DESK.example:3300")],
        ] {
            assert!(passes(good), "{good:?}");
        }
        for bad in [
            &[("sec-fetch-site", "cross-site")][..],
            // Another port, or another name below the same domain, is another's page.
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("origin", "null")],
            &[("origin", "http://desk.example")],
            &[("origin", "http://evil.example:3300")],
            &[("origin", "desk.example:3300")],
            &[("origin", "")],
        ] {
            assert!(!passes(bad), "{bad:?}");
        }
    }
}
