#!/usr/bin/env python3
"""Kill demo recipes with SIGKILL at random moments; compare the end with an undisturbed run.

    tests/chaos/kill.py --kills 50 --seed 1 --recipe iemocap --recipe tedlium2

A recipe runs undisturbed, then again from nothing, killed so many times (--a-run) and begun again, and at
last to its end; all files but logs and times must then be the same.  This goes on until there were
--kills of every recipe.  Exit code 1 if anything differs, or if a kill leaves processes or a traceback.
With --quick, programs are forked from one process that has paid for the imports: three times as fast, and
no kill is spent on imports.
"""

import argparse
import collections
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from chaos import DEMOS, Killed, Victim, differences, make_demo, set_aside
from quick_programs import quick_environment
from recipe_copy import Recipe


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=50, help="of each recipe (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=1, help="of the moments (default: %(default)s)")
    arguments.add_argument("--recipe", action="append", choices=sorted(DEMOS), help="may be repeated (default: all)")
    arguments.add_argument("--a-run", type=int, default=8, help="kills before a run may end (default: %(default)s)")
    arguments.add_argument("--folder", type=Path, help="where the recipes are copied to (default: a temporary one)")
    arguments.add_argument("--quick", action="store_true", help="fork the programs")
    options = arguments.parse_args()
    # a shell that puts this into the background lets it ignore INT
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bad = 0
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        quick = stack.enter_context(quick_environment(Path(temporary) / "env")) if options.quick else None
        for name in options.recipe or sorted(DEMOS):
            recipe = make_demo((options.folder or Path(temporary)) / name, name)
            if quick:
                recipe.environment["SERTOOLS_ENV"] = quick
            bad += kill(name, recipe, options.kills, options.a_run, options.seed)
    return 1 if bad else 0


def kill(name: str, recipe: Recipe, kills: int, a_run: int, seed: int) -> int:
    """Kill one recipe so often; returns the number of problems."""
    victim = Victim(recipe, DEMOS[name].options, seed)
    done: list[Killed] = []
    problems: list[str] = []
    ends: list[int] = []  # kills before each run to the end
    try:
        kill_and_compare(name, victim, kills, a_run, done, problems, ends)
    except KeyboardInterrupt:
        problems.append(f"stopped by hand; {len(done) - sum(ends)} kills have no run to the end after them")
    finally:
        report(name, done, ends, problems)
    return len(problems)


def kill_and_compare(
    name: str, victim: Victim, kills: int, a_run: int, done: list[Killed], problems: list[str], ends: list[int]
) -> None:
    """Kill, run to the end, compare, until there are so many kills; what is found goes to the last three."""
    say(f"{name}: undisturbed in {victim.run():.0f} s")
    moments = [victim.moments(a_run) for _ in range(2 * kills)]
    whole = set_aside(victim.recipe, "undisturbed")
    while len(done) < kills:
        for moment in moments[len(ends)][: kills - len(done)]:
            killed = victim.run_and_kill(moment)
            if killed is None:
                break
            done.append(killed)
            say(f"{name}: kill {len(done)} of {kills}, {killed.how} in stage {killed.stage}")
            # every other time at once, while what was not killed itself is still ending
            if victim.random.random() < 0.5:
                killed.problems += [f"still runs after a kill: {command}" for command in victim.left_over()]
            problems += killed.problems
            for problem in killed.problems:
                say(f"PROBLEM {problem}")
        victim.run()
        found = differences(whole, victim.recipe.directory)
        ends.append(len(done) - sum(ends))
        say(f"{name}: run {len(ends)}, after {ends[-1]} kills: {found if found else 'identical'}")
        problems += found
        set_aside(victim.recipe, f"disturbed_{len(ends)}" if found else "disturbed")


def report(name: str, done: list[Killed], ends: list[int], problems: list[str]) -> None:
    """A table: stage, and how often each kind of kill hit it."""
    kinds = sorted({one.how for one in done})
    count = collections.Counter((one.stage, one.how) for one in done)
    print(f"\n| {name}: stage | {' | '.join(kinds)} | in all |\n|---{'|---' * len(kinds)}|---|")
    for stage in sorted({one.stage for one in done}, key=lambda text: (text[0].isdigit(), text)):
        row = [count[stage, kind] for kind in kinds]
        print(f"| {stage} | {' | '.join(map(str, row))} | {sum(row)} |")
    print(f"\n{name}: {len(done)} kills, {len(ends)} runs to the end, {len(problems)} problems", flush=True)
    for problem in problems:
        print(f"  {problem}", flush=True)


def say(text: str) -> None:
    """A line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
