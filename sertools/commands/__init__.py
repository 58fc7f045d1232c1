"""Commands of ``sertools``, a module each; heavy modules are imported when one runs, not to show its help."""
