//! A token's claims, judged. Pure: the clock is an argument, and the signature was checked before.
//!
//! A claim is present and of the right form, or the token is refused; a malformed claim never counts as an absent
//! one (CVE-2026-25537).

use std::{borrow::Cow, sync::Arc};

use narrows_core::{
    principal::{Principal, PrincipalKind, SERVICE_ACCOUNT_PREFIX},
    resource::MultipleAudiences,
};
use narrows_mcp::json::{Kind, Value};

use super::{
    ClaimFault,
    revocation::TokenNames,
    trust::{Rules, ServiceAccounts},
};

/// How far clocks may differ, in seconds.
pub(super) const LEEWAY: i64 = 30;
/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;
/// Longest subject, group or client, in characters.
const MAX_NAME: usize = 255;
const MAX_GROUPS: usize = 256;
const MAX_AUDIENCES: usize = 64;
/// Deepest `act` chain.
const MAX_ACTORS: usize = 8;

/// What a token says, checked.
pub(super) struct Claims {
    pub(super) principal: Principal,
    pub(super) names: TokenNames,
    pub(super) audience: Audience,
    /// `exp`, in seconds.
    pub(super) expires: i64,
    /// The later of `nbf` and `iat`, in seconds; the least number if it has neither.
    pub(super) valid_from: i64,
}

/// Whom a token is meant for, sorted by what is known without the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Audience {
    /// Whether it names one of the provider's configured audiences.
    ours: bool,
    /// The others, which must be this endpoint.
    others: Vec<Box<str>>,
    multiple: MultipleAudiences,
}

impl Audience {
    /// Whether the token is meant for the endpoint with this canonical URI (RFC 8707).
    pub(super) fn check(&self, resource: &str) -> Result<(), ClaimFault> {
        let named = self.others.iter().any(|other| other.as_ref() == resource);
        let only_us = self.others.iter().all(|other| other.as_ref() == resource);
        match (self.ours || named, only_us, self.multiple) {
            (false, _, _) => Err(ClaimFault::AudienceForeign),
            (true, true, _) | (true, false, MultipleAudiences::Accept) => Ok(()),
            (true, false, MultipleAudiences::Refuse) => Err(ClaimFault::AudienceMultiple),
        }
    }
}

/// Judges all claims but two: `iss`, by which the rules were chosen, and the audience's fit to an endpoint, which
/// [`Audience::check`] does. `now` in seconds.
pub(super) fn judge(claims: Value<'_>, rules: &Rules, now: i64) -> Result<Claims, ClaimFault> {
    refuse_other_tokens(claims)?;
    let audience = audience(claims, rules)?;
    let (expires, valid_from, issued_at) = times(claims, rules, now)?;
    check_client(claims, rules)?;
    // Required by RFC 9068 and OpenID Connect even where another claim is the subject.
    name(claims.get("sub"), ClaimFault::Subject)?;
    let subject = name(claims.get(&rules.subject_claim), ClaimFault::Subject)?.into_owned();
    let (kind, local) = match (rules.accounts, subject.strip_prefix(SERVICE_ACCOUNT_PREFIX)) {
        (ServiceAccounts::ByPrefix, Some("")) => return Err(ClaimFault::Subject),
        (ServiceAccounts::ByPrefix, Some(account)) => (PrincipalKind::ServiceAccount, account),
        (ServiceAccounts::ByPrefix, None) | (ServiceAccounts::None, _) => {
            (PrincipalKind::User, subject.as_str())
        }
    };
    let token_id = match claims.get("jti") {
        None => None,
        Some(value) => Some(name(Some(value), ClaimFault::Malformed)?.into_owned()),
    };
    Ok(Claims {
        principal: Principal {
            kind,
            provider: rules.provider.clone(),
            issuer: Arc::clone(&rules.issuer),
            subject: local.into(),
            agent: actors(claims.get("act"))?,
            groups: groups(claims.get(&rules.groups_claim))?,
        },
        names: TokenNames { issuer: Arc::clone(&rules.issuer), subject, token_id, issued_at },
        audience,
        expires,
        valid_from,
    })
}

/// Tokens of the same issuer that are not access tokens, as OpenID Connect, its logout and common providers mark
/// them, and tokens that are worth nothing without a proof that we don't ask for (RFC 7800).
fn refuse_other_tokens(claims: Value<'_>) -> Result<(), ClaimFault> {
    if claims.get("cnf").is_some() {
        return Err(ClaimFault::Bound);
    }
    let marked = ["at_hash", "c_hash", "s_hash", "events"].iter().any(|name| claims.get(name).is_some());
    let called = |name: &str, others: &[&str]| {
        let value = claims.get(name).and_then(Value::as_string);
        value.is_some_and(|value| others.iter().any(|other| value.eq_ignore_ascii_case(other)))
    };
    if marked
        || called("typ", &["id", "refresh", "offline", "logout"])
        || called("token_use", &["id", "refresh"])
    {
        return Err(ClaimFault::NotAccessToken);
    }
    Ok(())
}

