"""Selection: which measured clips are kept, as pure functions of the ledger."""
