"""What the programs here read from their command lines alike."""

import argparse


def listed(known):
    """A type of argument: some of these words, with commas. One that is none of them is refused."""
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(known)}")
        return [name for name in known if name in names]
    return parse


def positive(text):
    """A type of argument: a whole number of which there is at least one, for without one nothing would be measured."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number from 1")
    return int(text)
