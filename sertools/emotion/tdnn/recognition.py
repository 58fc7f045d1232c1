"""A recording through the networks of a system, piece by piece: memory does not grow with its length."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.emotion.tdnn.members import Branch, Member, TdnnRuns, load_system
from sertools.errors import UserError
from sertools.features.frames.mfcc import Mfcc
from sertools.prediction.audio import Source
from sertools.prediction.course import (
    Course,
    CourseConfig,
    Floats,
    Moments,
    Windows,
    envelope,
    pooled_windows,
    window_means,
)
from sertools.prediction.ensemble import Recognised, Standard
from sertools.prediction.pieces import Piece, Plan, pieces

MFCC_EDGE = 5  # frames at the ends of a piece that see what is not there


class TdnnEnsemble:
    """Runs of a TDNN-F, or of heads on one (:class:`sertools.prediction.ensemble.Ensemble`).

    Args:
        system: see :class:`TdnnRuns`.
        device: of its networks.
    """

    def __init__(self, system: TdnnRuns, device: str = "cpu") -> None:
        self.system = system
        self.device = device
        self.target = system.target
        self.members = tuple(member.name for member in system.members)
        self.temperatures = tuple(member.temperature for member in system.members)
        self.trained_on = tuple(member.trained_on for member in system.members)
        self.sampling_rate = system.mfcc.sampling_rate
        self.needs_speakers = system.normalised != "none"
        self.mfcc = Mfcc(system.mfcc)
        trunk = system.branches[0].trunk.config
        self.shift = system.mfcc.frame_shift * trunk.subsampling  # of output frames, in seconds
        self.context = system.mfcc.frame_shift * (trunk.context + MFCC_EDGE + trunk.subsampling)

    @torch.inference_mode()
    def recognise(
        self, source: Source, normal: Sequence[Standard] | None = None, course: CourseConfig | None = None
    ) -> Recognised:
        """What the runs say of a recording, and its course.

        Args:
            source: the recording.
            normal: of its speaker, one a branch (:meth:`standards`), if the system normalises.
            course: None for none.

        Raises:
            UserError: it cannot be read, or is too short or silent.
        """
        system = self.system
        window, step = (course or CourseConfig()).resolved(system.config.pooling, self.shift)
        windows = Windows(window, step, self.shift, system.mfcc.frame_shift / 2)
        sums = [_Utterance(system, branch, n) for branch, n in self._branches(normal)]
        times, values, envelopes = [], [], []
        for piece, features in self._features(source, self._plan(window if course else 0.0)):
            first = round(piece.start / self.shift)
            own = self._own_rows(piece)
            rows = [self._rows(branch, features, n) for branch, n in self._branches(normal)]
            for utterance, x in zip(sums, rows, strict=True):
                utterance.add(x[own])
            if course:
                middles, starts, size = windows.take(first, len(rows[0]), piece.own[1], piece.last)
                if len(middles):
                    times.append(middles)
                    of_members = [u.of_windows(x, starts, size) for u, x in zip(sums, rows, strict=True)]
                    values.append(np.concatenate(of_members).mean(0))
                inside = slice(*(round((second - piece.start) * system.mfcc.sampling_rate) for second in piece.own))
                envelopes.append(envelope(piece.samples[inside], self._hop))
        found = None
        if course:
            found = Course(np.concatenate(times), np.concatenate(values), window, np.concatenate(envelopes),
                           system.mfcc.frame_shift)  # fmt: skip
        outputs = np.concatenate([u.outputs() for u in sums]).mean(0)
        return Recognised(piece.own[1], piece.source_rate, outputs, found)

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """As TorchScript or ONNX; see :mod:`sertools.emotion.tdnn.export`."""
        from sertools.emotion.tdnn.export import export_network

        return export_network(self.system, output, check=check)

    @torch.inference_mode()
    def standards(self, sources: Iterable[Source]) -> tuple[list[Standard], dict[str, str]]:
        """What one speaker's recordings are normalised by, as :func:`sertools.emotion.data.normalise_speakers`.

        Returns:
            One a branch, and name to reason of the recordings that could not be read.

        Raises:
            UserError: fewer than two recordings are left.
        """
        system = self.system
        moments = [Moments() for _ in system.branches]
        broken: dict[str, str] = {}
        good = 0
        for source in sources:
            pooled = [_Utterance(system, branch, None) for branch in system.branches]
            own = [Moments() for _ in system.branches]
            try:
                for piece, features in self._features(source, self._plan(0.0)):
                    for number, branch in enumerate(system.branches):
                        if system.normalised == "features":
                            own[number].add(features[self._own_frames(piece)])
                        elif system.config.pooling == "frames":
                            own[number].add(self._rows(branch, features, None)[self._own_rows(piece)])
                        else:
                            pooled[number].add(self._rows(branch, features, None)[self._own_rows(piece)])
            except UserError as error:
                broken[source.name] = str(error)
                continue
            good += 1
            for number, total in enumerate(moments):
                if system.normalised == "reading" and system.config.pooling != "frames":
                    total.add(pooled[number].statistics()[None])
                else:
                    total.join(own[number])
        if good < 2:
            raise UserError(
                "the system gives what it reads mean 0 and variance 1 over a speaker's recordings, and there "
                f"{'is one' if good else 'are none'} of this speaker; at least 2 are needed, and some 10 are meant"
            )
        results = []
        for total in moments:
            mean, variance = total.result()
            results.append((mean.float().to(self.device), variance.sqrt().float().clamp(min=1e-4).to(self.device)))
        return results, broken

    @property
    def _hop(self) -> int:
        return round(self.system.mfcc.frame_shift * self.system.mfcc.sampling_rate)

    def _plan(self, window: float) -> Plan:
        trunk = self.system.branches[0].trunk.config
        return Plan.of(self.system.mfcc.frame_shift, trunk.subsampling, self.context + window)

    def _branches(self, normal: Sequence[Standard] | None) -> Iterator[tuple[Branch, Standard | None]]:
        if (self.system.normalised != "none") != (normal is not None):
            raise ValueError("normal is for systems that normalise, which need it")
        none: list[Standard | None] = [None] * len(self.system.branches)
        return zip(self.system.branches, none if normal is None else normal, strict=True)

    def _features(self, source: Source, plan: Plan) -> Iterator[tuple[Piece, Tensor]]:
        """MFCC (T, F) of every piece, on the CPU."""
        config = self.system.mfcc
        for piece in pieces(source, config.sampling_rate, plan):
            if piece.last and piece.own[1] < config.frame_length:
                raise UserError(f"is too short: {piece.own[1]:.4f} s, less than a frame of {config.frame_length} s")
            features = self.mfcc.extract(torch.from_numpy(np.ascontiguousarray(piece.samples)), config.sampling_rate)
            if not bool(torch.isfinite(features).all()):
                raise UserError("has samples so large that its features are not finite")
            yield piece, features

    def _own_rows(self, piece: Piece) -> slice:
        return self._own(piece, self.shift)

    def _own_frames(self, piece: Piece) -> slice:
        return self._own(piece, self.system.mfcc.frame_shift)

    def _own(self, piece: Piece, shift: float) -> slice:
        start = round((piece.own[0] - piece.start) / shift)
        return slice(start, None if piece.last else round((piece.own[1] - piece.start) / shift))

    def _rows(self, branch: Branch, features: Tensor, normal: Standard | None) -> Tensor:
        """What the heads of a branch read of a piece, before pooling: (T', C)."""
        ivectors = branch.ivectors(features).to(self.device) if branch.ivectors else None
        x = features.to(self.device)
        if self.system.normalised == "features" and normal is not None:
            x = (x - normal[0]) / normal[1]
        layers = self.system.config.layers
        found = branch.trunk(x[None], torch.tensor([len(x)]), layers, ivectors)
        return torch.cat([found[name][0] for name in layers], 1)


class _Utterance:
    """What is added up over a recording for the heads of one branch.

    Args:
        normal: of the speaker; None for none.
    """

    def __init__(self, system: TdnnRuns, branch: Branch, normal: Standard | None) -> None:
        self.system = system
        self.members = branch.members
        self.normal = normal if system.normalised == "reading" else None
        self.moments, self.steps = Moments(), Moments()
        self.last: Tensor | None = None
        self.count = 0
        self.number = system.target.kind == "number"
        self.sums = [torch.zeros(system.target.num_outputs, dtype=torch.float64) for _ in branch.members]

    def add(self, x: Tensor) -> None:
        """Add rows (T', C)."""
        if self.system.config.pooling != "frames":
            self.moments.add(x)
            if self.system.config.pooling == "dynamics":
                self.steps.add((x if self.last is None else torch.cat([self.last, x])).diff(dim=0))
                self.last = x[-1:] if len(x) else self.last
            return
        self.count += len(x)
        self.sums = [s + self._frames(m, x).sum(0).cpu() for s, m in zip(self.sums, self.members, strict=True)]

    def statistics(self) -> Tensor:
        """What :func:`sertools.models.emotion.pool` makes of all rows: (2 or 3 C,)."""
        mean, variance = self.moments.result()
        found = [mean, variance]
        if self.system.config.pooling == "dynamics":
            found.append(self.steps.result()[1] if self.steps.count else torch.zeros_like(mean))
        return torch.cat([found[0], *(one.clamp(min=1e-8).sqrt() for one in found[1:])]).float()

    def outputs(self) -> Floats:
        """Probabilities of each member, calibrated if it is, (members, C), or values (members, 1)."""
        if self.system.config.pooling != "frames":
            return self._of_statistics(self.statistics()[None])[:, 0]
        return np.stack([
            _calibrated(member, self._of_mean(total[None] / self.count, self.count))[0]
            for member, total in zip(self.members, self.sums, strict=True)
        ])  # fmt: skip

    def of_windows(self, x: Tensor, starts: Tensor, size: int) -> Floats:
        """The same of windows of ``size`` rows of x (T', C) from ``starts`` (W,) on: (members, W, C)."""
        if self.system.config.pooling != "frames":
            return self._of_statistics(pooled_windows(x, starts, size, self.system.config.pooling))
        return np.stack([
            _calibrated(member, self._of_mean(window_means(self._frames(member, x), starts, size), size))
            for member in self.members
        ])  # fmt: skip

    def _frames(self, member: Member, x: Tensor) -> Tensor:
        """What is averaged over frames: probabilities, their logarithms, or values, float64 (T', C)."""
        outputs = self._head(member, x)
        return outputs.exp() if not self.number and self.system.config.aggregate == "probabilities" else outputs

    def _of_mean(self, mean: Tensor, count: int) -> Tensor:
        """See :func:`sertools.models.emotion.aggregate_frames`."""
        if self.number or self.system.config.aggregate == "probabilities":
            return mean
        return F.softmax(mean * count, -1)

    def _of_statistics(self, x: Tensor) -> Floats:
        found = [(member, self._head(member, x)) for member in self.members]
        return np.stack([_calibrated(member, x if self.number else x.exp()) for member, x in found])

    def _head(self, member: Member, x: Tensor) -> Tensor:
        """Log-posteriors, or values, float64 (N, C)."""
        x = x.to(member.head.input_mean.device)
        if self.normal is not None:
            x = (x - self.normal[0]) / self.normal[1]
        return member.head(x[None], torch.tensor([len(x)]))[0][0].double()


def _calibrated(member: Member, probabilities: Tensor) -> Floats:
    values: Floats = probabilities.cpu().numpy()
    if member.temperature is None:
        return values
    from sertools.evaluation.stats.calibration import apply_temperature

    return apply_temperature(values, member.temperature)


def load(runs: dict[str, Path], *, calibrated: bool = True, device: str = "cpu") -> TdnnEnsemble:
    """The loader of this kind; see :func:`sertools.emotion.tdnn.members.load_system`."""
    return TdnnEnsemble(load_system(runs, calibrated=calibrated, device=device), device)
