"""S2: networks on functionals, alone, fine-tuned from another task's, or progressive beside frozen ones."""
