"""Batches by length: every utterance once, within the limit, shuffled by the generator only."""

import torch

from sertools.data.batching import plan_batches


def test_limits_and_order() -> None:
    lengths = torch.randint(5, 60, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    for generator in (None, torch.Generator().manual_seed(1)):
        batches = plan_batches(lengths, 150, generator)
        assert sorted(i for batch in batches for i in batch) == list(range(200))
        assert all(len(batch) * max(lengths[i] for i in batch) <= 150 for batch in batches)
    in_order = [lengths[i] for batch in plan_batches(lengths, 150, None) for i in batch]
    assert in_order == sorted(lengths)
    first, again, other = (plan_batches(lengths, 150, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first == again != other


def test_an_utterance_longer_than_a_batch_is_alone() -> None:
    assert plan_batches([10, 500, 12], 100, None) == [[0, 2], [1]]


def test_batches_come_in_another_order_each_epoch() -> None:
    """Not the short ones first, which would make a training begin with short utterances."""
    lengths = [10, 20, 30, 40]  # apart by more than lengths are blurred by: each alone, the same groups every time
    plans = [plan_batches(lengths, 1, torch.Generator().manual_seed(seed)) for seed in range(12)]
    assert plan_batches(lengths, 1, None) == [[0], [1], [2], [3]]
    assert all(sorted(plan) == [[0], [1], [2], [3]] for plan in plans)
    assert len({str(plan) for plan in plans}) > 6
