"""The backend that runs jobs on a Slurm cluster."""

import contextlib
import os
import time
from collections.abc import Sequence

from launcher import slurm_queue
from launcher.jobs import Job, LaunchError, Resources, Result, make_log_folders, thread_variables
from launcher.progress import Progress, end_lines, explain
from launcher.signals import Interrupted, Signals
from launcher.slurm_call import Array, Call, sbatch_arguments, script_arguments, split_into_arrays
from launcher.slurm_conf import SlurmConf, read_conf, with_defaults
from launcher.slurm_queue import ENDED, State
from launcher.slurm_work import end_earlier_call, make_work

SECONDS_TO_STOP = 60.0
_MEANING = {
    "CANCELLED": "cancelled",
    "DEADLINE": "its deadline has passed",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "out of memory (--mem)",
    "PREEMPTED": "preempted, and its partition does not requeue",
    "TIMEOUT": "it reached its time limit (--time)",
    "": "Slurm does not know it any more, and it left no exit code",
}
# a job waits like this without a person having to know
_USUAL = frozenset(
    ["", "None", "Priority", "Resources", "BeginTime", "Dependency", "JobArrayTaskLimit", "Cleaning", "Prolog"]
)


class SlurmBackend:
    """Runs jobs on a cluster: sbatch, then files on the shared file system and squeue until all have ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def run(self, jobs: Sequence[Job], resources: Resources) -> list[Result]:
        """See launcher.jobs.Backend.run."""
        conf = read_conf(resources.config)
        make_log_folders(jobs)
        with Signals() as signals:
            self._end_earlier_call(jobs, signals)
            call = self._submit(jobs, with_defaults(conf, resources), conf, signals)
            count = f", {len(jobs)} jobs" if len(jobs) > 1 else ""
            self._progress.say(f"Slurm job {' '.join(call.ids)}{count}; log: {jobs[0].log}")
            results = self._wait(call, conf, signals)
        # where one has failed, what Slurm said of it stays
        if not any(result.code for result in results):
            call.work.remove()
        return results

    def detach(self, jobs: Sequence[Job], resources: Resources) -> list[str]:
        """See launcher.jobs.Backend.detach."""
        conf = read_conf(resources.config)
        make_log_folders(jobs)
        with Signals() as signals:
            self._end_earlier_call(jobs, signals)
            return self._submit(jobs, with_defaults(conf, resources), conf, signals, detached=True).ids

    def _end_earlier_call(self, jobs: Sequence[Job], signals: Signals) -> None:
        try:
            end_earlier_call(jobs, os.environ, self._progress.say, lambda: bool(signals.received))
        except LaunchError:
            if signals.received:
                raise Interrupted(signals.received[0]) from None
            raise

    def _submit(
        self, jobs: Sequence[Job], resources: Resources, conf: SlurmConf, signals: Signals, detached: bool = False
    ) -> Call:
        work = make_work(jobs, os.environ, detached)
        environment = slurm_queue.environment_for_sbatch({**os.environ, **thread_variables(resources.threads)})
        call = Call({job.number: job for job in jobs}, resources.threads, work, {})
        previous = resources.after
        try:
            for numbers, offset in split_into_arrays(jobs):
                indices = [numbers[0] - offset, numbers[-1] - offset] if len(jobs) > 1 else []
                arguments = sbatch_arguments(conf, resources, work, indices)
                if previous is not None:
                    # all of --after must have gone well; of an array only the number that runs at once matters
                    needed = [f"afterok:{resources.after}"] if resources.after is not None else []
                    needed += [f"afterany:{previous}"] if previous != resources.after else []
                    arguments += [f"--dependency={','.join(needed)}", "--kill-on-invalid-dep=yes"]
                arguments += script_arguments(resources, work, jobs[0].number, offset)
                job = slurm_queue.sbatch(
                    arguments, work.name, environment, self._progress.say, lambda: bool(signals.received)
                )
                call.arrays |= dict.fromkeys(numbers, Array(job, offset, alone=not indices))
                if resources.max_jobs_run:
                    previous = job
                if signals.received:
                    self._interrupted(call, signals)
        except LaunchError:
            if call.arrays:
                slurm_queue.scancel(call.ids)
            work.remove()
            if signals.received:
                raise Interrupted(signals.received[0]) from None
            raise
        return call

    def _wait(self, call: Call, conf: SlurmConf, signals: Signals) -> list[Result]:
        delay, every = conf.setting("file-delay"), conf.setting("look-every")
        next_look = time.monotonic() + min(every, 2.0)
        pause = 0.1
        while len(call.results) < len(call.jobs):
            signals.wait(pause)
            if signals.received:
                self._interrupted(call, signals)
            pause = min(pause * 1.1, 2.0, self._progress.interval)
            looked = time.monotonic() >= next_look
            if looked:
                self._look(call)
            # after the look: a job that Slurm says has ended may have written its code since
            self._collect(call)
            if looked:
                self._give_up(call, delay)
                next_look = time.monotonic() + every
            if not call.stopping and any(result.code for result in call.results.values()):
                call.stopping = True
                slurm_queue.scancel(call.ids, "--state=PENDING")
                next_look = min(next_look, time.monotonic() + 1)
            self._tell(call)
        self._progress.clear()
        return [call.results[number] for number in call.jobs]

    def _collect(self, call: Call) -> None:
        for number, code in call.work.codes().items():
            if number in call.jobs:
                # also over what Slurm said before
                call.results[number] = Result(call.jobs[number], code)

    def _look(self, call: Call) -> None:
        """Ask Slurm for the state of every job that has not ended."""
        open_ids = sorted({array.id for number, array in call.arrays.items() if number not in call.results}, key=int)
        found = slurm_queue.states(open_ids)
        if found is None:
            if "away" not in call.told:
                self._progress.say("Slurm's controller does not answer; the jobs go on without it, and so does this")
            call.told.add("away")
            return
        call.told.discard("away")
        now = time.monotonic()
        for number in call.jobs:
            if number in call.results:
                continue
            array = call.arrays[number]
            # of an array that was cancelled, what had not started is one job without an index
            state = found.get((array.id, array.index(number))) or found.get((array.id, None), State(""))
            call.states[number] = state
            if state.name in ENDED or not state.name:
                call.ended_since.setdefault(number, now)
                continue
            call.ended_since.pop(number, None)
            if state.name == "PENDING":
                self._pending(call, number, state)

    def _pending(self, call: Call, number: int, state: State) -> None:
        reason, job = state.reason.replace("_", " "), call.arrays[number].job_id(number)
        if reason == "DependencyNeverSatisfied":
            self._progress.say(f"Slurm job {job} can never start ({reason}): cancelled")
            slurm_queue.scancel([job])
        elif reason.lower().startswith("launch failed requeued held") and call.held.get(job, 0) < 3:
            # the node could not start it, or the controller lost track of it
            call.held[job] = call.held.get(job, 0) + 1
            self._progress.say(f"Slurm has held job {job} ({reason}): released")
            slurm_queue.release(job)
        elif reason.lower().startswith("launch failed requeued held"):
            self._progress.say(f"Slurm holds job {job} again and again ({reason}): cancelled")
            slurm_queue.scancel([job])
        elif reason not in _USUAL and reason not in call.told:
            call.told.add(reason)
            self._progress.say(f"Slurm job {job} waits: {reason}")

    def _give_up(self, call: Call, delay: float) -> None:
        """Take Slurm's word for the jobs that have ended, but left no exit code for so many seconds."""
        now = time.monotonic()
        for number, since in list(call.ended_since.items()):
            state = call.states[number]
            never = call.stopping and state.name == "CANCELLED" and not state.has_node
            if number in call.results or (now - since < delay and not never):
                continue
            job = call.jobs[number]
            if never:
                call.results[number] = Result(job, None)
                continue
            array = call.arrays[number]
            name, code = slurm_queue.exit_code(array.job_id(number))
            name, code = name or state.name, code or 1
            messages = call.work.messages(array.id, array.index(number))
            with contextlib.suppress(OSError), job.log.open("a") as log:
                log.writelines(f"{line}\n" for line in messages)
                log.write(f"# Slurm job {array.job_id(number)}: {name or 'unknown'}\n")
                log.write(end_lines(code, 0, call.threads))
            why = _MEANING.get(name, f"{explain(code)}")
            call.results[number] = Result(job, code, f"Slurm's {name}: {why}" if name else why)

    def _tell(self, call: Call) -> None:
        running = [n for n, state in call.states.items() if state.name == "RUNNING" and n not in call.results]
        waiting = [
            state.reason for n, state in call.states.items() if state.name == "PENDING" and n not in call.results
        ]
        codes = [result.code for result in call.results.values()]
        self._progress.update(
            total=len(call.jobs),
            done=codes.count(0),
            failed=sum(bool(code) for code in codes),
            logs=[call.jobs[number].log for number in running],
            note=f"{len(waiting)} waiting ({waiting[0]})" if waiting else "",
        )

    def _interrupted(self, call: Call, signals: Signals) -> None:
        """Cancel all jobs, wait until they have ended, and raise Interrupted."""
        self._progress.clear()
        deadline = time.monotonic() + SECONDS_TO_STOP
        line = f"scancel {' '.join(call.ids)}"
        gone = False
        answered = slurm_queue.scancel(call.ids)
        # a second Ctrl-C does not wait
        while not gone and time.monotonic() < deadline and len(signals.received) < 2:
            signals.wait(0.5)
            if not answered:
                answered = slurm_queue.scancel(call.ids)
            found = slurm_queue.states(call.ids)
            gone = found is not None and all(state.name in ENDED for state in found.values())
        if gone:
            call.work.remove()
        elif answered:
            self._progress.say(f"cancelled, but not all jobs have ended yet: squeue --jobs={','.join(call.ids)}")
        else:
            self._progress.say(f"Slurm's controller does not answer; when it is back: {line}")
        raise Interrupted(signals.received[0], gone)
