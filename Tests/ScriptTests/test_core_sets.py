"""CPUs of their own for several runs at a time."""
import unittest

from carat.core_sets import core_sets, cpus, parts, written


def machine(nodes, cores, threads=1):
    """Cores numbered through, their second threads after all first ones, as most machines number them."""
    total = nodes * cores
    return [[[n * cores + c + t * total for t in range(threads)] for c in range(cores)] for n in range(nodes)]


class CoreSetTests(unittest.TestCase):
    def test_sets_are_disjoint_and_all(self):
        machines = [machine(2, 64), machine(4, 32), machine(1, 2), machine(2, 8, 2), [[[0]], [[1], [2], [3], [4], [5]]]]
        for nodes in machines:
            everything = sorted(cpu for node in nodes for core in node for cpu in core)
            for jobs in range(1, min(20, sum(map(len, nodes))) + 1):
                sets = core_sets(nodes, jobs)
                self.assertEqual(len(sets), jobs)
                self.assertEqual(sorted(cpu for own in sets for cpu in cpus(own)), everything)
                self.assertTrue(all(sets), (nodes, jobs))
                for own in sets:
                    touched = [n for n, node in enumerate(nodes) if any(core in node for core in own)]
                    # Whole nodes, or cores of one.
                    self.assertTrue(len(touched) == 1 or own == [c for n in touched for c in nodes[n]], (nodes, jobs))

    def test_whole_nodes_come_first(self):
        self.assertEqual([written(cpus(s)) for s in core_sets(machine(4, 32), 4)], ["0-31", "32-63", "64-95", "96-127"])
        self.assertEqual([written(cpus(s)) for s in core_sets(machine(4, 32), 2)], ["0-63", "64-127"])
        self.assertEqual([written(cpus(s)) for s in core_sets(machine(4, 32), 3)], ["0-31", "32-63", "64-127"])
        self.assertEqual([written(cpus(s)) for s in core_sets(machine(2, 64), 4)], ["0-31", "32-63", "64-95", "96-127"])

    def test_a_cores_threads_stay_together(self):
        self.assertEqual([written(cpus(s)) for s in core_sets(machine(2, 4, 2), 4)], ["0-1,8-9", "2-3,10-11", "4-5,12-13", "6-7,14-15"])

    def test_equal_runs_of_uneven_nodes(self):
        sets = core_sets([[[0], [1]], [[n] for n in range(2, 12)]], 6)
        self.assertEqual([len(s) for s in sets], [2, 2, 2, 2, 2, 2])

    def test_fewer_cores_than_runs(self):
        with self.assertRaises(ValueError):
            core_sets(machine(1, 2), 3)

    def test_parts(self):
        self.assertEqual([list(p) for p in parts(5, 3)], [[0], [1, 2], [3, 4]])

    def test_written(self):
        self.assertEqual(written([0, 1, 2, 5, 7, 8]), "0-2,5,7-8")


if __name__ == "__main__":
    unittest.main()
