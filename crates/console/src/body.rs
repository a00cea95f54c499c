//! Bodies and queries of requests, read into what is asked; what is wrong with them is said by field.

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::problem::{Kind, Refused};

/// Largest body, in bytes: as much as all files of an installation may have.
const LARGEST: usize = 64 * 1024 * 1024;

/// The body as JSON of this form.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        if !is_json(request.headers()) {
            return Err(Refused::new(Kind::UnsupportedMediaType)
                .detail("`Content-Type` is not `application/json`")
                .hint("send JSON, and say so"));
        }
        let bytes = to_bytes(request.into_body(), LARGEST).await.map_err(|_| {
            Refused::new(Kind::TooLarge)
                .detail(format!("the body is larger than {LARGEST} bytes, or was not sent whole"))
                .hint("divide it")
        })?;
        // An array would be taken for the members in order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refused::new(Kind::BadRequest)
                .detail("the body is not a JSON object")
                .hint("send an object, with the members that this address takes"));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Refused::new(Kind::BadRequest).detail(format!("the body: {error}")))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The members of a query, each at most once, and none but those that are known.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query of which these members are known.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Refused> {
        let mut members = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let wrong =
                |what: String| Err(Refused::new(Kind::BadRequest).detail(format!("the query: {what}")));
            if !known.contains(&name) {
                let there_are = match known {
                    [] => "it takes none".to_owned(),
                    _ => format!("there are `{}`", known.join("`, `")),
                };
                return wrong(format!("`{name}` is not known here; {there_are}"));
            }
            if members.iter().any(|(other, _)| other == name) {
                return wrong(format!("`{name}` is there twice"));
            }
            // Names of resources and numbers need no escaping; what needs it is none of them.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
            let value = value.replace("%2F", "/").replace("%2f", "/");
            if !value.bytes().all(plain) {
                return wrong(format!("the value of `{name}` has characters that no name has"));
            }
            members.push((name.to_owned(), value));
        }
        Ok(Self(members))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refused> {
        self.text(name).map(|text| number(name, text)).transpose()
    }
}

/// A number that is part of the address.
pub(crate) fn number(name: &str, text: &str) -> Result<u64, Refused> {
    text.parse().map_err(|_| {
        Refused::new(Kind::BadRequest)
            .detail(format!("`{name}`: `{text}` is not a number"))
            .hint("count from 1")
    })
}
