"""Tools for the authors of templates: building from sources, checks, live preview, push and pull.

None of this is deployed. The functions render templates with `engine.templating.template`.
"""
