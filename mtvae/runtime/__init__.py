"""How the arithmetic is done: precision, repeatable digits, and recorded steps."""
