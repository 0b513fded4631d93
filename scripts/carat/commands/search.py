"""Searches settings of `train run`, at random or on a grid: trains a run for each, and says which is best on the validation split.

  scripts/search --output runs/search --data my_data --trials 20 --epochs 5 \\
      --space learning-rate=1e-5..1e-3:log --space batch-size=16,32,64 --space dropout=0..0.3 -- --layers 1,1,1
  scripts/search --output runs/grid --data my_data --grid --space learning-rate=1e-5,1e-4 --space layers='1,1,1|2,2,2'

A setting's values are a range, with :log drawn evenly by its logarithm, or a list, joined by commas, or by | where a value has
commas. Options after -- go to all trials. Trials whose validation metric is below the median of those that came to their end are
stopped, unless --no-pruning is given. The same command continues where a search was stopped or killed, --trials may be more then.

The output gets search.csv (a line a trial), best.json, and trial-N, a run of the trainer, with trial-N.log. It needs Optuna, whose
study is in study.journal. docs/PYTHON.md tells more.
"""
import argparse
from typing import List, Tuple

from .. import places
from ..command_line import given, split_arguments
from ..errors import OutputError, UsageError, one_line
from ..program import Parser, diagnostic, need, result


def setting(text: str) -> Tuple[str, str]:
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise ValueError
    return name, values


setting.__name__ = "setting, such as batch-size=16,32,64"


def parser() -> Parser:
    p = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
               epilog="""Exit status: 0 done; 1 some trials are unfinished, or none came to its end; 64 wrong usage, or another search is in the
output; 65 wrong data; 69 no Optuna; 73, 74 the output can't be created or written; 75 a search is at work there; 130 interrupted,
with a checkpoint; or the trainer's, where it failed by what all trials would meet.""")
    p.add_argument("--output", required=True, metavar="DIR", help="directory of the search")
    p.add_argument("--data", required=True, metavar="DIR", help="the data set")
    p.add_argument("--space", action="append", type=setting, default=[], metavar="NAME=VALUES",
                   help="an option of train run and what to try: LOW..HIGH, LOW..HIGH:log, or values; once a setting")
    p.add_argument("--trials", type=int, metavar="N", help="how many trials (20; the whole grid)")
    p.add_argument("--grid", action="store_true", help="try all combinations of the values")
    p.add_argument("--epochs", type=int, metavar="N", help="of each trial")
    p.add_argument("--metric", default="micro_f1", help="micro_f1, macro_f1 or mAP: what of the validation split says which epoch, and "
                   "which trial, is best (micro_f1)")
    p.add_argument("--search-seed", type=int, default=1, metavar="N", help="of the settings that are drawn; that of training is "
                   "--seed, after -- (1)")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at a time, each on cores of its own; see --help of sweep (1)")
    p.add_argument("--no-pruning", action="store_true", help="train all trials to their end")
    p.add_argument("--whole-trials", type=int, default=5, metavar="N", help="so many come to their end before any is stopped (5)")
    p.add_argument("--prune-from", type=int, default=1, metavar="EPOCH", help="the first epoch after which one may be stopped (1)")
    p.add_argument("--train", default=places.train(), help="the program")
    return p


def main(_: object) -> int:
    own, options = split_arguments()
    a = parser().parse_args(own)
    need("optuna")
    from ..searching import results
    from ..searching.plan import Pruning, plan
    from ..searching.search import Search, Stopped
    from ..searching.study import opened
    if a.epochs is not None:
        if given("--epochs", options):
            raise UsageError("--epochs: expected it once, found it after -- too; leave one of them out")
        options = ["--epochs", str(a.epochs), *options]
    space: List[Tuple[str, str]] = a.space
    found = plan(a.train, a.output, a.data, space, options, trials=a.trials, is_grid=a.grid, metric=a.metric, seed=a.search_seed, jobs=a.jobs,
                 pruning=None if a.no_pruning else Pruning(a.whole_trials, a.prune_from))
    with opened(found) as study:
        search = Search(study, lambda text: diagnostic(one_line(text)))
        try:
            search.run()
        except Stopped:
            raise OutputError(f"interrupted, with a checkpoint of each trial under way in {found.output}; the same command continues", 130)
        result(results.table(study).rstrip("\n"))
        return 0 if study.complete() and not search.unfinished else 1
