"""What a token costs when it is first used, and afterwards: the signature has to be checked once."""

import http.client
import urllib.parse

from . import machine

# In one turn. A turn is of new tokens, of the same tokens again, and of one token all the time.
TOKENS = 1500


def measure(subject, case, issuer, rounds):
    """CPU time of a call in µs, for each round: with a new token, with it again, and with one token always."""
    new, again, same = [], [], []
    one = issuer.token("alice")
    for number in range(rounds):
        tokens = [issuer.token(f"user{number}-{count}") for count in range(TOKENS)]
        new.append(turn(subject, case, tokens))
        again.append(turn(subject, case, tokens))
        same.append(turn(subject, case, [one] * TOKENS))
    return new, again, same


def turn(subject, case, tokens):
    parts = urllib.parse.urlsplit(subject.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    before = machine.cpu_seconds(subject.pid)
    for token in tokens:
        connection.request("POST", parts.path, case.body, {**case.headers, "Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        kind = (response.getheader("Content-Type") or "").partition(";")[0]
        if not case.fits(response.status, kind, response.read().decode()):
            raise SystemExit(f"error: a token was not accepted: {response.status}")
    connection.close()
    return (machine.cpu_seconds(subject.pid) - before) * 1e6 / len(tokens)
