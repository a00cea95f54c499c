//! Key sets (RFC 7517) as issuers publish them. A key that is weak, private, ambiguous or not for signatures is
//! left out; a set without one usable key is no set.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use narrows_core::resource::Algorithm;
use narrows_mcp::json::{Document, Limits, Value};

use super::{KeyFault, jws::algorithm_named};

/// Most keys in a set.
const MAX_KEYS: usize = 32;
/// Bytes of an RSA modulus: 2048 to 8192 bits.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// The smallest public exponent (FIPS 186-5 section A.1.1), and the one that everybody uses.
const RSA_LEAST_EXPONENT: u64 = 65_537;
/// The largest exponent that is checked in reasonable time.
const RSA_MOST_EXPONENT: u64 = (1 << 33) - 1;

/// Members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4). A key that is published with one of
/// them is everybody's.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Ed25519 points of small order, sign bit cleared: signatures under them can be made for any message.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    point(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    point(0xec, 0xff, 0x7f),
    point(0xed, 0xff, 0x7f),
    point(0xee, 0xff, 0x7f),
];

const fn point(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    let [head, .., tail] = &mut bytes;
    *head = first;
    *tail = last;
    bytes
}

/// The usable keys of an issuer.
pub(super) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    kind: KeyKind,
    /// The only algorithm that it is for, where the issuer says so.
    algorithm: Option<Algorithm>,
    fingerprint: Fingerprint,
    decoding: DecodingKey,
}

/// SHA-256 over a key's name, kind, algorithm and material: tells whether a key of the same name is the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// Why a document is not a key set that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetFault {
    #[error("it is not strict JSON")]
    Json,
    #[error("it has no list `keys`")]
    Shape,
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("it has no key that can be used")]
    NoneUsable,
}

impl KeySet {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeySetFault> {
        Self::parse_with_copy(bytes).map(|(set, _)| set)
    }

    /// Besides, a set of the usable keys alone, each as it was published, to be kept: what else was published, a
    /// private key by mistake or a symmetric one, is not written down.
    pub(super) fn parse_with_copy(bytes: &[u8]) -> Result<(Self, Vec<u8>), KeySetFault> {
        let document = Document::parse(bytes, &Limits::SERVER).map_err(|_| KeySetFault::Json)?;
        let list = document.root().get("keys").ok_or(KeySetFault::Shape)?;
        if !list.raw().starts_with('[') {
            return Err(KeySetFault::Shape);
        }
        if list.elements().count() > MAX_KEYS {
            return Err(KeySetFault::TooMany);
        }
        let mut found: Vec<(Key, &str)> =
            list.elements().filter_map(|jwk| Key::parse(jwk).map(|key| (key, jwk.raw()))).collect();
        // Two keys of one name: neither can be told to be the one meant.
        let ids: Vec<Option<String>> = found.iter().map(|(key, _)| key.id.clone()).collect();
        found.retain(|(key, _)| key.id.is_none() || ids.iter().filter(|id| **id == key.id).count() == 1);
        if found.is_empty() {
            return Err(KeySetFault::NoneUsable);
        }
        let (keys, texts): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Ok((Self { keys }, format!("{{\"keys\":[{}]}}", texts.join(",")).into_bytes()))
    }

    /// The set of one Ed25519 key.
    pub(super) fn of_ed25519(id: &str, public: &[u8; 32]) -> Self {
        Self { keys: vec![Key::ed25519(Some(id.to_owned()), Some(Algorithm::EdDSA), public)] }
    }

    /// The one key that a token can mean.
    pub(super) fn select(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Chosen<'_>, KeyFault> {
        let key = match id {
            Some(id) => {
                self.keys.iter().find(|key| key.id.as_deref() == Some(id)).ok_or(KeyFault::Unknown)?
            }
            None => match self.keys.as_slice() {
                [only] => only,
                _ => return Err(KeyFault::Ambiguous),
            },
        };
        if key.kind.fits(algorithm) && key.algorithm.is_none_or(|only| only == algorithm) {
            Ok(Chosen { key, algorithm })
        } else {
            Err(KeyFault::Mismatch)
        }
    }

    /// Whether every key of `earlier` is still here, unchanged.
    pub(super) fn keeps_all_of(&self, earlier: &Self) -> bool {
        earlier.keys.iter().all(|key| self.holds(&key.fingerprint))
    }

    /// Whether it has this very key.
    pub(super) fn holds(&self, key: &Fingerprint) -> bool {
        self.keys.iter().any(|held| held.fingerprint == *key)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// A key and the algorithm to check with; they agree.
pub(super) struct Chosen<'k> {
    key: &'k Key,
    algorithm: Algorithm,
}

impl Chosen<'_> {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.key.fingerprint
    }

    /// Whether the signature, in base64url, is this key's over `signed`.
    pub(super) fn verifies(&self, signed: &str, signature: &str) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::RS384 => jsonwebtoken::Algorithm::RS384,
            Algorithm::RS512 => jsonwebtoken::Algorithm::RS512,
            Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::PS384 => jsonwebtoken::Algorithm::PS384,
            Algorithm::PS512 => jsonwebtoken::Algorithm::PS512,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
            Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        };
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key.decoding, algorithm)
            .unwrap_or(false)
    }
}

