"""Blame: how much of a difference each setting makes, told by training with settings switched. All pure.

factors      what differs between two jobs, piece by piece
plan         the trainings that tell how much each piece weighs, and `shares` which of their mixtures
budget       what the trainings cost, and what is left out where that is too much; `places` in which order
evidence     how far apart the trained pairs are
attribution  from these gaps to each setting's share, cause and fixes
explanation  the answer: its fields, its sentence and its notes
causes       the same within a comparison, where several settings part the sides

`producer.explaining` has the plans trained.
"""
