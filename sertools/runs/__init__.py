"""What a training run leaves behind: its folder and the prediction table."""
