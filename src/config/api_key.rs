//! A secret in the configuration: nothing prints it.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};
use subtle::ConstantTimeEq;

/// A key of `sbe.api_keys`, or the one of `ops.admin_key`. It can be compared and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key with this text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether `given` is this key, in a time that tells nothing but whether the lengths are the same.
    pub fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    /// Whether it is long enough for who may change things with it: [`ADMIN_KEY_BYTES_MIN`] at least.
    pub(super) fn is_strong(&self) -> bool {
        self.0.len() >= ADMIN_KEY_BYTES_MIN
    }

    /// Whether a header can carry it: 1 to [`KEY_BYTES_MAX`] printable ASCII characters without blanks.
    pub(super) fn is_legal(&self) -> bool {
        (1..=KEY_BYTES_MAX).contains(&self.0.len()) && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// Binance's keys have 64 characters.
pub(super) const KEY_BYTES_MAX: usize = 256;

/// Shorter ones can be guessed.
pub(super) const ADMIN_KEY_BYTES_MIN: usize = 16;

/// A key, or no key where the text is empty. Whatever stands there, the error does not repeat it.
pub(super) fn key_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ApiKey>, D::Error> {
    match toml::Value::deserialize(deserializer) {
        Ok(toml::Value::String(text)) => Ok((!text.is_empty()).then_some(ApiKey(text))),
        _ => Err(D::Error::custom("ops.admin_key has to be a text in quotation marks (not shown here)")),
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(not shown)")
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    /// Whatever stands there, the error does not repeat it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::String(text)) => Ok(Self(text)),
            _ => Err(D::Error::custom("each of sbe.api_keys has to be a text in quotation marks (not shown here)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Overrides};

    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";

    fn load(file: &str, environment: &str) -> Result<Config, String> {
        let file = Some(("my.toml".to_owned(), file.to_owned()));
        let environment = match environment {
            "" => Vec::new(),
            text => vec![("TICKCAST__SBE__API_KEYS".to_owned(), text.to_owned())],
        };
        Config::load(&Overrides { file, environment, flags: Vec::new() }).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_compared_and_never_printed() {
        let config = load(&format!("[sbe]\napi_keys = [\"other\", \"{KEY}\"]\n"), "").unwrap();
        assert!(config.sbe.api_keys[1].is(KEY.as_bytes()));
        assert!(!config.sbe.api_keys[1].is(&KEY.as_bytes()[1..]) && !config.sbe.api_keys[0].is(KEY.as_bytes()));
        assert!(!format!("{config:?}").contains(KEY));
        let config = load("", &format!("[\"{KEY}\"]")).unwrap();
        assert!(config.sbe.api_keys[0].is(KEY.as_bytes()));
    }

    #[test]
    fn no_message_repeats_a_key() {
        for (file, environment, expected) in [
            (format!("sbe.api_keys = \"{KEY}\""), String::new(), "has to be an array"),
            (format!("sbe.api_keys = [\"{KEY}]"), String::new(), "line 1"),
            (format!("[sbe]\napi_keys = [\n    \"{KEY}\n]\n"), String::new(), "line 3"),
            (format!("sbe.api_keys = [\"a\", [\"{KEY}\"]]"), String::new(), "quotation marks"),
            (format!("sbe.api_keys = [\"a\", \" {KEY}\"]"), String::new(), "place 2"),
            (format!("sbe.api_keys = [{{ {KEY} = 1 }}]"), String::new(), "quotation marks"),
            (format!("sbe.api_keys = [\"{}\"]", KEY.repeat(5)), String::new(), "1 to 256"),
            (String::new(), KEY.to_owned(), "has to be an array"),
            (String::new(), format!("\"{KEY}\""), "has to be an array"),
        ] {
            let message = load(&file, &environment).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains(KEY), "{message}");
        }
    }

    #[test]
    fn the_admin_key_is_strong_or_none_and_never_printed() {
        let load_key = |text: &str| load(&format!("[ops]\nadmin_key = {text}\n"), "");
        assert_eq!(load_key("\"\"").unwrap().ops.admin_key, None);
        let config = load_key(&format!("\"{KEY}\"")).unwrap();
        assert!(config.ops.admin_key.as_ref().is_some_and(|key| key.is(KEY.as_bytes())));
        assert!(!format!("{config:?}").contains(KEY));
        for (wrong, expected) in [
            ("\"geheim\"".to_owned(), "16 to 256"),
            (format!("\"{KEY} {KEY}\""), "16 to 256"),
            (format!("[\"{KEY}\"]"), "has to be a string, found something else (not shown)"),
            (format!("\"{KEY}"), "line 2"),
            (format!("\"{}\"", KEY.repeat(5)), "16 to 256"),
        ] {
            let message = load_key(&wrong).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains(KEY) && !message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn the_door_can_be_switched_off_and_a_wrong_address_is_named() {
        let listen = |text: &str| load(&format!("sbe.listen = \"{text}\""), "").map(|config| config.sbe.listen);
        assert_eq!(listen(""), Ok(None));
        assert_eq!(listen("[::1]:80"), Ok(Some("[::1]:80".parse().unwrap())));
        assert!(listen("nine").unwrap_err().contains("sbe.listen has to be like 127.0.0.1:9444, or empty"));
    }
}
