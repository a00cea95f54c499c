"""The bad tokens. Each differs from a good one in one thing, and says for which reason it has to be refused, so that
none is refused by accident."""

import itertools

import bad_claims
import bad_headers

PARTS = (
    bad_headers.algorithms,
    bad_headers.signatures,
    bad_headers.key_names,
    bad_headers.weak_keys,
    bad_headers.headers,
    bad_claims.form,
    bad_claims.times,
    bad_claims.audiences,
    bad_claims.issuers,
    bad_claims.subjects,
    bad_claims.other_claims,
    bad_claims.kinds,
    bad_claims.duplicates,
    bad_claims.nesting,
)


def bad(world, builtin):
    """Every bad token that fits into a request. `builtin` is a good token of the built-in issuer."""
    parts = (part(world) for part in PARTS)
    return [*itertools.chain.from_iterable(parts), *bad_claims.of_builtin(world, builtin)]


def large(world):
    """Those that are too long: what refuses them depends on how long they are."""
    return list(bad_claims.large(world))
