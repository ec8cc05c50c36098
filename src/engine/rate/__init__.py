"""The rate gate: GCRA on one shared item."""
