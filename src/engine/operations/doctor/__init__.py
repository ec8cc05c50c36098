"""What stops or harms mail: account, domain, DNS and stack, examined.

`asking` and `dns_lookup` ask. `domain_checks`, `stack_checks` and `engine.operations.account_checks` judge,
as pure functions of what was answered. `examine` brings them together.
"""
