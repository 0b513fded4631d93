"""What a run's directory tells whoever starts it again: its checkpoints, its end, whether anything is written."""
import os
from typing import List, Optional, Sequence, Tuple

from .command_line import given, value_of
from .errors import UsageError


class RunDirectory:
    """The directory of `train run`, and the words that each start of it needs.

    Attributes:
        path: the directory.

    Raises:
        UsageError: if the words name none.
    """

    def __init__(self, words: Sequence[str]) -> None:
        path = value_of("--output", words)
        if not path:
            raise UsageError("expected train run … --output RUN, found no --output; name the run's directory, for that is what continues")
        self.path, self._words = path, list(words)
        # What lay there before the first start, which --overwrite may replace.
        self._before = self._newest()

    def _newest(self) -> Optional[Tuple[int, int, int]]:
        """The newest checkpoint's step, and the file, by its number and time."""
        folder = os.path.join(self.path, "checkpoints")
        try:
            names = [n for n in os.listdir(folder) if n.startswith("step-") and n.endswith(".safetensors")]
            step, name = max((int(n[len("step-"):-len(".safetensors")]), n) for n in names)
            found = os.stat(os.path.join(folder, name))
        except (OSError, ValueError):
            return None
        return step, found.st_ino, found.st_mtime_ns

    @property
    def newest_step(self) -> int:
        """The newest checkpoint's step; 0 without one, or while the one that is there is still to be overwritten."""
        newest = self._newest()
        return newest[0] if newest and not self._is_to_be_replaced(newest) else 0

    def _is_to_be_replaced(self, newest: Optional[Tuple[int, int, int]]) -> bool:
        return "--overwrite" in self._words and newest == self._before

    @property
    def is_finished(self) -> bool:
        return os.path.isfile(os.path.join(self.path, "result.json"))

    def words_of_start(self) -> List[str]:
        """The words, with --resume auto unless they say how to begin; --overwrite until a checkpoint of the new run is there."""
        if "--overwrite" in self._words:
            if self._is_to_be_replaced(self._newest()):
                return self._words
            return [w for w in self._words if w != "--overwrite"] + ["--resume", "auto"]
        return self._words if given("--resume", self._words) else [*self._words, "--resume", "auto"]

    def trace(self) -> Tuple[float, int]:
        """Something that changes with whatever is written into the directory."""
        newest, size = 0.0, 0
        for folder in (self.path, os.path.join(self.path, "checkpoints"), os.path.join(self.path, "data")):
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        found = entry.stat()
                        newest, size = max(newest, found.st_mtime), size + found.st_size
            except OSError:
                pass
        return newest, size
