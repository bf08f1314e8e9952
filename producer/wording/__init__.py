"""What two jobs write differently and compute the same: rules on declarations, and the scales they give.

alike  the rules in their order, and two jobs brought into one wording by them
layers, functions, initializers, training, data
       the rules, each a function of both jobs
form   a job in some wording, and how what its training returned is read in it
"""
