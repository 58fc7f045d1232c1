"""Speech corpora as lhotse manifests: one module a corpus, ``prepare_NAME(corpus_dir, output_dir)``."""
