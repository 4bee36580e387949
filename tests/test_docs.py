"""The docs say what the code does. `python -m tests.test_docs` writes the table of ops."""

from __future__ import annotations

import re
from pathlib import Path

from tfmap import augment, signatures

DOCS = Path(__file__).parents[1] / "docs"
FIRST, LAST = "<!-- ops: python -m tests.test_docs writes them -->\n", "<!-- /ops -->\n"


def ops() -> str:
    """The table of ops, as the docs hold it."""
    rows = (line.partition(": ") for line in augment.known_ops().values())
    return "| op | what it does |\n|---|---|\n" + "".join(f"| `{usage}` | {does} |\n" for usage, _, does in rows)


def test_every_op_is_in_the_docs():
    text = (DOCS / "augmentation.md").read_text(encoding="utf-8")
    assert text.partition(FIRST)[2].partition(LAST)[0] == ops()


def test_the_docs_name_keys_that_there_are():
    for file in DOCS.glob("*.md"):
        for section, key in re.findall(r"`(\w+)\.(\w+)=", file.read_text(encoding="utf-8")):
            assert key in signatures.keys(section), f"{file.name}: {section}.{key}"


if __name__ == "__main__":
    page = DOCS / "augmentation.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(FIRST)
    page.write_text(head + FIRST + ops() + LAST + rest.partition(LAST)[2], encoding="utf-8")
