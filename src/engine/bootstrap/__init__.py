"""Settings, the event loop of a Lambda environment, and the wiring of each function."""
