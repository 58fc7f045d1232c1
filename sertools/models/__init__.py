"""Networks: plain ``nn.Module``s built from small config dataclasses.  They know tensors, not files."""
