"""`carat.search`: what `carat search` does, from Python."""
import json
import os
from typing import Any, Dict, Mapping, Optional, Sequence, Union

from .. import places
from ..data import Dataset
from ..errors import FormatError, one_line
from ..program import diagnostic
from ..runs import Path, Run, arguments_of, needed, pandas_frames


class SearchResult:
    """A search's directory, finished or not.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = os.path.abspath(os.fspath(path))
        if not os.path.isfile(os.path.join(self.path, "search.csv")):
            raise FormatError(self.path, "a search's directory", "none", "give the output of a search")

    def __repr__(self) -> str:
        return f"carat.SearchResult({self.path!r})"

    @property
    def best(self) -> Run:
        """The run of the trial that is best on the validation split."""
        return Run(os.path.join(self.path, self._best()["directory"]))

    @property
    def settings(self) -> Dict[str, Any]:
        """The best trial's, by the names of `fit`'s options."""
        return {name.replace("-", "_"): value for name, value in self._best()["settings"].items()}

    @property
    def trials(self) -> Any:
        """A pandas frame with a row a trial: its state, settings, metrics on the validation and test split (`search.csv`)."""
        return pandas_frames().read_csv(os.path.join(self.path, "search.csv"))

    def _best(self) -> Dict[str, Any]:
        path = os.path.join(self.path, "best.json")
        if not os.path.isfile(path):
            raise FormatError(self.path, "a trial that came to its end", "none", "continue with the search")
        with open(path, encoding="utf-8") as file:
            found: Dict[str, Any] = json.load(file)
        return found


def search(data: Union[Dataset, Path], output: Path, space: Mapping[str, Union[str, Sequence[Any]]], *, trials: Optional[int] = None,
           grid: bool = False, metric: str = "micro_f1", search_seed: int = 1, jobs: int = 1, pruning: bool = True,
           whole_trials: int = 5, prune_from: int = 1, progress: bool = True, **options: Any) -> SearchResult:
    """Trains a run for each of several settings, drawn at random or all of a grid, and tells which is best on the validation split.
    The same call continues where one was stopped. Needs Optuna.

    Args:
        data: a data set.
        output: the search's directory.
        space: by the option's name a list of values, or a text: "1e-5..1e-3:log", "0..0.3", "16,32,64".
        trials: how many; by default 20, or the whole grid.
        grid: whether all combinations of the values are tried.
        metric: micro_f1, macro_f1 or mAP of the validation split.
        search_seed: of what is drawn; `seed` is that of training.
        jobs: trials at a time, each on cores of its own.
        pruning: whether trials below the median of those that came to their end are stopped, once there are `whole_trials` of
            them, at the end of epoch `prune_from` or later.
        progress: whether to say on the standard error how each trial ended.
        options: of all trials, as `fit` takes them.

    Raises:
        UsageError, FormatError: what is wrong with the space, the options or the data.
        ProgramError: what the program refused or failed at, where that is no single trial's fault.
        KeyboardInterrupt: when all runs under way have a checkpoint.
    """
    needed("optuna", "optuna", "search()")
    from .plan import Pruning, plan
    from .search import Search, Stopped
    from .study import opened
    path = os.fspath(output)
    found = plan(places.train(), path, os.fspath(data), list(space.items()), arguments_of(options), trials=trials, is_grid=grid,
                 metric=metric, seed=search_seed, jobs=jobs, pruning=Pruning(whole_trials, prune_from) if pruning else None)
    with opened(found) as study:
        try:
            Search(study, (lambda text: diagnostic(one_line(text))) if progress else (lambda text: None)).run()
        except Stopped:
            raise KeyboardInterrupt
    return SearchResult(path)
