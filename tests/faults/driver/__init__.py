"""A driver that lets everything go wrong while runs are trained, and accounts for every one."""
