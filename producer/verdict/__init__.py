"""The verdict: from tables of seeds to one word, and why. All pure; `producer.compare` puts it together.

models       what a comparison says, field by field
side_runs    what each side returned
gaps, rounding, equivalence
             how far apart the numbers are, what may be rounding, and what tests over seeds show
usefulness, misfits, knowledge
             whether the training came to anything, what does not fit, what a setting does
parting, first_divergence
             where two replays part, and how that is said
judge        the word
reasons, number_sentences
             the word in sentences, and those on numbers
"""
