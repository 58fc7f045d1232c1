"""Speech frame by frame and words, recurrent, each word attending to the speech (S3a)."""
