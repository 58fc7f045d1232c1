"""A page a paper: what it published beside what was found here."""
