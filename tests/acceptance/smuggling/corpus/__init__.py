"""The corpus, by class. The same cases in the same order in every run; nothing in it is random."""

from . import headers, http1, http2, meaning, members, text, values

# Bodies that are in question by themselves.
BODIES = [
    members.repeated,
    members.folded,
    members.magic,
    members.controls,
    text.encodings,
    text.surroundings,
    text.syntax,
    text.lines,
    values.numbers,
    values.ids,
    values.types,
    values.sizes,
    meaning.legal,
]
# Bodies and heads that any connection can carry.
ANYWHERE = [
    *BODIES,
    meaning.methods,
    meaning.names,
    meaning.batches,
    meaning.responses,
    headers.disagreeing,
    headers.parameters,
    headers.content,
]
# What only one version of HTTP can say.
HTTP1 = [http1.lengths, http1.chunks, http1.heads, http1.targets]
HTTP2 = [http2.fields_and_names, http2.bodies]


def groups():
    """Cases by class, in order."""
    for make in [*ANYWHERE, *HTTP1, *HTTP2]:
        cases = make()
        yield cases[0].group, cases
