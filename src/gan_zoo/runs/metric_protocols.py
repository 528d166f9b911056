"""Scores of several runs that may stand side by side: those with the same protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

Entry = dict[str, Any]
"""A score as ``metrics.json`` has it: ``name``, ``value`` and ``protocol``."""

IGNORED_KEYS = frozenset({"data", "ema", "images_seen", "seed", "warning", "world_size"})
"""What runs are compared for, and what does not move a score."""

REPORTED_KEYS = frozenset(
    {
        "accuracy_on_real",
        "chance",
        "fewest_in_a_class",
        "judge_accuracy_on_real",
        "judge_on_real_held_out",
        "of_class",
    }
)
"""What a protocol reports rather than sets: it may differ between runs that were scored in the same
way.
"""

MAX_LABEL_CHARS = 24
"""Characters of a value in a label: enough of a hash."""


def varying_protocol_keys(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """For each score the parts of its protocol in which entries on the same data differ."""
    # Protocols of each score on each dataset.
    grouped: dict[tuple[str, Any], list[Entry]] = {}
    for entry in entries:
        grouped.setdefault((entry["name"], entry["protocol"].get("data")), []).append(
            entry["protocol"]
        )

    # Parts that have several values within a group.
    parts: dict[str, list[str]] = {}
    for (name, _), protocols in grouped.items():
        keys = dict.fromkeys(
            key
            for protocol in protocols
            for key in protocol
            if key not in IGNORED_KEYS | REPORTED_KEYS
        )
        values = {key: {json.dumps(protocol.get(key)) for protocol in protocols} for key in keys}
        parts[name] = list(
            dict.fromkeys([*parts.get(name, []), *(key for key in keys if len(values[key]) > 1)])
        )
    return parts


def labels(runs: Sequence[Sequence[Entry]]) -> list[list[str]]:
    """For every entry of every run what to call its column: its name, and in brackets what sets its
    protocol apart.
    """
    parts = varying_protocol_keys(entry for entries in runs for entry in entries)

    def label(entry: Entry) -> str:
        protocol = entry["protocol"]
        details = ", ".join(
            f"{key}={str(protocol[key])[:MAX_LABEL_CHARS]}"
            for key in parts[entry["name"]]
            if key in protocol
        )
        return f"{entry['name']} ({details})" if details else str(entry["name"])

    return [[label(entry) for entry in entries] for entries in runs]
