"""A head on hidden layers of a pretrained model: one of them, or a learnt weighted sum of several."""
