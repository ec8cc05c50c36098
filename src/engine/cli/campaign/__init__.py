"""A campaign from a file: read its lines, ask for its emails, and remember how far it came."""
