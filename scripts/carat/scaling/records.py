"""What `train scale` writes: scaling.jsonl, one JSON object a line."""
import json
import os
from typing import Any, Dict, List, NamedTuple, Sequence

from ..errors import FormatError, UsageError

Record = Dict[str, Any]


class Records(NamedTuple):
    machine: Record
    measurements: List[Record]
    emulated: List[Record]


def read(path: str) -> Records:
    """Reads a scaling.jsonl, or that of a directory."""
    if os.path.isdir(path):
        path = os.path.join(path, "scaling.jsonl")
    found: Dict[str, List[Record]] = {"machine": [], "measurement": [], "emulated": [], "summary": []}
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
    if not found["measurement"] and not found["emulated"]:
        raise FormatError(path, "measurements, or an emulated machine", "none", "let train scale finish at least one")
    return Records((found["machine"] or [{}])[0], found["measurement"], found["emulated"])


def gather(paths: Sequence[str]) -> Records:
    """Those of several files, of one machine and model only."""
    all_records = [read(path) for path in paths]
    machines = {(r.machine.get("cpu_model"), r.machine.get("kernel")) for r in all_records}
    if len(machines) > 1:
        raise UsageError(f"records of {len(machines)} machines can't be taken together: give those of one")
    measurements = [m for r in all_records for m in r.measurements]
    emulated = [p for r in all_records for p in r.emulated]
    if len({m["gradient_bytes"] for m in measurements} | {p["bytes"]["gradients"] for p in emulated}) > 1:
        raise UsageError("records of models of several sizes can't be taken together: give those of one")
    return Records(all_records[0].machine, measurements, emulated)
