"""What a run may leave beside its predictions, as tables and plots that text, CSV, JSON and page show."""
