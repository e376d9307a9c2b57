//! Metadata documents of an issuer (RFC 8414, OpenID Connect Discovery), one or two of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::model::url::WebUrl;
use strongroom::provider::metadata::{candidates, is_same_issuer, merge, read};

fuzz_target!(|data: &[u8]| {
    let issuer = WebUrl::parse("issuer", "https://idp.example.com/realm").unwrap();
    let documents = data.split(|byte| *byte == 0).take(2);
    let read: Vec<_> = documents
        .filter_map(|body| read(&issuer, body).ok())
        .collect();
    let advertised = read.iter().any(|document| document.iss_advertised);
    for document in &read {
        assert!(
            is_same_issuer(&issuer, &document.issuer),
            "another issuer's"
        );
    }
    if let Some(merged) = merge(read) {
        assert!(
            merged.iss_advertised || !advertised,
            "`iss` is expected if any says so"
        );
    }
    // The same bytes as an issuer.
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(issuer) = WebUrl::parse("issuer", text)
        && let Ok(places) = candidates(&issuer)
    {
        let host = issuer.as_url().host_str();
        assert!(places.iter().all(|place| place.as_url().host_str() == host));
        assert!((2..=4).contains(&places.len()));
    }
});
