"""scripts/fit-scaling and plot-scaling: constants from which measurements were made are found again."""
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Dict, List

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
try:
    import numpy as np
    from carat_scaling import cost_model
except ImportError:
    np = None

RATE = 2e11
KNOWN = {"shard_slowdown": 1.15, "shard_seconds": 1.5e-3, "pair_slowdown": 1.3, "core_bandwidth": 2e10,
         "serial_seconds": 4e-4, "barrier_seconds": 3e-6, "jitter": 0.01, "exchange_bandwidth": 5e9, "sgemm_rate": RATE,
         "activation_bytes": 7e6}


def measurement(workers: int, batch: int, shards: int, ranks: int = 1, round: int = 0, noise: float = 1) -> Dict[str, Any]:
    """As train scale would measure it on a machine of these constants."""
    c = cost_model.Constants(**KNOWN)
    operations = {"shards": 2.4e9 * batch + 1e6 * batch ** 2, "pairs": 64.0 * (8192 + 54 * batch) ** 2}
    shard = c.shard_slowdown * operations["shards"] / shards / RATE + c.shard_seconds
    compute = shard * shards / workers * noise
    memory = (workers + 8) * 28e6 / c.core_bandwidth / workers
    phases = {"forward": compute / 3, "text encoder forward": compute / 4, "backward": compute * 2 / 3,
              "contrastive statistics": c.pair_slowdown * operations["pairs"] / RATE / workers,
              "all-reduce": memory / 2, "update": memory / 2, "queue and prototypes": c.serial_seconds}
    own = workers // ranks
    phases["wait"] = (compute * (cost_model.imbalance(shards, workers) - 1)
                      + 9 * c.barrier_seconds * own * (own > 1) + c.jitter * compute * math.sqrt(2 * math.log(own)))
    sent = 14e6 * ranks if ranks > 1 else 0
    if ranks > 1:
        phases["gather parameters"] = sent / c.exchange_bandwidth / own
    seconds = sum(t for name, t in phases.items() if "encoder" not in name)
    return {"event": "measurement", "mode": "strong", "workers": workers, "ranks": ranks, "round": round,
            "batch_size": batch, "shards": shards, "seconds": [seconds], "seconds_per_step": seconds,
            "samples_per_second": batch / seconds, "sgemm_gflops": RATE * 1e-9 * workers, "sgemm_share": 0.8,
            "operations": operations, "phases": phases, "barriers": 9,
            "barrier_seconds": c.barrier_seconds * own, "gradient_bytes": 28e6, "nodes": own,
            "workspace_bytes": 7e6 * batch / ranks, "sent_bytes": sent, "sent_messages": 10}


