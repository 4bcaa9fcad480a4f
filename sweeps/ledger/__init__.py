"""What is done: the files of a results folder, and how they are read and written."""
