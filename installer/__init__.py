"""The modules behind install.py: Python's standard library and boto3 alone, from Python 3.9 on.

With them comes one module of the engine, `engine.operations.account_checks`: what `sesmailengine doctor` and
the preflight both judge, they judge alike.

| module | does |
| --- | --- |
| `main` | reads the command line, turns every failure into a sentence |
| `commands` | install, upgrade, uninstall: each from its first to its last step |
| `preflight` | what must be true before anything is changed |
| `release` | what this package brings: version, zips, parameters |
| `parameters` | from flags, questions and the installed stack to CloudFormation parameters |
| `code_bucket`, `stack`, `retained` | what is in the account: code, stack, and what outlives the stack |
| `account`, `errors`, `screen` | clients, what their errors mean, what a person sees |
"""
