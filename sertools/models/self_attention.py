"""Structured self-attention: a sequence of any length becomes one vector.

Lin et al. (2017), "A structured self-attentive sentence embedding", ICLR; equations 3 to 5 of S4.
"""

from torch import Tensor, nn

from sertools.models.emotion import frame_mask


class StructuredSelfAttention(nn.Module):
    """Weighted sums of the rows of H by several heads, side by side.

    Head i:  a_i = softmax(w_2i tanh(W_1 H^T)),  M_i = a_i H;  all heads share W_1, none has an offset.

    Args:
        dim: width of H.
        nodes: rows of W_1.
        heads: rows of w_2.
    """

    def __init__(self, dim: int, nodes: int, heads: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, nodes, bias=False)
        self.score = nn.Linear(nodes, heads, bias=False)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Summarise sequences.

        Args:
            x: (N, T, dim); what lies beyond an utterance's length is ignored.
            lengths: int64 (N,), on the device, at least 1 each.

        Returns:
            M (N, heads * dim), head after head, and the weights a (N, heads, T), 0 beyond the length.
        """
        inside = frame_mask(lengths, x.shape[1])[..., None]
        x = x.masked_fill(~inside, 0.0)  # what is infinite there would be no number, times a weight of 0
        scores = self.score(self.hidden(x).tanh()).masked_fill(~inside, float("-inf"))
        weights = scores.transpose(1, 2).softmax(-1)
        return (weights @ x).flatten(1), weights
