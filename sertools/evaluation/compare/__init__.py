"""Several systems on the same test utterances: tables, plots and page."""
