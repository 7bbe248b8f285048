//! exchangeInfo: what the venues say about their instruments, with every long-standing field (binance.md 10.3).

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::{Value, json, value::RawValue};

use super::{Refusal, Request, Selection, object::time_in};
use crate::{
    encode,
    market::{Catalogue, Instrument, Listing, Status},
};

/// Fields that clients take for a futures contract: never passed on.
const FOREIGN: [&str; 3] = ["contractType", "deliveryDate", "underlying"];

/// The texts of all instruments, each made once its listing is known (a listing never changes).
#[derive(Debug)]
pub(super) struct Information {
    symbols: Box<[OnceLock<Entry>]>,
    weight_per_minute: AtomicU32,
}

#[derive(Debug)]
struct Entry {
    text: String,
    /// The same with an empty `permissionSets`.
    text_without_sets: String,
    permissions: Vec<String>,
}

impl Information {
    pub(super) fn new(catalogue: &Catalogue, weight_per_minute: u32) -> Self {
        let symbols = catalogue.instruments().iter().map(|_| OnceLock::new()).collect();
        Self { symbols, weight_per_minute: AtomicU32::new(weight_per_minute) }
    }

    pub(super) fn set_weight_per_minute(&self, weight_per_minute: u32) {
        self.weight_per_minute.store(weight_per_minute, Ordering::Relaxed);
    }

    /// Only what is enforced is announced.
    fn rate_limits(&self) -> String {
        match self.weight_per_minute.load(Ordering::Relaxed) {
            0 => "[]".to_owned(),
            limit => format!(
                "[{{\"rateLimitType\":\"REQUEST_WEIGHT\",\"interval\":\"MINUTE\",\"intervalNum\":1,\"limit\":{limit}}}]"
            ),
        }
    }

    fn entry(&self, instrument: &Instrument) -> Option<&Entry> {
        let listing = instrument.listing()?;
        Some(self.symbols[instrument.id.index()].get_or_init(|| Entry::new(&instrument.symbol, listing)))
    }
}

impl Request<'_> {
    pub(super) fn exchange_info(&self) -> Result<Vec<u8>, Refusal> {
        let is_named = self.parameters().get("symbol")?.is_some() || self.parameters().get("symbols")?.is_some();
        let permissions = self.parameters().permissions()?;
        if is_named && permissions.is_some() {
            return Err(Refusal::combination("'permissions' cannot be sent with 'symbol' or 'symbols'."));
        }
        if is_named && self.parameters().status()?.is_some() {
            return Err(Refusal::combination("'symbolStatus' cannot be sent with 'symbol' or 'symbols'."));
        }
        let show_sets = self.parameters().flag("showPermissionSets", true)?;
        let list = match self.selection()? {
            Selection::One(instrument) => vec![instrument],
            Selection::List(list) => list,
        };
        let is_permitted = |entry: &&Entry| {
            permissions.as_ref().is_none_or(|wanted| entry.permissions.iter().any(|it| wanted.contains(&it.as_str())))
        };
        let information = &self.rest.information;
        let entries: Vec<_> =
            list.into_iter().filter_map(|instrument| information.entry(instrument)).filter(is_permitted).collect();

        let mut body = b"{\"timezone\":\"UTC\",\"serverTime\":".to_vec();
        encode::integer(&mut body, time_in(self.call.unit, self.call.now));
        body.extend_from_slice(b",\"rateLimits\":");
        body.extend_from_slice(information.rate_limits().as_bytes());
        body.extend_from_slice(b",\"exchangeFilters\":[],\"symbols\":[");
        for (index, entry) in entries.into_iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            let text = if show_sets { &entry.text } else { &entry.text_without_sets };
            body.extend_from_slice(text.as_bytes());
        }
        body.extend_from_slice(b"]}");
        Ok(body)
    }
}

