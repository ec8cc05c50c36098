"""The lanes in, and how long what waits is deferred."""
