"""Hosts a program that the user wrote, in a process of the environment that it runs in, and lays it open.

The user's environment may be any: what is imported here is the standard library, NumPy and, in the adapters'
`imported` modules, the framework itself.

__main__            questions on standard input, answers on standard output
userfile, verified  the user's file and what it may import
contract            what a host answers, whatever its framework
plain               what the user's functions take and return, in plain values
randomness          random numbers of NumPy's in place of the framework's
loaders             the first samples of the user's data
timing              so many updates in a row, as the user wrote them
checkpoints, onnx_file
                    files that every framework can read
"""
