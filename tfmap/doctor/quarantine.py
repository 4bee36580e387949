"""The quarantine list: which pictures `datasets.load(exclude=…)` shall leave out, and why."""

from __future__ import annotations

from tfmap.doctor.findings import KINDS, Findings

_HEAD = """# Pictures that tfmap.doctor would leave out of {source}, one id (path) per line.
# Nothing was moved or changed. Take out the lines that you do not agree with, then load with datasets.exclude=FILE.
# On the list:
"""


def text(found: Findings) -> str:
    """The list as a text file: the rules, then the pictures under their reasons."""
    rules = "".join(f"#   {kind.name}: {kind.rule}\n" for kind in KINDS if kind.rule)
    lines = [_HEAD.format(source=found.source), rules]
    reasons: dict[str, list[str]] = {}
    for name, reason in found.quarantine().items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in sorted(reasons.items()):
        lines.append(f"\n# {reason}: {len(names)}\n" + "".join(f"{name}\n" for name in names))
    return "".join(lines)
