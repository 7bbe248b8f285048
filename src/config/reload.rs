//! What can be changed in a running server, and what wants a restart.

use super::Config;
use crate::config;

/// The keys that a reload applies. All others are read once, at the start. `config/default.toml` says so at each.
pub const RELOADABLE: [&str; 20] = [
    "delivery.flush_delay_ms_max",
    "log.level",
    "ops.admin_key",
    "ops.beat_max_ms",
    "ops.hosts",
    "ops.silence_max_ms",
    "sbe.api_keys",
    "server.ban_after_refusals",
    "server.ban_first_ms",
    "server.ban_max_ms",
    "server.connects_per_five_minutes",
    "server.exempt_loopback",
    "server.rest_connections_per_address",
    "server.rest_weight_per_minute",
    "session.message_bytes_max",
    "session.messages_burst",
    "session.messages_per_second",
    "session.outbox_bytes_max",
    "session.streams_max",
    "session.unknown_bytes_max",
];

impl Config {
    /// The keys that `newer` has other values for, in alphabetical order.
    pub fn changes(&self, newer: &Self) -> Vec<String> {
        self.values.changes(&newer.values)
    }

    /// Takes the values of [`RELOADABLE`] keys from `newer`, and leaves all others.
    pub fn take_over(&mut self, newer: &Self) {
        let Self { server, sbe, session, delivery, ops, log, values, .. } = self;
        *server = config::Server {
            connects_per_five_minutes: newer.server.connects_per_five_minutes,
            exempt_loopback: newer.server.exempt_loopback,
            rest_connections_per_address: newer.server.rest_connections_per_address,
            rest_weight_per_minute: newer.server.rest_weight_per_minute,
            ban_after_refusals: newer.server.ban_after_refusals,
            ban_first_ms: newer.server.ban_first_ms,
            ban_max_ms: newer.server.ban_max_ms,
            ..server.clone()
        };
        sbe.api_keys.clone_from(&newer.sbe.api_keys);
        *session = config::Session {
            streams_max: newer.session.streams_max,
            messages_per_second: newer.session.messages_per_second,
            messages_burst: newer.session.messages_burst,
            message_bytes_max: newer.session.message_bytes_max,
            unknown_bytes_max: newer.session.unknown_bytes_max,
            outbox_bytes_max: newer.session.outbox_bytes_max,
            ..session.clone()
        };
        delivery.flush_delay_ms_max = newer.delivery.flush_delay_ms_max;
        *ops = config::Ops { listen: ops.listen, ..newer.ops.clone() };
        log.clone_from(&newer.log);
        values.take_over(&newer.values, is_reloadable);
    }
}

/// Whether a running server takes on another value of `key`.
pub fn is_reloadable(key: &str) -> bool {
    RELOADABLE.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT_TOML, Overrides};

    fn with(flags: &[(&str, &str)]) -> Config {
        let flags = flags.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Config::load(&Overrides { flags, ..Overrides::default() }).expect("good settings")
    }

    #[test]
    fn a_difference_is_named_by_its_key_and_without_its_value() {
        let (before, after) = (with(&[]), with(&[("log.level", "debug"), ("sbe.api_keys", r#"["geheim"]"#)]));
        assert_eq!(before.changes(&after), ["log.level", "sbe.api_keys"]);
        assert!(before.changes(&before.clone()).is_empty());
        assert!(!format!("{after:?}").contains("geheim"));
    }

    #[test]
    fn what_is_reloadable_is_taken_over_and_the_rest_is_not() {
        let others: Vec<(&str, &str)> = RELOADABLE
            .iter()
            .map(|&key| {
                let value = match key {
                    "log.level" => "debug",
                    "ops.admin_key" => "0123456789abcdef",
                    "ops.hosts" => r#"["tickcast"]"#,
                    "sbe.api_keys" => r#"["geheim"]"#,
                    "server.exempt_loopback" => "false",
                    "server.ban_max_ms" => "259200001",
                    _ => "4321",
                };
                (key, if key == "delivery.flush_delay_ms_max" { "43" } else { value })
            })
            .collect();
        let (mut running, newer) = (with(&[]), with(&others));
        assert_eq!(running.changes(&newer), RELOADABLE, "each has another value");
        running.take_over(&newer);
        assert_eq!(format!("{running:?}"), format!("{newer:?}"));
        assert!(running.changes(&newer).is_empty());
        assert_eq!((running.ops.admin_key, running.sbe.api_keys), (newer.ops.admin_key, newer.sbe.api_keys));
        let (mut running, newer) = (with(&[]), with(&[("session.lifetime_ms", "4000000"), ("ops.listen", "[::1]:1")]));
        let before = format!("{running:?}");
        running.take_over(&newer);
        assert_eq!(format!("{running:?}"), before);
        assert_eq!(running.changes(&newer), ["ops.listen", "session.lifetime_ms"]);
    }

    #[test]
    fn the_file_of_defaults_marks_what_can_be_reloaded_and_nothing_else() {
        let mut section = String::new();
        let mut comment = String::new();
        let mut marked = Vec::new();
        for line in DEFAULT_TOML.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_matches(['[', ']']).to_owned();
                comment.clear();
            } else if let Some(text) = line.strip_prefix('#') {
                comment.push_str(text);
            } else if let Some((key, _)) = line.split_once(" = ") {
                if comment.contains("(reloadable)") {
                    marked.push(format!("{section}.{key}"));
                }
                comment.clear();
            }
        }
        marked.sort_unstable();
        assert_eq!(marked, RELOADABLE);
    }
}
