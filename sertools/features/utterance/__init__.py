"""Features of which an utterance has one row: functionals."""
