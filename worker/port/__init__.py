"""Hosts a program that the user wrote, in a process of the environment that it runs in, and lays it open.

The user's environment may be any: what is imported here is the standard library, NumPy and, in the adapters'
`imported` modules, the framework itself.
"""
