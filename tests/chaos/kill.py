#!/usr/bin/env python3
"""Kill demo recipes with SIGKILL at random moments; compare the end with an undisturbed run.

    tests/chaos/kill.py --kills 50 --seed 1 --recipe iemocap --recipe tedlium2

A recipe runs undisturbed, then again from nothing, killed so many times (--a-run) and begun again, and at
last to its end; all files but logs and times must then be the same.  This goes on until there were
--kills of every recipe.  Exit code 1 if anything differs, or if a kill leaves processes or a traceback.
"""

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

from chaos import DEMOS, Killed, Victim, differences, make_demo, set_aside


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=50, help="of each recipe (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=1, help="of the moments (default: %(default)s)")
    arguments.add_argument("--recipe", action="append", choices=sorted(DEMOS), help="may be repeated (default: all)")
    arguments.add_argument("--a-run", type=int, default=8, help="kills before a run may end (default: %(default)s)")
    arguments.add_argument("--folder", type=Path, help="where the recipes are copied to (default: a temporary one)")
    options = arguments.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.recipe or sorted(DEMOS):
            bad += kill(name, (options.folder or Path(temporary)) / name, options.kills, options.a_run, options.seed)
    return 1 if bad else 0


def kill(name: str, project: Path, kills: int, a_run: int, seed: int) -> int:
    """Kill one recipe so often; returns the number of problems."""
    victim = Victim(make_demo(project, name), DEMOS[name].options, seed)
    say(f"{name}: undisturbed in {victim.run():.0f} s")
    moments = [victim.moments(a_run) for _ in range(2 * kills)]
    whole = set_aside(victim.recipe, "undisturbed")
    done: list[Killed] = []
    problems: list[str] = []
    rounds = 0
    while len(done) < kills:
        before = len(done)
        for moment in moments[rounds][: kills - len(done)]:
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
        rounds += 1
        say(f"{name}: run {rounds}, after {len(done) - before} kills: {found if found else 'identical'}")
        problems += found
        set_aside(victim.recipe, f"disturbed_{rounds}" if found else "disturbed")
    report(name, done, rounds, problems)
    return len(problems)


def report(name: str, done: list[Killed], rounds: int, problems: list[str]) -> None:
    """A table: stage, and how often each kind of kill hit it."""
    kinds = sorted({one.how for one in done})
    count = collections.Counter((one.stage, one.how) for one in done)
    print(f"\n| {name}: stage | {' | '.join(kinds)} | in all |\n|---{'|---' * len(kinds)}|---|")
    for stage in sorted({one.stage for one in done}, key=lambda text: (text[0].isdigit(), text)):
        row = [count[stage, kind] for kind in kinds]
        print(f"| {stage} | {' | '.join(map(str, row))} | {sum(row)} |")
    print(f"\n{name}: {len(done)} kills, {rounds} runs to the end, {len(problems)} problems", flush=True)
    for problem in problems:
        print(f"  {problem}", flush=True)


def say(text: str) -> None:
    """A line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
