"""What strangers wrote, before it reaches a terminal: a name, a server's words, the text of a file."""


def printable(text: object) -> str:
    """The text in one line, with escapes in place of what a terminal would act on: control characters, line ends, marks
    that turn the direction of writing, bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
