"""What needs an NVIDIA GPU, as one script: `python -m tests.gpu`. No other test needs one."""
