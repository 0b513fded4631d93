"""scripts/fit-scaling and plot-scaling, and the cost model behind them, on records made up here."""
import json
import os
import unittest

import numpy as np
from carat.scaling import cost_model
from support import FileTestCase

GRADIENTS = 28_000_000
WORK = {"encoders forward": 0.3, "encoders backward": 0.4, "all-reduce": 0.002, "update": 0.004}


def emulated(workers, batch=64, nodes=1, tasks=192):
    """Work that is so many equal tasks, of which the slowest worker has the most."""
    most = -(-tasks // workers) / tasks
    phases = {}
    for name, seconds in WORK.items():
        scale = batch / 64
        slowest = seconds * scale * (most if "encoders" in name else 1 / workers)
        phases[name] = {"slowest": slowest, "mean": seconds * scale / workers, "total": seconds * scale}
    seconds = sum(p["slowest"] for p in phases.values())
    one = sum(WORK.values()) * batch / 64
    return {"event": "emulated", "workers": workers, "nodes": min(nodes, workers), "batch_size": batch, "phases": phases,
            "seconds_per_step": seconds, "speedup": one / seconds, "efficiency": one / seconds / workers, "barriers": 24,
            "bytes": {"gradients": GRADIENTS, "activations": 7_400_000 * batch, "rows": 73_000 * batch,
                      "between_nodes": {"gradients": (min(nodes, workers) - 1) * GRADIENTS, "parameters": 0}}}


def measurement(workers, ranks=1, round=0, batch=64, mode="strong"):
    seconds = 0.7 * batch / 64 / workers * (1 + 0.01 * round)
    return {"event": "measurement", "mode": mode, "workers": workers, "ranks": ranks, "round": round, "batch_size": batch,
            "seconds_per_step": seconds, "samples_per_second": batch / seconds, "gradient_bytes": GRADIENTS, "phases": {}}


POINTS = [emulated(1), emulated(2), emulated(128, nodes=2), emulated(1024, nodes=16),
          emulated(1, 512), emulated(128, 512, 2, 1536), emulated(1024, 512, 16, 1536)]


class CostModelTests(unittest.TestCase):
    def test_parts_are_the_whole(self) -> None:
        for machines in (1, 8):
            machine = cost_model.typical(2, 64, machines)
            parts = cost_model.predict(POINTS[3], machine)
            self.assertTrue(all(seconds >= 0 for seconds in parts.values()), parts)
            self.assertAlmostEqual(sum(parts.values()), cost_model.seconds(POINTS[3], machine))

    def test_one_worker_is_what_was_emulated(self) -> None:
        machine = cost_model.typical(2, 64, 1)._replace(emulation=1.0)
        self.assertAlmostEqual(cost_model.seconds(POINTS[0], machine) / POINTS[0]["seconds_per_step"], 1, delta=0.01)

    def test_clocks_sink_with_busy_cores(self) -> None:
        machine = cost_model.typical(2, 64, 1)._replace(emulation=1.0, clock=0.5)
        parts = cost_model.predict(POINTS[2], machine)
        self.assertAlmostEqual(parts["work"] + parts["imbalance"], 2 * POINTS[2]["seconds_per_step"])

    def test_the_bandwidth_of_memory_binds(self) -> None:
        fast = cost_model.typical(2, 64, 1)
        self.assertEqual(cost_model.predict(POINTS[2], fast._replace(node_bandwidth=1e15))["memory"], 0)
        slow = fast._replace(node_bandwidth=1e9)
        floor = (7 * GRADIENTS + 3 * POINTS[2]["bytes"]["activations"]) / (2 * 1e9)
        self.assertAlmostEqual(cost_model.seconds(POINTS[2], slow) / floor, 1, delta=0.2)

    def test_idle_workers_do_not_help(self) -> None:
        fewer, more = emulated(192), emulated(384)
        machine = cost_model.typical(2, 192, 1)
        gain = cost_model.seconds(fewer, machine) / cost_model.seconds(more, machine)
        self.assertLess(gain, 1.1)

    def test_links_and_networks_cost(self) -> None:
        for machines, name, field in ((1, "between NUMA nodes", "numa_bandwidth"),
                                      (8, "parameters between ranks", "network_bandwidth")):
            machine = cost_model.typical(2, 64, machines)
            half = machine._replace(**{field: getattr(machine, field) / 2})
            point = POINTS[2] if machines == 1 else POINTS[3]
            before, after = cost_model.predict(point, machine)[name], cost_model.predict(point, half)[name]
            self.assertGreater(before, 0)
            self.assertAlmostEqual(after / before, 2)

    def test_ranges_are_ordered_and_cover_the_middle(self) -> None:
        for batch in (64, 512):
            found = cost_model.predictions(POINTS, batch, 2, 64, 8, 400)
            self.assertEqual([p.point["workers"] for p in found], [1, 128, 1024])
            for p in found:
                low, high = p.spread()
                self.assertTrue(low <= p.seconds <= high, (low, p.seconds, high))
                middle, low, high = p.speedup(found[0])
                self.assertTrue(low <= middle <= high)
            self.assertEqual(found[0].speedup(found[0]), [1, 1, 1])

    def test_what_was_not_emulated_is_left_idle(self) -> None:
        self.assertEqual(cost_model.emulated(POINTS, 64, 2, 192)["workers"], 128)
        with self.assertRaises(LookupError):
            cost_model.emulated(POINTS, 32, 2, 192)
        several = [emulated(128, nodes=1), emulated(128, nodes=2), emulated(128, nodes=4)]
        self.assertEqual(cost_model.emulated(several, 64, 2, 128)["nodes"], 2)

    def test_draws_stay_in_their_ranges(self) -> None:
        random = np.random.default_rng(3)
        for _ in range(100):
            machine = cost_model.drawn(2, 64, 8, random)
            for name, (low, high, _) in cost_model.ASSUMED.items():
                self.assertTrue(low <= getattr(machine, name) <= high)


class ScriptTests(FileTestCase):
    def write(self, *records, name="scaling.jsonl", cpu="some") -> str:
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            for record in [{"event": "machine", "cpu_model": cpu}, *records]:
                file.write(json.dumps(record) + "\n")
        return path

    def test_fit_scaling_predicts(self) -> None:
        measured = [measurement(w, round=r) for r in range(3) for w in (1, 2)]
        done = self.run_script("fit-scaling", self.write(*POINTS, *measured), "--json", "--samples", "50")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual([(p["batch_size"], p["workers"]) for p in answer["predicted"]],
                         [(64, 1), (64, 128), (64, 1024), (512, 1), (512, 128), (512, 1024)])
        for p in answer["predicted"]:
            self.assertAlmostEqual(sum(p["parts"].values()), p["seconds"])
            self.assertTrue(p["low"] <= p["high"] and p["speedup_range"][0] <= p["speedup_range"][1])
        self.assertEqual([(c["batch_size"], c["workers"]) for c in answer["compared"]], [(64, 1), (64, 2)])
        self.assertAlmostEqual(answer["compared"][0]["measured"], 0.707)
        table = self.run_script("fit-scaling", self.directory, "--samples", "5", "--batches", "512", "--machines", "1").stdout
        self.assertIn("| 64 | 2 | ", table)
        self.assertEqual(table.count("| 512 | 1 | "), 3)

    def test_wrong_input_is_one_line(self) -> None:
        other = os.path.join(self.directory, "other.jsonl")
        with open(other, "w") as file:
            file.write('{"step": 1}\n')
        good = self.write(*POINTS)
        alien, empty = self.write(*POINTS, name="alien.jsonl", cpu="other"), self.write(name="empty.jsonl")
        measured = self.write(measurement(1), name="measured.jsonl")
        larger = self.write(dict(measurement(1), gradient_bytes=7), name="larger.jsonl")
        for arguments, status, words in (
                ([other], 65, "line 1"), ([other + "x"], 65, "No such file"), ([empty], 65, "found none"),
                ([good, alien], 64, "2 machines"), ([good, larger], 64, "several sizes"), ([measured], 64, "--emulate"),
                ([good, "--batches", "96"], 64, "batch 96"), ([good, "--batches", "0"], 64, "--batches")):
            done = self.run_script("fit-scaling", *arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (status, 1), done.stderr)
            self.assertIn(words, done.stderr)

    def test_plot_trace_draws(self) -> None:
        spans = [("packing", 0, 0, 10), ("encoders forward", 0, 10, 90), ("text encoder forward", 0, 10, 50),
                 ("audio encoder forward", 0, 60, 39), ("statistics", 1, 0, 60), ("aggregation", 1, 50, 10), ("wait", 1, 60, 40)]
        events = [{"ph": "X", "pid": 0, "tid": t, "name": n, "ts": s * 1000, "dur": d * 1000} for n, t, s, d in spans]
        trace = self.bytes("trace.json", json.dumps({"traceEvents": events}).encode())
        done = self.run_script("plot-trace", trace, "--output", self.path("t.svg"))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("t.svg"), encoding="utf-8") as file:
            drawn = file.read()
        # What others fill is not told twice; what is only in part another's is.
        for name in ("packing (5 ms)", "text encoder forward (25 ms)", "statistics (30 ms)", "aggregation (5 ms)", "wait (20 ms)"):
            self.assertIn(name, drawn)
        self.assertNotIn("encoders forward (", drawn.replace("text encoder forward", ""))
        wrong = self.run_script("plot-trace", self.bytes("x.json", b"[]"))
        self.assertEqual(wrong.returncode, 65, wrong.stderr)

    def test_plot_scaling_draws(self) -> None:
        output = os.path.join(self.directory, "figures")
        measured = [measurement(w, ranks, r, mode=mode) for r in range(3)
                    for w, ranks, mode in ((1, 1, "strong"), (2, 1, "strong"), (2, 2, "strong"), (2, 1, "weak"))]
        done = self.run_script("plot-scaling", self.write(*POINTS, *measured), "--predict", "--samples", "5", "--output", output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(output)), ["predicted.png", "predicted.svg", "scaling.png", "scaling.svg"])


if __name__ == "__main__":
    unittest.main()
