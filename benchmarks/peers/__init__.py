"""Handlers that do what the sender does, as others would write them: what the engine is measured beside."""