impl Entry {
    /// Our own fields in wire order, each replaced by the venue's where it sent one, and then what else it sent.
    fn new(symbol: &str, listing: &Listing) -> Self {
        let mut sent: BTreeMap<String, Box<RawValue>> =
            listing.binance_info.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        for foreign in FOREIGN {
            sent.remove(foreign);
        }
        let filters = sent.remove("filters").and_then(|filters| price_filter_first(filters.get()));
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, own) in own_fields(symbol, listing) {
            let theirs = sent.remove(name).map(|value| value.get().to_owned());
            let text = match name {
                "symbol" => own.to_string(),
                "filters" => filters.clone().unwrap_or_else(|| own_filters(listing)),
                _ => theirs.unwrap_or_else(|| own.to_string()),
            };
            fields.push((name.to_owned(), text));
        }
        fields.extend(sent.into_iter().map(|(name, value)| (name, value.get().to_owned())));
        let sets = fields.iter().find(|(name, _)| name == "permissionSets").map_or("[]", |(_, text)| text);
        let permissions = serde_json::from_str::<Vec<Vec<String>>>(sets).unwrap_or_default().concat();
        let text_without_sets =
            object(fields.iter().map(|(name, text)| (name, if name == "permissionSets" { "[]" } else { text })));
        let text = object(fields.iter().map(|(name, text)| (name, text.as_str())));
        Self { text, text_without_sets, permissions }
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a String, &'a str)>) -> String {
    let fields: Vec<_> = fields.map(|(name, text)| format!("{}:{text}", Value::from(name.as_str()))).collect();
    format!("{{{}}}", fields.join(","))
}

/// Every long-standing field in wire order. No order can be placed here, so nothing about orders is allowed.
fn own_fields(symbol: &str, listing: &Listing) -> [(&'static str, Value); 26] {
    let quantity_places = listing.decimals.quantity;
    let price_places = listing.decimals.price;
    [
        ("symbol", json!(symbol)),
        ("status", json!(listing.status.to_string())),
        ("baseAsset", json!(listing.base)),
        ("baseAssetPrecision", json!(quantity_places)),
        ("quoteAsset", json!(listing.quote)),
        ("quotePrecision", json!(price_places)),
        ("quoteAssetPrecision", json!(price_places)),
        ("baseCommissionPrecision", json!(quantity_places)),
        ("quoteCommissionPrecision", json!(price_places)),
        ("orderTypes", json!([])),
        ("icebergAllowed", json!(false)),
        ("ocoAllowed", json!(false)),
        ("otoAllowed", json!(false)),
        ("opoAllowed", json!(false)),
        ("quoteOrderQtyMarketAllowed", json!(false)),
        ("allowTrailingStop", json!(false)),
        ("cancelReplaceAllowed", json!(false)),
        ("amendAllowed", json!(false)),
        ("pegInstructionsAllowed", json!(false)),
        ("isSpotTradingAllowed", json!(listing.status == Status::Trading)),
        ("isMarginTradingAllowed", json!(false)),
        ("filters", Value::Null),
        ("permissions", json!([])),
        ("permissionSets", json!([["SPOT"]])),
        ("defaultSelfTradePreventionMode", json!("NONE")),
        ("allowedSelfTradePreventionModes", json!(["NONE"])),
    ]
}

/// The two filters that a listing's steps make; a bound of zero means none, a quantity ends where 64 bits do.
fn own_filters(listing: &Listing) -> String {
    let decimal = |mantissa, places| {
        let mut text = Vec::new();
        encode::decimal_wide(&mut text, mantissa, places);
        Value::from(String::from_utf8_lossy(&text).into_owned())
    };
    let no_price = decimal(0, listing.decimals.price);
    let most = decimal(i128::from(i64::MAX), listing.decimals.quantity);
    let (tick, step) = (Value::from(listing.tick_size.as_str()), Value::from(listing.step_size.as_str()));
    format!(
        "[{{\"filterType\":\"PRICE_FILTER\",\"minPrice\":{no_price},\"maxPrice\":{no_price},\"tickSize\":{tick}}},\
         {{\"filterType\":\"LOT_SIZE\",\"minQty\":{step},\"maxQty\":{most},\"stepSize\":{step}}}]"
    )
}

/// The venue's filters with the price filter moved to the front, where some clients look; `None` if there is none.
fn price_filter_first(filters: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        filter_type: String,
    }
    let mut list: Vec<&RawValue> = serde_json::from_str(filters).ok()?;
    let is_price = |filter: &&RawValue| {
        serde_json::from_str::<Kind>(filter.get()).is_ok_and(|kind| kind.filter_type == "PRICE_FILTER")
    };
    let position = list.iter().position(is_price)?;
    list[..=position].rotate_right(1);
    Some(format!("[{}]", list.iter().map(|filter| filter.get()).collect::<Vec<_>>().join(",")))
}
