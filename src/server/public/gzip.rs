//! Compressed bodies for whoever takes them.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::header::{self, HeaderMap};

/// Shorter bodies gain next to nothing.
const BYTES_LEAST: usize = 512;

/// `body` in gzip, if the client takes it and it pays.
pub(super) fn compressed(body: &Bytes, headers: &HeaderMap) -> Option<Bytes> {
    if body.len() < BYTES_LEAST || !is_accepted(headers) {
        return None;
    }
    // The fastest level halves the effort of the default and finds most of what repeats in rows of numbers.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether gzip is acceptable and not worth less to the client than the body as it is (RFC 9110 section 12.5.3).
fn is_accepted(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    for part in values.flat_map(|value| value.split(',')) {
        let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
        let quality = thousandths(parameters);
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(quality),
            "identity" => identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// The weight `q=0.5` in thousandths; 1000 where there is none, 0 where it cannot be read.
fn thousandths(parameters: &str) -> u32 {
    let is_weight = |part: &&str| part.trim_start().get(..2).is_some_and(|name| name.eq_ignore_ascii_case("q="));
    let Some(text) = parameters.split(';').find(is_weight).map(|part| part.trim()[2..].trim()) else { return 1000 };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let fraction: u32 = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "1" => 1000,
        "0" => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn accept(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, value.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn gzip_is_sent_to_whoever_accepts_it() {
        for (values, expected) in [
            (&["gzip"][..], true),
            (&["gzip, deflate, br"], true),
            (&["br", "GZIP;q=0.5"], true),
            (&["*"], true),
            (&["x-gzip"], true),
            (&["identity;q=0.5, gzip;q=0.5"], true),
            (&["gzip;q=0.001"], true),
            (&[], false),
            (&[""], false),
            (&["deflate, br"], false),
            (&["gzip;q=0"], false),
            (&["gzip; Q=0.000"], false),
            (&["gzip;q=0, *"], false),
            (&["*;q=0"], false),
            (&["identity, gzip;q=0.9"], false),
            (&["gzip;q=2"], false),
            (&["gzip;q=x"], false),
            (&["gzip;q=0.0001"], false),
            (&["gzip;q=é"], false),
            (&["gzipped"], false),
        ] {
            assert_eq!(is_accepted(&accept(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn long_bodies_come_back_as_they_were_and_short_ones_are_left_alone() {
        let body = Bytes::from("[1789000000000,\"86704.78000000\"],".repeat(200));
        let packed = compressed(&body, &accept(&["gzip"])).expect("long enough");
        assert!(packed.len() * 5 < body.len());
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).expect("gzip");
        assert_eq!(text, body);
        assert_eq!(compressed(&body.slice(..BYTES_LEAST - 1), &accept(&["gzip"])), None);
        assert_eq!(compressed(&body, &accept(&["gzip;q=0"])), None);
    }
}
