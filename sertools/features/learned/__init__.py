"""Features that a trained network gives: bottlenecks."""
