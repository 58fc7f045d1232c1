"""A support vector machine on functionals: what a user would try first."""
