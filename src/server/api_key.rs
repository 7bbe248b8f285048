//! The key that the door of SBE may want (binance.md section 9.1): checked at the handshake, and never kept.

use super::Rejection;
use crate::config;

/// The header that carries it.
pub(super) const HEADER: &str = "x-mbx-apikey";

/// What a handshake's key was worth. The key itself stays in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiKey {
    /// A configured one, or none is wanted.
    Good,
    Missing,
    Unknown,
}

impl ApiKey {
    /// Holds the values of the header against `keys`; without any, everyone is let in. It takes the same time wherever
    /// the first wrong byte is.
    pub(super) fn check<'a>(mut given: impl Iterator<Item = &'a [u8]>, keys: &[config::ApiKey]) -> Self {
        if keys.is_empty() {
            return Self::Good;
        }
        match (given.next(), given.next()) {
            (None, _) => Self::Missing,
            // All are looked at, so that the time does not tell which one it was either.
            (Some(given), None) if keys.iter().fold(false, |found, key| found | key.is(given)) => Self::Good,
            _ => Self::Unknown,
        }
    }

    /// Why it opens nothing, with the codes of Binance.
    pub(super) fn rejection(self) -> Option<Rejection> {
        let body = match self {
            Self::Good => return None,
            Self::Missing => {
                r#"{"code":-2014,"msg":"API-key format invalid: send one of this server's keys in the header X-MBX-APIKEY."}"#
            }
            Self::Unknown => {
                r#"{"code":-2015,"msg":"Invalid API-key: the one in the header X-MBX-APIKEY is none of this server's."}"#
            }
        };
        Some(Rejection { status: 401, body: body.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: &[&str]) -> Vec<config::ApiKey> {
        texts.iter().map(|&text| config::ApiKey::new(text)).collect()
    }

    #[test]
    fn without_keys_everyone_is_let_in_and_with_keys_who_has_one() {
        let check =
            |given: &[&str], known: &[&str]| ApiKey::check(given.iter().map(|text| text.as_bytes()), &keys(known));
        assert_eq!(check(&[], &[]), ApiKey::Good);
        assert_eq!(check(&["whatever"], &[]), ApiKey::Good);
        assert_eq!(check(&["b"], &["a", "b"]), ApiKey::Good);
        assert_eq!(check(&[], &["a"]), ApiKey::Missing);
        for wrong in ["", "A", "aa", "c"] {
            assert_eq!(check(&[wrong], &["a", "b"]), ApiKey::Unknown, "{wrong}");
        }
        assert_eq!(check(&["a", "a"], &["a"]), ApiKey::Unknown, "one key, once");
        assert_eq!(ApiKey::Good.rejection(), None);
        for refused in [ApiKey::Missing, ApiKey::Unknown] {
            let rejection = refused.rejection().expect("refused");
            assert_eq!(rejection.status, 401);
            assert!(serde_json::from_str::<serde_json::Value>(&rejection.body).is_ok());
        }
    }
}
