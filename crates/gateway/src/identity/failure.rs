//! Why no identity was made. The reason code goes to the record and the metrics; what the client reads is the same
//! for every token that is not accepted, so that it can't be used to find out which part was right.

/// Why a request has no identity. Holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// No token.
    #[error("a bearer token is required in the Authorization header")]
    Missing,
    /// The token was not presented as one bearer token in one header.
    #[error(transparent)]
    Presentation(PresentationFault),
    /// The token's header asks for what we don't do.
    #[error("the token is not accepted")]
    Header(HeaderFault),
    /// No configured issuer has this name.
    #[error("the token is not accepted")]
    UnknownIssuer,
    /// The issuer has no key for it.
    #[error("the token is not accepted")]
    Key(KeyFault),
    /// The signature does not fit.
    #[error("the token is not accepted")]
    Signature,
    /// A claim is missing, malformed or not satisfied.
    #[error("the token is not accepted")]
    Claim(ClaimFault),
    /// It was revoked.
    #[error("the token is not accepted")]
    Revoked,
    /// The issuer's keys can't be had, and the last good ones are too old. Whether the token is good is not known.
    #[error("the token can't be checked now, because its issuer's keys are not available; try again shortly")]
    KeysUnavailable,
}

/// How a token was presented wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PresentationFault {
    /// More than one `Authorization` header.
    #[error("the token must be sent once, as `Authorization: Bearer <token>`")]
    TwoHeaders,
    /// Another scheme than `Bearer`.
    #[error("the token must be sent once, as `Authorization: Bearer <token>`")]
    Scheme,
    /// More than 8 KiB.
    #[error("the token must be sent once, as `Authorization: Bearer <token>`")]
    TooLong,
    /// Not three base64url parts without padding.
    #[error(
        "what follows `Bearer` is no signed JWT, which has three parts of base64url with dots between; other tokens and API keys are not read here"
    )]
    Shape,
    /// In the query of the URL.
    #[error("the token must be sent once, as `Authorization: Bearer <token>`")]
    InQuery,
}

/// What is refused in a token's header (RFC 7515 section 4.1, RFC 8725).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    /// Not strict JSON.
    Malformed,
    /// No algorithm, none that we know, or none of those accepted from this issuer.
    Algorithm,
    /// A parameter that brings keys, addresses, extensions, compression or encryption.
    Parameter,
    /// A `typ` that is not an access token's.
    Type,
    /// A `kid` that is not a short text.
    KeyId,
}

/// Why the issuer has no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// No key of this `kid`.
    Unknown,
    /// No `kid`, and more than one key.
    Ambiguous,
    /// The key is not for this algorithm.
    Mismatch,
}

/// What is wrong with a token's claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimFault {
    /// Not strict JSON.
    Malformed,
    /// `iss` is missing or not a string.
    Issuer,
    /// `aud` is missing or not one or more strings.
    Audience,
    /// `aud` does not name us.
    AudienceForeign,
    /// `aud` names others besides us.
    AudienceMultiple,
    /// `exp` is missing or not a whole number in range.
    Expiry,
    /// `exp` is past.
    Expired,
    /// `nbf` or `iat` is not a whole number in range.
    Time,
    /// `nbf` is in the future.
    NotYetValid,
    /// `iat` is in the future.
    IssuedInFuture,
    /// Valid for longer than is accepted.
    Lifetime,
    /// The subject is missing or not a short text.
    Subject,
    /// The groups are not short texts.
    Groups,
    /// `client_id` or `azp` is missing or not one of those accepted.
    Client,
    /// `act` is not a chain of subjects.
    Actor,
    /// An ID token, a refresh token or a logout token.
    NotAccessToken,
    /// Bound to a key (`cnf`) whose possession was not shown.
    Bound,
}

impl AuthFailure {
    /// A word for the record and for metrics, from a closed set.
    pub fn reason_code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Presentation(fault) => match fault {
                PresentationFault::TwoHeaders => "two_authorization_headers",
                PresentationFault::Scheme => "not_bearer",
                PresentationFault::TooLong => "token_too_long",
                PresentationFault::Shape => "token_malformed",
                PresentationFault::InQuery => "token_in_query",
            },
            Self::Header(fault) => match fault {
                HeaderFault::Malformed => "header_malformed",
                HeaderFault::Algorithm => "algorithm_refused",
                HeaderFault::Parameter => "header_parameter_refused",
                HeaderFault::Type => "type_refused",
                HeaderFault::KeyId => "key_id_malformed",
            },
            Self::UnknownIssuer => "issuer_unknown",
            Self::Key(fault) => match fault {
                KeyFault::Unknown => "key_unknown",
                KeyFault::Ambiguous => "key_ambiguous",
                KeyFault::Mismatch => "key_mismatch",
            },
            Self::Signature => "signature_invalid",
            Self::Claim(fault) => fault.reason_code(),
            Self::Revoked => "token_revoked",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// 401, or 503 where it is not known whether the token is good.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::KeysUnavailable => 503,
            Self::Missing
            | Self::Presentation(_)
            | Self::Header(_)
            | Self::UnknownIssuer
            | Self::Key(_)
            | Self::Signature
            | Self::Claim(_)
            | Self::Revoked => 401,
        }
    }
}

impl ClaimFault {
    fn reason_code(self) -> &'static str {
        match self {
            Self::Malformed => "claims_malformed",
            Self::Issuer => "issuer_malformed",
            Self::Audience => "audience_malformed",
            Self::AudienceForeign => "audience_refused",
            Self::AudienceMultiple => "audience_multiple",
            Self::Expiry => "expiry_malformed",
            Self::Expired => "token_expired",
            Self::Time => "time_malformed",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedInFuture => "token_issued_in_future",
            Self::Lifetime => "lifetime_too_long",
            Self::Subject => "subject_malformed",
            Self::Groups => "groups_malformed",
            Self::Client => "client_refused",
            Self::Actor => "actor_malformed",
            Self::NotAccessToken => "not_access_token",
            Self::Bound => "token_bound",
        }
    }
}

impl From<PresentationFault> for AuthFailure {
    fn from(fault: PresentationFault) -> Self {
        Self::Presentation(fault)
    }
}

impl From<HeaderFault> for AuthFailure {
    fn from(fault: HeaderFault) -> Self {
        Self::Header(fault)
    }
}

impl From<KeyFault> for AuthFailure {
    fn from(fault: KeyFault) -> Self {
        Self::Key(fault)
    }
}

impl From<ClaimFault> for AuthFailure {
    fn from(fault: ClaimFault) -> Self {
        Self::Claim(fault)
    }
}
