"""A pretrained speech model that is trained on, or parts of it, with a head."""
