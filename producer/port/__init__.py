"""Two programs of the user's own, checked rung by rung: settings, mapping, forward, loss, gradients,
updates.
"""
