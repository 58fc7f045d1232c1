"""Predictions of other toolkits as our prediction table, so that they are scored and compared beside ours."""
