"""The verdict: from tables of seeds to one word, and why. All pure; `producer.compare` puts it together.

models       what a comparison says, field by field
side_runs    what each side returned
gaps, rounding, equivalence
             how far apart the numbers are, what may be rounding, and what tests over seeds show
perturbed    how far a training carries rounding alone
usefulness, usefulness_notes, misfits
             whether the training came to anything, and what does not fit
knowledge, starts, layer_lists, mending
             what a setting does that differs, and the code that ends it
gathered_updates, parting, divergence_map, relations, first_divergence
             where two replays part, by which mistake, and how that is said
judge        the word
reasons, number_sentences
             the word in sentences, and those on numbers
"""
