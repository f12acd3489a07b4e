"""The ledger: one row for every source and every clip."""