impl KeyKind {
    fn fits(self, algorithm: Algorithm) -> bool {
        let needed = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Self::Rsa,
            Algorithm::ES256 => Self::P256,
            Algorithm::ES384 => Self::P384,
            Algorithm::EdDSA => Self::Ed25519,
        };
        self == needed
    }
}

impl Key {
    /// None where it is not a public signature key that is strong enough.
    fn parse(jwk: Value<'_>) -> Option<Self> {
        let text =
            |name: &str| jwk.get(name).map(|value| value.as_string().map(std::borrow::Cow::into_owned));
        // A member that is there must be a string.
        let optional = |name: &str| text(name).map_or(Some(None), |value| value.map(Some));
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)??).ok();
        if PRIVATE.iter().any(|name| jwk.get(name).is_some())
            || optional("use")?.is_some_and(|used| used != "sig")
        {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops") {
            let verify = |operation: Value<'_>| operation.as_string().is_some_and(|name| name == "verify");
            if !operations.elements().any(verify) {
                return None;
            }
        }
        let id = optional("kid")?;
        let algorithm = match optional("alg")? {
            None => None,
            Some(name) => Some(algorithm_named(&name)?),
        };
        let key = match (text("kty")??.as_str(), optional("crv")?.as_deref()) {
            ("RSA", None) => Self::rsa(id, algorithm, &bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => Self::ec(id, algorithm, KeyKind::P256, 32, &bytes("x")?, &bytes("y")?)?,
            ("EC", Some("P-384")) => Self::ec(id, algorithm, KeyKind::P384, 48, &bytes("x")?, &bytes("y")?)?,
            ("OKP", Some("Ed25519")) => {
                let public: [u8; 32] = bytes("x")?.try_into().ok()?;
                if is_small_order(public) {
                    return None;
                }
                Self::ed25519(id, algorithm, &public)
            }
            _ => return None,
        };
        let agrees = key.algorithm.is_none_or(|algorithm| key.kind.fits(algorithm));
        agrees.then_some(key)
    }

    fn rsa(id: Option<String>, algorithm: Option<Algorithm>, n: &[u8], e: &[u8]) -> Option<Self> {
        let n = strip_zeros(n);
        let e = strip_zeros(e);
        let first_bit_set = n.first().is_some_and(|byte| *byte >= 0x80);
        let odd = n.last().is_some_and(|byte| byte % 2 == 1);
        if !RSA_MODULUS.contains(&n.len()) || !odd || (n.len() == *RSA_MODULUS.start() && !first_bit_set) {
            return None;
        }
        if e.len() > 8 {
            return None;
        }
        let exponent = e.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        if !(RSA_LEAST_EXPONENT..=RSA_MOST_EXPONENT).contains(&exponent) || exponent % 2 == 0 {
            return None;
        }
        let decoding = DecodingKey::from_rsa_raw_components(n, e);
        Some(Self::new(id, KeyKind::Rsa, algorithm, &[n, e], decoding))
    }

    fn ec(
        id: Option<String>,
        algorithm: Option<Algorithm>,
        kind: KeyKind,
        length: usize,
        x: &[u8],
        y: &[u8],
    ) -> Option<Self> {
        if x.len() != length || y.len() != length {
            return None;
        }
        // Uncompressed point (SEC 1 section 2.3.3). Whether it is on the curve is checked with each signature.
        let point = [&[4], x, y].concat();
        Some(Self::new(id, kind, algorithm, &[x, y], DecodingKey::from_ec_der(&point)))
    }

    fn ed25519(id: Option<String>, algorithm: Option<Algorithm>, public: &[u8; 32]) -> Self {
        Self::new(id, KeyKind::Ed25519, algorithm, &[public], DecodingKey::from_ed_der(public))
    }

    fn new(
        id: Option<String>,
        kind: KeyKind,
        algorithm: Option<Algorithm>,
        material: &[&[u8]],
        decoding: DecodingKey,
    ) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(format!("{kind:?} {algorithm:?} {id:?}").as_bytes());
        for part in material {
            hash.update(&part.len().to_be_bytes());
            hash.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        Self { id, kind, algorithm, fingerprint: Fingerprint(fingerprint), decoding }
    }
}

fn strip_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn is_small_order(mut public: [u8; 32]) -> bool {
    let [.., last] = &mut public;
    *last &= 0x7f;
    SMALL_ORDER.contains(&public)
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
