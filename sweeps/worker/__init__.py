"""One unit, from its start to its record, in whichever process trains it."""
