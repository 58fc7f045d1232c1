"""Whether folds and prediction tables, of anyone's system, keep the contract (docs/contract.md)."""
