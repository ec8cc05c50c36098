"""Templates: the Jinja environment, and a template that renders."""
