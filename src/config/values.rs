//! A configuration as its keys and values, to say what differs between two.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use toml::{Table, Value};

use super::merge::is_secret;

/// Every key, dotted, with its value. A list is one value.
#[derive(Clone, Default, PartialEq)]
pub struct Values(BTreeMap<String, Value>);

impl Values {
    pub(super) fn of(table: &Table) -> Self {
        fn walk(table: &Table, path: &str, values: &mut BTreeMap<String, Value>) {
            for (key, value) in table {
                let dotted = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match value {
                    Value::Table(inner) => walk(inner, &dotted, values),
                    value => _ = values.insert(dotted, value.clone()),
                }
            }
        }
        let mut values = BTreeMap::new();
        walk(table, "", &mut values);
        Self(values)
    }

    /// The keys whose values differ, in alphabetical order.
    pub(super) fn changes(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter().filter(|key| self.0.get(*key) != other.0.get(*key)).cloned().collect()
    }

    /// Takes the values of some keys from `newer`.
    pub(super) fn take_over(&mut self, newer: &Self, is_wanted: impl Fn(&str) -> bool) {
        self.0
            .extend(newer.0.iter().filter(|(key, _)| is_wanted(key)).map(|(key, value)| (key.clone(), value.clone())));
    }

    /// The value of a key as a message may show it.
    pub fn shown(&self, key: &str) -> Option<String> {
        let value = self.0.get(key)?;
        Some(if is_secret(key) { "(not shown)".to_owned() } else { value.to_string() })
    }
}

impl fmt::Debug for Values {
    /// There are secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({} keys, not shown)", self.0.len())
    }
}
