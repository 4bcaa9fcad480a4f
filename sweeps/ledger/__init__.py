"""The ledger: which units are done, in the files of a results folder, and how these are read and written."""
