//! What a client without a good token is told: the challenge of RFC 6750 section 3 with `resource_metadata`
//! (RFC 9728 section 5.1), and the metadata document that it points to.

use http::HeaderValue;
use serde::Serialize;

use super::AuthFailure;

/// The `WWW-Authenticate` of a 401. `metadata_url` is where this endpoint's metadata document is. A token that was
/// presented and not accepted is answered `invalid_token`, whatever was wrong with it.
pub fn challenge(metadata_url: &str, failure: &AuthFailure) -> HeaderValue {
    match failure {
        AuthFailure::Missing => bearer(&[("resource_metadata", metadata_url)]),
        AuthFailure::Presentation(_)
        | AuthFailure::Header(_)
        | AuthFailure::UnknownIssuer
        | AuthFailure::Key(_)
        | AuthFailure::Signature
        | AuthFailure::Claim(_)
        | AuthFailure::Revoked
        | AuthFailure::KeysUnavailable => {
            bearer(&[("error", "invalid_token"), ("resource_metadata", metadata_url)])
        }
    }
}

fn bearer(parameters: &[(&str, &str)]) -> HeaderValue {
    let mut text = String::from("Bearer");
    for (index, (name, value)) in parameters.iter().enumerate() {
        text.push_str(if index == 0 { " " } else { ", " });
        text.push_str(name);
        text.push_str("=\"");
        // quoted-string (RFC 9110 section 5.6.4)
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

#[derive(Serialize)]
struct Metadata<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    authorization_servers: &'a [String],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

/// RFC 9728 section 3.2: claims without elements are left out.
fn is_empty(servers: &&[String]) -> bool {
    servers.is_empty()
}

/// The metadata document of a protected resource (RFC 9728 section 2), as JSON. `issuers` are those that a client
/// can get tokens from; the built-in issuer is not one.
pub fn metadata(resource: &str, issuers: &[String]) -> Vec<u8> {
    let document = Metadata {
        resource,
        authorization_servers: issuers,
        bearer_methods_supported: ["header"],
        resource_name: "Narrows",
    };
    serde_json::to_vec(&document).unwrap_or_default()
}
