"""Model scores: measured by networks after the decode pass, on Ray actors that may share a GPU."""
