"""What two jobs write differently and compute the same: rules on declarations, and the scales they give.

alike  two jobs brought into one wording by the rules
rules  the rules in their order, with what each says
layers, taken, synonyms, functions, reordered, grouped, narrow, one_hot, initializers, losses, heads,
outputs, held, gathering, training, data
       what the rules do, each a function of both jobs
form   a job in some wording, and how what its training returned is read in it
"""