fn audience(claims: Value<'_>, rules: &Rules) -> Result<Audience, ClaimFault> {
    let value = claims.get("aud").ok_or(ClaimFault::Audience)?;
    let named: Vec<Cow<'_, str>> = match value.kind() {
        Kind::String => value.as_string().into_iter().collect(),
        Kind::Array => {
            value.elements().map(Value::as_string).collect::<Option<_>>().ok_or(ClaimFault::Audience)?
        }
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => return Err(ClaimFault::Audience),
    };
    if named.is_empty() || named.len() > MAX_AUDIENCES || named.iter().any(|one| one.is_empty()) {
        return Err(ClaimFault::Audience);
    }
    let is_ours = |one: &Cow<'_, str>| rules.audiences.iter().any(|ours| *ours == **one);
    Ok(Audience {
        ours: named.iter().any(is_ours),
        others: named.iter().filter(|one| !is_ours(one)).map(|one| one.as_ref().into()).collect(),
        multiple: rules.multiple,
    })
}

/// `exp`, the time from which it is valid, and `iat`.
fn times(claims: Value<'_>, rules: &Rules, now: i64) -> Result<(i64, i64, Option<i64>), ClaimFault> {
    let expires = second(claims.get("exp").ok_or(ClaimFault::Expiry)?).ok_or(ClaimFault::Expiry)?;
    let optional = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => second(value).map(Some).ok_or(ClaimFault::Time),
    };
    let not_before = optional("nbf")?;
    let issued_at = optional("iat")?;
    if expires.saturating_add(LEEWAY) <= now {
        return Err(ClaimFault::Expired);
    }
    let latest = now.saturating_add(LEEWAY);
    if not_before.is_some_and(|time| time > latest) {
        return Err(ClaimFault::NotYetValid);
    }
    if issued_at.is_some_and(|time| time > latest) {
        return Err(ClaimFault::IssuedInFuture);
    }
    // Without `iat`, what is left of it stands for all of it.
    let lifetime = expires.saturating_sub(issued_at.unwrap_or(now));
    if lifetime > rules.max_lifetime {
        return Err(ClaimFault::Lifetime);
    }
    Ok((expires, not_before.max(issued_at).unwrap_or(i64::MIN), issued_at))
}

/// A `NumericDate` without fraction.
fn second(value: Value<'_>) -> Option<i64> {
    value.as_i64().filter(|time| (0..=LAST_SECOND).contains(time))
}

fn check_client(claims: Value<'_>, rules: &Rules) -> Result<(), ClaimFault> {
    if rules.client_ids.is_empty() {
        return Ok(());
    }
    let mut named = ["client_id", "azp"].iter().filter_map(|name| claims.get(name)).peekable();
    if named.peek().is_none() {
        return Err(ClaimFault::Client);
    }
    let accepted = |value: Value<'_>| {
        value.as_string().is_some_and(|client| rules.client_ids.iter().any(|accepted| *accepted == *client))
    };
    if named.all(accepted) { Ok(()) } else { Err(ClaimFault::Client) }
}

/// Sorted, each once. One text is one group.
fn groups(value: Option<Value<'_>>) -> Result<Arc<[Arc<str>]>, ClaimFault> {
    let Some(value) = value else { return Ok(Arc::default()) };
    let mut groups: Vec<Arc<str>> = match value.kind() {
        Kind::String => vec![name(Some(value), ClaimFault::Groups)?.into()],
        Kind::Array => {
            let mut groups = Vec::new();
            for element in value.elements() {
                if groups.len() == MAX_GROUPS {
                    return Err(ClaimFault::Groups);
                }
                groups.push(name(Some(element), ClaimFault::Groups)?.into());
            }
            groups
        }
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => return Err(ClaimFault::Groups),
    };
    groups.sort_unstable();
    groups.dedup();
    Ok(groups.into())
}

/// The `act` chain (RFC 8693 section 4.1), read from the innermost outwards, joined with `, `. It is recorded and
/// never grants anything: what is allowed follows `sub` alone.
fn actors(value: Option<Value<'_>>) -> Result<Option<Arc<str>>, ClaimFault> {
    let mut chain = Vec::new();
    let mut next = value;
    while let Some(actor) = next {
        if actor.kind() != Kind::Object || chain.len() == MAX_ACTORS {
            return Err(ClaimFault::Actor);
        }
        chain.push(name(actor.get("sub"), ClaimFault::Actor)?);
        next = actor.get("act");
    }
    chain.reverse();
    Ok((!chain.is_empty()).then(|| chain.join(", ").into()))
}

/// A text that can stand in a record and be compared: 1 to 255 characters, none of them a control, and none that
/// changes how the text around it looks.
fn name(value: Option<Value<'_>>, fault: ClaimFault) -> Result<Cow<'_, str>, ClaimFault> {
    let text = value.and_then(Value::as_string).ok_or(fault)?;
    let length = text.chars().take(MAX_NAME + 1).count();
    if (1..=MAX_NAME).contains(&length) && !text.chars().any(is_deceptive) { Ok(text) } else { Err(fault) }
}

/// Controls, line separators, bidirectional formatting, invisible and tag characters.
pub(super) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
