//! What the log itself reads in a record: enough to pair, find and check it. All else is passed over, but must be
//! JSON.

use std::borrow::Cow;

use narrows_core::{
    audit::pairing,
    ports::{LogIndex, Pairing},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The parts of a record that can be looked for. Absent texts are empty.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct View<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) time: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) intent: Option<LogIndex>,
    #[serde(borrow, default)]
    pub(crate) actor: Actor<'a>,
    #[serde(borrow, default)]
    pub(crate) object: Object<'a>,
    #[serde(borrow, default)]
    pub(crate) request: Request<'a>,
    #[serde(borrow, default)]
    pub(crate) decision: Decision<'a>,
    #[serde(borrow, default)]
    pub(crate) outcome: Outcome<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Actor<'a> {
    #[serde(borrow, default)]
    pub(crate) subject: Cow<'a, str>,
    #[serde(borrow, default, rename = "onBehalfOf")]
    pub(crate) on_behalf_of: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Object<'a> {
    #[serde(borrow, default)]
    pub(crate) namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) tool: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Decision<'a> {
    #[serde(borrow, default)]
    pub(crate) effect: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Outcome<'a> {
    #[serde(borrow, default)]
    pub(crate) status: Cow<'a, str>,
}

impl<'a> View<'a> {
    /// Reads a record; none if it is not one JSON object.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        // A JSON array would be taken for the fields in order.
        let text = std::str::from_utf8(line).ok().filter(|text| text.starts_with('{'))?;
        serde_json::from_str(text).ok()
    }

    /// What it is to the pairing of intents and outcomes.
    pub(crate) fn pairing(&self) -> Pairing {
        pairing(&self.kind, self.intent)
    }
}

/// The parts of an intent that its closing record repeats, as they were written.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Repeated<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<&'a RawValue>,
}

impl Repeated<'_> {
    /// The id of the change that the intent belongs to; none if it is a call's.
    pub(crate) fn change_id(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Change {
            id: String,
        }
        serde_json::from_str::<Change>(self.change?.get()).ok().map(|change| change.id)
    }
}
