"""How far a recipe is: read from exp/stages.jsonl, which utils/recipe.sh writes, and from the logs of the jobs."""
