"""Connections that send what no library would."""


def octets(text):
    """Latin-1, so that any byte can be written; UTF-8 where that can't."""
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
