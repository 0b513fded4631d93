"""What is searched: settings of `train run`, each over a range or a list of values."""
import difflib
import itertools
import math
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple, Union

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ..errors import UsageError
from ..train_options import TrainOption

# What the program calls the values of options that are numbers.
_NUMBERS = ("n", "rate", "share", "number", "score")

Space = Dict[str, BaseDistribution]
# What people give: the right side of --space NAME=…, or values.
Values = Union[str, Sequence[Any]]


def space_of(settings: Iterable[Tuple[str, Values]], options: Mapping[str, TrainOption]) -> Space:
    """The distribution of each setting, by the option's full name, in the order of the names.

    Args:
        options: those of `train run`, by all their names.

    Raises:
        UsageError: if a setting is not an option of the program, or its values are not such as can be drawn from.
    """
    found: Space = {}
    for given, values in settings:
        name = given.replace("_", "-")
        option = options.get(name)
        if option is None:
            near = difflib.get_close_matches(name, options, 1)
            raise UsageError(f"--space {given}: expected an option of train run, found none of this name; "
                             + (f"did you mean {near[0]}?" if near else "see docs/OPTIONS.md"))
        if option.is_flag:
            raise UsageError(f"--space {given}: expected an option with a value, found a flag; give it after -- for all trials")
        if option.name in found:
            raise UsageError(f"--space {given}: expected each setting once, found it twice; join its values by commas")
        found[option.name] = _distribution(option, values)
    return {name: found[name] for name in sorted(found)}


def _distribution(option: TrainOption, values: Values) -> BaseDistribution:
    if not isinstance(values, str):
        return _choices(option, [",".join(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for v in values])
    if ".." not in values:
        return _choices(option, values.split("|" if "|" in values else ","))
    wrong = UsageError(f"--space {option.name}={values}: expected LOW..HIGH, LOW..HIGH:log or values, with LOW < HIGH and, for :log, "
                       f"0 < LOW, all {'whole numbers' if option.value == 'n' else 'numbers'}; such as 1e-5..1e-3:log or 16,32,64")
    if option.value not in _NUMBERS:
        raise UsageError(f"--space {option.name}={values}: expected values, found a range of what is no number "
                         f"(<{option.value}>); give them as a|b|c")
    numbers, colon, scale = values.partition(":")
    try:
        low, high = (int(n) if option.value == "n" else float(n) for n in numbers.split("..", 1))
    except ValueError:
        raise wrong
    if (colon and scale != "log") or not (math.isfinite(low) and math.isfinite(high) and low < high) or (colon and low <= 0):
        raise wrong
    if option.value == "n":
        return IntDistribution(int(low), int(high), log=bool(colon))
    return FloatDistribution(low, high, log=bool(colon))


def _choices(option: TrainOption, values: Sequence[str]) -> BaseDistribution:
    values = [v.strip() for v in values]
    try:
        read = [int(v) if option.value == "n" else float(v) if option.value in _NUMBERS else v for v in values]
    except ValueError:
        read = []
    if not read or not all(values) or len(set(read)) != len(read):
        kind = "whole numbers" if option.value == "n" else "numbers" if option.value in _NUMBERS else "values"
        raise UsageError(f"--space {option.name}: expected different {kind}, found {','.join(values) or 'none'}; join them by commas, "
                         "or by | where a value has commas, such as layers='1,1,1|2,2,2'")
    return CategoricalDistribution(read)


def written(distribution: BaseDistribution) -> str:
    """A distribution as people give it."""
    if isinstance(distribution, CategoricalDistribution):
        values = [str(v) for v in distribution.choices]
        return ("|" if any("," in v for v in values) else ",").join(values)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return f"{distribution.low}..{distribution.high}{':log' if distribution.log else ''}"


def count(space: Space) -> float:
    """How many different settings there are; infinite with a range of fractions."""
    return math.prod(
        len(d.choices) if isinstance(d, CategoricalDistribution) else d.high - d.low + 1 if isinstance(d, IntDistribution) else math.inf
        for d in space.values())


def grid(space: Space) -> List[Dict[str, Any]]:
    """All combinations of values, the last setting's changing fastest."""
    for name, distribution in space.items():
        if not isinstance(distribution, CategoricalDistribution):
            raise UsageError(f"--space {name}={written(distribution)}: expected a list of values with --grid, found a range; "
                             "give the values to try")
    lists = [d.choices for d in space.values() if isinstance(d, CategoricalDistribution)]
    return [dict(zip(space, values)) for values in itertools.product(*lists)]


def drawn(space: Space, trials: int, seed: int) -> List[Dict[str, Any]]:
    """The first so many different settings that Optuna draws at random with this seed: a longer list begins with a shorter one."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found: Dict[Any, Dict[str, Any]] = {}
    wanted = min(trials, count(space))
    while len(found) < wanted:
        settings = study.ask(space).params
        found.setdefault(tuple(settings[name] for name in space), settings)
    return list(found.values())
