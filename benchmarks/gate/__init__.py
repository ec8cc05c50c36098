"""The rate gate in virtual time: the engine's own gate against a simulated table, clocks and SES account."""
