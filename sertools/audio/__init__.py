"""Opening audio: what a header or a manifest says of a file is compared with the file, the same for every program."""
