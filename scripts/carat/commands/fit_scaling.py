"""Predicts larger machines from what train scale --emulate tells and from what is assumed of them (docs/SCALING.md), with the 5th
and 95th percentile over the assumptions; and sets what was emulated beside what was measured, where both are there."""
import json
from typing import Any, Dict, List, Optional, Sequence

from ..errors import UsageError
from ..program import Parser, need, result
from ..scaling import options, records


def parser() -> Parser:
    p = Parser(description=__doc__)
    options.add(p)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p


def compared(found: records.Records) -> List[Dict[str, Any]]:
    """Of each measured configuration of one process that was emulated too: a step's median seconds, and the emulated ones."""
    import numpy as np
    rows = []
    for p in sorted(found.emulated, key=lambda p: (p["batch_size"], p["workers"])):
        own = [m["seconds_per_step"] for m in found.measurements
               if (m["batch_size"], m["workers"], m["ranks"]) == (p["batch_size"], p["workers"], 1)]
        if own:
            rows.append({"batch_size": p["batch_size"], "workers": p["workers"], "measured": float(np.median(own)),
                         "emulated": p["seconds_per_step"]})
    return rows


def report(found: Dict[str, Any]) -> None:
    result("| batch | workers | nodes | emulated, ms per step | speed-up | efficiency |\n|---|---|---|---|---|---|")
    for p in found["emulated"]:
        result(f"| {p['batch_size']} | {p['workers']} | {p['nodes']} | {1e3 * p['seconds_per_step']:.4g} | {p['speedup']:.1f} "
               f"| {100 * p['efficiency']:.0f} % |")
    if found["compared"]:
        result("\n| batch | workers | measured, ms per step | emulated | difference |\n|---|---|---|---|---|")
        for c in found["compared"]:
            result(f"| {c['batch_size']} | {c['workers']} | {1e3 * c['measured']:.4g} | {1e3 * c['emulated']:.4g} "
                   f"| {100 * (c['emulated'] / c['measured'] - 1):+.1f} % |")
    result("\n| batch | machines | workers | predicted, ms per step | speed-up | efficiency | samples per second | largest parts |")
    result("|---|---|---|---|---|---|---|---|")
    for p in found["predicted"]:
        largest = ", ".join(f"{name} {100 * share:.0f} %" for name, share in p["largest"])
        result(f"| {p['batch_size']} | {p['machines']} | {p['workers']} "
               f"| {1e3 * p['seconds']:.4g} ({1e3 * p['low']:.4g} to {1e3 * p['high']:.4g}) | {p['speedup']:.1f} "
               f"({p['speedup_range'][0]:.1f} to {p['speedup_range'][1]:.1f}) | {100 * p['speedup'] / p['workers']:.0f} % "
               f"| {p['batch_size'] / p['seconds']:.0f} | {largest} |")


def main(arguments: Optional[Sequence[str]]) -> None:
    a = parser().parse_args(arguments)
    need("numpy")
    from ..scaling import cost_model
    found = records.gather(a.records)
    if not found.emulated:
        raise UsageError("nothing was emulated: give the --output of train scale --emulate 1,… too")
    answer: Dict[str, Any] = {
        "machine": found.machine, "assumed": cost_model.ASSUMED, "compared": compared(found), "predicted": [],
        "emulated": sorted(found.emulated, key=lambda p: (p["batch_size"], p["workers"]))}
    for batch in options.batches(a.batches, found.emulated):
        try:
            predictions = cost_model.predictions(found.emulated, batch, a.nodes, a.cores, a.machines, a.samples)
        except LookupError as error:
            raise UsageError(f"{error.args[0]} was not emulated: give train scale --batch-size {batch} --emulate 1,…") from None
        for p in predictions:
            (low, high), (speedup, *range_) = p.spread(), p.speedup(predictions[0])
            is_one = p is predictions[0]
            answer["predicted"].append({
                "batch_size": batch, "machines": p.machine.machines, "workers": 1 if is_one else p.machine.workers,
                "emulated_workers": p.point["workers"], "seconds": p.seconds, "low": low, "high": high, "speedup": speedup,
                "speedup_range": range_, "largest": p.largest(), "parts": p.parts})
    result(json.dumps(answer)) if a.json else report(answer)
