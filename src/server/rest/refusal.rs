//! Why a REST request was not answered: Binance's codes and texts (binance.md 10.4).

/// A status and the body `{"code":...,"msg":...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Binance's code.
    pub code: i32,
    /// Binance's text.
    pub text: String,
}

/// Symbols: word characters without `a-z`, in Java's regular expressions, as the error prints it.
const SYMBOL_RANGE: &str = r"^[\w\-._&&[^a-z]]{1,50}$";
const SYMBOLS_RANGE: &str = r#"^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$"#;
const INTEGER_RANGE: &str = "^[0-9]{1,20}$";

impl Refusal {
    /// The body.
    pub fn body(&self) -> String {
        let text = serde_json::Value::from(self.text.as_str());
        format!("{{\"code\":{},\"msg\":{text}}}", self.code)
    }

    /// What was asked for is not there yet; the same request may be answered a moment later.
    pub(super) fn not_yet() -> Self {
        let text = "Internal error; unable to process your request. Please try again.";
        Self { status: 503, code: -1001, text: text.to_owned() }
    }

    /// The minute's weight is used up.
    pub(in super::super) fn too_much_weight(limit: u32) -> Self {
        let text = format!(
            "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. \
             Please use WebSocket Streams for live updates to avoid polling the API."
        );
        Self { status: 429, code: -1003, text }
    }

    /// Whoever asked on after 429 waits until `until_ms`.
    pub(in super::super) fn banned(until_ms: i64) -> Self {
        let text = format!(
            "Way too much request weight used; IP banned until {until_ms}. \
             Please use WebSocket Streams for live updates to avoid bans."
        );
        Self { status: 418, code: -1003, text }
    }

    /// The client accepts nothing but SBE, which REST does not speak.
    pub(in super::super) fn sbe_only() -> Self {
        Self { status: 406, code: -1155, text: "SBE is not enabled.".to_owned() }
    }

    /// One answer would take more history than one request may read.
    pub(super) fn overloaded() -> Self {
        let text = "Server is currently overloaded with other requests. Please try again in a few minutes.";
        Self { status: 503, code: -1008, text: text.to_owned() }
    }

    pub(super) fn illegal_symbol(parameter: &str) -> Self {
        Self::illegal(parameter, SYMBOL_RANGE)
    }

    pub(super) fn illegal_symbols(parameter: &str) -> Self {
        Self::illegal(parameter, SYMBOLS_RANGE)
    }

    pub(super) fn illegal_integer(parameter: &str) -> Self {
        Self::illegal(parameter, INTEGER_RANGE)
    }

    /// The text as the wire had it in 2025; documents say "Duplicate values for a parameter detected."
    pub(super) fn duplicate(parameter: &str) -> Self {
        Self::bad(-1101, format!("Duplicate values for parameter '{parameter}'."))
    }

    /// More symbols than one request may name.
    pub(super) fn too_many(most: usize, sent: usize) -> Self {
        Self::bad(-1101, format!("Too many parameters; expected '{most}' and received '{sent}'."))
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let text = format!("Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.");
        Self::bad(-1102, text)
    }

    pub(super) fn empty(parameter: &str) -> Self {
        Self::bad(-1105, format!("Parameter '{parameter}' was empty."))
    }

    pub(super) fn overflowed(parameter: &str) -> Self {
        Self::bad(-1108, format!("Parameter '{parameter}' overflowed."))
    }

    pub(super) fn invalid_interval() -> Self {
        Self::bad(-1120, "Invalid interval.")
    }

    pub(super) fn invalid_symbol() -> Self {
        Self::bad(-1121, "Invalid symbol.")
    }

    pub(super) fn invalid_status() -> Self {
        Self::bad(-1122, "Invalid symbolStatus.")
    }

    /// `advice` is the tail that names the parameters.
    pub(super) fn combination(advice: &str) -> Self {
        Self::bad(-1128, format!("Combination of optional parameters invalid. Recommendation: {advice}"))
    }

    pub(super) fn not_valid(parameter: &str) -> Self {
        Self::bad(-1130, format!("Data sent for parameter '{parameter}' is not valid."))
    }

    pub(super) fn invalid_ticker_type() -> Self {
        Self::bad(-1139, "Invalid ticker type.")
    }

    pub(super) fn repeated_symbol() -> Self {
        Self::bad(-1151, "Symbol is present multiple times in the list.")
    }

    pub(super) fn time_unit() -> Self {
        Self::bad(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    }

    pub(super) fn status_mismatch() -> Self {
        Self::bad(-1220, "The symbol's status does not match the requested symbolStatus.")
    }

    /// The venue has never sent one.
    pub(super) fn no_reference_price() -> Self {
        Self::bad(-2043, "This symbol doesn't have a reference price.")
    }

    fn illegal(parameter: &str, range: &str) -> Self {
        let text = format!("Illegal characters found in parameter '{parameter}'; legal range is '{range}'.");
        Self::bad(-1100, text)
    }

    fn bad(code: i32, text: impl Into<String>) -> Self {
        Self { status: 400, code, text: text.into() }
    }
}
