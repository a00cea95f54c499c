//! The installation's keys: made at random at the first start, kept with mode 0600, refused if others may read them.
//! There is no default key and no way to give a weak one.

use std::path::Path;

use aws_lc_rs::{
    constant_time,
    rand::{SecureRandom as _, SystemRandom},
};
use narrows_gateway::identity::Issuer;

use crate::{
    data_dir::{DataDir, Kind, check_private, write_private},
    failure::Failure,
};

/// An Ed25519 private key as PKCS#8 PEM. Neither printed nor logged.
pub(crate) struct PrivatePem(String);

impl PrivatePem {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// 32 random bytes. Neither printed nor logged.
pub(crate) struct SymmetricKey([u8; 32]);

impl SymmetricKey {
    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

/// All keys of an installation.
pub(crate) struct Keys {
    /// Signs the built-in issuer's tokens.
    pub(crate) token_signing: PrivatePem,
    /// Signs the log's checkpoints.
    pub(crate) log_signing: PrivatePem,
    /// Seals session handles and cursors.
    pub(crate) handles: SymmetricKey,
    /// Keys the digests of arguments in the log.
    pub(crate) digest: SymmetricKey,
}

impl Keys {
    /// Reads the keys, and makes those that are missing.
    pub(crate) fn load_or_create(data_dir: &DataDir) -> Result<Self, Failure> {
        let at = |name: &str| data_dir.keys().join(name);
        for name in [TOKEN_SIGNING, LOG_SIGNING] {
            if !at(name).exists() {
                let key = Issuer::generate_key().map_err(|error| Failure::from_error(&error))?;
                write_private(&at(name), key.expose().as_bytes())?;
            }
        }
        for name in [HANDLES, DIGEST] {
            if !at(name).exists() {
                write_private(&at(name), &random::<32>()?)?;
            }
        }
        Ok(Self {
            token_signing: pem(&at(TOKEN_SIGNING))?,
            log_signing: pem(&at(LOG_SIGNING))?,
            handles: symmetric(&at(HANDLES))?,
            digest: symmetric(&at(DIGEST))?,
        })
    }

    /// Reads the key of the built-in issuer alone.
    pub(crate) fn token_signing(data_dir: &DataDir) -> Result<PrivatePem, Failure> {
        pem(&data_dir.keys().join(TOKEN_SIGNING))
    }

    /// Reads the key of the log alone.
    pub(crate) fn log_signing(data_dir: &DataDir) -> Result<PrivatePem, Failure> {
        pem(&data_dir.keys().join(LOG_SIGNING))
    }
}

/// What a command shows to `up` that it may read the keys: made anew at each start. A server's process that is shut in reaches
/// the socket, for the kernel does not shut it off by path, but not this.
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// Makes a new one, which commands can read from now on.
    pub(crate) fn create(data_dir: &DataDir) -> Result<Self, Failure> {
        use std::fmt::Write as _;
        let key = random::<32>()?.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        write_private(&data_dir.keys().join(API), key.as_bytes())?;
        Ok(Self(key))
    }

    /// That of the `up` that runs.
    pub(crate) fn of_running(data_dir: &DataDir) -> Result<Self, Failure> {
        let text = String::from_utf8(read(&data_dir.keys().join(API))?);
        text.map(Self).map_err(|_| damaged(&data_dir.keys().join(API)))
    }

    /// As the value of `Authorization`.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether this value of `Authorization` shows it.
    pub(crate) fn is_shown_by(&self, value: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(self.header().as_bytes(), value).is_ok()
    }
}

const API: &str = "api.key";
const TOKEN_SIGNING: &str = "token-signing.pem";
const LOG_SIGNING: &str = "log-signing.pem";
const HANDLES: &str = "handles.key";
const DIGEST: &str = "digest.key";

/// The public keys of Ed25519 keys that everybody has: RFC 8032 section 7.1, whose first is also that of RFC 8037
/// appendix A.1, and those whose seeds are what one gets without choosing: 32 bytes of 0, 1 or 255, and 32 that count
/// up from 0 or from 1.
const PUBLISHED: [&str; 10] = [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
    "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
    "76a1592044a6e4f511265bca73a604d90b0529d1df602be30a19a9257660d1f5",
    "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
    "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664",
];

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::new("the operating system gave no random bytes"))?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if !path.exists() {
        return Err(Failure::new(format!("there is no key `{}`", path.display())).hint(
            "`narrows up` makes it at its first start; `--data-dir DIR` names another data directory",
        ));
    }
    check_private(path, Kind::File)?;
    std::fs::read(path).map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}

