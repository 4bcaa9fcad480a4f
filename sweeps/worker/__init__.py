"""Run one unit, from its start to its record, in the process that trains it."""
