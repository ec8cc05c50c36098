"""A request: decoding, checks, identity, addresses."""