fn pem(path: &Path) -> Result<PrivatePem, Failure> {
    let text = String::from_utf8(read(path)?).map_err(|_| damaged(path))?;
    // Any key of the kind will do to see that the file holds one.
    let key = Issuer::load(&text, "", "").map_err(|_| damaged(path))?;
    if PUBLISHED.contains(&hex(&key.public().public_key).as_str()) {
        return Err(known(path));
    }
    Ok(PrivatePem(text))
}

fn symmetric(path: &Path) -> Result<SymmetricKey, Failure> {
    let bytes: [u8; 32] = read(path)?.try_into().map_err(|_| damaged(path))?;
    if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
        return Err(damaged(path));
    }
    // A phrase, not random bytes: of those, one in 10^13 is all text.
    if bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return Err(known(path));
    }
    Ok(SymmetricKey(bytes))
}

fn known(path: &Path) -> Failure {
    Failure::new(format!(
        "`{}` is not a secret: it is a published key, or text and not random bytes",
        path.display()
    ))
    .hint("delete it: a new one is made, and what the old one signed or sealed ends")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn damaged(path: &Path) -> Failure {
    Failure::new(format!("`{}` is not a key", path.display()))
        .hint("restore it from a backup; or delete it: a new one is made, and what the old one signed or sealed ends")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let outer = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open_or_create(outer.path().join("data")).unwrap();
        let first = Keys::load_or_create(&data_dir).unwrap();
        let again = Keys::load_or_create(&data_dir).unwrap();
        assert_eq!(first.token_signing.as_str(), again.token_signing.as_str());
        assert_eq!(first.handles.bytes(), again.handles.bytes());
        assert_ne!(first.handles.bytes(), first.digest.bytes());
        assert_ne!(first.token_signing.as_str(), first.log_signing.as_str());
        for entry in std::fs::read_dir(data_dir.keys()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
    }

    #[test]
    fn an_open_or_damaged_key_is_refused() {
        let check = |name: &str, change: &dyn Fn(&Path), expected: &str| {
            let outer = tempfile::tempdir().unwrap();
            let data_dir = DataDir::open_or_create(outer.path().join("data")).unwrap();
            Keys::load_or_create(&data_dir).unwrap();
            let path = data_dir.keys().join(name);
            change(&path);
            let said =
                Keys::load_or_create(&data_dir).err().map(|failure| failure.to_string()).unwrap_or_default();
            assert!(said.contains(expected), "{name}: {said}");
        };
        let set_mode = |mode| {
            move |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        check(TOKEN_SIGNING, &set_mode(0o644), "its mode is 0644");
        check(HANDLES, &set_mode(0o640), "its mode is 0640");
        check(HANDLES, &|path| std::fs::write(path, [0; 32]).unwrap(), "is not a key");
        check(DIGEST, &|path| std::fs::write(path, [1; 31]).unwrap(), "is not a key");
        let phrase = "change-me-change-me-change-me-32";
        check(HANDLES, &|path| std::fs::write(path, phrase).unwrap(), "is not a secret");
        check(DIGEST, &|path| std::fs::write(path, "0123456789abcdef".repeat(2)).unwrap(), "is not a secret");
        // RFC 8037, appendix A.1.
        let published = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        for name in [TOKEN_SIGNING, LOG_SIGNING] {
            check(name, &|path| std::fs::write(path, published).unwrap(), "is not a secret");
        }
        check(LOG_SIGNING, &|path| std::fs::write(path, "hello").unwrap(), "is not a key");
        check(
            LOG_SIGNING,
            &|path| {
                std::fs::rename(path, path.with_extension("away")).unwrap();
                std::os::unix::fs::symlink(path.with_extension("away"), path).unwrap();
            },
            "is not an ordinary file",
        );
    }

    #[test]
    fn every_published_key_is_known() {
        let bytes = |text: &str| {
            let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<u8>>()
        };
        // RFC 8032 section 7.1, in its order.
        let mut seeds: Vec<Vec<u8>> = [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        ]
        .map(bytes)
        .into();
        seeds.extend([0, 1, 255].map(|byte| vec![byte; 32]));
        seeds.extend([0, 1].map(|first| (first..first + 32).collect()));
        let public = seeds.iter().map(|seed| {
            let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
            hex(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref())
        });
        assert_eq!(public.collect::<Vec<_>>(), PUBLISHED);
    }
}
