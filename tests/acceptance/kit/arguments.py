"""What parts read from their command lines alike."""

import argparse


def positive(text):
    """A type of argument: a whole number of which there is at least one, for without one nothing would be tested."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number from 1")
    return int(text)
