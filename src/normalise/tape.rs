//! simd-json's tape over reused buffers: for frames whose keys come in no expected order.

use std::{fmt, mem};

use simd_json::{Buffers, INPUT_PADDING, tape};

use super::{DEPTH_MAX, Refusal};

/// The buffers of one reader; in steady state reading allocates nothing.
///
/// Not for venues with bare numbers: the tape makes floats of them.
pub struct Tape {
    padded: Vec<u8>,
    buffers: Buffers,
    nodes: simd_json::Tape<'static>,
}

impl Tape {
    /// Buffers that grow to the largest document read.
    pub fn new() -> Self {
        Self {
            padded: Vec::new(),
            buffers: Buffers::with_max_depth(0, DEPTH_MAX as usize),
            nodes: simd_json::Tape(Vec::new()),
        }
    }

    /// Parses `json` and hands its root to `read`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is no JSON or nested deeper than [`DEPTH_MAX`], and what `read` refuses.
    pub fn read<R>(
        &mut self,
        json: &[u8],
        read: impl FnOnce(tape::Value<'_, '_>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        // simd-json spells out escapes in place and looks a little beyond the end: the frame itself stays untouched.
        self.padded.clear();
        self.padded.extend_from_slice(json);
        self.padded.resize(json.len() + INPUT_PADDING, 0);
        let mut tape = mem::replace(&mut self.nodes, simd_json::Tape(Vec::new())).reset();
        let outcome = simd_json::fill_tape_padded(&mut self.padded, json.len(), &mut self.buffers, &mut tape)
            .map_err(|_| Refusal::Malformed)
            .and_then(|()| read(tape.as_value()));
        self.nodes = tape.reset();
        outcome
    }
}

impl Default for Tape {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("bytes", &self.padded.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simd_json::prelude::*;

    use super::*;

    #[test]
    fn documents_are_read_one_after_the_other() {
        let mut tape = Tape::new();
        for id in [1, 20, 300] {
            let json = format!("{{\"name\":\"\\u0042TC\",\"id\":{id}}}");
            let read = tape.read(json.as_bytes(), |root| Ok((root.get_i64("id"), root.get_str("name") == Some("BTC"))));
            assert_eq!(read, Ok((Some(id), true)));
            assert_eq!(tape.read(b"{\"id\":", |_| Ok(())), Err(Refusal::Malformed));
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = "[".repeat(100_000);
        assert_eq!(Tape::new().read(deep.as_bytes(), |_| Ok(())), Err(Refusal::Malformed));
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Tape::new().read(deep.as_bytes(), |_| Ok(())), Err(Refusal::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(json: Vec<u8>) {
            let _ = Tape::new().read(&json, |_| Ok(()));
        }

        #[test]
        fn anything_like_json_is_read_or_refused(json in r#"[\[\]{}",:\\a0-9.eEu+\- tnf]{0,80}"#) {
            let ours = Tape::new().read(json.as_bytes(), |_| Ok(()));
            if serde_json::from_str::<serde_json::Value>(&json).is_ok() && !json.contains(['e', 'E']) {
                prop_assert_eq!(ours, Ok(()), "{}", json);
            }
        }
    }
}
