"""The transition matrix of an HMM as small dense blocks.

After a phone ``b`` an n-gram goes from the histories that end in ``b`` to those whose phone
before the last is ``b``: permuted, the matrix is block diagonal.  The blocks are found as the
connected components of the bipartite graph of sources and targets, so any graph will do; one that
does not fall apart is one block.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from sertools.lfmmi.hmm import Hmm

CALL_COST = 200_000  # multiplications that take as long as starting one more batched product


@dataclass(frozen=True)
class BlockMatrix:
    """All blocks, and where states are.

    A vector over sources has a slot for every state (and padding), the groups of blocks one after
    the other; a vector over targets has its own order.

    Attributes:
        groups: of shape (K, J, I), float64.
        state_of_slot: of each source slot, -1 for padding.
        target_of_slot: the target slot of each source slot's state; 0 where nothing enters it.
        slot_of_target: the source slot of each target slot's state; 0 for padding.
        cost: multiplications for one vector.
    """

    groups: tuple[Tensor, ...]
    state_of_slot: Tensor
    target_of_slot: Tensor
    slot_of_target: Tensor
    cost: int


def _partition(sizes: list[tuple[int, int]]) -> list[list[int]]:
    """Which blocks are padded to one size: least multiplications, counting the calls.

    ``sizes`` are (sources, targets), by descending sources.
    """
    count = len(sizes)
    best = [0.0] + [np.inf] * count
    cut = [0] * (count + 1)
    for end in range(1, count + 1):
        rows = columns = 0
        for begin in range(end - 1, -1, -1):
            rows, columns = max(rows, sizes[begin][0]), max(columns, sizes[begin][1])
            cost = best[begin] + (end - begin) * rows * columns + CALL_COST
            if cost < best[end]:
                best[end], cut[end] = cost, begin
    groups = []
    end = count
    while end:
        groups.append(list(range(cut[end], end)))
        end = cut[end]
    return groups[::-1]


def block_matrix(hmm: Hmm) -> BlockMatrix:
    """The arcs of an HMM, loops left out, as blocks."""
    size = hmm.num_states
    sources, targets = hmm.sources.numpy(), hmm.targets.numpy()
    weights = np.exp(hmm.log_probs.numpy().astype(np.float64))
    matrix = scipy.sparse.coo_matrix((np.ones(len(sources)), (sources, targets + size)), shape=(2 * size, 2 * size))
    _, component = connected_components(matrix, directed=False)
    is_source, is_target = np.zeros(size, bool), np.zeros(size, bool)
    is_source[sources] = True
    is_target[targets] = True
    members: dict[int, tuple[list[int], list[int]]] = {}
    for state in range(size):
        if is_source[state]:
            members.setdefault(component[state], ([], []))[0].append(state)
        if is_target[state]:
            members.setdefault(component[size + state], ([], []))[1].append(state)
    blocks = sorted(members.values(), key=lambda block: (-len(block[0]), -len(block[1]), block[0]))
    resting = [state for state in range(size) if not is_source[state]]
    groups, slots, target_states = [], [], []
    row_of, column_of = np.zeros(size, np.int64), np.zeros(size, np.int64)
    group_of, block_of = np.zeros(size, np.int64), np.zeros(size, np.int64)
    shapes = []
    for number, indices in enumerate(_partition([(len(s), len(t)) for s, t in blocks])):
        rows = max(len(blocks[i][0]) for i in indices)
        columns = max(len(blocks[i][1]) for i in indices)
        shapes.append((len(indices), columns, rows))
        for k, i in enumerate(indices):
            mine, theirs = blocks[i]
            row_of[mine], column_of[theirs] = np.arange(len(mine)), np.arange(len(theirs))
            group_of[mine], block_of[mine] = number, k
            padding = [resting.pop() if resting else -1 for _ in range(rows - len(mine))]  # free slots are put to use
            slots += [*mine, *padding]
            target_states += theirs + [-1] * (columns - len(theirs))
    slots += resting
    target_states = target_states or [-1]
    for number, shape in enumerate(shapes):
        mine_arcs = group_of[sources] == number
        dense = np.zeros(shape)
        where = (block_of[sources[mine_arcs]], column_of[targets[mine_arcs]], row_of[sources[mine_arcs]])
        np.add.at(dense, where, weights[mine_arcs])
        groups.append(torch.from_numpy(dense))
    state_of_slot = np.array(slots, dtype=np.int64)
    targets_of_slot = np.array(target_states, dtype=np.int64).reshape(-1)
    target_slot, slot = np.zeros(size, np.int64), np.zeros(size, np.int64)
    target_slot[targets_of_slot[targets_of_slot >= 0]] = np.flatnonzero(targets_of_slot >= 0)
    slot[state_of_slot[state_of_slot >= 0]] = np.flatnonzero(state_of_slot >= 0)
    return BlockMatrix(
        groups=tuple(groups),
        state_of_slot=torch.from_numpy(state_of_slot),
        target_of_slot=torch.from_numpy(np.where(state_of_slot >= 0, target_slot[state_of_slot], 0)),
        slot_of_target=torch.from_numpy(np.where(targets_of_slot >= 0, slot[targets_of_slot], 0)),
        cost=sum(int(np.prod(shape)) for shape in shapes),
    )
