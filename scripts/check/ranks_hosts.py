"""Hosts for chaos_ranks.py: network namespaces, or this machine alone where there is no right to make them."""
import os
import shlex
import signal
import subprocess

from carat.job import descendants

HERE = os.path.dirname(os.path.abspath(__file__))


class Rank:
    """A process of the trainer under mpirun.

    Attributes:
        host: its host's number, from 1 on; 0 for this machine.
    """

    def __init__(self, pid, host, number):
        self.pid, self.host, self.number = pid, host, number


def rank_of(pid):
    """The rank that Open MPI told a process of the trainer; None if it is none."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            if not file.read().startswith("train"):
                return None
        with open(f"/proc/{pid}/environ") as file:
            words = file.read().split("\0")
    except OSError:
        return None
    return next((int(w.partition("=")[2]) for w in words if w.startswith("OMPI_COMM_WORLD_RANK=")), None)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Namespaces:
    """Hosts 1 to `count`, made by host-namespaces."""

    def __init__(self, directory, count):
        self.directory, self.count = directory, count
        self._call("up", str(count))
        with open(f"{directory}/network") as file:
            self.network = file.read().strip()
        with open(f"{directory}/tag") as file:
            self.tag = file.read().strip()

    def _call(self, what, *words):
        subprocess.run([f"{HERE}/host-namespaces", what, self.directory, *words], check=True)

    def options(self, hosts, ranks):
        """Those of carat launch for these hosts, each with so many ranks."""
        near = f"{self.network}.0/24"
        mpirun = (f"mpirun.openmpi --oversubscribe --mca plm_rsh_no_tree_spawn 1 --mca oob_tcp_if_include {near} "
                  f"--mca btl tcp,self,vader --mca pml ob1 --mca btl_tcp_if_include {near}")
        return ["--hosts", ",".join(f"{self.network}.{h}" for h in hosts), "--ranks-per-host", str(ranks), "--mpirun", mpirun,
                "--agent", f"{self.directory}/agent", "--answer-within", "3"]

    def pids(self, host):
        done = subprocess.run(["ip", "netns", "pids", f"{self.tag}-{host}"], capture_output=True, text=True)
        return [int(word) for word in done.stdout.split()]

    def ranks(self, _):
        """All ranks that run, of whatever job."""
        found = []
        for host in range(1, self.count + 1):
            numbers = [(pid, rank_of(pid)) for pid in self.pids(host)]
            found += [Rank(pid, host, number) for pid, number in numbers if number is not None]
        return found

    def cut(self, host):
        self._call("cut", str(host))

    def mend(self, host):
        self._call("mend", str(host))

    def end(self, host):
        """What a crash leaves of a host that is soon there again: nothing."""
        for pid in self.pids(host):
            send(pid, signal.SIGKILL)

    def close(self):
        self._call("down")


class ThisMachine:
    """Ranks on this machine, which is one host."""

    def options(self, _, ranks):
        return ["--ranks-per-host", str(ranks), "--mpirun", shlex.join(["mpirun.openmpi", "--oversubscribe"])]

    def ranks(self, launch):
        """Those below a launch."""
        found = [(pid, rank_of(pid)) for pid in descendants(launch)]
        return [Rank(pid, 0, number) for pid, number in found if number is not None]

    def close(self):
        pass
