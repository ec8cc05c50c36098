"""The sending pipeline: claim ‖ suppression ‖ quota ‖ template → decide → render → gate → send → record."""
