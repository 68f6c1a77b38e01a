"""Runs an entry point of Hydra so that whatever is wrong with its options ends in one line, and status 1."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from hydra.utils import get_object
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from hific.cli import INTERRUPTED
from hific.errors import HificError, OptionError, exit_on_user_error

# Environment variables: one that only this launcher sets (Lightning's own sets WORLD_SIZE too), and the ranks' number.
RANKS_OF = {"torchrun": ("TORCHELASTIC_RUN_ID", "WORLD_SIZE"), "srun": ("SLURM_STEP_ID", "SLURM_NTASKS")}
# What Hydra does in place of a run, by its flags.
ACTIONS = {"--run": "--run", "-r": "--run", "--multirun": "-m", "-m": "-m", "--cfg": "--cfg", "-c": "--cfg"}
ACTIONS |= {"--info": "--info", "-i": "--info", "--shell-completion": "--shell-completion", "-sc": "--shell-completion"}
OURS = re.compile(r"target '(hific|train)\.")


def run_app(main: Callable[[], object], conf: Path) -> None:
    """Calls a function of `hydra.main`, which runs its job in `exit_on_wrong_option`: of an exception that leaves it,
    Hydra prints its own account. conf: the folder of its configuration."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or it would print, advise and exit by itself
    with exit_on_wrong_option():
        check_actions(sys.argv[1:])
        check_groups(sys.argv[1:], conf)
        check_one_folder(sys.argv[1:])
        try:
            main()
        except KeyboardInterrupt:  # before or behind what can be stopped in an orderly way
            print("interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)


@contextmanager
def exit_on_wrong_option(*others: type[BaseException]) -> Iterator[None]:
    """As `exit_on_user_error`, also for what Hydra and OmegaConf raise of options. others: exceptions of libraries that
    are for the user too."""
    with exit_on_user_error(*others):
        try:
            yield
        except (HydraException, OmegaConfBaseException) as error:
            line = one_line(error)
            if line is None:
                raise
            raise OptionError(line) from error


def check_actions(arguments: Sequence[str]) -> None:
    """Raises OptionError where Hydra is told to do two things at once."""
    asked = dict.fromkeys(ACTIONS[flag] for one in arguments if (flag := one.partition("=")[0]) in ACTIONS)
    if len(asked) > 1:
        raise OptionError(f"{' and '.join(asked)}: one of {', '.join(dict.fromkeys(ACTIONS.values()))} at a time")


def check_groups(arguments: Sequence[str], conf: Path) -> None:
    """Raises OptionError for `GROUP=CHOICE` without such a choice. (Hydra knows that too, but not of null and 3.)"""
    for override in parsed_overrides(arguments):
        choices = sorted(path.stem for path in (conf / override.key_or_group).glob("*.yaml"))
        if override.package is not None or override.is_delete() or not choices:
            continue
        if override.key_or_group.startswith("hydra/"):  # which have choices of plugins too
            continue
        for chosen in _chosen(override):
            if chosen not in choices:
                said = "null" if chosen is None else chosen
                raise OptionError(f"{override.key_or_group}={said} is none of {', '.join(choices)}")


def check_one_folder(arguments: Sequence[str]) -> None:
    """Raises OptionError where torchrun or srun starts several ranks without a folder: each would date its own."""
    if any(one.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for one in arguments):
        return
    if started := started_ranks():
        raise OptionError(f"{started} need one folder: hydra.run.dir=FOLDER")


def started_ranks() -> str:
    """Those that others than Lightning started, this process being one of them; empty where it is the only one."""
    for launcher, (sign, count) in RANKS_OF.items():
        ranks = os.environ.get(count, "1")
        if sign in os.environ and ranks != "1":
            return f"{ranks} ranks started by {launcher}"
    return ""


def parsed_overrides(arguments: Sequence[str]) -> list[Override]:
    """Of arguments NAME=VALUE; others are left out. Raises OptionError for one that cannot be read."""
    parser, found = OverridesParser.create(), []
    for argument in arguments:
        if "=" in argument and not argument.startswith("-"):
            try:
                found.append(parser.parse_override(argument))
            except HydraException as error:
                raise OptionError(f"{argument}: cannot be read as an option ({_first_line(error)})") from error
    return found


def with_overrides(arguments: Sequence[str], added: Sequence[str]) -> list[str]:
    """`added` in front of the overrides among the arguments: Hydra takes none that stand apart from the others, as they
    would behind `--cfg job --package recipe`."""
    place = next((place for place, one in enumerate(arguments) if "=" in one and not one.startswith("-")), 0)
    return [*arguments[:place], *added, *arguments[place:]]


def _chosen(override: Override) -> list[object]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    value = override.value()
    return list(value) if isinstance(value, list) else [value]


def one_line(error: BaseException) -> str | None:
    """What a user should read of an exception of Hydra or OmegaConf; None where it is no user's fault."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={name} is none of {', '.join(error.options)}"
    if isinstance(error, InstantiationException):
        return _of_instantiation(error)
    inner = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    if isinstance(inner, OmegaConfBaseException):
        return _of_omegaconf(inner)
    told = " ".join(str(error).split("See https")[0].split())
    # Hydra would advise to append it, which helps nobody: a part of another model.
    return re.sub(r"\. No match in the defaults list.*", ": nothing that is chosen has such a part", told)


def _of_instantiation(error: InstantiationException) -> str | None:
    """None for the suite's own errors, which say it better, and for what is a mistake of the suite."""
    cause = error.__cause__
    if cause is None or isinstance(cause, (HificError, InstantiationException)):
        return None
    wrong = (ValueError, OSError) if OURS.search(str(error)) else Exception  # a TypeError of ours is no user's
    where = re.search(r"full_key: (\S+)", str(error))
    named = f"{where[1]}: " if where else ""
    return named + _first_line(cause) if isinstance(cause, wrong) else None


def _of_omegaconf(error: OmegaConfBaseException) -> str:
    name, parent = error.full_key or "", error.parent_node
    message = _first_line(error)
    if "not in struct" in message and isinstance(parent, DictConfig):
        place, _, key = name.rpartition(".")
        known = sorted({str(one) for one in parent if one != "_target_"} | parameters_of(parent))
        if key in known:
            return f"{name} is left at its default by the configuration: +{name}=... sets it"
        return f"{name}: no such option; {f'{place} has' if place else 'there are'} {', '.join(known)}"
    if isinstance(error, InterpolationResolutionError):
        return f"{name} is taken from another option that is not there: {message}"
    return f"{name}: {message}" if name else message


def parameters_of(node: DictConfig) -> set[str]:
    """Of what a node calls; none where it calls nothing."""
    if "_target_" not in node:
        return set()
    return set(inspect.signature(get_object(node["_target_"])).parameters)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
