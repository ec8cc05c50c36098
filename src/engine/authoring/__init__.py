"""Tools to write templates with: building from readable sources, checks, previews, and the way to the bucket.

None of this is deployed. What the functions know of templates is in `engine.templating.template`.
"""
