"""The stack behind the pages: what it looks like, and what an operator does to it."""
