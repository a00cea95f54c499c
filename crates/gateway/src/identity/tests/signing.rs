//! Keys and tokens for tests, good and forged, made with aws-lc-rs and by hand.

use std::sync::OnceLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(&'static RsaKeyPair),
}

/// A key pair with a name.
pub(super) struct TestKey {
    id: String,
    algorithm: &'static str,
    pair: Pair,
}

/// Made once: it takes its time.
fn rsa_pair() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

impl TestKey {
    pub(super) fn es256(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id: id.to_owned(), algorithm: "ES256", pair: Pair::P256(pair) }
    }

    /// The key for any algorithm by its name.
    pub(super) fn of(algorithm: &'static str, id: &str) -> Self {
        let pair = match algorithm {
            "ES256" => return Self::es256(id),
            "ES384" => Pair::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            _ => Pair::Rsa(rsa_pair()),
        };
        Self { id: id.to_owned(), algorithm, pair }
    }

    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
            }
            Pair::P384(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-384", "x": b64(&point[1..49]), "y": b64(&point[49..]) })
            }
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()) }),
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
                let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
                json!({ "kty": "RSA", "n": b64(modulus), "e": b64(exponent) })
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm);
        jwk
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" })
    }

    pub(super) fn sign(&self, message: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match self.algorithm {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with the key's own header.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.raw(&self.header().to_string(), &claims.to_string())
    }

    /// A token with any header, signed all the same.
    pub(super) fn with_header(&self, header: &Value, claims: &Value) -> String {
        self.raw(&header.to_string(), &claims.to_string())
    }

    /// A token of any two texts, signed.
    pub(super) fn raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.sign(&signed));
        format!("{signed}.{signature}")
    }

    /// A signature in ASN.1, which JWS does not use.
    pub(super) fn token_with_asn1_signature(&self, claims: &Value) -> String {
        let pair = match &self.pair {
            Pair::P256(pair) => pair.to_pkcs8v1().unwrap(),
            Pair::P384(_) | Pair::Ed25519(_) | Pair::Rsa(_) => panic!("only for P-256"),
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref()).unwrap();
        let signed = format!("{}.{}", b64(self.header().to_string()), b64(claims.to_string()));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature))
    }
}

/// An unsigned or otherwise signed token.
pub(super) fn forged(header: &Value, claims: &Value, signature: &[u8]) -> String {
    format!("{}.{}.{}", b64(header.to_string()), b64(claims.to_string()), b64(signature))
}

/// A token "signed" with HMAC, the key being some public bytes.
pub(super) fn hmac_signed(algorithm: &str, id: &str, secret: &[u8], claims: &Value) -> String {
    let with = if algorithm == "HS384" { hmac::HMAC_SHA384 } else { hmac::HMAC_SHA256 };
    let signed =
        format!("{}.{}", b64(json!({ "alg": algorithm, "kid": id }).to_string()), b64(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(with, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}
