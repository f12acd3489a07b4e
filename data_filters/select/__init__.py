"""Selection: assigns a state to every measured clip, as pure functions of the ledger."""
