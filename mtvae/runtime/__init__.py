"""How the arithmetic is done: precision, repeatable digits, recorded steps, and memory."""