@unittest.skipUnless(np, "needs NumPy")
class ScalingTests(unittest.TestCase):
    def setUp(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)

    def measurements(self, noise: float = 0) -> List[Dict[str, Any]]:
        random = np.random.default_rng(3)
        return [measurement(w, batch, shards, round=r, noise=1 + noise * random.standard_normal())
                for r in range(4) for batch, shards in ((32, 16), (64, 32), (128, 32)) for w in (1, 2, 4, 8)]

    def test_constants_are_recovered(self) -> None:
        two_ranks = [measurement(4, batch, 32, ranks=2) for batch in (64, 128)]
        found = cost_model.fit(self.measurements() + two_ranks)
        for name, value in KNOWN.items():
            self.assertAlmostEqual(getattr(found, name) / value, 1, delta=0.01, msg=name)

    def test_uncertainty_covers_noise(self) -> None:
        noisy = self.measurements(noise=0.02)
        drawn = cost_model.bootstrap(noisy, 100)
        for name in ("shard_slowdown", "core_bandwidth", "pair_slowdown"):
            low, high = np.percentile([getattr(c, name) for c in drawn], [1, 99])
            self.assertTrue(low * 0.99 <= KNOWN[name] <= high * 1.01, f"{name}: {low} to {high}")
        self.assertTrue(all(value >= 0 or math.isnan(value) for c in drawn for value in c))

    def test_coefficients_are_not_negative(self) -> None:
        x = cost_model.nonnegative([[1.0, 2, 3], [1.0, 1, 1]], [0.9, 2, 3.1])
        self.assertEqual(x[1], 0)
        self.assertAlmostEqual(x[0], 1, delta=0.05)

    def test_what_can_not_be_told_apart_is_one_constant(self) -> None:
        found = cost_model.fit([measurement(w, 64, 32) for w in (1, 2)])
        self.assertEqual(found.shard_seconds, 0)
        # Two workers tell these apart, for barriers are measured alone.
        for name in ("barrier_seconds", "jitter"):
            self.assertAlmostEqual(getattr(found, name) / KNOWN[name], 1, delta=0.01, msg=name)
        self.assertGreater(found.shard_slowdown, KNOWN["shard_slowdown"])

    def test_fit_explains_what_it_was_fitted_to(self) -> None:
        found = cost_model.fit(self.measurements())
        for m in self.measurements():
            self.assertAlmostEqual(cost_model.as_measured(found, [m]) / m["seconds_per_step"], 1, delta=0.02)

    def test_shards_bound_the_speedup(self) -> None:
        found = cost_model.fit(self.measurements())
        step = cost_model.scaled_load(self.measurements(), 64, 32)
        times = [cost_model.seconds(found, step, w) for w in (1, 16, 32, 64, 128)]
        self.assertGreater(times[0] / times[2], 20)
        self.assertLess(times[0] / times[4], 32)
        self.assertGreater(cost_model.predict(found, step, 64)["shard imbalance"], 0)
        between = cost_model.predict(found, step, 64, 4, cost_model.typical(2, 32, 2))
        self.assertGreater(between["parameters between ranks"], 0)

    def test_the_work_of_another_batch(self) -> None:
        step = cost_model.scaled_load(self.measurements(), 1024, 64)
        self.assertAlmostEqual(step.shard_operations / (2.4e9 * 1024 + 1e6 * 1024 ** 2), 1, delta=1e-6)

    def write(self) -> str:
        path = os.path.join(self._directory.name, "scaling.jsonl")
        with open(path, "w") as file:
            for record in [{"event": "machine", "cpu_model": "some"}, *self.measurements()]:
                file.write(json.dumps(record) + "\n")
        return path

    def run_script(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, os.path.join(ROOT, "scripts", name), *arguments], capture_output=True, text=True)

    def test_fit_scaling_tells_constants_and_predictions(self) -> None:
        done = self.run_script("fit-scaling", self.write(), "--json", "--samples", "20", "--batches", "64:32,128:64")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        value, low, high = result["constants"]["shard_slowdown"]
        self.assertTrue(low <= value <= high)
        self.assertEqual(len(result["measured"]), 12)
        self.assertEqual({p["workers"] for p in result["predicted"]}, {2 ** k for k in range(11)})
        for p in result["predicted"]:
            self.assertAlmostEqual(sum(p["parts"].values()), p["seconds"])
            self.assertLessEqual(p["low"], p["high"])
            self.assertLessEqual(p["speedup_range"][0], p["speedup_range"][1])
        self.assertIn("| shard_slowdown |", self.run_script("fit-scaling", self.write(), "--samples", "5").stdout)

    def test_wrong_input_is_one_line(self) -> None:
        path = os.path.join(self._directory.name, "other.jsonl")
        with open(path, "w") as file:
            file.write('{"step": 1}\n')
        for arguments, status in (([path], 65), ([path + "x"], 65), ([self.write(), "--batches", "64:3"], 64)):
            done = self.run_script("fit-scaling", *arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (status, 1), done.stderr)

    def test_plot_scaling_draws(self) -> None:
        output = os.path.join(self._directory.name, "figures")
        done = self.run_script("plot-scaling", self.write(), "--predict", "--samples", "5", "--output", output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(output)), ["predicted.png", "predicted.svg", "scaling.png", "scaling.svg"])


if __name__ == "__main__":
    unittest.main()
