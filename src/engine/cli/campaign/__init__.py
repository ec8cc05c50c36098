"""A campaign from a file: read and check its rows, publish their requests, and save how far it came."""
