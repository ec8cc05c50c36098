"""The commands that operate a deployed stack: options, screens and exit codes of `engine.operations`."""
