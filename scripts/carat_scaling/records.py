"""What `train scale` writes: scaling.jsonl, one JSON object a line."""
import json
import os
from typing import Any, Dict, List, NamedTuple

from carat_formats.errors import FormatError


class Records(NamedTuple):
    machine: Dict[str, Any]
    measurements: List[Dict[str, Any]]
    summaries: List[Dict[str, Any]]


def read(path: str) -> Records:
    """Reads a scaling.jsonl, or that of a directory."""
    if os.path.isdir(path):
        path = os.path.join(path, "scaling.jsonl")
    found: Dict[str, List[Dict[str, Any]]] = {"machine": [], "measurement": [], "summary": []}
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                    found[record["event"]].append(record)
                except (ValueError, KeyError, TypeError):
                    raise FormatError(path, "one record of train scale a line", f"line {number}: {line.strip()[:80]}",
                                      "give a scaling.jsonl that train scale wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(path, "a file to read", getattr(error, "strerror", None) or str(error),
                          "give the --output of train scale") from None
    if not found["measurement"]:
        raise FormatError(path, "measurements", "none", "let train scale finish at least one")
    return Records((found["machine"] or [{}])[0], found["measurement"], found["summary"])
