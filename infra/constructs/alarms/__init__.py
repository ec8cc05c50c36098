"""CloudWatch alarms, a module for each thing that they watch. Every alarm is one that `Alarms.above` makes.

Seven are the description's, with its names and thresholds: the depths of three dead-letter queues, the errors
of two functions, and the account's two rates. docs/operations.md tells of each.
"""
