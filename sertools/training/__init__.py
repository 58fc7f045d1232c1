"""The one training loop.  It knows neither emotions nor phones: those are in the task it is given."""
