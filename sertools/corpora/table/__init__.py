"""Anyone's own corpus: a table of recordings, or a pattern of file names, to Lhotse manifests."""
